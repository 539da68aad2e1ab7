"""Values: the networks that have a name. Variants derive from each other with `replace`."""

from .deblur import DEBLUR
from .inpaint import INPAINT, INPAINT_BIG
from .preset import Preset
from .sr import SR_X1, SR_X2, SR_X4, SR_X4_LITE

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (SR_X4, SR_X2, SR_X1, DEBLUR, INPAINT, INPAINT_BIG, SR_X4_LITE)
}

__all__ = ["PRESETS", "Preset"]
