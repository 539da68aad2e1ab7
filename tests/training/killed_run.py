"""A toy run that is killed again and again, then let to its end, in a process of its own.

python killed_run.py UNBROKEN BROKEN PICTURES: trains in both folders, in the second one with kills,
and prints the phases and steps that were reported last when the kills came.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from diffir.presets import RECIPES, choose
from diffir.training import build, log, order  # `log`, so that forks need not import TensorBoard
from diffir.training.fabric import opened_fabric
from diffir.training.run import Run

STEPS, KILLS = 6, 10
PHASES = ("stage1", "prior", "joint", "finetune")
SMALL = ("batch_size=2", "lq_size=8", f"steps={STEPS}", "warmup_steps=1")
SETTINGS = (
    *(f"{phase}.{setting}" for phase in PHASES for setting in SMALL),
    "finetune.adversary.warmup_steps=2",
)


def train(folder: Path, pictures: str) -> None:
    preset = choose(RECIPES, "toy-sr", SETTINGS)
    fabric = opened_fabric(torch.device("cpu"))
    run = Run(folder=folder, fabric=fabric, save_every=2, log_every=1)
    build.train(order.Order(preset=preset, data=(pictures,), folder=folder), run)


def forked(folder: Path, pictures: str) -> int:
    """The id of a process that trains, and fails with 1 where training does."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        train(folder, pictures)
        code = 0
    finally:
        os._exit(code)


def done(folder: Path) -> int:
    """The steps of all phases that were reported."""
    lines = log.read_log(folder / "log.jsonl")
    return STEPS * PHASES.index(lines[-1]["phase"]) + lines[-1]["step"] if lines else 0


def killed(folder: Path, pictures: str, at: int, delay: float) -> bool:
    """Train until step `at` was reported and a moment longer; whether a kill ended it."""
    child = forked(folder, pictures)
    while done(folder) < at:
        time.sleep(0.002)
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return False
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main(unbroken: Path, broken: Path, pictures: str) -> None:
    torch.set_num_threads(1)
    log.writer_class()
    moments, kills = random.Random(0), []
    for at in sorted(moments.sample(range(STEPS * len(PHASES) - 4), KILLS)):
        if killed(broken, pictures, at, moments.uniform(0, 0.1)):
            kills.append(divmod(done(broken), STEPS))
    for folder in (broken, unbroken):
        _, status = os.waitpid(forked(folder, pictures), 0)
        assert os.waitstatus_to_exitcode(status) == 0
    print(json.dumps(kills))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
