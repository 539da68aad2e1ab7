"""The work folder: what a run has restored so far, so that a kill costs at most one segment.

    film.mkv.unfinished/
        lock              held by the run, so that two never mix
        plan.json         what is made of what, with which settings
        times.json        when each frame is shown
        000000.segment    a run of frames, encoded
        …

A segment is a line of JSON, with the sizes of the packets that follow and the state that the next
segment needs, and then the packets. Every file is written atomically.
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
"""Frames in a segment: the most a kill can cost, and the distance between keyframes."""
OTHER = {"input": "another input", "weights": "other weights", "options": "another --quality"}
"""Descriptions of differences whose values mean nothing to people."""
CHANGE = "add --overwrite to start over, or choose another name"


@dataclass(frozen=True, kw_only=True)
class Work:
    """A work folder that this process holds."""

    folder: Path

    def segment(self, index: int) -> Path:
        """The file of a segment."""
        return self.folder / f"{index:06d}.segment"

    def segments(self, frames: int) -> int:
        """The number of segments for a number of frames."""
        return -(-frames // SEGMENT)

    def done(self) -> int:
        """The number of complete segments, counted from the first without a gap."""
        index = 0
        while self.is_whole(index):
            index += 1
        return index

    def is_whole(self, index: int) -> bool:
        """Whether a segment exists with all packets that its first line lists."""
        try:
            with self.segment(index).open("rb") as file:
                head = file.readline()
                sizes = [size for _, size in json.loads(head)["packets"]]
            return self.segment(index).stat().st_size == len(head) + sum(sizes)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def save(self, index: int, packets: list[Coded], state: dict[str, str]) -> None:
        """Write a segment; OSError if the disk is full."""
        head = {"packets": [(packet.key, len(packet.data)) for packet in packets], "state": state}
        with whole_file(self.segment(index)) as file:
            file.write(json.dumps(head).encode() + b"\n")
            for packet in packets:
                file.write(packet.data)

    def state(self, index: int) -> dict[str, str]:
        """The state saved with a segment, for the next one."""
        with self.segment(index).open("rb") as file:
            return json.loads(file.readline())["state"]

    def packets(self, index: int) -> Iterator[Coded]:
        """The packets of a segment."""
        with self.segment(index).open("rb") as file:
            for key, size in json.loads(file.readline())["packets"]:
                yield Coded(key=key, data=file.read(size))

    def times(self) -> Times | None:
        """The saved frame times; None if there are none."""
        try:
            return Times.from_json((self.folder / "times.json").read_text("utf-8"))
        except (OSError, ValueError, TypeError):
            return None

    def save_times(self, times: Times) -> None:
        """Save the frame times, so that the video is scanned only once."""
        write_whole(times.to_json().encode(), self.folder / "times.json")


def folder_for(target: Path) -> Path:
    """The work folder of a video, beside it."""
    return target.with_name(target.name + ".unfinished")


@contextmanager
def held(target: Path, plan: dict[str, Any], *, anew: bool) -> Iterator[Work]:
    """Hold the work folder of a video, and resume an earlier run with the same plan.

    Args:
        target: the video to be made.
        plan: everything that determines its bits, for JSON.
        anew: whether work with another plan may be deleted.

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
            if work.times() is None and not work.done():  # nothing worth keeping
                finish(target)
            raise


def begin(work: Work, plan: dict[str, Any], anew: bool) -> None:
    """Save the plan, or check that existing frames were made with the same one."""
    note = work.folder / "plan.json"
    segments = list(work.folder.glob("*.segment"))
    differing = difference(note, plan) if note.exists() or segments else None
    if differing and segments and not anew:
        raise PictureError(f"{work.folder} was started with {differing}; {CHANGE}")
    if differing:  # the old plan stays until everything made with it is deleted
        for path in [*segments, work.folder / "times.json"]:
            path.unlink(missing_ok=True)
    write_whole((json.dumps(plan, indent=2) + "\n").encode(), note)


def difference(note: Path, plan: dict[str, Any]) -> str | None:
    """The first difference between a saved plan and another, in words; None if there is none."""
    try:
        found = json.loads(note.read_text("utf-8"))
        for key, wanted in plan.items():
            if found[key] != wanted:
                return OTHER.get(key) or f"{key} {shown(found[key])}, not {shown(wanted)}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a plan that cannot be read"
    return None


def shown(value: Any) -> str:
    """A value, shortened; None is a setting that is off."""
    text = "off" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def finish(target: Path) -> None:
    """Remove the folder once the video is written."""
    shutil.rmtree(folder_for(target), ignore_errors=True)
