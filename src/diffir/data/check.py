"""Check: find what is wrong with a set of pictures before training on it for hours."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffir.errors import DataError, PictureError
from diffir.images import Header, decode, read
from diffir.images.holes import holes_of

from .entries import File, conversions
from .folders import picture_files
from .parallel import Watch, in_order, unwatched
from .sets import AnySet, SyntheticSet, files_of

LARGEST_HOLE = 0.5  # of a picture, in the published test sets


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about a picture that training will fail on, or convert."""

    file: str
    kind: str
    """One or two words."""
    message: str
    is_problem: bool = True
    """False: training converts the picture, as the message says."""


@dataclass(frozen=True)
class Seen:
    """The facts about a decoded picture."""

    file: File
    header: Header | None
    digest: str
    """Of the pixels: the same for equal pictures, whatever the file type."""
    error: str = ""


def seen(file: File) -> Seen:
    """Decode a picture, and keep only its header and digest."""
    try:
        head = file.header()
        picture = decode(file.read(), file.name)
    except PictureError as error:
        return Seen(file, None, "", str(error))
    shape = str(picture.pixels.shape).encode()
    return Seen(file, head, hashlib.sha256(shape + picture.pixels.tobytes()).hexdigest())


def check(
    sets: Sequence[AnySet],
    *,
    scale: int = 1,
    crop: int = 0,
    jobs: int | None = None,
    watch: Watch = unwatched,
) -> list[Finding]:
    """What is wrong with the pictures of some sets, each decoded completely.

    Duplicates are pictures whose pixels are all equal; near-duplicates are not detected.

    Args:
        sets: as `data_sets` returns them; synthetic ones have no pictures to check.
        scale: factor by which GT must be larger than LQ.
        crop: smallest allowed side of GT in pixels.
        jobs: decoding threads; None: one per core.
        watch: shows progress.

    Raises:
        DataError: when a set is missing or empty.
    """
    pairs: list[tuple[File, File | None]] = []
    findings: list[Finding] = []
    for chosen in sets:
        if not isinstance(chosen, SyntheticSet):
            members, unfit = files_of(chosen)
            pairs += members
            for name, text in unfit.items():
                kind = "cut short" if name.endswith(".tar") else "unpaired"
                findings.append(Finding(file=name, kind=kind, message=text))
    if not (pairs or findings or any(isinstance(chosen, SyntheticSet) for chosen in sets)):
        raise DataError("no pictures found; give some")
    files = [*dict.fromkeys(file for pair in pairs for file in pair if file)]
    decoded = watch(in_order(seen, files, jobs), "checking", len(files))
    found = {item.file: item for item in decoded}
    gts = [found[gt] for gt in dict.fromkeys(gt for gt, _ in pairs)]  # one may have several LQs
    for item in found.values():
        findings += of_one(item)
    findings += too_small(gts, crop)
    findings += mismatched([(found[gt], found[lq]) for gt, lq in pairs if lq], scale)
    findings += duplicates(gts)
    return findings


def of_one(item: Seen) -> Iterator[Finding]:
    """Findings about a single picture."""
    name, head = item.file.name, item.header
    if head is None:
        yield Finding(file=name, kind="unreadable", message=item.error)
        return
    for kind, text in conversions(head).items():
        yield Finding(file=name, kind=kind, message=f"{name} {text}", is_problem=False)


def too_small(items: Iterable[Seen], crop: int) -> Iterator[Finding]:
    """GT smaller than the crop."""
    for item in items:
        head, name = item.header, item.file.name
        if head and min(head.width, head.height) < crop:
            yield Finding(
                file=name,
                kind="too small",
                message=f"{name} is {head.width}×{head.height}; at least {crop}×{crop} is wanted",
            )


def mismatched(pairs: Iterable[tuple[Seen, Seen]], scale: int) -> Iterator[Finding]:
    """Pairs whose GT is not LQ times the scale."""
    for gt, lq in pairs:
        large, small = gt.header, lq.header
        if large is None or small is None:
            continue
        wanted = large.width // scale, large.height // scale
        if wanted != (small.width, small.height):
            yield Finding(
                file=lq.file.name,
                kind="size mismatch",
                message=f"{lq.file.name} is {small.width}×{small.height}, and its GT "
                f"{large.width}×{large.height}; scale {scale} needs LQ of {wanted[0]}×{wanted[1]}",
            )


def duplicates(items: Iterable[Seen]) -> Iterator[Finding]:
    """Pictures equal to an earlier one."""
    first: dict[str, str] = {}
    for item in items:
        name = item.file.name
        if item.header and item.digest in first:
            text = f"{name} is identical to {first[item.digest]}; remove one of them"
            yield Finding(file=name, kind="duplicate", message=text)
        first.setdefault(item.digest, name)


def check_masks(sources: Iterable[Path]) -> list[Finding]:
    """Masks that are unreadable, empty, or more hole than the published test sets allow.

    Raises:
        DataError: when there are none.
    """
    return [finding for path in picture_files(sources) if (finding := mask_finding(path))]


def mask_finding(path: Path) -> Finding | None:
    """What is wrong with a mask."""
    try:
        share = float(holes_of(read(path)).mean())
    except PictureError as error:
        return Finding(file=str(path), kind="unreadable", message=str(error))
    if share == 0:
        text = f"{path} has no hole; paint the part to fill white"
        return Finding(file=str(path), kind="empty mask", message=text)
    if share > LARGEST_HOLE:
        text = (
            f"{path} is {share:.0%} hole; at most {LARGEST_HOLE:.0%} is usual, so check whether "
            "black and white are swapped"
        )
        return Finding(file=str(path), kind="too bright mask", message=text)
    return None
