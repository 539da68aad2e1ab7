"""Order: what a run trains, on what and from what, saved in its folder as `run.json`."""

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from diffir._version import __version__
from diffir.errors import RecipeError
from diffir.files import lock, settled, write_whole
from diffir.loading import load_checkpoint
from diffir.model import DiffIRConfig
from diffir.presets import RECIPES, Preset, choose, finetuning
from diffir.presets.choose import read
from diffir.presets.finetune import NAME as FINETUNE
from diffir.recipe import Recipe
from diffir.tasks import TASKS

from .beginning import Beginning, beginning_of, recipe_of
from .runs import RUN

logger = logging.getLogger(__name__)

LOCK = ".lock"
"""Its lock is held while a process trains in the folder."""
CLAIMED = ("name", "task", "config", "recipe")
"""What must not change when a run is resumed."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to train, on what, from what, where."""

    preset: Preset
    data: tuple[str, ...]
    """As `data_sets` reads it."""
    folder: Path
    val: tuple[str, ...] = ()
    start: str | None = None
    """A preset's name or a file: the weights that the first phase starts from."""
    teacher: str | None = None
    """A file of stage 1, for a recipe without one."""

    def beginning(self) -> Beginning:
        """The networks to start from; raises as `beginning_of` and `load_checkpoint`."""
        files = (self.teacher, self.start)
        return beginning_of(self.preset, *(load_checkpoint(f) if f else None for f in files))

    @property
    def validated_on(self) -> list[str]:
        """The words of `val`, paths absolute."""
        return [settled(word) for word in self.val]

    def claimed(self) -> dict[str, Any]:
        """The content of `run.json`."""
        preset = self.preset
        content = {
            "name": preset.name,
            "task": preset.task.name,
            "config": asdict(preset.config),
            "recipe": recipe_of(preset).with_paths_from(Path()).model_dump(mode="json"),
            "version": __version__,
            "data": [settled(word) for word in self.data],
            "val": self.validated_on,
            "start": self.start and settled(self.start),
            "teacher": self.teacher and settled(self.teacher),
        }
        return json.loads(json.dumps(content))

    def claim(self) -> None:
        """Write `run.json`; raises RecipeError where the folder holds another run."""
        mine = self.claimed()
        if (self.folder / RUN).exists():
            found = claimed_preset(read_claim(self.folder))  # with what later versions added
            theirs = replace(self, preset=found).claimed()
            if any(theirs[key] != mine[key] for key in CLAIMED):
                raise RecipeError(
                    f"{self.folder} holds a run of another recipe; choose another output folder"
                )
            self.require_same_beginning(read_claim(self.folder), mine)
        write_whole(json.dumps(mine, indent=1).encode(), self.folder / RUN)

    def require_same_beginning(self, theirs: dict[str, Any], mine: dict[str, Any]) -> None:
        """Refuse to resume from other networks, and warn of other data."""
        for key, option in (("start", "--from"), ("teacher", "--teacher")):
            if theirs[key] != mine[key]:
                raise RecipeError(
                    f"{self.folder} holds a run with {option} {theirs[key]}, not {mine[key]}; "
                    f"repeat that, or choose another output folder"
                )
        if theirs["data"] != mine["data"]:
            logger.warning(
                "%s was started with other --data (%s); the remaining steps use the new data",
                self.folder,
                ", ".join(theirs["data"]),
            )
        if theirs["val"] and mine["val"] and theirs["val"] != mine["val"]:
            logger.warning(
                "%s was validated with other --val (%s); the best weights are chosen anew",
                self.folder,
                ", ".join(theirs["val"]),
            )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a folder; raises RecipeError where one does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("wb") as file:
        if lock(file.fileno()) is False:
            raise RecipeError(
                f"{folder} is being trained in by another process; wait for it, or choose another "
                f"folder"
            )
        yield


def order_of(
    name: str, settings: Iterable[str] = (), *, start: str | None = None, **asked: Any
) -> Order:
    """The order for a recipe by name or file, with settings as for `choose`.

    Args:
        name: a recipe; `finetune` takes its network from `start`.
        settings: changes, as strings.
        start: weights to start from.
        asked: the other fields of `Order`.

    Raises:
        RecipeError, WeightsError: when there is no such recipe, or nothing to fine-tune.
    """
    return Order(preset=preset_of(name, settings, start), start=start, **asked)


def preset_of(name: str, settings: Iterable[str] = (), start: str | None = None) -> Preset:
    """The network and recipe of a name or file; arguments and errors as `order_of`."""
    if not is_finetuning(name):
        return choose(RECIPES, name, settings)
    if start is None:
        raise RecipeError("finetune needs a network; give one, for example --from sr-x4-lite")
    return choose({**RECIPES, FINETUNE: finetuning(load_checkpoint(start))}, name, settings)


def is_finetuning(name_or_file: str) -> bool:
    """Whether a recipe, or the file of one, is that of `finetune`; raises RecipeError."""
    if name_or_file in RECIPES or Path(name_or_file).suffix not in (".yaml", ".yml"):
        return name_or_file == FINETUNE
    return bool(read(Path(name_or_file))["preset"] == FINETUNE)


def order_of_run(folder: Path) -> Order:
    """The order of the run in a folder; raises RecipeError where there is none."""
    found = read_claim(folder)
    return Order(
        preset=claimed_preset(found),
        data=tuple(found["data"]),
        folder=folder,
        val=tuple(found["val"]),
        start=found["start"],
        teacher=found["teacher"],
    )


def read_claim(folder: Path) -> dict[str, Any]:
    """The content of a folder's `run.json`; raises RecipeError where it has none."""
    try:
        found = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{folder} holds no run ({RUN} is missing or broken); name the folder of one"
        ) from error
    required = {*CLAIMED, "data", "val", "start", "teacher"}
    if not isinstance(found, dict) or required - found.keys() or not has_valid_paths(found):
        raise RecipeError(f"{folder / RUN} is incomplete; repeat the command that started the run")
    return found


def has_valid_paths(found: dict[str, Any]) -> bool:
    """Whether names and paths are strings, and lists of them lists."""
    lists = [found["data"], found["val"]]
    texts = [found["start"] or "", found["teacher"] or ""]
    return all(isinstance(one, list) for one in lists) and all(
        isinstance(text, str) for text in (*texts, *(text for one in lists for text in one))
    )


def claimed_preset(found: dict[str, Any]) -> Preset:
    """The network and recipe in a `run.json`; raises RecipeError where they are invalid."""
    try:
        config = DiffIRConfig(**{key: as_tuple(value) for key, value in found["config"].items()})
        name, task = str(found["name"]), TASKS[found["task"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecipeError(
            f"{RUN} describes no network ({error}); repeat the command that started the run"
        ) from error
    recipe = Recipe.of(found["recipe"])
    return Preset(name=name, summary="", task=task, config=config, recipe=recipe)


def as_tuple(value: Any) -> Any:
    """Lists, which JSON has instead of tuples, as tuples."""
    return tuple(value) if isinstance(value, list) else value
