"""The logs of a run: lines of JSON, TensorBoard, and pictures."""

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

PICTURES_KEPT = 3  # newest of each name in a phase; TensorBoard keeps more


class RunLog:
    """Writes the logs of a run into its folder, on the main process only.

    `log.jsonl` has one report per line, `tensorboard/<phase>` the same and pictures, `pictures/`
    the newest pictures as PNG. Everything is flushed when a method returns.

    Raises MissingLibraryError where TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = writer_class()  # import now, to fail early
        self._writers: dict[str, SummaryWriter] = {}
        self._purge: dict[str, int] = {}

    def rewind(self, phase: str, step: int) -> None:
        """Remove what a killed run logged of a phase after the step at which it resumes.

        At step 0 that is everything. Later phases are removed, too, so call this for the phase that
        resumes, not for finished ones.
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
        """Log one report as a line and in TensorBoard; values that are not finite become null."""
        numbers = {key: float(value) for key, value in values.items()}
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(text_of({"phase": phase, "step": step, **numbers}))
        writer = self._writer(phase)
        for key, value in numbers.items():
            writer.add_scalar(key, value, step)
        writer.flush()

    def picture(self, phase: str, step: int, name: str, picture: Tensor) -> None:
        """Log a picture, (3, H, W) in [0, 1]; the newest 3 PNG files of each name are kept.

        Raises PictureError where it can't be written.
        """
        pixels = to_pixels(picture.cpu()[None])
        writer = self._writer(phase)
        writer.add_image(name, pixels, step, dataformats="HWC")
        writer.flush()
        plain = re.sub(r"[^\w.-]", "_", name)  # names may contain slashes
        folder = self.folder / "pictures"
        Picture.from_array(pixels).save(folder / f"{phase}-{step}-{plain}.png")
        found = pictures_in(folder)
        steps = [at for _, of_phase, at, of in found if (of_phase, of) == (phase, plain)]
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
    """The phases after one; none after an unknown one."""
    return PHASES[PHASES.index(phase) + 1 :] if phase in PHASES else ()


def forget_lines(path: Path, kept: Callable[[str, int], bool]) -> None:
    """Remove all lines of a log but the whole ones whose phase and step are `kept`."""
    if path.exists():
        lines = [line for line in read_log(path) if kept(line["phase"], line["step"])]
        write_whole("".join(map(text_of, lines)).encode(), path)


def text_of(line: Line) -> str:
    """A line of the log, with null for NaN, which JSON does not have."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in line.items()
    }
    return json.dumps(finite) + "\n"


def pictures_in(folder: Path) -> Iterator[tuple[Path, str, int, str]]:
    """The pictures in a folder: file, phase, step, name."""
    for path in [*folder.glob("*.png")]:  # a list, as the caller may delete files
        match = re.fullmatch(r"(\w+)-(\d+)-(.+)", path.stem)
        if match:
            yield path, match[1], int(match[2]), match[3]
