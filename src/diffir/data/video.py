"""Blur from video: sharp frames averaged, as GoPro's training set was made.

LQ is the mean, in linear light, of an odd number of consecutive frames; GT is one of them, usually
the middle one. Frames are streamed: at most one window of them is in memory.
"""

import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import AfterValidator, Field

from diffir.errors import DataError
from diffir.files import write_whole
from diffir.images import Picture, read
from diffir.libraries import needed

from .draws import generator
from .folders import PICTURE_SUFFIXES
from .motion import average_frames
from .pixels import Pixels, rgb_pixels, to_pixels
from .settings import Positive, Probability, Values, ordered

if TYPE_CHECKING:
    from av import VideoFrame

STREAM = "video"
GRID = (20, 12)  # width, height of thumbnails that separate scenes: coarser than most motion
STRIP = 64  # rows averaged at a time, since thirteen large frames as floats take gigabytes
CUT = 0.12  # see `FrameBlur.cut`


def odd(count: int) -> int:
    """Check that a number of frames is odd."""
    if count % 2 == 0:
        raise ValueError("an odd number of frames is wanted, so that one is in the middle")
    return count


FrameCount = Annotated[int, Field(ge=3, le=999), AfterValidator(odd)]


class FrameBlur(Values):
    """How pairs are made from frames."""

    frames: Annotated[tuple[FrameCount, FrameCount], AfterValidator(ordered)] = (7, 13)
    """Range of frames per window; the odd numbers in it are equally likely."""
    step: Annotated[int, Field(ge=1)] | None = None
    """Frames from the start of one window to the next; None: windows are end to end."""
    gamma: Positive = 2.2
    """Frames are linear light to the power of 1 / gamma."""
    sharp: Literal["first", "middle", "last"] = "middle"
    """Which frame of a window is GT."""
    cut: Probability = CUT
    """A scene ends where the thumbnails of neighbouring frames differ by more than this, the mean
    absolute difference in [0, 1]. A shaken camera reaches 0.06, unrelated photos 0.2 to 0.5."""


@dataclass(frozen=True)
class Frame:
    """A frame, and its name for error messages."""

    name: str
    pixels: Pixels


@dataclass(frozen=True)
class Clip:
    """A video or a folder of consecutive frames."""

    source: Path
    name: str
    """Of its folders of pairs."""
    length: int | None
    """Number of frames, if it is known before they are read."""


@dataclass
class Tally:
    """The results of a clip, counted while it is read."""

    frames: int = 0
    cuts: int = 0
    made: int = 0
    kept: int = 0
    """Pairs that existed before."""


def in_order(path: Path) -> tuple[list[int | str], str]:
    """A key for natural order: frame9 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], path.name


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder, without subfolders, in natural order of their names.

    Raises:
        DataError: when there are none.
    """
    inside = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    if not inside:
        deeper = any(path.is_dir() for path in folder.iterdir())
        hint = f"give its subfolders, {folder}/*" if deeper else "give a folder of frames"
        raise DataError(f"{folder} has no picture; {hint}")
    return sorted(inside, key=in_order)


def clips(sources: Iterable[Path]) -> list[Clip]:
    """The clips at the paths.

    Raises:
        DataError: when one doesn't exist, is an empty folder, or would overwrite another's pairs.
    """
    found: dict[str, Clip] = {}
    for source in sources:
        if not source.exists():
            raise DataError(f"{source} does not exist; give a video or a folder of frames")
        folder = source.is_dir()
        name = source.resolve().name if folder else source.stem
        if name in found:
            raise DataError(
                f"{found[name].source} and {source} have the same name, and so would their pairs; "
                "rename one or write them to different folders"
            )
        found[name] = Clip(source, name, len(frame_files(source)) if folder else None)
    return list(found.values())


def frames_of(clip: Clip) -> Iterator[Frame]:
    """The frames of a clip in order; raises DataError or PictureError for a bad one."""
    if clip.source.is_dir():
        for path in frame_files(clip.source):
            yield Frame(str(path), rgb_pixels(read(path)))
    else:
        yield from video_frames(clip.source)


def video_frames(path: Path) -> Iterator[Frame]:
    """The frames of a video file, upright.

    Raises:
        DataError: when it is not a video, or damaged.
        MissingLibraryError: when PyAV is not installed.
    """
    with needed("video", f"reading the video {path}"):
        import av
    try:
        # An open file and no protocols, so that a playlist in disguise can't read other files
        with (
            path.open("rb") as file,
            av.open(file, "r", options={"protocol_whitelist": "none"}) as container,
        ):
            # FFmpeg renders text files as videos of a terminal
            if container.format.name == "tty" or not container.streams.video:
                raise DataError(f"{path} cannot be read as a video (no pictures in it); give one")
            container.streams.video[0].thread_type = "AUTO"
            for number, frame in enumerate(container.decode(video=0), 1):
                yield Frame(f"frame {number} of {path}", upright(frame))
    except (OSError, av.FFmpegError) as error:
        raise DataError(
            f"{path} cannot be read as a video ({error.strerror}); give a whole video file "
            "or a folder of its frames as pictures"
        ) from error


def upright(frame: "VideoFrame") -> Pixels:
    """The pixels of a decoded frame, rotated by its metadata, as in videos of phones."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def alike(frames: Iterable[Frame]) -> Iterator[Pixels]:
    """The pixels of frames; raises DataError if the size changes."""
    first: Frame | None = None
    for frame in frames:
        first = first or frame
        if frame.pixels.shape != first.pixels.shape:
            (height, width, _), (rows, columns, _) = frame.pixels.shape, first.pixels.shape
            raise DataError(
                f"{frame.name} is {width}×{height}, those before it are {columns}×{rows}; "
                "give frames of equal size"
            )
        yield frame.pixels


def thumbnail(pixels: Pixels) -> Pixels:
    """A tiny picture (12, 20, 3), by box averaging."""
    return np.asarray(Image.fromarray(pixels).resize(GRID, Image.Resampling.BOX))


def thumbnail_difference(now: Pixels, before: Pixels) -> float:
    """The mean absolute difference of two thumbnails, in [0, 1]."""
    return float(np.abs(np.subtract(now, before, dtype=float)).mean() / 255)


def scenes(frames: Iterable[Pixels], cut: float, tally: Tally) -> Iterator[tuple[int, Pixels]]:
    """Frames with the number of their scene, which ends as `FrameBlur.cut` says."""
    before: Pixels | None = None
    for pixels in frames:
        now = thumbnail(pixels)
        if before is not None and thumbnail_difference(now, before) > cut:
            tally.cuts += 1
        before = now
        tally.frames += 1
        yield tally.cuts, pixels


def windows(
    scene: Iterator[Pixels], settings: FrameBlur, draw: np.random.Generator
) -> Iterator[list[Pixels]]:
    """Odd numbers of consecutive frames of one scene.

    The last may be shorter than drawn, so that a scene of the least number of frames has a window.
    """
    fewest, most = settings.frames
    held: list[Pixels] = []
    while True:
        count = int(draw.integers(fewest // 2, most // 2, endpoint=True)) * 2 + 1
        held += itertools.islice(scene, max(0, count - len(held)))
        count = min(count, len(held) - 1 + len(held) % 2)
        if count < fewest:
            return
        yield held[:count]
        step = settings.step or count
        for _ in itertools.islice(scene, max(0, step - len(held))):
            pass
        del held[:step]


def sharp_windows(
    frames: Iterable[Pixels], settings: FrameBlur, seed: tuple[int, ...], tally: Tally
) -> Iterator[list[Pixels]]:
    """Windows of consecutive frames, none across a cut; counts frames and cuts in `tally`."""
    draw = generator(seed, STREAM)
    numbered = scenes(frames, settings.cut, tally)
    for _, scene in itertools.groupby(numbered, key=lambda pair: pair[0]):
        yield from windows((pixels for _, pixels in scene), settings, draw)


def average(window: list[Pixels], gamma: float) -> Pixels:
    """The frames of a window averaged in linear light, rounded to 8 bits."""
    strips = []
    for top in range(0, len(window[0]), STRIP):
        strip = np.stack([pixels[top : top + STRIP] for pixels in window])  # (N, STRIP, W, 3)
        light = average_frames(torch.from_numpy(strip).float() / 255, gamma)
        strips.append(to_pixels(light.permute(2, 0, 1)[None]))
    return np.concatenate(strips)


def sharp_frame(window: list[Pixels], settings: FrameBlur) -> Pixels:
    """The frame of a window that is GT."""
    return window[{"first": 0, "middle": len(window) // 2, "last": -1}[settings.sharp]]


@dataclass(frozen=True, kw_only=True)
class PairWriter:
    """Writes the pairs of clips to `gt/<clip>/000000.png` and `lq/<clip>/000000.png`."""

    folder: Path
    settings: FrameBlur = field(default_factory=FrameBlur)
    seed: int = 0
    overwrite: bool = False
    """Replace existing pairs."""

    def pair(self, clip: Clip, index: int) -> tuple[Path, Path]:
        """The files of GT and LQ."""
        gt, lq = (self.folder / kind / clip.name / f"{index:06d}.png" for kind in ("gt", "lq"))
        return gt, lq

    def write(
        self,
        clip: Clip,
        watch: Callable[[Iterable[Frame]], Iterable[Frame]] = lambda frames: frames,
    ) -> Tally:
        """Make the missing pairs of a clip; frames go through `watch`, to show progress.

        Raises:
            DataError, PictureError: when the clip is bad or too short, or when there are pairs of
                another clip or of other settings; finished pairs are kept.
        """
        self.check(clip)
        tally = Tally()
        seed = (self.seed, *os.fsencode(clip.name))  # clips draw numbers of their own
        found = sharp_windows(alike(watch(frames_of(clip))), self.settings, seed, tally)
        for index, window in enumerate(found):
            if index == 0:  # not before, so that an unreadable clip changes nothing
                self.begin(clip)
            self.write_pair(clip, index, window, tally)
        if not tally.made + tally.kept:
            raise too_short(clip, self.settings, tally)
        return tally

    def write_pair(self, clip: Clip, index: int, window: list[Pixels], tally: Tally) -> None:
        """Make one pair, unless it exists."""
        gt, lq = self.pair(clip, index)
        if gt.exists() and lq.exists():
            tally.kept += 1
            return
        Picture.from_array(average(window, self.settings.gamma)).save(lq)
        Picture.from_array(sharp_frame(window, self.settings)).save(gt)
        tally.made += 1

    def note(self, clip: Clip) -> Path:
        """The file that records the source and settings of a clip's pairs."""
        return self.folder / f"{clip.name}.json"

    def made_of(self, clip: Clip) -> dict[str, Any]:
        """The content of the note."""
        source = str(clip.source.resolve())
        return {"source": source, "seed": self.seed, **self.settings.model_dump(mode="json")}

    def existing(self, clip: Clip) -> list[Path]:
        """The existing pictures of the clip's pairs."""
        folders = (self.folder / kind / clip.name for kind in ("gt", "lq"))
        return [path for folder in folders for path in folder.glob("[0-9]" * 6 + ".png")]

    def check(self, clip: Clip) -> None:
        """Refuse to mix pairs with those of other settings or with other pictures."""
        noted = self.note(clip).exists()
        if not noted and self.existing(clip):
            raise DataError(
                f"{self.folder} has pictures of {clip.name} from elsewhere; choose another folder"
            )
        differing = difference(self.note(clip), self.made_of(clip)) if noted else ""
        if differing and not self.overwrite:
            raise DataError(
                f"{self.folder} has pairs of {clip.name} with {differing}; "
                "choose another folder or add --overwrite"
            )

    def begin(self, clip: Clip) -> None:
        """Write the note, and with `overwrite` remove existing pairs.

        The note comes first, so that an interrupted run can be told from another one.
        """
        text = json.dumps(self.made_of(clip), indent=2) + "\n"
        write_whole(text.encode(), self.note(clip))
        if self.overwrite:
            for path in self.existing(clip):
                path.unlink()


def difference(note: Path, wanted: dict[str, Any]) -> str:
    """The first difference between a note and the wanted values, in words; empty if none."""
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        return next(
            (f"{k} {found[k]}, not {wanted[k]}" for k in wanted if found[k] != wanted[k]), ""
        )
    except (ValueError, KeyError, TypeError):
        return f"an unreadable note, {note.name}"


def too_short(clip: Clip, settings: FrameBlur, tally: Tally) -> DataError:
    """The error for a clip without any window."""
    count = f"{tally.frames} frame" + ("" if tally.frames == 1 else "s")
    parts = f" in {tally.cuts + 1} scenes" if tally.cuts else ""
    return DataError(
        f"{clip.source} has {count}{parts}, but a window needs "
        f"{settings.frames[0]} of one scene; give a longer clip or fewer --frames"
    )
