"""Choose what to train: a preset by its name or a recipe file, with settings changed one by one."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from diffir.errors import RecipeError
from diffir.recipe import Recipe

from .preset import Preset


def choose(
    presets: Mapping[str, Preset], name_or_file: str, settings: Iterable[str] = ()
) -> Preset:
    """A preset that has a recipe, that recipe changed by a file and by settings.

    Args:
        presets: all, by name.
        name_or_file: a preset's name, or a `.yaml` file that says `preset: NAME` and what differs.
        settings: texts as `stage1.steps=100` or `degradation=mild`; the last one counts.

    Raises:
        RecipeError: when there is no such preset, file or key, or a value does not fit.
    """
    changes: dict[str, Any] = {}
    name = name_or_file
    if name_or_file not in presets and Path(name_or_file).suffix in (".yaml", ".yml"):
        changes = read(Path(name_or_file))
        name = str(changes.pop("preset", ""))
    preset = presets.get(name)
    if preset is None or preset.recipe is None:
        trainable = ", ".join(preset.name for preset in presets.values() if preset.recipe)
        raise RecipeError(f"{name!r} has no recipe; take one of {trainable}")
    recipe = changed(preset.recipe, changes)
    for setting in settings:
        recipe = changed(recipe, nested(setting))
    return replace(preset, recipe=recipe)


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """A recipe with some values in place of its own. Raises RecipeError."""
    return Recipe.of(merged(recipe.model_dump(mode="json"), changes))


def read(path: Path) -> dict[str, Any]:
    """What a recipe file says. Raises RecipeError."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is no YAML ({' '.join(str(error).split())}); mend it") from error
    if not isinstance(found, dict) or "preset" not in found:
        raise RecipeError(f"{path} names no preset; a line `preset: sr-x4-lite`, say, is wanted")
    return found


def nested(setting: str) -> dict[str, Any]:
    """`a.b=1` as {"a": {"b": 1}}, the value read as YAML. Raises RecipeError."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"setting {setting!r} found; wanted is KEY=VALUE, say stage1.steps=100")
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"setting {setting!r} has no readable value; quote texts") from error
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def merged(base: Mapping[str, Any], changes: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """`base` with the changes in it, at any depth; RecipeError for a key that it does not have.

    A table is replaced whole where it is of another `kind`.
    """
    result = dict(base)
    for key, value in changes.items():
        if key not in base:
            near = difflib.get_close_matches(str(key), base, n=3, cutoff=0.3) or list(base)
            place = f"{where}{key}"
            raise RecipeError(f"no setting {place!r}; there are {', '.join(near)} in that place")
        old = base[key]
        is_deeper = isinstance(old, dict) and isinstance(value, dict)
        if is_deeper and value.get("kind", old.get("kind")) == old.get("kind"):
            result[key] = merged(old, value, f"{where}{key}.")
        else:
            result[key] = value
    return result
