"""How much longer a training step takes with a prior, in the small networks of `prior.py`.

    python benchmarks/prior_time.py deblur --train PHOTOS --set network.dim=8

Trains the constant prior and ours in turn, a few steps each, and prints the medians over rounds of
the seconds of a step in each phase, of which those of a constant are the measure. The last line
says what that makes of the steps in `prior.py`'s tables. One thread; a machine that does something
else meanwhile tells nothing. A few photos suffice: they are decoded once.
"""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import median

import torch
from prior import CONSTANT, OURS, TASKS, VARIANTS, preset_for, preset_of_variant
from small_budget import trained

from diffir.presets import choose

STEPS = 60
"""Of each stage in a round; the log has the seconds of the last ones, when all photos are read."""
OF_A_TABLE = {"stage1": 1000, "prior": 560, "joint": 840}


def seconds_of(task: str, variant: str, data: list[str], settings: list[str]) -> dict[str, float]:
    """Seconds of a step at the end of each phase."""
    preset = preset_for(task, STEPS, STEPS, 0)
    preset = preset_of_variant(
        VARIANTS[variant], choose({preset.name: preset}, preset.name, settings)
    )
    with tempfile.TemporaryDirectory() as folder:
        trained(preset, [*VARIANTS[variant].settings], data, Path(folder))
        rows = map(json.loads, Path(folder, "log.jsonl").read_text().splitlines())
        return {row["phase"]: row["seconds"] for row in rows if "seconds" in row}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=5)
    words = parser.parse_args()
    torch.set_num_threads(1)
    rounds = [
        {name: seconds_of(words.task, name, words.train, words.set) for name in (CONSTANT, OURS)}
        for _ in range(words.rounds)
    ]
    found = {
        name: {phase: median(each[name][phase] for each in rounds) for phase in phases}
        for name, phases in rounds[0].items()
    }
    measure = found[CONSTANT]["stage1"]
    print("| variant | phase | seconds a step | times the constant's |\n| --- | --- | --- | --- |")
    for name, phases in found.items():
        for phase, seconds in phases.items():
            print(f"| {name} | {phase} | {seconds:.3f} | {seconds / measure:.2f} |")
    steps = sum(count * found[OURS][phase] for phase, count in OF_A_TABLE.items()) / measure
    print(
        f"\n{sum(OF_A_TABLE.values())} steps of ours take as long as {steps:.0f} of the constant's"
    )


if __name__ == "__main__":
    main()
