"""Motion deblurring: the published network, and a lite one for CPUs."""

from dataclasses import replace

from diffir.data import MotionBlur
from diffir.model import DiffIRConfig
from diffir.tasks import Deblurring

from .preset import Preset, guided, lite, lite_recipe

DEBLUR = Preset(
    name="deblur",
    summary="motion blur away, as published",
    task=Deblurring(),
    config=DiffIRConfig(),
)

# Half the resolution takes a third of the time and, after a short training, restores better:
# python benchmarks/sizes.py deblur (docs/experiments.md).
DEBLUR_LITE = guided(
    Preset(
        name="deblur-lite",
        summary="motion blur away, small enough for CPUs",
        task=Deblurring(),
        config=replace(lite(DEBLUR.config), unshuffle=2, upscale=2),
        recipe=lite_recipe(lq_size=128, degradation=MotionBlur()),
    )
)
