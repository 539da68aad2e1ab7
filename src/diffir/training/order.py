"""Order: what was asked of a run, kept in its folder as `run.json`, enough to ask it again."""

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from diffir._version import __version__
from diffir.errors import RecipeError
from diffir.files import settled, write_whole
from diffir.loading import load_checkpoint
from diffir.model import DiffIRConfig
from diffir.presets import RECIPES, Preset, choose, finetuning
from diffir.presets.finetune import NAME as FINETUNE
from diffir.recipe import Recipe
from diffir.tasks import TASKS

from .beginning import Beginning, beginning_of, recipe_of

logger = logging.getLogger(__name__)

FILE = "run.json"
CLAIMED = ("name", "task", "config", "recipe")
"""What may not change when a run goes on."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to train, on what, from what, where."""

    preset: Preset
    data: tuple[str, ...]
    """As `data_sets` reads it."""
    folder: Path
    val: tuple[str, ...] = ()
    start: str | None = None
    """A preset's name or a file: the weights that the first phase begins with."""
    teacher: str | None = None
    """A file of stage 1, for a recipe without one."""

    def beginning(self) -> Beginning:
        """The networks to begin with; raises as `beginning_of` and `load`."""
        files = (self.teacher, self.start)
        return beginning_of(self.preset, *(load_checkpoint(f) if f else None for f in files))

    def claimed(self) -> dict[str, Any]:
        """What the run's folder says of it, as JSON holds it."""
        preset = self.preset
        told = {
            "name": preset.name,
            "task": preset.task.name,
            "config": asdict(preset.config),
            "recipe": recipe_of(preset).with_paths_from(Path()).model_dump(mode="json"),
            "version": __version__,
            "data": [settled(word) for word in self.data],
            "val": [settled(word) for word in self.val],
            "start": self.start and settled(self.start),
            "teacher": self.teacher and settled(self.teacher),
        }
        return json.loads(json.dumps(told))

    def claim(self) -> None:
        """Say in the folder whose run it is; raises RecipeError where it is another's."""
        mine = self.claimed()
        if (self.folder / FILE).exists():
            told = claimed_preset(read_claim(self.folder))  # with what later versions added
            there = replace(self, preset=told).claimed()
            if any(there[key] != mine[key] for key in CLAIMED):
                raise RecipeError(
                    f"{self.folder} holds a run of another recipe; choose another output folder"
                )
            self.require_same_beginning(read_claim(self.folder), mine)
        write_whole(json.dumps(mine, indent=1).encode(), self.folder / FILE)

    def require_same_beginning(self, there: dict[str, Any], mine: dict[str, Any]) -> None:
        """Refuse to go on from other networks, and tell of other data."""
        for key, option in (("start", "--from"), ("teacher", "--teacher")):
            if there[key] != mine[key]:
                raise RecipeError(
                    f"{self.folder} holds a run with {option} {there[key]}, not {mine[key]}; "
                    f"repeat that, or choose another output folder"
                )
        if there["data"] != mine["data"]:
            logger.warning(
                "%s was begun with other --data (%s); the rest is learnt from what is given now",
                self.folder,
                ", ".join(there["data"]),
            )


def order_of(
    name: str, settings: Iterable[str] = (), *, start: str | None = None, **asked: Any
) -> Order:
    """The order for a recipe by name or file, with settings as `choose` takes them.

    Args:
        name: a recipe; `finetune` takes its network from `start`.
        settings: changes, as texts.
        start: weights to begin with.
        asked: the other fields of `Order`.

    Raises:
        RecipeError, WeightsError: when there is no such recipe, or nothing to fine-tune.
    """
    return Order(preset=preset_of(name, settings, start), start=start, **asked)


def preset_of(name: str, settings: Iterable[str] = (), start: str | None = None) -> Preset:
    """The network and recipe that a name stands for; arguments and errors as `order_of`."""
    if name != FINETUNE:
        return choose(RECIPES, name, settings)
    if start is None:
        raise RecipeError("finetune wants a network; name it, --from sr-x4-lite, say")
    return choose({**RECIPES, FINETUNE: finetuning(load_checkpoint(start))}, name, settings)


def order_of_run(folder: Path) -> Order:
    """What was asked of the run in a folder; raises RecipeError where there is none."""
    told = read_claim(folder)
    return Order(
        preset=claimed_preset(told),
        data=tuple(told["data"]),
        folder=folder,
        val=tuple(told["val"]),
        start=told["start"],
        teacher=told["teacher"],
    )


def read_claim(folder: Path) -> dict[str, Any]:
    """What a run's folder says of itself; raises RecipeError where it says nothing."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{folder} holds no run ({FILE} is missing or broken); name the folder of one"
        ) from error
    wanted = {*CLAIMED, "data", "val", "start", "teacher"}
    if not isinstance(found, dict) or wanted - found.keys() or not holds_texts(found):
        raise RecipeError(f"{folder / FILE} is not complete; repeat the command that began the run")
    return found


def holds_texts(told: dict[str, Any]) -> bool:
    """Whether what shall be names and paths is."""
    lists = [told["data"], told["val"]]
    texts = [told["start"] or "", told["teacher"] or ""]
    return all(isinstance(one, list) for one in lists) and all(
        isinstance(text, str) for text in (*texts, *(text for one in lists for text in one))
    )


def claimed_preset(told: dict[str, Any]) -> Preset:
    """The network and the recipe of a run; raises RecipeError where they are none of ours."""
    try:
        config = DiffIRConfig(**{key: as_tuple(value) for key, value in told["config"].items()})
        name, task = str(told["name"]), TASKS[told["task"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecipeError(
            f"{FILE} describes no network ({error}); repeat the command that began the run"
        ) from error
    recipe = Recipe.of(told["recipe"])
    return Preset(name=name, summary="", task=task, config=config, recipe=recipe)


def as_tuple(value: Any) -> Any:
    """Lists, which JSON has in place of tuples, as tuples."""
    return tuple(value) if isinstance(value, list) else value
