"""The command line: pictures come out, and every mistake is one sentence and exit code 2."""

import os
import re
import shutil
import signal
import subprocess
import sys
from io import UnsupportedOperation
from pathlib import Path

import numpy as np
import pytest
import typer
from official import network, toy, write_pth
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

import diffir
from diffir.checkpoints import Checkpoint, format
from diffir.cli import app as cli
from diffir.cli.app import app, explained
from diffir.images import read
from diffir.inference import Restorer
from diffir.loading import bundled_file
from diffir.presets import PRESETS

PHOTO = np.ascontiguousarray(data.astronaut()[90:114, 200:232])  # (24, 32, 3)
HOLES = np.zeros(PHOTO.shape[:2], np.uint8)
HOLES[5:12, 6:20] = 255
VERBS = [
    *("restore", "models", "info", "convert", "cost", "evaluate", "compare"),
    *(
        "train",
        "runs",
        "find-rate",
        "degrade",
        "recipe",
        "serve",
        "probe",
        "export",
        "video",
        "app",
    ),
]
DATA_VERBS = ["check", "degrade", "blur-video", "masks", "prepare", "preview", "shard"]


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A folder of toy networks."""
    folder = tmp_path_factory.mktemp("weights")
    for preset, task in (("deblur", "deblur"), ("inpaint", "inpaint"), ("sr-x2", "sr")):
        model = network(2, toy(preset))
        format.save(Checkpoint(model=model, task=task), folder / f"{preset}.safetensors")
    format.save(
        Checkpoint(model=network(1, toy("deblur")), task="deblur"), folder / "stage1.safetensors"
    )
    whole = (folder / "deblur.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, weights) -> Path:
    """A working folder with a photo, its mask, and the toy networks."""
    monkeypatch.chdir(tmp_path)
    for file in weights.iterdir():
        shutil.copy(file, tmp_path)
    Image.fromarray(PHOTO).save("photo.png")
    Image.fromarray(HOLES).save("mask.png")
    return tmp_path


def call(*words: str) -> Result:
    """The command line in this process; whatever it did not expect is raised."""
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def restore(*words: str, model: str = "deblur") -> Result:
    return call("restore", *words, "--model", f"{model}.safetensors", "--device", "cpu")


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "diffir", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **environment},
        timeout=60,
    )


def content() -> dict[str, bytes]:
    """Every file below the working folder."""
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_a_picture_is_restored_as_the_restorer_does_it(here):
    result = restore("photo.png", "-o", "new/out.png", "--seed", "4")
    assert result.exit_code == 0
    assert "photo.png → new/out.png" in result.output
    restorer = Restorer.from_pretrained("deblur.safetensors", device="cpu")
    expected = restorer(PHOTO, seed=4).to_array()
    np.testing.assert_array_equal(read("new/out.png").to_array(), expected)


def test_a_bound_of_memory_is_told_before_and_changes_no_bit(here):
    restore("photo.png", "-o", "free.png")
    words = ["photo.png", "-o", "bound.png", "--memory", "200MB", "-v"]
    done = run("restore", *words, "--model", "deblur.safetensors")
    assert (done.returncode, done.stdout) == (0, "photo.png → bound.png\n")
    assert re.search(r"1 picture of 32×24: whole maps, below \d+ MB", done.stderr)
    assert Path("bound.png").read_bytes() == Path("free.png").read_bytes()


def test_a_network_for_super_resolution_enlarges(here):
    assert restore("photo.png", "-o", "out.png", model="sr-x2").exit_code == 0
    assert Image.open("out.png").size == (64, 48)


def test_holes_are_filled_and_known_pixels_untouched(here):
    assert (
        restore("photo.png", "-o", "out.png", "--mask", "mask.png", model="inpaint").exit_code == 0
    )
    result = np.asarray(Image.open("out.png"))
    np.testing.assert_array_equal(result[HOLES == 0], PHOTO[HOLES == 0])
    assert (result[HOLES > 0] != PHOTO[HOLES > 0]).any()


def test_a_folder_keeps_its_structure_and_a_bad_file_is_told_and_skipped(here):
    for name in ("in/[a].png", "in/:dog:.png", "in/x y/é日本.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PHOTO).save(name)
    Path("in/bad.png").write_bytes(Path("photo.png").read_bytes()[:200])
    result = restore("in", "-o", "out")
    assert result.exit_code == 2
    assert "failed: in/bad.png" in result.output
    assert "3 restored, 0 skipped, 1 failed" in result.output
    names = {path.as_posix() for path in Path("out").rglob("*.*")} - {"out/manifest.jsonl"}
    assert names == {"out/[a].png", "out/:dog:.png", "out/x y/é日本.jpg"}
    assert all(f"→ {name}\n" in result.output for name in names)
    again = restore("in", "-o", "out")
    assert "0 restored, 3 skipped, 1 failed" in again.output
    assert "--overwrite replaces" in again.output


def test_a_folder_of_masks_goes_by_names(here):
    for name in ("in/a.png", "in/b.png", "masks/b.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Image.fromarray(PHOTO if name.startswith("in") else HOLES).save(name)
    result = restore("in", "-o", "out", "--mask", "masks", model="inpaint")
    assert result.exit_code == 2
    assert "in/a.png has no mask" in result.output
    assert [path.name for path in Path("out").glob("*.png")] == ["b.png"]


def test_overwriting_is_a_choice(here):
    Path("out.png").write_text("mine")
    assert restore("photo.png", "-o", "out.png").exit_code == 2
    assert Path("out.png").read_text() == "mine"
    assert restore("photo.png", "-o", "out.png", "--overwrite").exit_code == 0
    assert read("out.png").width == 32


MISTAKES = {
    "missing file": ("nope.png -o out.png", "nope.png does not exist"),
    "folder without pictures": ("empty -o out", "empty holds no picture"),
    "corrupt picture": ("bad.png -o out.png", "bad.png: not a picture"),
    "unknown suffix": ("photo.png -o out.gif", "out.gif has no picture suffix"),
    "unknown format": ("photo.png -o out --format gif", "format 'gif' found"),
    "output is the input": ("photo.png -o photo.png --overwrite", "photo.png is an input"),
    "output exists": ("photo.png -o mask.png", "mask.png exists"),
    "output folder is a file": ("photo.png -o mask.png/out", "mask.png is a file"),
    "two become one": ("photo.png x/photo.png -o out", "would both become"),
    "alpha into JPEG": ("rgba.png -o out.jpg", "JPEG cannot hold its transparency"),
    "mask not wanted": (
        "photo.png -o out.png --mask mask.png",
        "error: a mask was given with task deblur",
    ),
    "mask is missing": ("photo.png -o out.png --mask nope.png", "nope.png does not exist"),
    "unknown model": ("photo.png -o out.png --model nope", "no file and no preset 'nope'"),
    "stage 1": ("photo.png -o out.png --model stage1.safetensors", "needs the ground truth"),
    "cut weights": ("photo.png -o out.png --model cut.safetensors", "not a complete safetensors"),
    "no weights": ("photo.png -o out.png --model bad.png", "bad.png is not a weights file"),
    "unknown device": ("photo.png -o out.png --device gpu", "unknown device 'gpu'"),
    "no mask": (
        "photo.png -o out.png --model inpaint.safetensors",
        "white (or transparent) = hole",
    ),
    "mask of another size": (
        "photo.png -o out.png --model inpaint.safetensors --mask small.png",
        "the mask is 4×4, the picture 32×24",
    ),
    "no size of memory": ("photo.png -o out.png --memory much", "memory 'much' found; wanted a"),
    "too little memory": (
        "photo.png -o out.png --memory 1MB",
        "the memory limit is 1 MB, but 32×24 needs",
    ),
    "name too long": (f"{'a' * 300}.png -o out.png", "check the path"),
}


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence_and_nothing_is_written(here, words, sentence):
    Path("empty").mkdir()
    Path("x").mkdir()
    shutil.copy("photo.png", "x")
    Path("bad.png").write_text("no picture")
    Image.fromarray(np.dstack([PHOTO, HOLES])).save("rgba.png")
    Image.fromarray(HOLES[:4, :4]).save("small.png")
    before = content()
    model = [] if "--model" in words else ["--model", "deblur.safetensors"]
    result = call("restore", *words.split(), *model)
    assert result.exit_code == 2
    assert sentence in result.output
    assert result.output.count("\n") == 1
    assert content() == before


@pytest.mark.parametrize("words", [("", "-o", "out"), ("photo.png", "-o", "out", "--mask", "")])
def test_an_empty_name_is_not_the_working_folder(here, words):
    result = restore(*words)
    assert result.exit_code == 2
    assert "an empty name found" in result.output
    assert not Path("out").exists()


def test_an_error_of_the_system_without_words_of_its_own_is_told_in_its_words(capsys):
    @explained
    def verb():
        raise UnsupportedOperation("File or stream is not seekable.")

    with pytest.raises(typer.Exit):
        verb()
    assert "error: File or stream is not seekable.; check" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", "x", "99999999999999999999"])
def test_a_seed_is_a_number_from_0(here, seed):
    result = restore("photo.png", "-o", "out.png", "--seed", seed)
    assert result.exit_code == 2
    assert "--seed" in result.output
    assert not Path("out.png").exists()


def test_an_interruption_ends_with_130_and_a_sentence(here, monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("diffir.inference.batch.restore_loaded", interrupted)
    result = restore("photo.png", "-o", "out.png")
    assert result.exit_code == 130
    assert "interrupted" in result.output


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_leaves_whole_pictures_and_no_half_ones(here):
    Path("in").mkdir()
    for index in range(300):
        shutil.copy("photo.png", f"in/{index:03}.png")
    words = ["restore", "in", "-o", "out", "--model", "deblur.safetensors", "--device", "cpu"]
    with subprocess.Popen(
        [sys.executable, "-m", "diffir", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "in/000.png → out/000.png\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "interrupted; finished files are kept, nothing half-written is left\n"
    written = sorted(path for path in Path("out").iterdir() if path.name != "manifest.jsonl")
    assert 1 <= len(written) < 300
    assert {(path.suffix, read(path).width) for path in written} == {(".png", 32)}


def test_results_and_complaints_go_to_their_own_streams(here):
    done = run("restore", "photo.png", "nope.png", "-o", "out", "--model", "deblur.safetensors")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: nope.png does not exist; check the path\n"


def test_a_narrow_encoding_costs_letters_and_nothing_else(here):
    Image.fromarray(PHOTO).save("日本.png")
    words = ("restore", "日本.png", "-o", "é/日本.png", "--model", "deblur.safetensors")
    done = run(*words, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "??.png ? ?/??.png\n", "")
    assert Path("é/日本.png").exists()
    assert run("--help", PYTHONIOENCODING="latin-1").returncode == 0


@pytest.mark.parametrize(
    "verb", [[], ["data"], *([verb] for verb in VERBS), *(["data", verb] for verb in DATA_VERBS)]
)
def test_help_imports_nothing_heavy(verb):
    # typer itself brings pydantic along from some version on; diffir's own use of it must wait
    code = (
        "import sys; from diffir.cli import main\n"
        f"sys.argv = ['diffir', *{verb}, '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: diffir" in done.stdout
    loaded = done.stderr.split()
    heavy = {"torch", "numpy", "PIL", "safetensors", "einops", "tifffile", "imagecodecs", "yaml"}
    assert not heavy & set(loaded)
    assert {name for name in loaded if name.startswith("diffir.")} <= {
        *("diffir._version", "diffir.errors", "diffir.libraries", "diffir.cli", "diffir.cli.app"),
        *(f"diffir.cli.{verb.replace('-', '_')}" for verb in VERBS),
        *("diffir.cli.data", "diffir.cli.data.app", "diffir.cli.restoring", "diffir.cli.web"),
        *(f"diffir.cli.data.{verb.replace('-', '_')}" for verb in DATA_VERBS),
    }


def test_help_names_the_polarity_of_masks_and_every_verb():
    words = " ".join(call("restore", "--help").output.replace("│", " ").split())
    assert "white (or transparent)" in words
    assert all(verb in call("--help").output for verb in VERBS)


def test_the_version_is_the_packages():
    assert call("--version").output == f"diffir {diffir.__version__}\n"


def test_models_lists_every_preset_with_its_weights_their_score_and_seconds(here, monkeypatch):
    monkeypatch.setenv("DIFFIR_WEIGHTS", ".")
    Path("deblur.safetensors").write_bytes(b"")
    monkeypatch.setattr(cli.out, "width", 300)
    lines = call("models").output.splitlines()
    facts = {line.split()[0]: told for line, told in zip(lines[::2], lines[1::2], strict=True)}
    assert facts.keys() == PRESETS.keys()
    assert "yours: deblur.safetensors" in facts["deblur"]
    assert "not bundled" in facts["sr-x1"]
    for name, preset in PRESETS.items():
        scored = re.search(
            r"bundled, \d\.\d MB; \d\d\.\d\d dB on .*\); \d+\.\d s per megapixel of", facts[name]
        )
        assert bool(scored) == (bundled_file(preset) is not None)
    first = [*facts][: sum("not bundled" not in told for told in facts.values())]
    assert not any("not bundled" in facts[name] for name in first)


def test_models_break_no_word_on_a_narrow_screen(here, monkeypatch):
    monkeypatch.setattr(cli.out, "width", 60)
    lines = call("models").output.splitlines()
    assert max(map(len, lines)) <= 60
    names = {line.split()[0] for line in lines if not line.startswith(" ")}
    assert names == PRESETS.keys()


def test_info_tells_what_a_file_holds(here):
    output = call("info", "stage1.safetensors").output
    assert "1, sees the ground truth" in output
    assert "deblur ×1" in output


@pytest.mark.parametrize("model", ["nope", "photo.png", "cut.safetensors"])
def test_info_explains_what_is_no_weights_file(here, model):
    result = call("info", model)
    assert result.exit_code == 2
    assert model in result.output
    assert result.output.count("\n") == 1


def test_convert_makes_a_file_that_restores(here):
    write_pth(Path("official.pth"), network(2, toy("deblur")))
    result = call("convert", "official.pth", "converted.safetensors")
    assert (result.exit_code, "DiffIRS2, deblur ×1" in result.output) == (0, True)
    for name in ("converted", "deblur"):
        assert restore("photo.png", "-o", f"{name}.png", model=name).exit_code == 0
    assert Path("converted.png").read_bytes() == Path("deblur.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("nope.pth new.safetensors", "no file and no preset 'nope.pth'"),
        ("photo.png new.safetensors", "photo.png is not a weights file"),
        ("deblur.safetensors new.pth", "does not end in .safetensors"),
        ("deblur.safetensors cut.safetensors", "cut.safetensors exists"),
        ("deblur.safetensors photo.png/new.safetensors", "cannot be written"),
    ],
)
def test_convert_explains_mistakes_and_writes_nothing(here, words, sentence):
    before = content()
    result = call("convert", *words.split())
    assert result.exit_code == 2
    assert sentence in result.output
    assert content() == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("nope --data in -o run", "'nope' has no recipe; take one of"),
        ("sr-x4-lite --data nope -o run", "nope does not exist"),
        ("sr-x4-lite --data in -o photo.png", "photo.png is a file; name a folder"),
        ("sr-x4-lite --data in -o run --device gpu", "unknown device 'gpu'"),
    ],
)
def test_train_explains_mistakes(here, words, sentence):
    Path("in").mkdir()
    result = call("train", *words.split())
    assert result.exit_code == 2
    assert sentence in result.output
