"""Presets: the named networks and recipes. Variants derive from each other with `replace`."""

from .choose import choose
from .deblur import DEBLUR, DEBLUR_LITE
from .finetune import finetuning
from .inpaint import INPAINT, INPAINT_BIG, INPAINT_LITE
from .preset import Preset
from .published import PUBLISHED_TRAININGS
from .sr import REAL_X4_LITE, REAL_X4_LITE_DETAIL, SR_X1, SR_X2, SR_X2_LITE, SR_X4, SR_X4_LITE
from .toy import TOYS

PUBLISHED = (SR_X4, SR_X2, SR_X1, DEBLUR, INPAINT, INPAINT_BIG)
LITE = (SR_X4_LITE, SR_X2_LITE, REAL_X4_LITE, REAL_X4_LITE_DETAIL, DEBLUR_LITE, INPAINT_LITE)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in (*PUBLISHED, *LITE)}
"""Networks, by name."""
RECIPES: dict[str, Preset] = {
    preset.name: preset for preset in (*LITE, *PUBLISHED_TRAININGS, *TOYS)
}
"""Trainings, by name: a network with a recipe; several may train the same network."""

__all__ = ["PRESETS", "RECIPES", "Preset", "choose", "finetuning"]
