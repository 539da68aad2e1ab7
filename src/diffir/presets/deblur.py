"""Motion deblurring: the published network, and a lite one for CPUs."""

from diffir.model import DiffIRConfig
from diffir.tasks import Deblurring

from .preset import Preset

DEBLUR = Preset(
    name="deblur",
    summary="motion blur away, as published",
    task=Deblurring(),
    config=DiffIRConfig(),
)
