"""The work folder: what a run has restored so far, so that a kill costs one segment.

    film.mkv.unfinished/
        lock              held by the run, so that two never mix
        plan.json         what is made of what, with which settings
        times.json        when each frame is shown
        000000.segment    a run of frames, encoded
        …

A segment is a line of JSON, which says what the packets behind it hold and what the next segment
must know. Every file appears whole or not at all.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffir.errors import PictureError
from diffir.files import lock, sweep, whole_file, write_whole

from .encoding import Coded
from .source import Times

SEGMENT = 32
"""Frames in a segment: what a kill can cost, and how often a frame is encoded by itself alone."""
OTHER = {"input": "another input", "weights": "other weights", "options": "another --quality"}
"""What differs, where values mean nothing to people."""
CHANGE = "add --overwrite to begin anew, or choose another name"


@dataclass(frozen=True, kw_only=True)
class Work:
    """A work folder that this process holds."""

    folder: Path

    def segment(self, index: int) -> Path:
        """The file of a segment."""
        return self.folder / f"{index:06d}.segment"

    def segments(self, frames: int) -> int:
        """How many segments a number of frames takes."""
        return -(-frames // SEGMENT)

    def done(self) -> int:
        """How many segments are there, one behind the other from the first."""
        index = 0
        while self.is_whole(index):
            index += 1
        return index

    def is_whole(self, index: int) -> bool:
        """Whether a segment is there with all that its first line tells of."""
        try:
            with self.segment(index).open("rb") as file:
                head = file.readline()
                sizes = [size for _, size in json.loads(head)["packets"]]
            return self.segment(index).stat().st_size == len(head) + sum(sizes)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def save(self, index: int, packets: list[Coded], state: dict[str, str]) -> None:
        """Write a segment; OSError where the disk is full."""
        head = {"packets": [(packet.key, len(packet.data)) for packet in packets], "state": state}
        with whole_file(self.segment(index)) as file:
            file.write(json.dumps(head).encode() + b"\n")
            for packet in packets:
                file.write(packet.data)

    def state(self, index: int) -> dict[str, str]:
        """What the segment behind one must know."""
        with self.segment(index).open("rb") as file:
            return json.loads(file.readline())["state"]

    def packets(self, index: int) -> Iterator[Coded]:
        """The packets of a segment."""
        with self.segment(index).open("rb") as file:
            for key, size in json.loads(file.readline())["packets"]:
                yield Coded(key=key, data=file.read(size))

    def times(self) -> Times | None:
        """The times that were noted, None before that."""
        try:
            return Times.from_json((self.folder / "times.json").read_text("utf-8"))
        except (OSError, ValueError, TypeError):
            return None

    def note_times(self, times: Times) -> None:
        """Note when the frames are shown, to look through the video once only."""
        write_whole(times.to_json().encode(), self.folder / "times.json")


def folder_for(target: Path) -> Path:
    """Where the work for a video lies: beside it."""
    return target.with_name(target.name + ".unfinished")


@contextmanager
def held(target: Path, plan: dict[str, Any], *, anew: bool) -> Iterator[Work]:
    """The work folder of a video, of an earlier run if it had the same plan.

    Args:
        target: the video to be made.
        plan: all that decides about its bits, for JSON.
        anew: whether work with another plan may be thrown away.

    Raises:
        PictureError: when there is work with another plan, or another run holds the folder.
    """
    work = Work(folder=folder_for(target))
    work.folder.mkdir(parents=True, exist_ok=True)
    with (work.folder / "lock").open("ab") as file:
        if lock(file.fileno()) is False:
            raise PictureError(
                f"another run is making {target}; wait for it, or choose another name"
            )
        sweep(work.folder)
        begin(work, plan, anew)
        try:
            yield work
        except BaseException:
            if work.times() is None and not work.done():  # nothing that would be worth keeping
                finish(target)
            raise


def begin(work: Work, plan: dict[str, Any], anew: bool) -> None:
    """Note the plan, or see that it is the one that was noted, where frames were made by it."""
    note = work.folder / "plan.json"
    segments = list(work.folder.glob("*.segment"))
    differing = difference(note, plan) if note.exists() or segments else None
    if differing and segments and not anew:
        raise PictureError(f"{work.folder} was begun with {differing}; {CHANGE}")
    if differing:  # the old plan stays till all that was made by it is gone
        for path in [*segments, work.folder / "times.json"]:
            path.unlink(missing_ok=True)
    write_whole((json.dumps(plan, indent=2) + "\n").encode(), note)


def difference(note: Path, plan: dict[str, Any]) -> str | None:
    """The first thing in which a noted plan differs from another, in words; None where none."""
    try:
        found = json.loads(note.read_text("utf-8"))
        for key, wanted in plan.items():
            if found[key] != wanted:
                return OTHER.get(key) or f"{key} {shown(found[key])}, not {shown(wanted)}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a plan that cannot be read"
    return None


def shown(value: Any) -> str:
    """A value, short."""
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def finish(target: Path) -> None:
    """Remove the folder; the video is there."""
    shutil.rmtree(folder_for(target), ignore_errors=True)
