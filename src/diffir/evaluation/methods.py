"""Methods: what can stand in a row of a table: a network, a baseline, or somebody's pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from torch import Tensor

from diffir.data.entries import File
from diffir.data.pixels import to_tensor
from diffir.data.sets import file_of
from diffir.errors import DataError
from diffir.inference import Restorer

from .baselines import DECONVOLUTIONS, ENLARGEMENTS, FILLINGS, unsharp_mask
from .cases import Pair

Restore = Callable[[str, Pair], Tensor]
"""Of a picture's name and pair, to (1, 3, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A row of a table, before anything is loaded."""

    name: str
    """Of a model, what `load` takes; of a baseline, a key of `BASELINES`."""
    kind: Literal["model", "baseline", "folder"] = "model"
    files: Mapping[str, Path] = field(default_factory=dict)
    """Of a folder: the restored picture of each case, by the case's name."""


def untouched(lq: Tensor) -> Tensor:
    """LQ itself."""
    return lq


UNCHANGED = {"untouched": untouched, "unsharp_mask": unsharp_mask}
"""Baselines for pictures that keep their size."""
LIBRARIES = {
    "telea": ("cv2", "OpenCV"),
    "navier_stokes": ("cv2", "OpenCV"),
    "biharmonic": ("skimage", "scikit-image"),
}


def baselines_for(
    task: str, scale: int, kernel_problem: str | None
) -> tuple[list[Method], list[str]]:
    """What people did before networks, and sentences on what can't be done here.

    Args:
        task: inpaint or another.
        scale: of the networks beside them.
        kernel_problem: why LQ's blur can't be undone by its kernel; None: each pair brings it.
    """
    if task == "inpaint":
        return with_libraries(FILLINGS)
    if scale > 1:
        return with_libraries(ENLARGEMENTS)
    if kernel_problem is None:
        return with_libraries([*UNCHANGED, *DECONVOLUTIONS])
    methods, notes = with_libraries(UNCHANGED)
    return methods, [*notes, f"{' and '.join(DECONVOLUTIONS)} are left out, for {kernel_problem}"]


def with_libraries(names: Iterable[str]) -> tuple[list[Method], list[str]]:
    """The baselines of some names, and a sentence for each whose library is not here."""
    names = list(names)
    missing = {name: LIBRARIES[name] for name in names if lacks_library(name)}
    notes = [
        f"{name} is left out, for {library} is not installed; run pip install 'diffir[evaluation]'"
        for name, (_, library) in missing.items()
    ]
    return [Method(name=name, kind="baseline") for name in names if name not in missing], notes


def lacks_library(baseline: str) -> bool:
    """Whether a baseline's library is missing."""
    return baseline in LIBRARIES and find_spec(LIBRARIES[baseline][0]) is None


def task_and_scale(models: Sequence[str], device: str) -> tuple[str, int]:
    """What all the models do.

    Raises:
        WeightsError, DeviceError: as `Restorer.from_pretrained`.
        DataError: when they differ, so that no table can hold them.
    """
    found = {}
    for model in models:
        restorer = Restorer.from_pretrained(model, device=device)
        found[model] = restorer.task.name, restorer.scale
    first = found[models[0]]
    for model, (task, scale) in found.items():
        if (task, scale) != first:
            raise DataError(
                f"{models[0]} is for {first[0]} ×{first[1]} and {model} for {task} ×{scale}; "
                "judge them apart"
            )
    return first


def opened(method: Method, *, scale: int, device: str, seed: int) -> Restore:
    """A method, loaded. Raises WeightsError, DeviceError."""
    if method.kind == "folder":
        return partial(picture_of, method)
    if method.kind == "baseline":
        return partial(by_baseline, method.name, scale)
    restorer = Restorer.from_pretrained(method.name, device=device)

    def restore(_name: str, pair: Pair) -> Tensor:
        assert pair.lq is not None
        return restorer.restore_batch(pair.lq, masks=pair.mask, seeds=[seed])

    return restore


def by_baseline(baseline: str, scale: int, _name: str, pair: Pair) -> Tensor:
    """What a baseline makes of LQ."""
    assert pair.lq is not None
    if baseline in ENLARGEMENTS:
        return ENLARGEMENTS[baseline](pair.lq, scale)
    if baseline in UNCHANGED:
        return UNCHANGED[baseline](pair.lq)
    if baseline in DECONVOLUTIONS:
        assert pair.kernel is not None
        return DECONVOLUTIONS[baseline](pair.lq, pair.kernel)
    assert pair.mask is not None
    return FILLINGS[baseline](pair.lq, pair.mask)


def picture_of(folder: Method, name: str, _pair: Pair) -> Tensor:
    """The picture that somebody made. Raises PictureError; DataError where it is missing."""
    if name not in folder.files:
        raise DataError(f"{folder.name} has no picture for {name}; add it")
    return to_tensor(restored_file(folder, name).pixels())


def restored_file(folder: Method, name: str) -> File:
    """The file of a folder's picture."""
    return file_of(folder.files[name])
