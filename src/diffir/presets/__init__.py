"""Values: the networks that have a name. Variants derive from each other with `replace`."""

from diffir.errors import RecipeError
from diffir.recipe import Recipe

from .deblur import DEBLUR, DEBLUR_LITE
from .inpaint import INPAINT, INPAINT_BIG, INPAINT_LITE
from .preset import Preset
from .sr import SR_X1, SR_X2, SR_X2_LITE, SR_X4, SR_X4_LITE

PUBLISHED = (SR_X4, SR_X2, SR_X1, DEBLUR, INPAINT, INPAINT_BIG)
LITE = (SR_X4_LITE, SR_X2_LITE, DEBLUR_LITE, INPAINT_LITE)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in (*PUBLISHED, *LITE)}


def preset_with_recipe(name: str) -> tuple[Preset, Recipe]:
    """A network that can be trained, and how; raises RecipeError for others, naming those."""
    preset = PRESETS.get(name)
    if preset is None or preset.recipe is None:
        trainable = ", ".join(preset.name for preset in PRESETS.values() if preset.recipe)
        raise RecipeError(f"{name!r} has no recipe; take one of {trainable}")
    return preset, preset.recipe


__all__ = ["PRESETS", "Preset", "preset_with_recipe"]
