"""Prepare: from a downloaded set to the folder that training reads, in several threads.

The folder gets `gt/`, for pairs `lq/` with the same names, `list.txt` with the GT that there is,
and `prepare.json`, which says how it was made. Every file appears whole, and what is there is not
made again, so that an interrupted run goes on.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from PIL import Image

from diffir.errors import DataError, PictureError
from diffir.files import write_whole
from diffir.images import Header, decode

from .cutting import Box, Copy, Cutting
from .entries import File
from .parallel import in_order
from .pixels import Pixels, rgb_pixels
from .prepare_sets import PUBLIC_SETS, WHOLE, Blur, Original, PublicSet, Search, Split
from .sources import OnBad

NOTE = "prepare.json"
LIST = "list.txt"
PNG_LEVEL = 1  # a third of the time of the usual 6, for files 4 % larger


@dataclass(frozen=True)
class Piece:
    """One picture to make of an original."""

    name: str
    """As `Original.name`."""
    copy: Copy
    box: Box | None = None
    """None: not cut."""

    @property
    def is_whole(self) -> bool:
        """Whether it is the original as it is."""
        return self.box is None and self.copy.folder in ("", "x1")

    def file(self, source: Path) -> str:
        """Its place; a picture that stays as it is keeps its suffix."""
        return self.name + (source.suffix if self.is_whole else ".png")


@dataclass(frozen=True)
class Made:
    """What became of an original."""

    name: str
    gt: tuple[str, ...] = ()
    """Where its GT is, in the set's folder."""
    made: int = 0
    """Pictures or pairs."""
    error: str = ""


@dataclass
class Prepared:
    """What became of a set."""

    originals: int
    gt: list[str] = field(default_factory=list)
    """Where its GT is, in the set's folder."""
    made: int = 0
    """Pictures or pairs; the others were there."""
    skipped: dict[str, str] = field(default_factory=dict)
    """A sentence for each original that was left out, by its name."""


def set_named(name: str) -> PublicSet:
    """The public set of a name. Raises DataError."""
    if name not in PUBLIC_SETS:
        raise DataError(f"set {name!r} found; wanted is one of {', '.join(PUBLIC_SETS)}")
    return PUBLIC_SETS[name]


def usual_cutting(public: PublicSet, split: Split) -> Cutting:
    """How a set is cut if nothing else is asked for: what is tested on stays whole."""
    return public.cutting if split == "train" else WHOLE


def prepare(
    name: str,
    source: Path,
    target: Path,
    *,
    split: Split = "train",
    blur: Blur = "blur",
    cutting: Cutting | None = None,
    on_bad: OnBad = "skip",
    jobs: int | None = None,
    watch: Callable[[Iterable[Made], int], Iterable[Made]] = lambda items, _total: items,
) -> Prepared:
    """Make the folder that training reads of a set as it was downloaded.

    Whole pictures are copied as they are; what is cut or scaled becomes PNG, 8 bits, RGB.

    Args:
        name: one of `PUBLIC_SETS`.
        source: the folder that the set was unpacked into.
        target: the folder to make; it may hold what a run with the same arguments has made.
        split: the part of the set.
        blur: of GoPro: averaged as stored, or as light.
        cutting: the crops and copies to make; None: what is usual for the set.
        on_bad: what a picture does that can't be read, or has no partner of its size.
        jobs: threads; None: one for each core.
        watch: what became of each original goes through it, with the number of originals.

    Raises:
        DataError: when folders or arguments don't fit, no picture is left, or one is bad and
            `on_bad` is `stop`; whole files that were made before that stay.
        OSError: when the target can't be written.
    """
    public = set_named(name)
    cutting = cutting or usual_cutting(public, split)
    if public.has_pairs and cutting.resizes:
        raise DataError(
            f"scales {cutting.names()} and edge {cutting.edge} found for {public.title}; pairs are "
            "not scaled, so leave them out"
        )
    require_apart(source, target)
    note = note_of(name, source, split, blur if public.has_pairs else None, cutting)
    require_same(target, note)
    originals, alone = public.found(Search(source, split, blur))
    require_distinct(originals)
    result = Prepared(len(originals) + len(alone))
    for what, sentence in alone.items():
        leave_out(result, what, sentence, on_bad)
    write_whole(as_json(note), target / NOTE)
    stop = Event()
    work = partial(make, target=target, cutting=cutting, stop=stop)
    for made in watch(in_order(work, originals, jobs, stop), len(originals)):
        if made.error:
            leave_out(result, made.name, made.error, on_bad)
        result.gt += made.gt
        result.made += made.made
    if not result.gt:
        raise DataError(f"no picture could be prepared: {next(iter(result.skipped.values()))}")
    write_whole("".join(f"{line}\n" for line in sorted(result.gt)).encode(), target / LIST)
    return result


def leave_out(result: Prepared, name: str, sentence: str, on_bad: OnBad) -> None:
    """Note what is wrong with an original, or end with it."""
    if on_bad == "stop":
        raise DataError(sentence)
    result.skipped[name] = sentence


def require_apart(source: Path, target: Path) -> None:
    """Raise DataError where what is made would lie among what it is made of, or can't be made."""
    inner, outer = target.resolve(), source.resolve()
    if inner == outer or outer in inner.parents:
        where = "is" if inner == outer else "lies in"
        raise DataError(f"{target} {where} {source}, the source; name a folder outside of it")
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file; name a folder")


def note_of(
    name: str, source: Path, split: Split, blur: Blur | None, cutting: Cutting
) -> dict[str, Any]:
    """What the folder is made of, as its note says it."""
    numbers = {**asdict(cutting), "scales": [str(scale) for scale in cutting.scales]}
    where = {"set": name, "source": str(source.resolve()), "split": split}
    return where | ({"blur": blur} if blur else {}) | numbers


def as_json(note: dict[str, Any]) -> bytes:
    """A note as people read it."""
    return (json.dumps(note, indent=2, ensure_ascii=False) + "\n").encode()


def require_same(target: Path, note: dict[str, Any]) -> None:
    """Raise DataError where the folder holds anything but what the same arguments made."""
    file = target / NOTE
    if not file.exists():
        if target.exists() and any(target.iterdir()):
            raise DataError(f"{target} holds files that are not of this set; name a new folder")
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} can't be read ({error}); name a new folder") from error
    other = [key for key in note | before if note.get(key) != before.get(key)]
    if other:
        was, now = (", ".join(f"{key} {of.get(key)}" for key in other) for of in (before, note))
        raise DataError(
            f"{target} was prepared with {was}, and now {now} is asked for; "
            "ask for the same, or name a new folder"
        )


def require_distinct(originals: Sequence[Original]) -> None:
    """Raise DataError where two pictures would become one file."""
    seen: dict[str, Path] = {}
    for original in originals:
        # in lower case, for many systems take a.png and A.png for one file
        other = seen.setdefault(original.name.lower(), original.gt)
        if other is not original.gt:
            raise DataError(
                f"{other} and {original.gt} have one name, so what is made of them would, too; "
                "rename one"
            )


def make(original: Original, *, target: Path, cutting: Cutting, stop: Event) -> Made:
    """Make what is not there yet of what an original becomes; what is wrong with it is in words.

    Leaves the rest to the next run where `stop` is set.
    """
    files = {"gt": File(str(original.gt), original.gt)}
    if original.lq:
        files["lq"] = File(str(original.lq), original.lq)
    try:
        pieces = pieces_of(original.name, common_size(files), cutting)
        missing = [
            piece
            for piece in pieces
            if not all(place(target, role, piece, file).exists() for role, file in files.items())
        ]
        if missing:
            encoders = {role: encoder(file) for role, file in files.items()}
        for piece in missing:
            if stop.is_set():
                break
            for role, file in reversed(files.items()):  # so that GT that is there has its LQ
                write_whole(encoders[role](piece), place(target, role, piece, file))
    except PictureError as error:
        return Made(original.name, error=str(error))
    except MemoryError:
        return Made(original.name, error=f"{original.gt}: not enough memory for it; try fewer jobs")
    found = tuple(f"gt/{piece.file(original.gt)}" for piece in pieces)
    return Made(original.name, gt=found, made=len(missing))


def place(target: Path, role: str, piece: Piece, file: File) -> Path:
    """Where a piece of a file goes."""
    return target / role / piece.file(file.path)


def common_size(files: dict[str, File]) -> Header:
    """The header of GT. Raises PictureError where one can't be read, or LQ has another size."""
    gt, *lqs = files.values()
    size = gt.header()
    for lq in lqs:
        other = lq.header()
        if (other.width, other.height) != (size.width, size.height):
            raise PictureError(
                f"{lq.name} is {other.width}×{other.height} and its GT {gt.name} "
                f"{size.width}×{size.height}; pairs of one size are wanted"
            )
    return size


def pieces_of(name: str, size: Header, cutting: Cutting) -> list[Piece]:
    """What an original becomes. Raises PictureError where it is too small for anything."""
    pieces = []
    for copy in cutting.copies(size.width, size.height):
        path = f"{copy.folder}/{name}" if copy.folder else name
        if cutting.size:
            boxes = cutting.boxes(copy.width, copy.height)
            pieces += [
                Piece(f"{path}_s{number:03d}", copy, box) for number, box in enumerate(boxes, 1)
            ]
        else:
            pieces.append(Piece(path, copy))
    if not pieces:
        raise PictureError(
            f"{name} is {size.width}×{size.height}, too small for all of the scales; add scale 1"
        )
    return pieces


def encoder(file: File) -> Callable[[Piece], bytes]:
    """Makes the bytes of pieces of a file, which is decoded at once. Raises PictureError."""
    import imagecodecs

    data = file.read()
    pixels = rgb_pixels(decode(data, file.name))

    @lru_cache(maxsize=1)  # pieces come copy by copy
    def sized(copy: Copy) -> Pixels:
        return resized(pixels, copy)

    def encode(piece: Piece) -> bytes:
        if piece.is_whole:
            return data
        found = sized(piece.copy)
        if piece.box:
            left, top, right, bottom = piece.box
            found = found[top:bottom, left:right]
        return bytes(imagecodecs.png_encode(np.ascontiguousarray(found), level=PNG_LEVEL))

    return encode


def resized(pixels: Pixels, copy: Copy) -> Pixels:
    """A picture at another size, by Pillow's Lanczos."""
    if pixels.shape[:2] == (copy.height, copy.width):
        return pixels
    sides = copy.width, copy.height
    return np.asarray(Image.fromarray(pixels).resize(sides, Image.Resampling.LANCZOS))
