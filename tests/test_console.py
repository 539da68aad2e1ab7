"""What the docs show of a terminal, page by page in a real shell (tests/console.sh).

`sh` blocks are run by test_docs.py; these here want servers, several processes or other programs.
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from official import network, toy
from PIL import Image
from skimage import data

from diffir.checkpoints import Checkpoint, format

ROOT = Path(__file__).parents[1]
PAGES = {
    page.stem: page.read_text("utf-8")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
WANTED = {"app": "gradio", "--ray": "ray", "export": "onnxruntime", "video": "av", "s3:": "upath"}
"""Packages that some commands want, by a word of those."""
HERE = {"10.0.0.1:6379": "local", "s3://bucket": "file://$PWD", "/disk/": ""}
"""Places that a reader has, and what they are in a test."""
NOT_RUN = ("DATA/", "python -m venv", "http.server")
"""Blocks that measure on photos which the project has not, that install, that serve for good."""


def blocks(page: str) -> list[str]:
    found = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    return [block for block in found if not any(word in block for word in NOT_RUN)]


def video(path: Path) -> None:
    """Ten small frames."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for left in range(10):
            pixels = np.ascontiguousarray(data.astronaut()[100:132, 200 + left : 248 + left])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def of_all_workers(factory: pytest.TempPathFactory) -> Path:
    """The folder of this run of the tests."""
    mine = factory.getbasetemp()
    return mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the files that the pages name."""
    for folder in ("photos", "DIV2K_train_HR", "clips", "toys", "user/repo@v1"):
        (tmp_path / folder).mkdir(parents=True)
    photo = Image.fromarray(data.astronaut()[:24, 200:232])
    for name in ("photo.jpg", "photo.png", "photos/a.png", "photos/b.jpg"):
        photo.save(tmp_path / name)
    Image.fromarray(data.astronaut()).save(tmp_path / "DIV2K_train_HR" / "0001.png")
    mask = np.zeros((24, 32), np.uint8)
    mask[5:12, 6:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    if find_spec("av"):
        video(tmp_path / "film.mp4")
        video(tmp_path / "clips" / "walk.mp4")
    # The least there is, because every block takes seconds to export
    least = {"num_blocks": (1, 0, 0, 0), "num_refinement_blocks": 0, "timesteps": 1}
    files = {
        "toys/sr-x4-lite.safetensors": (toy("sr-x4", **least), "sr"),
        "user/repo@v1/model.safetensors": (toy("deblur"), "deblur"),
        "my-inpainting.safetensors": (toy("inpaint"), "inpaint"),
    }
    for name, (config, task) in files.items():
        format.save(Checkpoint(model=network(2, config), task=task), tmp_path / name)
    return tmp_path


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [name for name, page in PAGES.items() if blocks(page)])
def test_what_a_page_shows_of_a_terminal_works(
    page: str, desk: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = re.sub(r"(?m)^\$ ", "", "".join(blocks(PAGES[page])))
    for word, package in WANTED.items():
        if word in text:
            pytest.importorskip(package)
    for place, here in HERE.items():
        text = text.replace(place, here)
    binaries = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-c", f"source {ROOT}/tests/console.sh\n{text}"],
        cwd=desk,
        env={
            **os.environ,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "ROOT": str(ROOT),
            "TOY": "toys/sr-x4-lite.safetensors",
            "EXPORTED": str(of_all_workers(tmp_path_factory) / "sr-x4-lite.onnx"),
            "DIFFIR_WEIGHTS": str(desk),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
