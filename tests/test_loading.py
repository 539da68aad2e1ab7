"""A name or a file becomes a network; what does not fit is said in one sentence."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from official import network, run, toy, write_lightning, write_pth

from diffir import loading
from diffir.checkpoints import Checkpoint, format
from diffir.errors import WeightsError
from diffir.loading import convert, load, load_checkpoint, weights_digest
from diffir.presets import PRESETS


def refused(*args, **kwargs) -> str:
    with pytest.raises(WeightsError) as caught:
        load(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def toy_preset(monkeypatch, tmp_path):
    """A preset of toy size whose weights are bundled."""
    config = toy("deblur")
    preset = replace(PRESETS["deblur"], name="toy", config=config)
    monkeypatch.setitem(PRESETS, "toy", preset)
    monkeypatch.setattr(loading, "WEIGHTS", tmp_path)
    saved = Checkpoint(model=network(2, config), task="deblur", preset="toy")
    format.save(saved, tmp_path / "toy.safetensors", torch.float16)
    return saved


def test_a_preset_name_loads_its_bundled_weights(toy_preset):
    loaded = load("toy")
    assert not loaded.training
    assert torch.equal(run(loaded), run(toy_preset.model.half().float()))


@pytest.mark.usefixtures("toy_preset")
def test_a_preset_without_weights_tells_how_to_get_them():
    message = refused("inpaint-big")
    assert "inpaint-big has no bundled weights" in message
    assert "toy" in message
    assert "diffir convert official.pth out.safetensors" in message


@pytest.mark.parametrize("name", ["deblurr", "sr_x4", "nothing/like/it.pth"])
def test_an_unknown_name_is_answered_with_presets(name):
    assert f"no file and no preset {name!r}" in refused(name)


def test_a_name_that_is_too_long_is_a_sentence():
    assert "cannot be accessed (File name too long)" in refused("x" * 300)


def test_the_nearest_names_are_suggested():
    assert "a preset: deblur" in refused("deblurr")
    assert "a preset: sr-x4" in refused("sr_x4")


@pytest.mark.usefixtures("toy_preset")
def test_a_path_is_never_a_preset():
    assert "no file" in refused(Path("toy"))


def test_a_folder_is_refused(tmp_path):
    assert "no file" in refused(tmp_path)


def two_networks(folder: Path, **changes) -> tuple[Path, Path]:
    """Networks that differ, the second one's file beside the first one's under its long name."""
    files = folder / "mine.safetensors", folder / "mine-detail.safetensors"
    for seed, (file, config) in enumerate(
        zip(files, (toy("sr-x4"), toy("sr-x4", **changes)), strict=True)
    ):
        format.save(Checkpoint(model=network(2, config, seed), task="sr"), file)
    return files


def test_detail_takes_weights_between_those_of_two_networks(tmp_path):
    faithful, detailed = two_networks(tmp_path)
    ends = load(faithful).state_dict(), load(detailed).state_dict()
    found = load_checkpoint(faithful, detail=0.25)
    assert found.training["detail"] == 0.25
    for name, weight in found.model.state_dict().items():
        torch.testing.assert_close(weight, 0.75 * ends[0][name] + 0.25 * ends[1][name])
    assert torch.equal(run(load(faithful, detail=1)), run(load(detailed)))
    assert torch.equal(run(load(faithful, detail=0)), run(load(faithful)))


def test_detail_of_a_preset_is_taken_from_the_preset_of_the_longer_name(toy_preset, monkeypatch):
    longer = replace(PRESETS["toy"], name="toy-detail")
    monkeypatch.setitem(PRESETS, "toy-detail", longer)
    assert "no weights toy-detail found for more detail" in refused("toy", detail=0.5)
    other = Checkpoint(model=network(2, longer.config, 7), task="deblur")
    format.save(other, loading.WEIGHTS / "toy-detail.safetensors")
    assert torch.equal(run(load("toy", detail=1)), run(other.model))


def test_a_detail_that_cannot_be_had_is_told(tmp_path):
    alone = tmp_path / "alone.safetensors"
    format.save(Checkpoint(model=network(2, toy("sr-x4")), task="sr"), alone)
    message = refused(alone, detail=0.5)
    assert "no weights" in message
    assert "alone-detail.safetensors found for more detail" in message
    assert "use real-x4-lite" in message
    for none in (-0.1, 1.1, float("nan")):
        assert f"detail {none:g} found; wanted a number from 0 to 1" in refused(alone, detail=none)
    for none in (None, "0.5"):
        assert f"detail {none!r} found; wanted a number from 0 to 1" in refused(alone, detail=none)
    faithful, _ = two_networks(tmp_path, dim=16)
    assert "mine-detail.safetensors holds another kind of network" in refused(faithful, detail=0.5)


def test_weights_are_known_by_both_files_and_where_between_they_lie(tmp_path):
    faithful, detailed = two_networks(tmp_path)
    alone, mixed = weights_digest(faithful), weights_digest(faithful, 0.5)
    assert mixed == f"{alone}+0.5*{weights_digest(detailed)}"
    assert weights_digest(faithful, 0.25) != mixed


def test_a_detail_may_be_any_kind_of_number(tmp_path):
    faithful, _ = two_networks(tmp_path)
    half = weights_digest(faithful, 0.5)
    assert weights_digest(faithful, Fraction(1, 2)) == weights_digest(faithful, np.float32(0.5))
    assert weights_digest(faithful, Fraction(1, 2)) == half
    assert weights_digest(faithful, 1) == weights_digest(faithful, True)
    assert torch.equal(run(load(faithful, detail=Fraction(1, 2))), run(load(faithful, detail=0.5)))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
def test_files_are_told_apart_by_content(tmp_path, suffix):
    model = network(2, toy("inpaint"))
    ours, pth, lightning = (tmp_path / f"{name}{suffix}" for name in ("ours", "pth", "lightning"))
    format.save(Checkpoint(model=model, task="inpaint"), ours)
    write_pth(pth, model)
    write_lightning(lightning, model)
    for path in (ours, pth, str(lightning)):
        assert torch.equal(run(load(path)), run(model))


def test_loaded_networks_are_in_eval_mode_and_float32(tmp_path):
    path = write_pth(tmp_path / "net.pth", network(2, toy("deblur")).half())
    loaded = load(path)
    assert not any(module.training for module in loaded.modules())
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


@pytest.mark.usefixtures("toy_preset")
def test_an_authors_file_is_given_the_name_of_its_preset(tmp_path):
    path = write_pth(tmp_path / "net.pth", network(1, toy("deblur")))
    assert load_checkpoint(path).preset == "toy"
    path = write_pth(tmp_path / "net.pth", network(1, toy("deblur", cpen_blocks=3)))
    assert load_checkpoint(path).preset is None


def test_what_was_asked_for_is_loaded(tmp_path):
    path = write_pth(tmp_path / "net.pth", network(2, toy("sr-x2")))
    assert load(path, task="sr", scale=2).config.scale == 2


def test_another_scale_is_refused(tmp_path):
    path = write_pth(tmp_path / "net.pth", network(2, toy("sr-x2")))
    assert f"scale 2 found in {path}, but 4 was requested" in refused(path, scale=4)


@pytest.mark.usefixtures("toy_preset")
def test_another_task_is_refused(tmp_path):
    path = write_pth(tmp_path / "net.pth", network(2, toy("sr-x2")))
    assert f"task sr found in {path}, but deblur was requested" in refused(path, task="deblur")
    assert "task deblur found" in refused("toy", task="sr")


@pytest.mark.parametrize("content", [b"", b"hello, I am a text file", b"12345678{", b"PK\3\4"])
def test_broken_files_are_refused(tmp_path, content):
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    assert str(path) in refused(path)


def test_conversion_keeps_the_network_and_where_it_came_from(tmp_path):
    model = network(2, toy("sr-x4"))
    source, target = write_pth(tmp_path / "SRx4.pth", model), tmp_path / "out.safetensors"
    converted = convert(source, target)
    read = format.read(target)
    assert torch.equal(run(read.model), run(model))
    assert torch.equal(run(converted.model), run(model))
    assert read.training == {"converted_from": "SRx4.pth"}
