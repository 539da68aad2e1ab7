"""`diffir restore` beyond this machine's disk and process."""

from pathlib import Path

import numpy as np
import pytest
from official import network, toy
from PIL import Image
from typer.testing import CliRunner

from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app

TOY = ["--model", "toy.safetensors", "--device", "cpu"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> None:
    """Two pictures and a network."""
    monkeypatch.chdir(tmp_path)
    format.save(Checkpoint(model=network(2, toy("deblur")), task="deblur"), Path("toy.safetensors"))
    Path("in").mkdir()
    for index in range(2):
        pixels = np.random.default_rng(index).integers(0, 256, (9, 8 + index, 3), np.uint8)
        Image.fromarray(pixels).save(f"in/{index}.png")


def restore(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["restore", *words, *TOY])
    return result.exit_code, " ".join(result.output.split())


def test_a_store_is_restored_into_another_folder_of_it():
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("upath")
    store = fsspec.filesystem("memory")
    store.put("in", "/verb/in", recursive=True)
    words = ("memory://verb/in", "-o", "memory://verb/out")
    code, told = restore(*words)
    assert code == 0, told
    assert "memory://verb/in/0.png → memory://verb/out/0.png" in told
    assert restore("in", "-o", "out")[0] == 0
    assert store.cat_file("/verb/out/1.png") == Path("out/1.png").read_bytes()
    assert "0 restored, 2 skipped, 0 failed" in restore(*words)[1]
    assert "would skip" in restore(*words, "--dry-run")[1]
    store.rm("/verb", recursive=True)


def test_a_url_that_leads_nowhere_is_a_sentence():
    pytest.importorskip("upath")
    code, told = restore("nowhere://in", "-o", "out")
    assert code == 2
    assert told.startswith("error: nowhere://in can't be reached")


def test_a_cluster_that_is_not_there_is_a_sentence():
    pytest.importorskip("ray")
    code, told = restore("in", "-o", "out", "--ray", "127.0.0.1:1")
    assert code == 2
    assert told.startswith("error: no Ray cluster at 127.0.0.1:1")
    assert not Path("out").exists()
