"""What the docs tell people to type works, and what they point at exists."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from official import network, toy, write_lightning, write_pth
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CARDS = sorted((ROOT / "src" / "diffir" / "weights").glob("*.md"))
TRAINING_IS_TESTED_ELSEWHERE = "diffir train"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def commands(page: str) -> list[str]:
    text = "".join(blocks(page, "sh")).replace("\\\n", "")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def run_commands(page: str) -> None:
    """Every line of the page's `sh` blocks, in turn."""
    for command in commands(page):
        words = shlex.split(command, comments=True)
        assert words[0] == "diffir"
        if command.startswith(TRAINING_IS_TESTED_ELSEWHERE):
            words = [*words[:2], "--help"]
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{command}: {result.output}"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that README's commands name."""
    monkeypatch.chdir(tmp_path)
    photo = Image.fromarray(data.astronaut()[:40, 200:248])
    Path("photos/inner").mkdir(parents=True)
    for name in ("photo.jpg", "photo.png", "blurry.png"):
        photo.save(name)
    names = "photos/a.png", "photos/inner/b.jpg", "photos/inner/c.png"
    for top, name in zip((0, 9, 18), names, strict=True):  # large enough to train on
        Image.fromarray(data.astronaut()[top : top + 128, 180:310]).save(name)
    mask = np.zeros((40, 48), np.uint8)
    mask[10:20, 10:20] = 255
    Image.fromarray(mask).save("mask.png")
    deblur, inpaint = network(2, toy("deblur")), network(2, toy("inpaint"))
    format.save(Checkpoint(model=deblur, task="deblur"), Path("weights.safetensors"))
    write_pth(Path("official.pth"), deblur)
    write_lightning(Path("inpaint.ckpt"), inpaint)
    return tmp_path


@pytest.mark.usefixtures("desk")
def test_the_commands_of_the_readme_work_one_after_another() -> None:
    assert len(commands(README)) >= 7
    run_commands(README)
    for name in ("restored.png", "restored/inner/b.jpg", "sharp.png", "filled.png"):
        assert Path(name).exists(), name


@pytest.mark.usefixtures("desk")
def test_the_python_of_the_readme_works() -> None:
    (code,) = blocks(README, "python")
    subprocess.run([sys.executable, "-c", code], check=True)
    assert Image.open("restored.png").size == (192, 160)


PAGES = {page.stem: page.read_text("utf-8") for page in DOCS[2:]}


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if commands(text)])
def test_the_commands_of_a_page_work_one_after_another(page: str) -> None:
    run_commands(PAGES[page])


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("page", [name for name in PAGES if blocks(PAGES[name], "python")])
def test_the_python_of_a_page_works(page: str) -> None:
    code = "\n".join(blocks(PAGES[page], "python"))
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (pip install '.[docs]')")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "models" / "sr-x4-lite" / "index.html").exists()
    loaded = re.compile(r"<(?:script|img|link)[^>]*(?:src|href)=\"(https?:)?//[^>]*>")
    for page in tmp_path.rglob("*.html"):
        assert not loaded.search(page.read_text("utf-8")), page


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    cells = json.loads((ROOT / "examples" / "restore.ipynb").read_text("utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout == "(24, 48) → (96, 192)\n" * 2


@pytest.mark.parametrize("page", [*DOCS, *CARDS], ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} points at {target}"


@pytest.mark.parametrize("page", [*DOCS, *CARDS], ids=lambda page: page.name)
def test_scripts_that_the_docs_name_exist(page: Path) -> None:
    for script in re.findall(r"python ((?:benchmarks|examples)/\S+\.py)", page.read_text("utf-8")):
        assert (ROOT / script).exists(), script


@pytest.mark.parametrize("page", [*DOCS, *CARDS], ids=lambda page: page.name)
def test_options_that_the_docs_name_exist(page: Path) -> None:
    """Every `diffir VERB --option` in the docs is an option of that verb."""
    for verb, rest in re.findall(
        r"diffir (data [a-z-]+|[a-z][a-z-]*)([^\n`]*)", page.read_text("utf-8")
    ):
        shown = CliRunner().invoke(app, [*verb.split(), "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"(--[a-z-]+)", rest):
            assert option in shown, f"{verb} has no {option}"


@pytest.mark.parametrize("page", [*DOCS, *CARDS], ids=lambda page: page.name)
def test_options_of_scripts_that_the_docs_name_exist(page: Path) -> None:
    shared = (ROOT / "benchmarks" / "small_budget.py").read_text("utf-8")
    text = page.read_text("utf-8").replace("\\\n", "")
    for script, rest in re.findall(r"python ((?:benchmarks|examples)/\S+\.py)([^\n`#]*)", text):
        code = (ROOT / script).read_text("utf-8") + shared
        for option in re.findall(r"--[a-z-]+[0-9]?", rest):
            assert f'"{option}"' in code, f"{script} has no {option}"


def test_every_bundled_file_has_a_card_and_is_small() -> None:
    files = sorted((ROOT / "src" / "diffir" / "weights").glob("*.safetensors"))
    assert [file.stem for file in files] == [card.stem for card in CARDS]
    for file in files:
        assert file.stat().st_size <= 10_000_000
        info = format.read_info(file)
        assert info.preset == file.stem
        assert info.dtype == "F16"
