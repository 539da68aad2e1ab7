"""The processes of torchrun make together what one makes, and know what all made before."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from official import network, toy
from PIL import Image

from diffir.checkpoints import Checkpoint, format
from diffir.distributed import rank_of_torchrun
from diffir.inference import Restorer
from diffir.inference.batch import restore_files
from diffir.inference.jobs import plan
from diffir.inference.manifest import Settings, open_manifest

BUILD = partial(Restorer.from_pretrained, "toy.safetensors", device="cpu")
SETTINGS = Settings(model="toy", weights="ab" * 32, seed=5)
RANK = """
import sys
from pathlib import Path
from diffir.distributed.ranks import rank_of_torchrun, summed
from diffir.errors import PictureError
from diffir.inference import Restorer
from diffir.inference.batch import restore_files
from diffir.inference.jobs import plan
from diffir.inference.manifest import Settings, open_manifest
with rank_of_torchrun() as rank:
    try:
        rank.part(plan([Path("in")], Path("out"), exclude=[f"*{rank.number}.png"]))
    except PictureError as error:
        sys.stdout.write(f"{error}\\n")  # in one piece: others write, too
        sys.stdout.flush()
    assert not Path("out").exists()
    jobs = rank.part(plan([Path("in")], Path("out")))
    settings = Settings(model="toy", weights="ab" * 32, seed=5)
    restorer = Restorer.from_pretrained("toy.safetensors", device="cpu")
    with open_manifest(Path("out"), settings, jobs, rank.number) as manifest:
        done = list(restore_files(restorer, jobs, seed=5, manifest=manifest))
    failed = sum(outcome.error is not None for outcome in done)
    skipped = sum(outcome.skipped is not None for outcome in done)
    sums = summed([len(done) - failed - skipped, skipped, failed])
    if rank.number == 0:
        print(*sums, flush=True)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> None:
    """Six pictures, one of them broken, and a network."""
    monkeypatch.chdir(tmp_path)
    format.save(Checkpoint(model=network(2, toy("deblur")), task="deblur"), Path("toy.safetensors"))
    Path("in").mkdir()
    for index in range(5):
        pixels = np.random.default_rng(index).integers(0, 256, (9, 8 + index, 3), np.uint8)
        Image.fromarray(pixels).save(f"in/{index}.png")
    Path("in/bad.png").write_text("no picture")
    Path("rank.py").write_text(RANK)


def torchrun(processes: int) -> list[str]:
    """What the processes print."""
    command = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [sys.executable, *command, "rank.py"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def contents(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.png")}


def alone(output: str) -> list[str | None]:
    jobs = plan([Path("in")], Path(output))
    with open_manifest(Path(output), SETTINGS, jobs) as manifest:
        done = list(restore_files(BUILD(), jobs, seed=5, manifest=manifest))
    return [outcome.skipped for outcome in done if not outcome.error]


def test_processes_share_a_folder_that_any_other_number_of_them_goes_on_with():
    *blind, told = torchrun(2)
    assert [line.partition(";")[0] for line in blind] == [
        "the processes see different pictures (5, 5 of them)"
    ] * 2
    assert told == "5 0 1"
    alone("alone")
    assert contents("out") == contents("alone")
    sources = {
        path: [json.loads(line)["source"] for line in Path(path).read_text().splitlines()]
        for path in ("out/manifest.jsonl", "out/manifest/1.jsonl")
    }
    assert sources["out/manifest.jsonl"] == ["0.png", "2.png", "4.png"]
    assert sources["out/manifest/1.jsonl"] == ["1.png", "3.png", "bad.png"]
    there = "already made from the same input"
    Path("out/3.png").unlink()
    assert alone("out") == [there, there, there, None, there]
    assert contents("out") == contents("alone")


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with rank_of_torchrun() as rank:
        assert rank is None
