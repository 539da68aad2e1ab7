"""Test pictures: those of a folder, benchmark or list, read or degraded one by one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from diffir.data import Bicubic, Draws, MotionBlur, data_sets
from diffir.data.degradations import MakesPairs
from diffir.data.entries import File
from diffir.data.photo import to_lq
from diffir.data.pixels import to_tensor
from diffir.data.sets import PhotoSet, SyntheticSet, files_of
from diffir.errors import DataError, MaskError
from diffir.images import decode
from diffir.inference.masks import find_holes

from .layouts import OF_TASK, Case, Layout, lying_as


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One picture in memory, values in [0, 1], on the CPU."""

    lq: Tensor | None
    """(1, 3, h, w), holes black; None if no network needs it."""
    gt: Tensor | None
    """(1, 3, H, W), cropped to LQ times the scale."""
    mask: Tensor | None = None
    """(1, 1, H, W), 1 = hole."""
    kernel: Tensor | None = None
    """(k, k): the blur kernel of LQ in linear light, if it is known and uniform."""


def cases_in(data: str, task: str, scale: int) -> tuple[Layout, list[Case]]:
    """The pictures of a folder in a layout of the task, or of anything else that is valid data.

    Raises:
        DataError: when there are none.
    """
    folder = Path(data)
    layout, cases = lying_as(OF_TASK[task], folder, scale) if folder.is_dir() else (Layout(), [])
    return (layout, cases) if cases else (Layout(), cases_of_sets(data))


def cases_of_sets(data: str) -> list[Case]:
    """The pictures of sets as for training; raises DataError if there are none."""
    cases = []
    for chosen in data_sets([data]):
        if isinstance(chosen, SyntheticSet):
            raise DataError(f"{data} has synthetic pictures; give photos")
        pairs, unfit = files_of(chosen)
        folder = chosen.photos if isinstance(chosen, PhotoSet) else None
        cases += [Case(name=name_in(folder, gt), gt=gt, lq=lq) for gt, lq in pairs]
        cases += [Case(name=Path(name).stem, problem=text) for name, text in unfit.items()]
    if not cases:
        raise DataError(f"{data} has no picture; give a folder of pictures")
    return distinct(cases)


def cases_of_folder(folder: Path) -> list[Case]:
    """The pictures of a folder as GT, named by their path in it without suffix.

    Raises:
        DataError: when there are none.
    """
    pairs, _ = files_of(PhotoSet(photos=folder))
    return distinct([Case(name=name_in(folder, gt), gt=gt) for gt, _ in pairs])


def name_in(folder: Path | None, file: File) -> str:
    """The path of a picture in its folder, without suffix; otherwise its own name."""
    inside = folder is not None and folder.is_dir() and file.length is None
    label = file.path.relative_to(folder) if inside and folder else file.label
    return label.with_suffix("").as_posix()


def distinct(cases: Sequence[Case]) -> list[Case]:
    """The cases, with their full path as the name where names are not unique."""
    times = Counter(case.name for case in cases)
    return [
        replace(case, name=case.gt.name) if case.gt and times[case.name] > 1 else case
        for case in cases
    ]


def read_pair(
    case: Case, index: int, *, degradation: MakesPairs | None, scale: int, seed: int
) -> Pair:
    """Read a case, and make its LQ if it has none.

    Args:
        case: the picture.
        index: its position among all cases, which seeds its draws.
        degradation: how LQ is made; None: not at all.
        scale: factor by which GT is larger than LQ.
        seed: of all draws.

    Raises:
        DataError: when a part is missing, or sizes do not match.
        PictureError, MaskError: when a part can't be read, or a mask is unusable.
    """
    if case.problem:
        raise DataError(case.problem)
    gt = None if case.gt is None else to_tensor(case.gt.pixels())
    if case.lq is not None:
        require_one_kind(case.lq, case.gt)
        lq = to_tensor(case.lq.pixels())
        return Pair(lq=lq, gt=None if gt is None else cut_to(gt, lq, case, scale))
    if gt is None or degradation is None:
        return Pair(lq=None, gt=gt)
    if case.mask is not None:
        mask = read_mask(case.gt, case.mask)
        return Pair(lq=gt * (1 - mask), gt=gt, mask=mask)
    return made(case, gt, degradation, scale, Draws((seed,), (index,), alone=True))


def require_one_kind(lq: File, gt: File | None) -> None:
    """Raise DataError if only one of them is gray; PictureError for a broken header."""
    if gt is not None and (lq.header().channels == 1) != (gt.header().channels == 1):
        gray, other = ("LQ", "GT") if lq.header().channels == 1 else ("GT", "LQ")
        raise DataError(f"{gray} is gray and {other} has colours; save both the same way")


def cut_to(gt: Tensor, lq: Tensor, case: Case, scale: int) -> Tensor:
    """GT without the pixels at the right and bottom that LQ does not cover; raises DataError."""
    height, width = (side * scale for side in lq.shape[-2:])
    rest = [gt.shape[-2] - height, gt.shape[-1] - width]
    if not all(0 <= pixels < scale for pixels in rest):
        raise DataError(
            f"LQ is {lq.shape[-1]}×{lq.shape[-2]} and GT {gt.shape[-1]}×{gt.shape[-2]}; "
            f"wanted LQ of {gt.shape[-1] // scale}×{gt.shape[-2] // scale} for scale {scale}"
        )
    return gt[..., :height, :width]


def read_mask(gt: File | None, mask: File) -> Tensor:
    """The holes (1, 1, H, W) of a mask file for a picture. Raises PictureError, MaskError."""
    assert gt is not None
    try:
        holes = find_holes(decode(gt.read(), gt.name), decode(mask.read(), mask.name))
    except MaskError as error:
        raise MaskError(f"{mask.name}: {error}") from None
    return torch.from_numpy(holes)[None, None].float()


def made(case: Case, gt: Tensor, degradation: MakesPairs, scale: int, draws: Draws) -> Pair:
    """LQ made as in validation, but bicubic LQ from the whole picture, as in benchmarks.

    Raises:
        DataError: when the picture is too small.
    """
    height, width = (side - side % scale for side in gt.shape[-2:])
    gt = gt[..., :height, :width]
    margin = 0 if isinstance(degradation, Bicubic) else degradation.margin(scale)
    if min(height, width) <= 2 * margin:
        raise DataError(
            f"{case.name} is {width}×{height}; its LQ takes more than {2 * margin}×{2 * margin}, "
            "so leave it out"
        )
    if isinstance(degradation, Bicubic):
        return Pair(lq=to_lq(gt, degradation, scale, draws), gt=gt)
    batch = degradation.batch(gt, scale, draws)
    kernel = degradation.kernels(draws)[0] if isinstance(degradation, MotionBlur) else None
    return Pair(lq=batch.lq[:, :3], gt=batch.gt, mask=batch.mask, kernel=kernel)
