"""What a run tells: lines of JSON for programs, and TensorBoard and pictures for people."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from diffir.data.pixels import to_pixels
from diffir.files import write_whole
from diffir.images import Picture
from diffir.libraries import needed

from .runs import LOG, PHASES, Line, read_log

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

PICTURES_KEPT = 3  # of each name in a phase: the newest; TensorBoard keeps more of them


class RunLog:
    """Tells of a run in its folder, on the main process only.

    `log.jsonl` holds one report a line, `tensorboard/<phase>` the same and pictures, `pictures/`
    the newest pictures as PNG. All of it is on its way to the disk when a method returns.

    Raises DiffIRError where TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = writer_class()  # now, for a mistake is better known now than in hours
        self._writers: dict[str, SummaryWriter] = {}
        self._purge: dict[str, int] = {}

    def rewind(self, phase: str, step: int) -> None:
        """Forget what a killed run told of a phase after the step it resumes at.

        At step 0 that is all of it. What was told of later phases goes, too; so this is for the
        phase that goes on, not for those that are done.
        """
        later = later_than(phase)

        def kept(of_phase: str, at: int) -> bool:
            return of_phase not in later and (of_phase != phase or at <= step > 0)

        forget_lines(self.folder / LOG, kept)
        for path, of_phase, at, _ in pictures_in(self.folder / "pictures"):
            if not kept(of_phase, at):
                path.unlink(missing_ok=True)
        for name in (phase, *later):
            if name in self._writers:
                self._writers.pop(name).close()
            self._purge[name] = step + 1 if name == phase and step else 0

    def scalars(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """One report: a line of the log, and the same to TensorBoard; not finite is null."""
        numbers = {key: float(value) for key, value in values.items()}
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(text_of({"phase": phase, "step": step, **numbers}))
        writer = self._writer(phase)
        for key, value in numbers.items():
            writer.add_scalar(key, value, step)
        writer.flush()

    def picture(self, phase: str, step: int, name: str, picture: Tensor) -> None:
        """A picture, (3, H, W) in [0, 1]; of each name, the PNG files of the newest 3 steps stay.

        Raises PictureError where it can't be written.
        """
        pixels = to_pixels(picture.cpu()[None])
        writer = self._writer(phase)
        writer.add_image(name, pixels, step, dataformats="HWC")
        writer.flush()
        plain = re.sub(r"[^\w.-]", "_", name)  # a name like set/picture is no path
        folder = self.folder / "pictures"
        Picture.from_array(pixels).save(folder / f"{phase}-{step}-{plain}.png")
        told = pictures_in(folder)
        steps = [at for _, of_phase, at, of in told if (of_phase, of) == (phase, plain)]
        for at in sorted(steps)[:-PICTURES_KEPT]:
            (folder / f"{phase}-{at}-{plain}.png").unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files of TensorBoard."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, phase: str) -> "SummaryWriter":
        """The phase's writer, opened when first needed."""
        if phase not in self._writers:
            events = str(self.folder / "tensorboard" / phase)
            self._writers[phase] = self._open(events, purge_step=self._purge.pop(phase, None))
        return self._writers[phase]


def writer_class() -> "type[SummaryWriter]":
    """TensorBoard's writer. Raises MissingLibraryError where it is not installed."""
    with needed("train", "training"):
        from torch.utils.tensorboard import SummaryWriter
    return SummaryWriter


def later_than(phase: str) -> tuple[str, ...]:
    """The phases after one; none after a phase that has no place among them."""
    return PHASES[PHASES.index(phase) + 1 :] if phase in PHASES else ()


def forget_lines(path: Path, kept: Callable[[str, int], bool]) -> None:
    """Leave in a log the whole lines whose phase and step are to be kept."""
    if path.exists():
        lines = [line for line in read_log(path) if kept(line["phase"], line["step"])]
        write_whole("".join(map(text_of, lines)).encode(), path)


def text_of(line: Line) -> str:
    """A line of the log. JSON knows no NaN, and many readers refuse Python's."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in line.items()
    }
    return json.dumps(finite) + "\n"


def pictures_in(folder: Path) -> Iterator[tuple[Path, str, int, str]]:
    """The pictures told: file, phase, step, name."""
    for path in [*folder.glob("*.png")]:  # all found before any goes
        match = re.fullmatch(r"(\w+)-(\d+)-(.+)", path.stem)
        if match:
            yield path, match[1], int(match[2]), match[3]
