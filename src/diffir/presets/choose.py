"""Choose what to train: a preset's name or a recipe file, with individual settings changed.

Settings under `network.` change the network, for example `network.timesteps=8`.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from diffir.data.settings import read_yaml, sentence, without_switches
from diffir.errors import RecipeError
from diffir.model import DiffIRConfig
from diffir.recipe import Recipe

from .preset import Preset

NETWORK = "network"  # the key of the network's sizes in a recipe file


def choose(
    presets: Mapping[str, Preset], name_or_file: str, settings: Iterable[str] = ()
) -> Preset:
    """A preset with a recipe, with the changes of a recipe file and of settings applied.

    Args:
        presets: all, by name.
        name_or_file: a preset's name, or a `.yaml` file with `preset: NAME` and what differs;
            paths in it are relative to its folder.
        settings: strings such as `stage1.steps=100` or `degradation=mild`; later ones win.

    Raises:
        RecipeError: when there is no such preset, file or key, or a value is invalid.
    """
    changes: dict[str, Any] = {}
    name, folder = name_or_file, Path()
    if name_or_file not in presets and Path(name_or_file).suffix in (".yaml", ".yml"):
        changes, folder = read(Path(name_or_file)), Path(name_or_file).parent
        name = str(changes.pop("preset", ""))
    preset = presets.get(name)
    if preset is None or preset.recipe is None:
        trainable = ", ".join(preset.name for preset in presets.values() if preset.recipe)
        raise RecipeError(f"{name!r} has no recipe; take one of {trainable}")
    preset = changed(preset, changes, folder)
    for change in map(nested, settings):
        preset = changed(preset, change, Path())
    return preset


def values_of(preset: Preset) -> dict[str, Any]:
    """All that a recipe file may set besides `preset: NAME`: the recipe and the network's sizes."""
    assert preset.recipe is not None
    return {**preset.recipe.model_dump(mode="json"), NETWORK: asdict(preset.config)}


def changed(preset: Preset, changes: Mapping[str, Any], folder: Path) -> Preset:
    """A preset with some values replaced; paths in them are relative to a folder.

    Raises RecipeError.
    """
    values = merged(values_of(preset), changes)
    config = network_of(values.pop(NETWORK))
    recipe = Recipe.of(values).with_paths_from(folder)
    return replace(preset, recipe=recipe, config=config)


def network_of(values: Any) -> DiffIRConfig:
    """The validated config of a network. Raises RecipeError."""
    switches = {field.name for field in fields(DiffIRConfig) if field.type is bool}
    try:
        return TypeAdapter(DiffIRConfig).validate_python(without_switches(values, switches))
    except ValidationError as error:
        raise RecipeError(f"{NETWORK}: {sentence(error)}") from error
    except ValueError as error:
        raise RecipeError(f"{NETWORK}: {error}") from error


def read(path: Path) -> dict[str, Any]:
    """The content of a recipe file. Raises RecipeError."""
    try:
        found = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise RecipeError(f"{path} is not valid YAML ({error}); fix it") from error
    if not isinstance(found, dict) or "preset" not in found:
        raise RecipeError(f"{path} names no preset; add a line such as `preset: sr-x4-lite`")
    return found


def nested(setting: str) -> dict[str, Any]:
    """`a.b=1` as {"a": {"b": 1}}, the value read as YAML. Raises RecipeError."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"setting {setting!r} found; wanted KEY=VALUE, such as stage1.steps=100")
    try:
        value: Any = read_yaml(text)
    except ValueError as error:
        raise RecipeError(
            f"setting {setting!r} has an unreadable value; put text in quotes"
        ) from error
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def merged(base: Mapping[str, Any], changes: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """`base` with the changes merged in, at any depth; RecipeError for a key it does not have.

    A table is replaced as a whole if its `kind` changes.
    """
    result = dict(base)
    for key, value in changes.items():
        if key not in base:
            near = difflib.get_close_matches(str(key), base, n=3, cutoff=0.3) or list(base)
            raise RecipeError(f"no setting {where + str(key)!r}; did you mean {', '.join(near)}?")
        old = base[key]
        is_deeper = isinstance(old, dict) and isinstance(value, dict)
        if is_deeper and value.get("kind", old.get("kind")) == old.get("kind"):
            result[key] = merged(old, value, f"{where}{key}.")
        else:
            result[key] = value
    return result
