"""Prepare: from a downloaded set to the folder that training reads, in several threads.

The folder gets `gt/`, for pairs `lq/` with the same names, `list.txt`, which lists GT, and
`prepare.json`, which records how it was made. Files are written atomically and existing ones are
kept, so an interrupted run can continue.
"""

import json
from collections.abc import Callable, Sequence
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
from .parallel import Watch, in_order, unwatched
from .pixels import Pixels, rgb_pixels
from .prepare_sets import PUBLIC_SETS, WHOLE, Blur, Original, PublicSet, Search, Split
from .sources import OnBad

NOTE = "prepare.json"
LIST = "list.txt"
PNG_LEVEL = 1  # a third of the time of the usual 6, for files 4 % larger


@dataclass(frozen=True)
class Piece:
    """One picture to make from an original."""

    name: str
    """Like `Original.name`."""
    copy: Copy
    box: Box | None = None
    """None: not cropped."""

    @property
    def is_whole(self) -> bool:
        """Whether it is the unchanged original."""
        return self.box is None and self.copy.folder in ("", "x1")

    def file(self, source: Path) -> str:
        """Its path in the folder; an unchanged picture keeps its suffix."""
        return self.name + (source.suffix if self.is_whole else ".png")


@dataclass(frozen=True)
class Made:
    """The result for one original."""

    name: str
    gt: tuple[str, ...] = ()
    """Paths of its GT in the set's folder."""
    made: int = 0
    """Pictures or pairs."""
    error: str = ""


@dataclass
class Prepared:
    """The result for a set."""

    originals: int
    gt: list[str] = field(default_factory=list)
    """Paths of its GT in the set's folder."""
    made: int = 0
    """Pictures or pairs; the others existed."""
    skipped: dict[str, str] = field(default_factory=dict)
    """By name of each original that was left out, a sentence that says why."""


def set_named(name: str) -> PublicSet:
    """The public set of a name. Raises DataError."""
    if name not in PUBLIC_SETS:
        raise DataError(f"set {name!r} found; wanted one of {', '.join(PUBLIC_SETS)}")
    return PUBLIC_SETS[name]


def usual_cutting(public: PublicSet, split: Split) -> Cutting:
    """The default cutting of a set; test pictures stay whole."""
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
    watch: Watch = unwatched,
) -> Prepared:
    """Make the folder that training reads from a set as it was downloaded.

    Whole pictures are copied unchanged; crops and scaled copies become 8-bit RGB PNG.

    Args:
        name: one of `PUBLIC_SETS`.
        source: the folder that the set was unpacked into.
        target: the folder to make; it may contain files of a run with the same arguments.
        split: the part of the set.
        blur: of GoPro: frames averaged as stored, or in linear light.
        cutting: the crops and copies to make; None: the set's default.
        on_bad: whether pictures that are unreadable or lack a partner of equal size end the run.
        jobs: threads; None: one per core.
        watch: shows progress.

    Raises:
        DataError: when folders or arguments don't fit, no picture is left, or one is bad and
            `on_bad` is `stop`; files finished before that are kept.
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
    results = in_order(work, originals, jobs, stop)
    for made in watch(results, "preparing", len(originals)):
        if made.error:
            leave_out(result, made.name, made.error, on_bad)
        result.gt += made.gt
        result.made += made.made
    if not result.gt:
        raise DataError(f"no picture could be prepared: {next(iter(result.skipped.values()))}")
    listed = "".join(f"{line}\n" for line in sorted(result.gt))
    write_whole(listed.encode("utf-8", "surrogateescape"), target / LIST)
    return result


def leave_out(result: Prepared, name: str, sentence: str, on_bad: OnBad) -> None:
    """Record what is wrong with an original, or raise it."""
    if on_bad == "stop":
        raise DataError(sentence)
    result.skipped[name] = sentence


def require_apart(source: Path, target: Path) -> None:
    """Raise DataError for a target that is a file or lies in the source."""
    inner, outer = target.resolve(), source.resolve()
    if inner == outer or outer in inner.parents:
        where = "is" if inner == outer else "lies in"
        raise DataError(f"{target} {where} {source}, the source; choose a folder outside it")
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file; choose a folder")


def note_of(
    name: str, source: Path, split: Split, blur: Blur | None, cutting: Cutting
) -> dict[str, Any]:
    """The arguments that the folder is made with, as `prepare.json` records them."""
    numbers = {**asdict(cutting), "scales": [str(scale) for scale in cutting.scales]}
    where = {"set": name, "source": str(source.resolve()), "split": split}
    return where | ({"blur": blur} if blur else {}) | numbers


def as_json(note: dict[str, Any]) -> bytes:
    """A note as readable JSON."""
    text = json.dumps(note, indent=2, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")  # escapes names that are not UTF-8


def require_same(target: Path, note: dict[str, Any]) -> None:
    """Raise DataError if the folder has files that the same arguments did not make."""
    file = target / NOTE
    if not file.exists():
        if target.exists() and any(target.iterdir()):
            raise DataError(f"{target} has files that are not of this set; choose a new folder")
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is broken ({error}); choose a new folder") from error
    other = [key for key in note | before if note.get(key) != before.get(key)]
    if other:
        was, now = (", ".join(f"{key} {of.get(key)}" for key in other) for of in (before, note))
        raise DataError(
            f"{target} was prepared with {was}, not {now}; use the same options, or a new folder"
        )


def require_distinct(originals: Sequence[Original]) -> None:
    """Raise DataError if two pictures would be written to the same file."""
    seen: dict[str, Path] = {}
    for original in originals:
        # in lower case, since a.png and A.png are the same file on many systems
        other = seen.setdefault(original.name.lower(), original.gt)
        if other is not original.gt:
            raise DataError(
                f"{other} and {original.gt} would be written to the same file; rename one of them"
            )


def make(original: Original, *, target: Path, cutting: Cutting, stop: Event) -> Made:
    """Write the missing pieces of an original; problems with it are returned as text.

    If `stop` is set, the rest is left to the next run.
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
            for role, file in reversed(files.items()):  # LQ first, so that GT has its LQ
                write_whole(encoders[role](piece), place(target, role, piece, file))
    except PictureError as error:
        return Made(original.name, error=str(error))
    except MemoryError:
        return Made(
            original.name, error=f"{original.gt}: not enough memory for it; use fewer --jobs"
        )
    found = tuple(f"gt/{piece.file(original.gt)}" for piece in pieces)
    return Made(original.name, gt=found, made=len(missing))


def place(target: Path, role: str, piece: Piece, file: File) -> Path:
    """The path of a piece."""
    return target / role / piece.file(file.path)


def common_size(files: dict[str, File]) -> Header:
    """The header of GT. Raises PictureError if one is unreadable, or LQ has another size."""
    gt, *lqs = files.values()
    size = gt.header()
    for lq in lqs:
        other = lq.header()
        if (other.width, other.height) != (size.width, size.height):
            raise PictureError(
                f"{lq.name} is {other.width}×{other.height} and its GT {gt.name} "
                f"{size.width}×{size.height}; both must have the same size"
            )
    return size


def pieces_of(name: str, size: Header, cutting: Cutting) -> list[Piece]:
    """The pieces of an original. Raises PictureError if it is too small for any."""
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
    """A function that encodes pieces of a file, which is decoded once. Raises PictureError."""
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
    """A picture resized by Pillow's Lanczos filter."""
    if pixels.shape[:2] == (copy.height, copy.width):
        return pixels
    sides = copy.width, copy.height
    return np.asarray(Image.fromarray(pixels).resize(sides, Image.Resampling.LANCZOS))
