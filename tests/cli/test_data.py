"""diffir data check, preview and shard, and diffir degrade: from the command to the file."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

from diffir.cli.app import app


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a photo, and one with a pair of scale 2."""
    monkeypatch.chdir(tmp_path)
    photo = data.astronaut()[:200, 150:350]
    for name in ("photos/a.png", "pairs/gt/a.png"):
        Path(name).parent.mkdir(parents=True)
        Image.fromarray(photo).save(name)
    Path("pairs/lq").mkdir()
    Image.fromarray(photo[::2, ::2]).save("pairs/lq/a.png")


def call(*words: str) -> Result:
    return CliRunner().invoke(app, [*words])


def refused(sentence: str, *words: str) -> None:
    """The command ends with this sentence and code 2, and no traceback."""
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert sentence in " ".join(result.output.split()), result.output
    assert "Traceback" not in result.output


def test_check_is_content_with_good_photos_and_pairs() -> None:
    assert (
        call("data", "check", "photos", "--crop", "200").output
        == "1 picture checked, nothing found\n"
    )
    assert call("data", "check", "pairs", "--scale", "2").exit_code == 0
    paired = call("data", "check", "pairs/gt", "--lq", "pairs/lq", "--scale", "2")
    assert paired.output == "2 pictures checked, nothing found\n"


def test_check_names_what_is_wrong_and_writes_it_down() -> None:
    Path("photos/b.png").write_bytes(b"no picture")
    refused("photos/b.png: not a picture", "data", "check", "photos", "--json", "report.json")
    (finding,) = json.loads(Path("report.json").read_text())
    assert finding["kind"] == "unreadable"
    assert finding["file"] == "photos/b.png"
    refused("unpaired", "data", "check", "photos", "--lq", "pairs/lq", "--lq-name", "{}x4")
    refused("give the one folder", "data", "check", "photos", "photos", "--lq", "pairs/lq")
    refused("does not exist", "data", "check", "fotos")


def test_check_does_not_take_what_is_only_converted_for_wrong() -> None:
    Image.open("photos/a.png").convert("LA").save("photos/b.png")
    result = call("data", "check", "photos")
    assert result.exit_code == 0
    assert "gray" in result.output
    assert "alpha" in result.output


def test_preview_shows_pairs_as_the_network_will_see_them() -> None:
    result = call("data", "preview", "sr-x4-lite", "--data", "photos", "-o", "sheet.png",
                  "--count", "4", "--set", "degradation=mild")  # fmt: skip
    assert result.exit_code == 0, result.output
    sheet = np.asarray(Image.open("sheet.png"))
    assert sheet.shape[1] == 3 * 392
    assert len(np.unique(sheet[192:240, :384])) > 2  # words stand under the pair
    refused("sheet.png exists", "data", "preview", "sr-x4-lite", "--data", "photos",
            "-o", "sheet.png")  # fmt: skip


def test_preview_refuses_what_does_not_fit() -> None:
    words = ("data", "preview", "sr-x4-lite", "--data", "photos", "-o", "sheet.png")
    refused("'milde' found; wanted one of mild", *words, "--set", "degradation=milde")
    refused("degradation holes found for task sr", *words, "--set", "degradation=holes-training")
    refused("has no recipe", "data", "preview", "sr-x1", "--data", "photos", "-o", "sheet.png")
    assert not Path("sheet.png").exists()


def test_shards_are_made_and_learnt_from() -> None:
    result = call("data", "shard", "photos", "shards")
    assert result.exit_code == 0, result.output
    assert "1 pictures in shards" in result.output
    assert call("data", "check", "shards").output == "1 picture checked, nothing found\n"
    refused("already has shards", "data", "shard", "photos", "shards")
    paired = call("data", "shard", "pairs", "paired", "--scale", "2")
    assert paired.exit_code == 0, paired.output
    assert (
        call("data", "check", "paired", "--scale", "2").output
        == "2 pictures checked, nothing found\n"
    )


def test_shards_are_as_large_as_asked_for_and_not_among_their_pictures() -> None:
    for name in "bc":
        noise = np.random.default_rng(ord(name)).integers(256, size=(500, 400, 3), dtype=np.uint8)
        Image.fromarray(noise).save(f"photos/{name}.png")
    assert call("data", "shard", "photos", "one").exit_code == 0
    assert call("data", "shard", "photos", "more", "--size", "1").exit_code == 0
    assert [len(list(Path(name).glob("*.tar"))) for name in ("one", "more")] == [1, 2]
    refused("photos is photos, the source", "data", "shard", "pairs", "photos", "photos")
    assert not list(Path("photos").glob("*.tar"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf_8_are_checked_packed_and_degraded() -> None:
    Path("photos/a.png").rename(os.fsdecode(b"photos/caf\xe9.png"))
    Path("photos/b.png").write_bytes(b"no picture")
    Path("photos/b.png").rename(os.fsdecode(b"photos/\xe9.png"))
    refused(r"photos/\udce9.png: not a picture", "data", "check", "photos", "--json", "report.json")
    (finding,) = json.loads(Path("report.json").read_text())
    assert os.fsencode(finding["file"]) == b"photos/\xe9.png"
    Path(os.fsdecode(b"photos/\xe9.png")).unlink()  # CliRunner's stdout takes no such names
    for words in (["shard", "photos", "shards"],
                  ["degrade", "photos", "made", "--degradation", "motion"],
                  ["preview", "sr-x4-lite", "--data", "photos", "-o", "sheet.png"]):  # fmt: skip
        result = call("data", *words)
        assert result.exit_code == 0, result.output


def test_pairs_are_made_beforehand_and_learnt_from() -> None:
    words = ("data", "degrade", "photos", "made", "--degradation")
    refused("'milde' found; take one of bicubic", *words, "milde")
    refused("bicubic at scale 1 leaves nothing", *words, "bicubic", "--scale", "1")
    result = call(*words, "mild", "--scale", "2", "--copies", "2")
    assert result.exit_code == 0, result.output
    assert "made/pairs.yaml: give this to `diffir train --data`" in result.output
    assert (
        call("data", "check", "made/pairs.yaml", "--scale", "2").output
        == "3 pictures checked, nothing found\n"
    )


def test_a_bad_picture_is_skipped_or_stops_the_sharding() -> None:
    Path("photos/b.png").write_bytes(b"no picture")
    refused("not a picture", "data", "shard", "photos", "shards", "--on-bad", "stop")
    result = call("data", "shard", "photos", "shards")
    assert result.exit_code == 0
    assert "1 skipped: photos/b.png: not a picture" in result.output
    refused("synthetic pictures found", "data", "shard", "dead-leaves", "more")


@pytest.mark.parametrize(
    ("task", "size"), [("deblur", (200, 200)), ("sr", (50, 50)), ("real", (50, 50))]
)
def test_degrade_makes_a_photo_worse(task: str, size: tuple[int, int]) -> None:
    words = ("degrade", "photos/a.png", "--task", task, "-o", "bad.png", "--seed", "1")
    result = call(*words)
    assert result.exit_code == 0, result.output
    first = Path("bad.png").read_bytes()
    assert Image.open("bad.png").size == size
    refused("bad.png exists", *words)
    assert call(*words, "--overwrite").exit_code == 0
    assert Path("bad.png").read_bytes() == first


def test_degrade_leaves_holes_that_restore_would_fill() -> None:
    result = call("degrade", "photos/a.png", "--task", "inpaint", "-o", "holes.png")
    assert result.exit_code == 0, result.output
    image = np.asarray(Image.open("holes.png"))
    assert image.shape == (200, 200, 4)
    assert 0 < (image[..., 3] == 0).mean() < 1
    refused("cannot hold its transparency", "degrade", "photos/a.png", "--task", "inpaint",
            "-o", "holes.jpg")  # fmt: skip


def test_a_longer_path_blurs_more() -> None:
    spread = []
    for length in ("0", "30"):
        name = f"{length}.png"
        words = ("degrade", "photos/a.png", "--task", "deblur", "-o", name, "--length", length)
        assert call(*words).exit_code == 0
        spread.append(np.abs(np.diff(np.asarray(Image.open(name), float), axis=0)).mean())
    assert spread[1] < 0.7 * spread[0]
    words = ("degrade", "photos/a.png", "--task", "sr", "--scale", "2", "--degradation", "motion")
    assert call(*words, "-o", "small.png", "--length", "9").exit_code == 0
    assert Image.open("small.png").size == (100, 100)


def test_degrade_refuses_what_does_not_fit() -> None:
    words = ("degrade", "photos/a.png", "-o", "bad.png")
    refused(
        "take one of motion, motion-uniform, phone",
        *words,
        "--task",
        "deblur",
        "--degradation",
        "mild",
    )
    refused("keeps the size", *words, "--task", "deblur", "--scale", "2")
    refused(
        "--length found for bicubic; it is for motion blur only",
        *words,
        "--task",
        "sr",
        "--length",
        "2",
    )
    refused("no such file", "degrade", "gone.png", "-o", "bad.png", "--task", "sr")
    assert not Path("bad.png").exists()
