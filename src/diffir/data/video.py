"""Blur from video: what moves while several sharp frames add up, as GoPro's training set was made.

The mean, as light, of an odd number of consecutive frames is LQ; one of them, as a rule the one in
the middle, is GT. Frames stream through: at most one window of them is held.
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
GRID = (20, 12)  # width, height of the thumbnails that tell scenes apart: coarser than most motion
STRIP = 64  # rows averaged at a time, for thirteen frames of a film as floats are gigabytes


def odd(count: int) -> int:
    """A number of frames, refused when none is in their middle."""
    if count % 2 == 0:
        raise ValueError("an odd number of frames is wanted, so that one is in the middle")
    return count


FrameCount = Annotated[int, Field(ge=3, le=999), AfterValidator(odd)]


class FrameBlur(Values):
    """How frames become pairs."""

    frames: Annotated[tuple[FrameCount, FrameCount], AfterValidator(ordered)] = (7, 13)
    """Fewest and most frames in a window; odd numbers between them are equally likely."""
    step: Annotated[int, Field(ge=1)] | None = None
    """Frames from the start of a window to the next start; None: they follow end to end."""
    gamma: Positive = 2.2
    """Frames are light to the power of 1 / gamma."""
    sharp: Literal["first", "middle", "last"] = "middle"
    """Which frame of a window is GT."""
    cut: Probability = 0.12
    """A scene ends where the thumbnails of neighbouring frames differ by more than this, the mean
    of absolute differences in [0, 1]. A shaken camera reaches 0.06, unrelated photos 0.2 to 0.5."""


@dataclass(frozen=True)
class Frame:
    """A frame, and what to call it where it is at fault."""

    name: str
    pixels: Pixels


@dataclass(frozen=True)
class Clip:
    """A video or a folder of consecutive frames."""

    source: Path
    name: str
    """Of its folders of pairs."""
    length: int | None
    """Frames, where that is known before they are read."""


@dataclass
class Tally:
    """What a clip gave, counted while it is read."""

    frames: int = 0
    cuts: int = 0
    made: int = 0
    kept: int = 0
    """Pairs that were there before."""


def in_order(path: Path) -> tuple[list[int | str], str]:
    """A key that sorts names as people count: frame9 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], path.name


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder, not of those in it, in the order of their names.

    Raises:
        DataError: when there is none.
    """
    inside = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    if not inside:
        deeper = any(path.is_dir() for path in folder.iterdir())
        hint = f"name the folders in it, as {folder}/*" if deeper else "give a folder of frames"
        raise DataError(f"{folder} holds no picture; {hint}")
    return sorted(inside, key=in_order)


def clips(sources: Iterable[Path]) -> list[Clip]:
    """What the paths stand for.

    Raises:
        DataError: when one doesn't exist, is an empty folder, or would write over another's pairs.
    """
    found: dict[str, Clip] = {}
    for source in sources:
        if not source.exists():
            raise DataError(f"{source} does not exist; give a video or a folder of frames")
        folder = source.is_dir()
        name = source.resolve().name if folder else source.stem
        if name in found:
            raise DataError(
                f"{found[name].source} and {source} have one name, so their pairs would, too; "
                "rename one or write them to different folders"
            )
        found[name] = Clip(source, name, len(frame_files(source)) if folder else None)
    return list(found.values())


def frames_of(clip: Clip) -> Iterator[Frame]:
    """The frames of a clip one after the other; DataError and PictureError where one is bad."""
    if clip.source.is_dir():
        for path in frame_files(clip.source):
            yield Frame(str(path), rgb_pixels(read(path)))
    else:
        yield from video_frames(clip.source)


def video_frames(path: Path) -> Iterator[Frame]:
    """The frames of a video file, upright.

    Raises:
        DataError: when it is no video, or is damaged.
        MissingLibraryError: when PyAV is not installed.
    """
    with needed("video", f"reading the video {path}"):
        import av
    try:
        # An open file and no protocols: a playlist that poses as a video reaches no other file.
        with (
            path.open("rb") as file,
            av.open(file, "r", options={"protocol_whitelist": "none"}) as container,
        ):
            # FFmpeg shows texts as films of a terminal.
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
    """The pixels of a decoded frame, turned as a phone's video asks for."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def alike(frames: Iterable[Frame]) -> Iterator[Pixels]:
    """The pixels of frames of one size; DataError where a size changes."""
    first: Frame | None = None
    for frame in frames:
        first = first or frame
        if frame.pixels.shape != first.pixels.shape:
            (height, width, _), (rows, columns, _) = frame.pixels.shape, first.pixels.shape
            raise DataError(
                f"{frame.name} is {width}×{height}, those before it are {columns}×{rows}; "
                "give frames of one size"
            )
        yield frame.pixels


def thumbnail(pixels: Pixels) -> Pixels:
    """A tiny picture (12, 20, 3), each pixel the mean of its part."""
    return np.asarray(Image.fromarray(pixels).resize(GRID, Image.Resampling.BOX))


def scenes(frames: Iterable[Pixels], cut: float, tally: Tally) -> Iterator[tuple[int, Pixels]]:
    """Frames with the number of their scene; see `FrameBlur.cut` for where one ends."""
    before: Pixels | None = None
    for pixels in frames:
        now = thumbnail(pixels)
        if before is not None and np.abs(np.subtract(now, before, dtype=float)).mean() / 255 > cut:
            tally.cuts += 1
        before = now
        tally.frames += 1
        yield tally.cuts, pixels


def windows(
    scene: Iterator[Pixels], settings: FrameBlur, draw: np.random.Generator
) -> Iterator[list[Pixels]]:
    """Odd numbers of consecutive frames of one scene.

    The last may be shorter than drawn, so a scene with the fewest frames has a window.
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
    frames: Iterable[Pixels], settings: FrameBlur, seed: tuple[int, ...], tally: Tally | None = None
) -> Iterator[list[Pixels]]:
    """Windows of consecutive frames, none across a cut; `tally` counts frames and cuts."""
    draw = generator(seed, STREAM)
    numbered = scenes(frames, settings.cut, tally or Tally())
    for _, scene in itertools.groupby(numbered, key=lambda pair: pair[0]):
        yield from windows((pixels for _, pixels in scene), settings, draw)


def average(window: list[Pixels], gamma: float) -> Pixels:
    """The frames of a window added up as light, rounded to 8 bits."""
    strips = []
    for top in range(0, len(window[0]), STRIP):
        strip = np.stack([pixels[top : top + STRIP] for pixels in window])  # (N, STRIP, W, 3)
        light = average_frames(torch.from_numpy(strip).float() / 255, gamma)
        strips.append(to_pixels(light.permute(2, 0, 1)[None]))
    return np.concatenate(strips)


def sharp_frame(window: list[Pixels], settings: FrameBlur) -> Pixels:
    """The frame of a window that is GT."""
    return window[{"first": 0, "middle": len(window) // 2, "last": -1}[settings.sharp]]


def blurred_windows(
    frames: Iterable[Pixels], settings: FrameBlur, seed: tuple[int, ...]
) -> Iterator[tuple[Pixels, Pixels]]:
    """Pairs of LQ and GT, both (H, W, 3) uint8, from consecutive frames of one size.

    The same frames, settings and seed give the same pairs.
    """
    for window in sharp_windows(frames, settings, seed):
        yield average(window, settings.gamma), sharp_frame(window, settings)


def no_watch(frames: Iterable[Frame]) -> Iterable[Frame]:
    """Frames that nobody watches go by."""
    return frames


@dataclass(frozen=True, kw_only=True)
class PairWriter:
    """Writes the pairs of clips to `gt/<clip>/000000.png` and `lq/<clip>/000000.png`."""

    folder: Path
    settings: FrameBlur = field(default_factory=FrameBlur)
    seed: int = 0
    overwrite: bool = False
    """Make pairs anew that are there."""

    def pair(self, clip: Clip, index: int) -> tuple[Path, Path]:
        """The files of GT and LQ."""
        gt, lq = (self.folder / kind / clip.name / f"{index:06d}.png" for kind in ("gt", "lq"))
        return gt, lq

    def write(
        self, clip: Clip, watch: Callable[[Iterable[Frame]], Iterable[Frame]] = no_watch
    ) -> Tally:
        """Make the pairs of a clip that are not there yet; frames go through `watch`.

        Raises:
            DataError, PictureError: when the clip is bad or too short, or when there are pairs of
                another clip or of other settings; whole pairs that were made before that stay.
        """
        self.check(clip)
        tally = Tally()
        seed = (self.seed, *os.fsencode(clip.name))  # clips draw numbers of their own
        found = sharp_windows(alike(watch(frames_of(clip))), self.settings, seed, tally)
        for index, window in enumerate(found):
            if index == 0:  # not before: a clip that can't be read leaves everything as it is
                self.begin(clip)
            self.write_pair(clip, index, window, tally)
        if not tally.made + tally.kept:
            raise too_short(clip, self.settings, tally)
        return tally

    def write_pair(self, clip: Clip, index: int, window: list[Pixels], tally: Tally) -> None:
        """Make one pair, unless it is there."""
        gt, lq = self.pair(clip, index)
        if gt.exists() and lq.exists():
            tally.kept += 1
            return
        Picture.from_array(average(window, self.settings.gamma)).save(lq)
        Picture.from_array(sharp_frame(window, self.settings)).save(gt)
        tally.made += 1

    def note(self, clip: Clip) -> Path:
        """The file that says what the pairs of a clip are made of."""
        return self.folder / f"{clip.name}.json"

    def made_of(self, clip: Clip) -> dict[str, Any]:
        """What the note says."""
        source = str(clip.source.resolve())
        return {"source": source, "seed": self.seed, **self.settings.model_dump(mode="json")}

    def there(self, clip: Clip) -> list[Path]:
        """The pictures of the clip's pairs that exist."""
        folders = (self.folder / kind / clip.name for kind in ("gt", "lq"))
        return [path for folder in folders for path in folder.glob("[0-9]" * 6 + ".png")]

    def check(self, clip: Clip) -> None:
        """Refuse to mix pairs with those of other settings, and with pictures not made here."""
        noted = self.note(clip).exists()
        if not noted and self.there(clip):
            raise DataError(
                f"{self.folder} holds pictures of {clip.name} that were not made here; "
                "choose another folder"
            )
        differing = difference(self.note(clip), self.made_of(clip)) if noted else ""
        if differing and not self.overwrite:
            raise DataError(
                f"{self.folder} has pairs of {clip.name} with {differing}; "
                "choose another folder or add --overwrite"
            )

    def begin(self, clip: Clip) -> None:
        """Note what the pairs are made of; where they shall be made anew, those that are there go.

        The note comes first, so that a run which is stopped here can be told from another's.
        """
        text = json.dumps(self.made_of(clip), indent=2) + "\n"
        write_whole(text.encode(), self.note(clip))
        if self.overwrite:
            for path in self.there(clip):
                path.unlink()


def difference(note: Path, wanted: dict[str, Any]) -> str:
    """The first value in which a note and what is wanted differ, in words; empty if none does."""
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        return next(
            (f"{k} {found[k]}, not {wanted[k]}" for k in wanted if found[k] != wanted[k]), ""
        )
    except (ValueError, KeyError, TypeError):
        return f"a note that cannot be read, {note.name}"


def too_short(clip: Clip, settings: FrameBlur, tally: Tally) -> DataError:
    """The error for a clip without a window."""
    count = f"{tally.frames} frame" + ("" if tally.frames == 1 else "s")
    parts = f" in {tally.cuts + 1} scenes" if tally.cuts else ""
    return DataError(
        f"{clip.source} has {count}{parts}, and a window takes at least "
        f"{settings.frames[0]} of one scene; give a longer one or fewer --frames"
    )
