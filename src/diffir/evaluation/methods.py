"""Methods: the rows of a table: networks, baselines, and pictures made by other programs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from torch import Tensor

from diffir.data.pixels import to_tensor
from diffir.data.sets import file_of
from diffir.errors import DataError
from diffir.inference import Restorer

from .baselines import DECONVOLUTIONS, ENLARGEMENTS, FILLINGS, unsharp_mask
from .cases import Pair

Restore = Callable[[str, Pair], Tensor]
"""From a picture's name and pair to (1, 3, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A row of a table, not yet loaded."""

    name: str
    """Of a model, as for `load`; of a baseline, its key."""
    kind: Literal["model", "baseline", "folder"] = "model"
    files: Mapping[str, Path] = field(default_factory=dict)
    """Of a folder: the restored pictures by the names of their cases."""


def untouched(lq: Tensor) -> Tensor:
    """LQ unchanged."""
    return lq


UNCHANGED = {"untouched": untouched, "unsharp_mask": unsharp_mask}
"""Baselines for scale 1 without a known kernel."""
LIBRARIES = {
    "telea": ("cv2", "OpenCV"),
    "navier_stokes": ("cv2", "OpenCV"),
    "biharmonic": ("skimage", "scikit-image"),
}


def baselines_for(
    task: str, scale: int, kernel_problem: str | None
) -> tuple[list[Method], list[str]]:
    """The classical baselines of a task, and a sentence for each that is unavailable.

    Args:
        task: inpaint or another.
        scale: of the evaluated networks.
        kernel_problem: why the blur kernel of LQ is not known; None if it is.
    """
    if task == "inpaint":
        return with_libraries(FILLINGS)
    if scale > 1:
        return with_libraries(ENLARGEMENTS)
    if kernel_problem is None:
        return with_libraries([*UNCHANGED, *DECONVOLUTIONS])
    methods, notes = with_libraries(UNCHANGED)
    left_out = f"{' and '.join(DECONVOLUTIONS)} are left out because {kernel_problem}"
    return methods, [*notes, left_out]


def with_libraries(names: Iterable[str]) -> tuple[list[Method], list[str]]:
    """The named baselines, and a sentence for each whose library is not installed."""
    names = list(names)
    missing = {name: LIBRARIES[name] for name in names if lacks_library(name)}
    notes = [
        f"{name} is left out because {library} is missing; run pip install 'diffir[evaluation]'"
        for name, (_, library) in missing.items()
    ]
    return [Method(name=name, kind="baseline") for name in names if name not in missing], notes


def lacks_library(baseline: str) -> bool:
    """Whether a baseline's library is missing."""
    return baseline in LIBRARIES and find_spec(LIBRARIES[baseline][0]) is None


def task_and_scale(models: Sequence[str], device: str) -> tuple[str, int]:
    """The common task and scale of the models.

    Raises:
        WeightsError, DeviceError: as `Restorer.from_pretrained`.
        DataError: when they differ.
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
                "evaluate them separately"
            )
    return first


def opened(method: Method, *, scale: int, device: str, seed: int) -> Restore:
    """Load a method. Raises WeightsError, DeviceError."""
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
    """Restore LQ with a baseline."""
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
    """Read the restored picture. Raises PictureError; DataError if it is missing."""
    if name not in folder.files:
        raise DataError(f"{folder.name} has no picture for {name}; add it")
    return to_tensor(file_of(folder.files[name]).pixels())
