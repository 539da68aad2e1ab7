"""Inpainting: the published networks, and a lite one for CPUs."""

from dataclasses import replace

from diffir.data import Holes
from diffir.data.masks import EVERYDAY
from diffir.model import DiffIRConfig
from diffir.recipe import MaskedL1
from diffir.tasks import Inpainting

from .preset import Preset, lite, lite_recipe

INPAINT = Preset(
    name="inpaint",
    summary="holes filled, as published",
    task=Inpainting(),
    config=DiffIRConfig(
        in_channels=4,
        global_residual=False,
        dim=52,
        num_blocks=(1, 1, 1, 9),
        num_refinement_blocks=0,
        ffn_expansion=1.8,
    ),
)
INPAINT_BIG = replace(
    INPAINT,
    name="inpaint-big",
    summary="holes filled, the published larger network",
    config=replace(INPAINT.config, num_blocks=(1, 1, 1, 20), cpen_blocks=8),
)

# Half the resolution, as for deblurring: python benchmarks/sizes.py inpaint (docs/experiments.md).
INPAINT_LITE = Preset(
    name="inpaint-lite",
    summary="holes filled, small enough for CPUs",
    task=Inpainting(),
    config=replace(
        lite(INPAINT.config), unshuffle=2, upscale=2, prefill=True, global_residual=True
    ),
    # Known pixels are copied anyway; if they count in the loss, they hold the residual at 0.
    recipe=lite_recipe(lq_size=128, degradation=Holes(masks=EVERYDAY)).model_copy(
        update={"pixel_loss": MaskedL1(known_weight=0, hole_weight=5)}
    ),
)
