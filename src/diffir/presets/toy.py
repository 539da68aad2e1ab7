"""Toys: every stage, phase and loss in seconds, as a smoke test; they restore nothing.

diffir train toy-sr --data dead-leaves -o runs/toy
"""

from dataclasses import replace

from diffir.data import Holes
from diffir.data.masks import Boxes, MaskSettings
from diffir.data.motion import SHAKE
from diffir.data.second_order import SecondOrder
from diffir.model import DiffIRConfig
from diffir.recipe import Adversary, MaskedL1, Phase, Recipe
from diffir.tasks import Deblurring, Inpainting, SuperResolution

from .preset import Preset

TINY = DiffIRConfig(
    dim=8, num_blocks=(1, 1, 1, 1), num_refinement_blocks=1, cpen_blocks=1, ipr_dim=64
)
SAME_SIZE = Phase(steps=20, learning_rate=1e-3, warmup_steps=5, batch_size=4, lq_size=32)
REDUCED = SAME_SIZE.model_copy(update={"lq_size": 16})
UNET = Adversary(width=4, warmup_steps=5)
PATCH = Adversary(
    discriminator="patch",
    width=4,
    loss="non_saturating",
    r1_weight=0.001,
    feature_matching_weight=1,
    mask_as_target=True,
)

TOY_SR = Preset(
    name="toy-sr",
    summary="a toy: ×2, all phases, adversarial fine-tuning at the end",
    task=SuperResolution(),
    config=replace(TINY, upscale=2),
    recipe=Recipe(
        stage1=REDUCED,
        prior=REDUCED,
        joint=REDUCED,
        finetune=REDUCED.model_copy(update={"adversary": UNET}),
    ),
)
TOY_REAL = Preset(
    name="toy-real",
    summary="a toy: ×2 of noisy, blurred, compressed pictures",
    task=SuperResolution(),
    config=replace(TINY, upscale=2),
    recipe=Recipe(
        degradation=SecondOrder(context=8, pool_size=8),
        stage1=REDUCED,
        prior=REDUCED,
        joint=REDUCED,
    ),
)
TOY_DEBLUR = Preset(
    name="toy-deblur",
    summary="a toy: motion blur, all phases",
    task=Deblurring(),
    config=TINY,
    recipe=Recipe(degradation=SHAKE, stage1=SAME_SIZE, prior=SAME_SIZE, joint=SAME_SIZE),
)
TOY_INPAINT = Preset(
    name="toy-inpaint",
    summary="a toy: holes, adversarial from the start",
    task=Inpainting(),
    config=replace(TINY, in_channels=4, global_residual=False),
    recipe=Recipe(
        degradation=Holes(masks=MaskSettings(kinds=((Boxes(size=(4, 16), margin=2), 1),))),
        stage1=SAME_SIZE.model_copy(update={"adversary": PATCH}),
        joint=SAME_SIZE.model_copy(update={"adversary": PATCH}),
        pixel_loss=MaskedL1(hole_weight=1),
        gradient_clip=1,
    ),
)
TOYS = (TOY_SR, TOY_REAL, TOY_DEBLUR, TOY_INPAINT)
