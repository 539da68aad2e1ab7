"""The progress and latest scores of runs, from their folders."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PHASES = ("stage1", "prior", "joint", "finetune")
"""The phases of a run, in order; not imported from `recipe`, which takes longer."""
LOG, RUN = "log.jsonl", "run.json"
DEPTH = 3  # levels of folders to search
NO_LOSSES = {"phase", "step", "rate", "seconds", "memory", "gradient", "accuracy"}

Line = dict[str, Any]
"""One report or validation: `phase`, `step` and values by name, None where not finite."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The progress of a run."""

    folder: Path
    name: str
    """Of the preset."""
    phase: str | None
    """The current or last one; None where nothing was reported yet."""
    step: int
    """The last one reported in the phase, from 1."""
    steps: int
    """Steps of the phase, or of the first one where `phase` is None."""
    share: float
    """Share of all phases' steps that is done, 0 to 1."""
    scores: dict[str, float]
    """From the phase's last validation, PSNR in dB by name."""
    finished: bool
    """Whether the weights of the trained network exist."""
    changed: float
    """When the run last wrote a log or weights, in seconds since 1970."""


def find_runs(folder: Path) -> list[RunSummary]:
    """The runs in a folder and up to three levels below, by path; other folders are ignored."""
    found = []
    for place in folders_of(folder, DEPTH):
        with suppress(OSError):  # deleted meanwhile, or not readable
            found += [summary] if (summary := summary_of(place)) else []
    return found


def folders_of(folder: Path, depth: int) -> Iterator[Path]:
    """The folder and those below it, sorted; links to folders are not followed."""
    yield folder
    if depth:
        try:
            with os.scandir(folder) as entries:
                names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
        except OSError:
            return
        for name in names:
            yield from folders_of(folder / name, depth - 1)


def summary_of(folder: Path) -> RunSummary | None:
    """The progress of the run in a folder; None where there is none. Raises OSError."""
    facts = facts_of(folder)
    if facts is None:
        return None
    name, steps = facts
    weights = folder / f"{name}.safetensors"
    lines = [line for line in read_log(folder / LOG) if line["phase"] in steps]
    phase = lines[-1]["phase"] if lines else None
    lines = [line for line in lines if line["phase"] == phase]
    step, finished = (lines[-1]["step"] if lines else 0), weights.is_file()
    files = (folder / LOG, folder / RUN, weights)
    return RunSummary(
        folder=folder,
        name=name,
        phase=phase,
        step=step,
        steps=steps[phase] if phase else next(iter(steps.values()), 0),
        share=1.0 if finished else share_of(steps, phase, step),
        scores=next(filter(None, map(scores_of, reversed(lines))), {}),
        finished=finished,
        changed=max(file.stat().st_mtime for file in files if file.exists()),
    )


def facts_of(folder: Path) -> tuple[str, dict[str, int]] | None:
    """The preset's name and the steps of each phase; None where a folder holds no run."""
    try:
        facts = json.loads((folder / RUN).read_bytes())
        name, recipe = facts["name"], facts["recipe"]
        phases = {phase: recipe[phase] for phase in PHASES if recipe.get(phase) is not None}
        return str(name), {phase: int(values["steps"]) for phase, values in phases.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def share_of(steps: Mapping[str, int], phase: str | None, step: int) -> float:
    """The share of all steps that is done, 0 to 1."""
    if phase is None:
        return 0.0
    names = list(steps)
    before = sum(steps[name] for name in names[: names.index(phase)])
    return min(1.0, (before + step) / max(1, sum(steps.values())))


def losses_of(line: Line) -> dict[str, float]:
    """The losses in a report; empty for a validation, which has no rate."""
    if "rate" not in line:
        return {}
    return {key: value for key, value in numbers_of(line).items() if key not in NO_LOSSES}


def scores_of(line: Line) -> dict[str, float]:
    """PSNR in dB by name; empty for a report."""
    return {key: value for key, value in numbers_of(line).items() if key.startswith("psnr")}


def numbers_of(line: Line) -> dict[str, float]:
    """The values that are finite numbers."""
    numbers = {key: x for key, x in line.items() if type(x) in (int, float)}  # not bool
    return {key: float(x) for key, x in numbers.items() if math.isfinite(x)}


def read_log(path: Path) -> list[Line]:
    """The lines of a run's log, in order, without broken or foreign ones.

    A kill may have cut the last one. A missing file is an empty log. Raises OSError.
    """
    if not path.is_file():
        return []
    texts = path.read_bytes().split(b"\n")
    return [line for text in texts if (line := line_of(text)) is not None]


def line_of(text: bytes) -> Line | None:
    """A line of the log; None where it is broken or foreign."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    ours = isinstance(line, dict) and type(line.get("step")) is int
    return line if ours and isinstance(line.get("phase"), str) else None
