"""The trainings of the paper and of its code, as recipes.

    diffir train deblur --data GOPRO_TRAIN -o runs/deblur --devices 8

batch_size is the total over all processes. Where the authors give pictures per GPU, 8 GPUs are
assumed; with fewer, keep the batch by accumulation (`--accumulate 8`) or change it. The precision
is bfloat16 autocast, which is faster; the authors' is `--set precision=float32`. A perceptual loss
needs its network's weights on the machine; without them, train the phase with
`--set finetune.perceptual=null`, or skip it with `--set finetune=null`. The scores to expect are
the paper's; none of these long trainings has been repeated here.
"""

from dataclasses import replace
from functools import partial

from diffir.data import Augment, Holes, SecondOrder
from diffir.data.masks import TRAINING
from diffir.data.motion import SHAKE
from diffir.data.second_order import PUBLISHED as REAL_WORLD
from diffir.recipe import (
    Growth,
    MaskedL1,
    Milestones,
    Phase,
    Recipe,
    Restarts,
    VGG19Features,
    WideFeatures,
)
from diffir.recipe.losses import ADVERSARIES

from .deblur import DEBLUR
from .inpaint import INPAINT, INPAINT_BIG
from .preset import Preset
from .sr import SR_X1, SR_X2, SR_X4

K = 1000
UNET = ADVERSARIES["unet"]
PATCH = ADVERSARIES["patch"]


def grown(first: int, *rows: tuple[int, int, int]) -> tuple[Growth, ...]:
    """Growth from step `first` on; each row is (steps, LQ side, batch size)."""
    growth, step = [], first
    for steps, lq_size, batch_size in rows:
        growth.append(Growth(from_step=step, lq_size=lq_size, batch_size=batch_size))
        step += steps
    return tuple(growth)


# Motion deblurring. To expect: GoPro 33.20 dB, SSIM .963; HIDE 31.55 dB, .947.
progressive = partial(Phase, lq_size=192, batch_size=8 * 8)
DEBLUR_RECIPE = Recipe(
    precision="bfloat16",
    degradation=SHAKE,  # for photos without a blurred counterpart; GoPro has pairs
    stage1=progressive(
        steps=300 * K,
        learning_rate=2e-4,
        adam_betas=(0.9, 0.999),
        schedule=Restarts(periods=(92 * K, 208 * K), final_learning_rates=(2.85e-4, 1e-6)),
        growth=grown(
            92 * K,
            *((80 * K, 256, 32), (38 * K, 320, 16), (33 * K, 384, 16)),
            *((33 * K, 464, 8), (24 * K, 512, 8)),
        ),
    ),
    prior=progressive(
        steps=100 * K,
        learning_rate=2e-4,
        schedule=Milestones(steps=(60 * K,), factor=0.1),
    ),
    joint=progressive(
        steps=300 * K,
        learning_rate=2e-4,
        schedule=Milestones(steps=(80 * K, 160 * K, 240 * K)),
        growth=grown(
            50 * K,  # 150k of stage 2 at the first size, 100k of them the prior phase
            *((60 * K, 256, 32), (50 * K, 320, 16), (60 * K, 384, 16)),
            *((40 * K, 464, 8), (40 * K, 512, 8)),
        ),
    ),
)

# Super-resolution ×4 of bicubic LQ (DF2K). To expect after the GAN: PSNR / LPIPS Set14 27.73 /
# .1117, Urban100 26.05 / .1007, Manga109 30.32 / .0463, General100 30.58 / .0717.
bicubic_x4 = partial(Phase, lq_size=64, batch_size=64)
HALVED = bicubic_x4(
    steps=1000 * K,
    learning_rate=2e-4,
    schedule=Milestones(steps=(500 * K, 700 * K)),
)
SR_RECIPE = Recipe(
    precision="bfloat16",
    stage1=HALVED,
    joint=HALVED,
    finetune=bicubic_x4(
        steps=400 * K,
        learning_rate=2e-4,
        schedule=Milestones(steps=(200 * K,)),
        perceptual=VGG19Features(),
        adversary=UNET,
    ),
)


def real_world(degradation: SecondOrder, scale: int) -> Recipe:
    """Real-world super-resolution (multi-scale DF2K and OST), crops of 256 GT pixels.

    To expect at ×4: LPIPS / DISTS / PSNR .3527 / .1588 / 27.65 on RealSR, .3088 / .1131 / 27.31
    on NTIRE2020 track 1.
    """
    phase = partial(Phase, lq_size=256 // scale, batch_size=8 * 9)
    return Recipe(
        precision="bfloat16",
        degradation=degradation,
        augment=Augment(turns=False),
        stage1=phase(steps=1000 * K, learning_rate=2e-4, schedule=Milestones()),
        prior=phase(
            steps=100 * K,
            learning_rate=2e-4,
            schedule=Milestones(steps=(60 * K,), factor=0.1),
        ),
        joint=phase(steps=900 * K, learning_rate=2e-4, schedule=Milestones(steps=(600 * K,))),
        finetune=phase(
            steps=400 * K,
            learning_rate=1e-4,
            schedule=Milestones(steps=(300 * K,)),
            perceptual=VGG19Features(),
            adversary=UNET,
        ),
    )


# Inpainting. To expect, FID / LPIPS: Places 512 narrow .4913 / .0758, wide 1.9788 / .1306;
# CelebA-HQ 256 narrow 4.5967 / .0769, wide 5.1440 / .0918.
EPOCHS = 40
PLACES_BATCHES = 25 * K  # per epoch, at most
CELEBA_BATCHES = 26_000 // 32


def inpainting(batches: int, batch_size: int) -> Recipe:
    """Inpainting, LaMa's setting: both stages with a discriminator, no prior phase, no EMA."""
    phase = Phase(
        steps=EPOCHS * batches,
        learning_rate=2e-4,
        schedule=Milestones(),
        adam_betas=(0.9, 0.999),
        batch_size=batch_size,
        lq_size=256,
        perceptual=WideFeatures(),
        adversary=PATCH,
    )
    return Recipe(
        precision="bfloat16",
        degradation=Holes(masks=TRAINING),
        augment=Augment(turns=False),
        stage1=phase,
        joint=phase,
        pixel_loss=MaskedL1(),
        gradient_clip=1,
        ema_decay=0,
    )


def recipe(name: str, network: Preset, summary: str, how: Recipe) -> Preset:
    """A published network under the name of its training."""
    return replace(network, name=name, summary=summary, recipe=how)


SHARPENED = REAL_WORLD.model_copy(update={"sharpen_gt": True})
REAL_NETWORKS = {4: SR_X4, 2: SR_X2, 1: SR_X1}
PUBLISHED_TRAININGS = (
    recipe("deblur", DEBLUR, "motion blur away (GoPro)", DEBLUR_RECIPE),
    recipe("sr-x4", SR_X4, "×4 of bicubic LQ: PSNR, then GAN", SR_RECIPE),
    *(
        recipe(
            f"real-x{scale}{suffix}",
            network,
            f"×{scale} of real-world LQ: PSNR, then GAN{aim}",
            real_world(degradation, scale),
        )
        for suffix, degradation, aim in (
            ("", REAL_WORLD, ""),
            ("-usm", SHARPENED, ", towards sharpened pictures"),
        )
        for scale, network in REAL_NETWORKS.items()
    ),
    recipe("inpaint-celeba", INPAINT, "holes filled (CelebA-HQ)", inpainting(CELEBA_BATCHES, 32)),
    recipe("inpaint", INPAINT, "holes filled (Places)", inpainting(PLACES_BATCHES, 32)),
    recipe(
        "inpaint-big",
        INPAINT_BIG,
        "holes filled, larger network (Places)",
        inpainting(PLACES_BATCHES, 120),
    ),
)
