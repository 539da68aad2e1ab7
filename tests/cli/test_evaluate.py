"""diffir evaluate and diffir compare: tables, reports, and a sentence for every mistake."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from official import network, toy
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app
from diffir.evaluation import evaluate as judging

PHOTO = np.ascontiguousarray(data.astronaut()[90:122, 200:240])  # (32, 40, 3)


def call(*words: str) -> Result:
    """The command line in this process; whatever it did not expect is raised."""
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "sr-x2.safetensors"
    format.save(Checkpoint(model=network(2, toy("sr-x2")), task="sr"), file)
    return file


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> Path:
    """A working folder with a model, GT, and two other programs' pictures."""
    monkeypatch.chdir(tmp_path)
    Path("model.safetensors").symlink_to(model)
    for index in range(3):
        save(f"gt/{index}.png", PHOTO + np.uint8(index))
        save(f"a/{index}_out.png", PHOTO + np.uint8(index + 2))
        save(f"b/{index}x4.png", PHOTO + np.uint8(index))
    return tmp_path


def save(name: str, pixels: np.ndarray) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(name)


def evaluate(*words: str) -> Result:
    return call("evaluate", "model.safetensors", *words, "--device", "cpu")


@pytest.mark.usefixtures("here")
def test_the_table_and_the_reports_tell_the_same() -> None:
    words = ["--data", "gt", "--baselines", "--metrics", "psnr_y,ssim", "--border", "3"]
    result = evaluate(*words, "-o", "out/r.json", "-o", "r.html")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split(" | ")[0] for line in lines[:6]] == [
        *("| method", "| ---", "| model.safetensors", "| nearest", "| bicubic", "| lanczos")
    ]
    assert "without a border of 3 pixels" in result.output
    assert "LQ of 3 of 3 pictures was made: bicubic, seed 0" in result.output
    found = json.loads(Path("out/r.json").read_text())
    assert f"{found['methods'][0]['means']['psnr_y']['value']:.2f} [" in lines[2]
    assert "data:image/png;base64," in Path("r.html").read_text()


@pytest.mark.usefixtures("here")
def test_the_degradation_and_the_seed_are_those_asked_for() -> None:
    for index in range(3):
        save(f"gt/{index}.png", data.astronaut()[90:140, 200:250])
    words = ["--metrics", "psnr_y", "--degradation", "mild"]
    first, other = (evaluate("--data", "gt", *words, "--seed", seed).output for seed in "34")
    assert "LQ of 3 of 3 pictures was made: mild, seed 3" in first
    assert first.splitlines()[2].rsplit("|", 2)[0] != other.splitlines()[2].rsplit("|", 2)[0]


@pytest.mark.usefixtures("here")
def test_the_papers_numbers_come_on_demand() -> None:
    result = evaluate("--data", "gt", "--benchmark", "Set14", "--beside", "paper")
    assert result.exit_code == 0
    assert "set14: 3 of 14 pictures found" in result.output
    assert "the paper has no psnr_y, ssim_y of set14 ×2" in result.output


@pytest.mark.usefixtures("here")
def test_a_broken_picture_does_not_stop_the_rest_but_the_exit_tells() -> None:
    Path("gt/1.png").write_bytes(Path("gt/1.png").read_bytes()[:300])
    result = evaluate("--data", "gt", "-o", "r.csv")
    assert result.exit_code == 2
    assert "| model.safetensors | 2 of 3 |" in result.output
    assert "failed: 1: gt/1.png" in result.output
    assert "gt/1.png" in Path("r.csv").read_text()


@pytest.mark.usefixtures("here")
def test_folders_are_compared() -> None:
    result = call("compare", "a", "b", "--gt", "gt", "-o", "r.csv")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[2].startswith("| a | 3 | 42.11 [42.11, 42.11] | ")  # 20 log₁₀ (255 / 2)
    assert lines[3].startswith("| b | 3 | inf | 1.0000 [1.0000, 1.0000] | ")
    assert len(Path("r.csv").read_text().splitlines()) == 1 + 6
    result = call("compare", "a", "--gt", "gt", "--border", "3", "--seed", "5")
    assert "without a border of 3 pixels" in result.output
    assert "bootstrap over pictures, seed 5" in result.output


@pytest.mark.usefixtures("here")
def test_cropping_compares_what_is_shared() -> None:
    for index in range(3):
        save(f"b/{index}x4.png", PHOTO[:30, :40] + np.uint8(index))
    result = call("compare", "b", "--gt", "gt", "--crop", "-o", "r.html")
    assert result.exit_code == 0
    assert "| b | 3 | inf |" in result.output


MISTAKES = {
    "another size": ("a --gt gt", "a/0_out.png is 20×32 and gt/0.png 40×32"),
    "cropping offered": ("a --gt gt", "--crop"),
    "gray": ("gray --gt gt", "gray/0.png is gray and gt/0.png has colours; save both the same way"),
    "16 bits": ("deep --gt gt", "deep/0.tif has 16 bits a channel and gt/0.png has 8 bits"),
    "empty": ("empty --gt gt", "empty holds no picture"),
    "empty GT": ("b --gt empty", "empty holds no picture"),
    "no folder": ("nope --gt gt", "nope is not a folder"),
    "names": ("other --gt gt", "other has 3 pictures and GT 3, but other lacks 0, 1, 2"),
    "surplus": ("b --gt few", "b has 3 pictures and GT 2, but GT lacks 2"),
    "counts": ("few --gt gt", "few has 2 pictures and GT 3, but few lacks 2"),
    "twice": ("b b --gt gt", "b is given twice"),
    "no GT": ("b", "no metric is left: psnr is left out because the pictures have no GT"),
    "metric": ("b --gt gt --metrics psnr,x", "metric 'x' found; choose from psnr"),
    "report": ("b --gt gt -o r.pdf", "r.pdf does not have the suffix of a report"),
    "report exists": ("b --gt gt -o r.md", "r.md exists; choose another name or add --overwrite"),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("words", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_what_can_not_be_compared_is_a_sentence(words: str, sentence: str) -> None:
    Path("empty").mkdir()
    Path("r.md").write_text("mine")
    save("a/0_out.png", PHOTO[:, :20])
    for index in range(3):
        save(f"other/z{index}.png", PHOTO)
        save(f"gray/{index}.png", PHOTO[..., 0])
        Path("deep").mkdir(exist_ok=True)
        tifffile.imwrite(f"deep/{index}.tif", PHOTO.astype(np.uint16) * 257, photometric="rgb")
    for index in range(2):
        save(f"few/{index}.png", PHOTO)
    result = call("compare", *words.split())
    assert result.exit_code == 2
    assert sentence in result.output
    assert result.output.count("\n") == 1
    assert Path("r.md").read_text() == "mine"


@pytest.mark.usefixtures("here")
def test_nan_is_a_sentence_about_its_picture() -> None:
    for folder in ("gt", "b"):
        for path in Path(folder).iterdir():
            path.unlink()
        for index in range(2):
            tifffile.imwrite(f"{folder}/{index}.tif", PHOTO / np.float32(255), photometric="rgb")
    broken = PHOTO / np.float32(255)
    broken[0, 0] = np.nan
    tifffile.imwrite("b/1.tif", broken, photometric="rgb")
    result = call("compare", "b", "--gt", "gt")
    assert result.exit_code == 2
    assert "failed: 1: b/1.tif: " in result.output
    assert "nan" in result.output
    assert "| b | 1 of 2 | inf |" in result.output


@pytest.mark.usefixtures("here")
def test_where_no_picture_can_be_judged_there_is_a_sentence_and_no_report() -> None:
    broken = np.full((32, 40, 3), np.nan, np.float32)
    for folder, pixels in (("deep", PHOTO / np.float32(255)), ("nan", broken)):
        Path(folder).mkdir()
        for index in range(3):
            tifffile.imwrite(f"{folder}/{index}.tif", pixels, photometric="rgb")
    result = call("compare", "nan", "--gt", "deep", "-o", "r.csv")
    assert result.exit_code == 2
    assert result.output.startswith("error: no picture could be scored; 0: nan/0.tif: pixels from")
    assert result.output.endswith("; 2 more failed\n")
    assert result.output.count("\n") == 1
    assert not Path("r.csv").exists()


@pytest.mark.usefixtures("here")
def test_a_report_of_no_known_suffix_is_refused_before_anything_is_done() -> None:
    result = evaluate("--data", "nope", "-o", "r.xyz")
    assert result.exit_code == 2
    assert "r.xyz does not have the suffix of a report; use .html" in result.output
    assert not Path("r.xyz").exists()


@pytest.mark.usefixtures("here")
def test_several_processes_tell_of_broken_pictures_as_one_does() -> None:
    Path("gt/1.png").write_bytes(Path("gt/1.png").read_bytes()[:300])
    Path("gt/2.png").write_text("no")
    one, two = (evaluate("--data", "gt", "--metrics", "psnr", "--jobs", n) for n in "12")
    assert one.exit_code == two.exit_code == 2
    for result in (one, two):
        assert "failed: 1: gt/1.png: " in result.output
        assert "failed: 2: gt/2.png: not a picture" in result.output
    assert one.output.splitlines()[3:] == two.output.splitlines()[3:]  # above, seconds differ


@pytest.mark.usefixtures("here")
@pytest.mark.skipif(sys.platform != "linux", reason="the processes are looked up in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_no_process_outlives_an_evaluation(number: int, code: int) -> None:
    for index in range(400):
        save(f"gt/{index}.png", PHOTO)
    words = ["evaluate", "model.safetensors", "--data", "gt", "--metrics", "psnr", "--jobs", "2"]
    command = [sys.executable, "-m", "diffir", *words, "-o", "report.json", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: len(found.read_text().split()) >= 3, 60)  # and the resource tracker
        children = found.read_text().split()
        # Until a worker has read what to do, Python itself complains of a parent that is gone
        wait_until(lambda: sum(map(has_torch, children)) == 2, 60)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), 30)
    assert not Path("report.json").exists()


def has_torch(process: str) -> bool:
    return "libtorch" in Path(f"/proc/{process}/maps").read_text()


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    latest = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < latest
        time.sleep(0.05)


@pytest.mark.usefixtures("here")
def test_processes_are_as_many_as_gpus_if_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        judging, "evaluate", lambda plan, *, jobs, threads: asked.append((jobs, threads)) or []
    )
    monkeypatch.setattr(judging, "jobs_for", lambda device: {"auto": 3, "cpu": 1}[device])
    for words in (["--device", "auto"], ["--device", "cpu"], ["--jobs", "2", "--threads", "5"]):
        call("evaluate", "model.safetensors", "--data", "gt", *words)
    assert asked == [(3, None), (1, None), (2, 5)]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--data empty", "empty holds no picture"),
        ("--data gt --metrics mse", "metric 'mse' found; choose from psnr"),
        ("--data gt --beside paper", "--beside paper found without --benchmark"),
        ("--data gt --benchmark set6", "benchmark 'set6' found"),
        ("--data nope", "nope does not exist"),
        ("--data gt --benchmark gopro", "gopro is for deblur and the model for sr"),
        ("--data gt --metrics psnr_hole", "no metric is left"),
        ("--data gt -o gt/0.png/r.md", "gt/0.png is a file"),
        ("--data dead-leaves", "has synthetic pictures"),
    ],
)
def test_mistakes_are_a_sentence(words: str, sentence: str) -> None:
    Path("empty").mkdir()
    result = evaluate(*words.split())
    assert result.exit_code == 2
    assert sentence in result.output
    assert result.output.count("\n") == 1


@pytest.mark.usefixtures("here")
def test_a_report_is_there_when_nobody_reads_the_table() -> None:
    words = [sys.executable, "-m", "diffir", "compare", "a", "--gt", "gt", "-o", "r.json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()  # as `| true` does
        process.wait(60)
    assert json.loads(Path("r.json").read_text())["methods"][0]["pictures"] == 3
