"""Check: what is wrong with a set of pictures, before hours are spent on it."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffir.errors import DataError, PictureError
from diffir.images import Header, decode, read
from diffir.images.holes import holes_of

from .entries import File, conversions
from .folders import picture_files
from .parallel import in_order
from .sets import AnySet, SyntheticSet, files_of

LARGEST_HOLE = 0.5  # of a picture, in the published test sets


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about a picture that training will stumble over, or convert."""

    file: str
    kind: str
    """In a word or two."""
    message: str
    is_problem: bool = True
    """False: training copes, and the message says how."""


@dataclass(frozen=True)
class Seen:
    """What a decoded picture was found to be."""

    file: File
    header: Header | None
    digest: str
    """Of its pixels: equal for equal pictures, whatever the file type."""
    error: str = ""


def seen(file: File) -> Seen:
    """Decode a picture, and keep what matters of it."""
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
    watch: Callable[[Iterable[Seen], int], Iterable[Seen]] = lambda items, _total: items,
) -> list[Finding]:
    """What is wrong with the pictures of some sets, each decoded whole.

    Duplicates are pictures whose pixels are all equal; near-duplicates are not looked for.

    Args:
        sets: as `data_sets` gives them; synthetic ones have no pictures to check.
        scale: how much larger than LQ GT has to be.
        crop: side in pixels that GT has to have.
        jobs: threads that decode; None: one a core.
        watch: the pictures go through it while they are decoded, with their number.

    Raises:
        DataError: when a set is missing or empty.
    """
    pairs: list[tuple[File, File | None]] = []
    findings: list[Finding] = []
    for chosen in sets:
        if not isinstance(chosen, SyntheticSet):
            members, unfit = files_of(chosen)
            pairs += members
            findings += [
                Finding(file=name, kind=kind_of_unfit(text), message=text)
                for name, text in unfit.items()
            ]
    if not (pairs or findings or any(isinstance(chosen, SyntheticSet) for chosen in sets)):
        raise DataError("no pictures found; give some")
    files = [*dict.fromkeys(file for pair in pairs for file in pair if file)]
    found = {item.file: item for item in watch(in_order(seen, files, jobs), len(files))}
    gts = [found[gt] for gt in dict.fromkeys(gt for gt, _ in pairs)]  # which may have many LQs
    for item in found.values():
        findings += looked_at(item)
    findings += too_small(gts, crop)
    findings += mismatched([(found[gt], found[lq]) for gt, lq in pairs if lq], scale)
    findings += duplicates(gts)
    return findings


def kind_of_unfit(text: str) -> str:
    """The kind of a sentence about a file that was not even opened."""
    return "cut short" if "cut short" in text else "unpaired"


def looked_at(item: Seen) -> Iterator[Finding]:
    """What a picture is by itself."""
    name, head = item.file.name, item.header
    if head is None:
        yield Finding(file=name, kind="unreadable", message=item.error)
        return
    for kind, text in conversions(head).items():
        yield Finding(file=name, kind=kind, message=f"{name} {text}", is_problem=False)


def too_small(items: Iterable[Seen], crop: int) -> Iterator[Finding]:
    """GT that no crop fits into."""
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
                f"{large.width}×{large.height} wants {wanted[0]}×{wanted[1]} for scale {scale}",
            )


def duplicates(items: Iterable[Seen]) -> Iterator[Finding]:
    """Pictures that came before."""
    first: dict[str, str] = {}
    for item in items:
        name = item.file.name
        if item.header and item.digest in first:
            text = f"{name} has the pixels of {first[item.digest]}; one of them is enough"
            yield Finding(file=name, kind="duplicate", message=text)
        first.setdefault(item.digest, name)


def check_masks(sources: Iterable[Path]) -> list[Finding]:
    """Masks that are unreadable, empty, or more hole than the published test sets allow.

    Raises:
        DataError: when there is none.
    """
    return [finding for path in picture_files(sources) if (finding := mask_finding(path))]


def mask_finding(path: Path) -> Finding | None:
    """What is wrong with a mask."""
    try:
        share = float(holes_of(read(path)).mean())
    except PictureError as error:
        return Finding(file=str(path), kind="unreadable", message=str(error))
    if share == 0:
        text = f"{path} has no hole; paint white what shall be filled"
        return Finding(file=str(path), kind="empty mask", message=text)
    if share > LARGEST_HOLE:
        text = (
            f"{path} is {share:.0%} hole; at most {LARGEST_HOLE:.0%} is usual, so see whether "
            "black and white are swapped"
        )
        return Finding(file=str(path), kind="too bright mask", message=text)
    return None
