"""Our files rebuild their network alone, and say in a sentence what is wrong with a wrong one."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from official import network, run, toy

from diffir.checkpoints import Checkpoint, format
from diffir.errors import WeightsError

TASKS = {"deblur": "deblur", "sr-x4": "sr", "sr-x2": "sr", "sr-x1": "sr", "inpaint": "inpaint"}


def deblur(stage: int = 2, **facts) -> Checkpoint:
    return Checkpoint(model=network(stage, toy("deblur")), task="deblur", **facts)


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        format.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.safetensors"


def rewrite(path: Path, tensors=None, **metadata) -> None:
    """Change tensors (None: remove) and metadata (None: remove) of a saved file."""
    with safetensors.safe_open(path, "pt") as file:
        old_metadata = file.metadata()
        old_tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    new_metadata = {k: v for k, v in {**old_metadata, **metadata}.items() if v is not None}
    new_tensors = {k: v for k, v in {**old_tensors, **(tensors or {})}.items() if v is not None}
    path.write_bytes(safetensors.torch.save(new_tensors, new_metadata))


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("preset", TASKS)
def test_the_file_alone_rebuilds_its_network(path, preset, stage):
    model = network(stage, toy(preset))
    training = {"data": ["DF2K"], "steps": 1000, "psnr": 27.73}
    saved = Checkpoint(model=model, task=TASKS[preset], preset=preset, training=training)
    format.save(saved, path)
    read = format.read(path)
    assert (read.stage, read.config, read.task) == (stage, model.config, TASKS[preset])
    assert (read.preset, read.training) == (preset, training)
    assert torch.equal(run(read.model), run(model))  # exact: same weights, same operations


@pytest.mark.parametrize("stage", [1, 2])
def test_half_precision_halves_the_file_and_comes_back_as_float32(path, stage):
    saved = deblur(stage)
    format.save(saved, path)
    full = path.stat().st_size
    format.save(saved, path, torch.float16)
    assert path.stat().st_size < 0.6 * full
    rounded = saved.model.half().float().state_dict()
    for name, tensor in format.read(path).model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, rounded[name])


def test_all_numbers_of_the_configuration_come_back(path):
    config = toy("deblur", cpen_reduction=2, timesteps=3, prediction="epsilon", beta_end=0.9)
    format.save(Checkpoint(model=network(2, config), task="deblur"), path)
    assert format.read(path).config == config


@pytest.mark.parametrize("by", ["ŝi", "ŝia"])
def test_equal_networks_make_equal_files(path, by):
    saved = deblur(preset="deblur", training={"by": by})
    format.save(saved, path)
    first = path.read_bytes()
    assert int.from_bytes(first[:8], "little") % 8 == 0  # where the tensors begin
    format.save(saved, path)
    assert path.read_bytes() == first  # a random order of eight keys is one of 40320
    assert format.read_info(path).training == {"by": by}


def test_the_header_tells_without_loading(path):
    saved = Checkpoint(
        model=network(2, toy("sr-x2")), task="sr", preset="sr-x2", training={"steps": 7}
    )
    format.save(saved, path, torch.float16)
    info = format.read_info(path)
    assert (info.stage, info.task, info.scale, info.preset) == (2, "sr", 2, "sr-x2")
    assert info.parameters == sum(p.numel() for p in saved.model.parameters())
    assert (info.dtype, info.training) == ("F16", {"steps": 7})
    assert info.config == saved.config


def test_learning_goes_on_from_a_read_network(path):
    format.save(deblur(), path)
    assert all(parameter.requires_grad for parameter in format.read(path).model.parameters())


def test_facts_that_json_cannot_hold_are_refused(path):
    with pytest.raises(WeightsError, match="training facts are not JSON"):
        format.save(deblur(training={"data": object()}), path)
    assert not path.exists()


def test_integers_are_not_weights(path):
    format.save(deblur(), path)
    rewrite(path, {"dirformer.output.weight": torch.ones(3, 16, 3, 3, dtype=torch.int8)})
    assert "values of type int8; floating point is wanted" in refused(path)


def test_channels_last_networks_are_saved_too(path):
    saved = deblur()
    expected = run(saved.model)
    saved.model.to(memory_format=torch.channels_last)
    format.save(saved, path)
    assert torch.equal(run(format.read(path).model), expected)


def test_folders_are_made_and_nothing_is_left_beside(tmp_path):
    path = tmp_path / "deep" / "net.safetensors"
    format.save(deblur(), path)
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_file_and_nothing_beside(path, monkeypatch):
    format.save(deblur(), path)
    old = path.read_bytes()

    def full_disk(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diffir.files.os.fsync", full_disk)
    with pytest.raises(WeightsError, match="No space left"):
        format.save(deblur(), path)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_values_too_large_for_half_precision_are_not_saved(path):
    saved = deblur()
    with torch.no_grad():
        saved.model.dirformer.output.weight[0] = 1e6
    with pytest.raises(WeightsError, match=r"not finite .* dirformer\.output\.weight"):
        format.save(saved, path, torch.float16)
    assert not path.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"just some text, longer than a header", b"PK\3\4"]
)
def test_other_files_are_refused(path, content):
    path.write_bytes(content)
    assert "not a complete safetensors file" in refused(path)


def test_a_missing_file_is_refused(path):
    refused(path)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.5, 0.999])
def test_a_cut_file_is_refused(path, share):
    format.save(deblur(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "not a complete safetensors file" in refused(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_safetensors_of_other_programs_are_refused(path, metadata):
    path.write_bytes(safetensors.torch.save({"weight": torch.zeros(1)}, metadata))
    assert "another program" in refused(path)


@pytest.mark.parametrize("version", ["2", "10", "new"])
def test_a_newer_format_asks_for_an_update(path, version):
    format.save(deblur(), path)
    rewrite(path, format_version=version)
    assert f"format version {version} found" in refused(path)
    assert "update diffir" in refused(path)


@pytest.mark.filterwarnings("ignore:Initializing zero-element:UserWarning")
@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1},
        {"dim": "x"},
        {"dim": -8},
        {"dim": 0},
        {"dim": 10**9},
        {"num_heads": [1, 2, 4]},
        {"num_heads": [1, 2, 4, 0]},
        {"num_heads": [3, 2, 4, 8]},
        {"unshuffle": 3},
        {"beta_schedule": "cosine"},
        {"in_channels": 4},
        {"ipr_dim": 0},
        {"denoiser_layers": 10**9},
        {"ipr_dim": 2**63 - 4},
    ],
    ids=str,
)
def test_a_configuration_of_no_network_is_refused(path, change):
    saved = deblur()
    format.save(saved, path)
    rewrite(path, config=json.dumps(asdict(saved.config) | change))
    refused(path)


@pytest.mark.parametrize(
    "change",
    [
        {"config": None},
        {"config": "{"},
        {"config": "[]"},
        {"stage": "3"},
        {"stage": None},
        {"task": "denoise"},
        {"task": "inpaint"},
        {"training": "7"},
        {"training": None},
    ],
    ids=str,
)
def test_a_broken_header_is_refused(path, change):
    format.save(deblur(), path)
    rewrite(path, **change)
    assert "invalid header" in refused(path)


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({"dirformer.output.weight": None}, "dirformer.output.weight missing"),
        ({"more.weight": torch.zeros(1)}, "more.weight unknown"),
        (
            {"dirformer.output.weight": torch.zeros(3, 16)},
            "dirformer.output.weight (3, 16) instead of (3, 16, 3, 3) of another shape",
        ),
        ({"dirformer.output.weight": torch.full((3, 16, 3, 3), torch.inf)}, "not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_named(path, tensors, told):
    format.save(deblur(), path)
    rewrite(path, tensors)
    assert told in refused(path)


def test_the_other_stage_does_not_fit(path):
    format.save(deblur(stage=1), path)
    rewrite(path, stage="2")
    assert "does not fit" in refused(path)
