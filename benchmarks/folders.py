"""Whether a folder that is restored under SIGKILL after SIGKILL ends as one restored undisturbed.

    python benchmarks/folders.py [--pictures 200] [--kills 20] [--workers N]

Small pictures and a toy network, on a CPU with one thread: the files are what is looked at, not the
speed. Each run is killed at a random moment, in one case of ten while it starts, and begun again.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from diffir.checkpoints import Checkpoint, format
from diffir.model import DiffIRS2
from diffir.presets import RECIPES

MANIFEST = "manifest.jsonl"
SIDE = 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder, asked.pictures)
        words = [] if asked.workers is None else ["--workers", str(asked.workers)]
        alone = undisturbed(folder, "whole", words)
        began = time.monotonic()
        rests = [
            kill_one(folder, words, random.Random(number), asked.pictures // (asked.kills + 1))
            for number in range(asked.kills)
        ]
        last = undisturbed(folder, "out", words)
        print(
            f"{asked.pictures} pictures, {asked.kills} runs to be killed, {words or 'no workers'}"
        )
        print(f"killed: {sum(rest is not None for rest in rests)}")
        print(f"unfinished files that kills left: {sum(rest or 0 for rest in rests)}")
        report(folder)
        print(f"unbroken: {alone}\nlast run: {last}\nall runs: {time.monotonic() - began:.0f} s")
        print(f"one more: {undisturbed(folder, 'out', words)}")


def prepare(folder: Path, pictures: int) -> None:
    """The pictures, in some folders, and a network."""
    torch.manual_seed(0)
    format.save(
        Checkpoint(model=DiffIRS2(RECIPES["toy-deblur"].config), task="deblur"),
        folder / "toy.safetensors",
    )
    for index in range(pictures):
        path = folder / "in" / f"{index % 7}" / f"{index:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(path)


def start(folder: Path, output: str, words: list[str]) -> "subprocess.Popen[str]":
    """A run in a process of its own."""
    asked = ["in", "-o", output, "--model", "toy.safetensors", "--device", "cpu", *words]
    return subprocess.Popen(
        [sys.executable, "-m", "diffir", "restore", *asked],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def undisturbed(folder: Path, output: str, words: list[str]) -> str:
    """The last line of a run that is left alone."""
    with start(folder, output, words) as process:
        told, _ = process.communicate()
    assert process.returncode == 0, told
    return told.splitlines()[-1]


def kill_one(folder: Path, words: list[str], chance: random.Random, share: int) -> int | None:
    """Begin a run and kill it at a random moment; how many unfinished files are left then.

    None where it had ended before.
    """
    out = folder / "out"
    wanted = 0 if chance.random() < 0.1 else len(pictures_in(out)) + chance.randint(1, share)
    with start(folder, "out", words) as process:
        while process.poll() is None and len(pictures_in(out)) < wanted:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.1) if wanted else chance.uniform(0, 2))
        process.kill()
        process.communicate()
    left = len(list(out.rglob(".diffir-*.part")))
    return None if process.returncode == 0 else left


def pictures_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*.png"))


def report(folder: Path) -> None:
    """Compare what the killed runs made with what the unbroken one made."""
    whole, out = (digests(folder / name) for name in ("whole", "out"))
    lines = [json.loads(line) for line in (folder / "out" / MANIFEST).read_text().splitlines()]
    told = {line["target"]: line["target_sha256"] for line in lines}
    print(f"same files, same bits: {out == whole} ({len(out)})")
    print(f"manifest tells each file: {told == whole}")
    print(f"lines more than files, so files made twice: {len(lines) - len(whole)}")


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file but the manifest; stray files are among them."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


if __name__ == "__main__":
    main()
