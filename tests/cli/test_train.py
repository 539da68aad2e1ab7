"""diffir train, from a folder of photos to weights that restore."""

from pathlib import Path

import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from diffir.cli.app import app
from diffir.model import DiffIRConfig
from diffir.presets import PRESETS, Preset
from diffir.recipe import Phase, Recipe
from diffir.tasks import SuperResolution

PHASE = Phase(steps=2, learning_rate=1e-3, batch_size=2, lq_size=8)
TOY = Preset(
    name="toy",
    summary="",
    task=SuperResolution(),
    config=DiffIRConfig(
        upscale=4, dim=8, num_blocks=(1, 1, 1, 1), num_refinement_blocks=1, cpen_blocks=1
    ),
    recipe=Recipe(stage1=PHASE, prior=PHASE, joint=PHASE),
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PRESETS, "toy", TOY)
    Path("photos").mkdir()
    Image.fromarray(data.astronaut()[:64, 200:272]).save("photos/a.png")
    return tmp_path


@pytest.mark.usefixtures("here")
def test_a_folder_of_photos_becomes_weights_that_restore() -> None:
    result = CliRunner().invoke(app, ["train", "toy", "--data", "photos", "-o", "run"])
    assert result.exit_code == 0, result.output
    weights = Path("run/toy.safetensors")
    assert str(weights) in result.output
    result = CliRunner().invoke(
        app, ["restore", "photos/a.png", "-o", "out.png", "--model", str(weights)]
    )
    assert result.exit_code == 0, result.output
    assert Image.open("out.png").size == (288, 256)


@pytest.mark.usefixtures("here")
def test_a_mistyped_folder_is_a_sentence_and_leaves_no_run() -> None:
    result = CliRunner().invoke(app, ["train", "toy", "--data", "photo", "-o", "run"])
    assert result.exit_code == 2
    assert "photo does not exist" in result.output
    assert not Path("run").exists()


@pytest.mark.usefixtures("here")
def test_a_name_without_a_recipe_is_answered_with_those_that_have_one() -> None:
    result = CliRunner().invoke(app, ["train", "deblur", "--data", "photos", "-o", "run"])
    assert result.exit_code == 2
    assert "sr-x4-lite" in result.output


@pytest.mark.usefixtures("here")
def test_a_full_disk_is_a_sentence_and_leaves_no_half_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")  # as the system says it: without a file

    monkeypatch.setattr("diffir.files.os.fsync", full_disk)
    result = CliRunner().invoke(app, ["train", "toy", "--data", "photos", "-o", "run"])
    assert result.exit_code == 2
    assert (
        "error: No space left on device; check the path, its rights and the space" in result.output
    )
    assert sorted(path.name for path in Path("run").iterdir()) == ["log.jsonl", "recipe.json"]
