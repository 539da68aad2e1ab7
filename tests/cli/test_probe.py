"""diffir probe: a table for each question, a report, and a sentence for every mistake."""

import json
from pathlib import Path

import numpy as np
import pytest
from official import network, toy
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

import diffir.cli.probe  # noqa: F401
from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app

PHOTO = np.ascontiguousarray(data.astronaut())


def call(*words: str) -> Result:
    """The command line in this process; whatever it did not expect is raised."""
    result = CliRunner().invoke(app, ["probe", *words], env={"COLUMNS": "160"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with networks of both stages and photos."""
    monkeypatch.chdir(tmp_path)
    for stage in (1, 2):
        model = network(stage, toy("deblur"))
        path = Path(f"{stage}.safetensors")
        format.save(Checkpoint(model=model, task="deblur"), path)
    Path("photos").mkdir()
    for index in range(10):
        y = 20 * index
        Image.fromarray(PHOTO[y : y + 64, 100:164]).save(f"photos/{index}.png")
    return tmp_path


@pytest.mark.usefixtures("here")
def test_each_question_has_a_table_and_the_report_the_same_numbers() -> None:
    result = call(
        "2.safetensors", "--data", "photos", "--stage1", "1.safetensors", "-o", "o/r.json"
    )
    assert result.exit_code == 0, result.output
    report = json.loads(Path("o/r.json").read_text(encoding="utf-8"))
    for question in (
        "worth",
        "differ between",
        "tell about how",
        "move the blocks",
        "approach the true",
    ):
        assert question in result.output
    for row in report["scores"]:
        (line,) = [
            line
            for line in result.output.splitlines()
            if line.strip().startswith(row["restorer"])
            and line.split(row["restorer"])[1].strip().startswith(f"{row['ipr']}  ")
        ]
        assert f"{row['psnr']:.3f}" in line
        assert (f"{row['difference']:+.3f}  " in line) == (row["ipr"] != "its own Ẑ")
    for row in report["facts"]:
        (line,) = [
            line for line in result.output.splitlines() if line.startswith(f" {row['fact']}  ")
        ]
        assert all(
            f"{found['r2']:.2f} ({found['shuffled']:.2f}" in line
            for found in row["readings"].values()
        )
    assert f"{report['spreads'][1]['quantiles'][2]:.3f}" in result.output
    assert f"{report['modulation'][0]['scale']:.3f}" in result.output
    assert f"{report['steps'][3]['distance']:.4f}" in result.output
    (line,) = [line for line in result.output.splitlines() if "with other noise, to" in line]
    assert f"{report['other_noise']['distance']:.4f}" in line
    assert "10 pictures of photos; LQ: motion, seed 0" in result.output
    assert report["pictures"] == 10


@pytest.mark.usefixtures("here")
def test_a_question_without_an_answer_has_no_table() -> None:
    for index in range(3, 10):
        Path(f"photos/{index}.png").unlink()
    output = call("2.safetensors", "--data", "photos").output
    assert "tell about how" not in output
    assert "no fact about LQ is known for enough pictures" in output
    assert "approach the guessed Ẑ" in output


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("1.safetensors", "--data", "photos"), "is of stage 1"),
        (("2.safetensors", "--data", "nowhere"), "nowhere"),
        (("2.safetensors", "--data", "photos", "--degradation", "bicubic"), "--degradation"),
        (("2.safetensors", "--data", "photos", "-o", "report.csv"), "name it .json"),
        (("2.safetensors", "--data", "photos", "-o", "there.json"), "choose another name"),
    ],
)
def test_mistakes_are_a_sentence_and_exit_2(words: tuple[str, ...], sentence: str) -> None:
    Path("there.json").write_text("{}")
    result = call(*words)
    assert result.exit_code == 2
    assert sentence in result.output
    assert result.output.count("\n") == 1
    assert Path("there.json").read_text() == "{}"
