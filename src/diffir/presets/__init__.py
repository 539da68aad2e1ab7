"""Values: the networks that have a name. Variants derive from each other with `replace`."""

from .choose import choose
from .deblur import DEBLUR, DEBLUR_LITE
from .inpaint import INPAINT, INPAINT_BIG, INPAINT_LITE
from .preset import Preset
from .sr import SR_X1, SR_X2, SR_X2_LITE, SR_X4, SR_X4_LITE

PUBLISHED = (SR_X4, SR_X2, SR_X1, DEBLUR, INPAINT, INPAINT_BIG)
LITE = (SR_X4_LITE, SR_X2_LITE, DEBLUR_LITE, INPAINT_LITE)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in (*PUBLISHED, *LITE)}

__all__ = ["PRESETS", "Preset", "choose"]
