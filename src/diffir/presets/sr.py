"""Super-resolution: the published networks for ×4, ×2 and ×1, and lite ones for CPUs."""

from dataclasses import replace

from diffir.data.second_order import PUBLISHED
from diffir.model import DiffIRConfig
from diffir.recipe import Adversary, Cosine, Phase, Recipe
from diffir.tasks import SuperResolution

from .preset import Preset, lite, lite_recipe

SR_X4 = Preset(
    name="sr-x4",
    summary="×4 larger, as published",
    task=SuperResolution(),
    config=DiffIRConfig(
        upscale=4,
        dim=64,
        num_blocks=(13, 1, 1, 1),
        num_refinement_blocks=13,
        ffn_expansion=2.2,
        norm_bias=False,
        cpen_blocks=9,
    ),
)
SR_X2 = replace(
    SR_X4,
    name="sr-x2",
    summary="×2 larger, as published",
    config=replace(SR_X4.config, unshuffle=2),
)
SR_X1 = replace(
    SR_X4,
    name="sr-x1",
    summary="cleaner at the same size, as published",
    config=replace(SR_X4.config, unshuffle=4),
)

SR_X4_LITE = Preset(
    name="sr-x4-lite",
    summary="×4 larger, small enough for CPUs",
    task=SuperResolution(),
    config=replace(lite(SR_X4.config), cpen_reduction=2),
    recipe=lite_recipe(lq_size=32),
)
SR_X2_LITE = Preset(
    name="sr-x2-lite",
    summary="×2 larger, small enough for CPUs",
    task=SuperResolution(),
    config=replace(SR_X4_LITE.config, unshuffle=2),
    recipe=lite_recipe(lq_size=64),
)
REAL_X4_LITE = Preset(
    name="real-x4-lite",
    summary="×4 larger and cleaner, of real photos, small enough for CPUs",
    task=SuperResolution(),
    config=SR_X4_LITE.config,
    recipe=lite_recipe(lq_size=32, degradation=PUBLISHED),
)
# Fine-tuned from real-x4-lite (`--from`), so that the two can be interpolated (`--detail`).
REAL_X4_LITE_DETAIL = replace(
    REAL_X4_LITE,
    name="real-x4-lite-detail",
    summary="the same, crisper and further from the truth",
    recipe=Recipe(
        degradation=PUBLISHED,
        finetune=Phase(
            steps=2600,
            learning_rate=1e-4,
            warmup_steps=30,
            schedule=Cosine(final_learning_rate=1e-5),
            batch_size=4,
            lq_size=48,
            # Without R1 the training oscillates and leaves dots in the pictures; with LaMa's 0.001
            # a small discriminator learns too slowly at first (docs/results.md).
            adversary=Adversary(
                discriminator="patch",
                width=32,
                loss="non_saturating",
                weight=0.1,
                r1_weight=1e-4,
                r1_every=4,
                feature_matching_weight=1,
                learning_rate=2e-4,
                adam_betas=(0.5, 0.99),
                warmup_steps=200,
            ),
        ),
        gradient_clip=1,
        precision="bfloat16",
    ),
)
