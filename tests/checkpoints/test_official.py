"""The authors' files come in whole, with their numbers found, and nothing in them runs."""

import os
import pickle
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from official import authors_state, network, run, toy, write_lightning, write_pth

from diffir.checkpoints import official
from diffir.errors import WeightsError

PUBLISHED = {
    "deblur": "deblur",
    "sr-x4": "sr",
    "sr-x2": "sr",
    "sr-x1": "sr",
    "inpaint": "inpaint",
}


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        official.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("preset", PUBLISHED)
def test_stage_task_and_numbers_are_found_and_the_network_answers_the_same(tmp_path, preset, stage):
    model = network(stage, toy(preset))
    found = official.read(write_pth(tmp_path / "net.pth", model))
    assert (found.stage, found.task, found.config) == (stage, PUBLISHED[preset], model.config)
    assert torch.equal(run(found.model), run(model))  # exact: same weights, same operations


@pytest.mark.parametrize(
    "changes",
    [
        {"num_heads": (2, 2, 4, 4)},
        {"num_blocks": (1, 2, 3, 4)},
        {"num_refinement_blocks": 0},
        {"ffn_expansion": 2.66},
        {"norm_bias": False},
        {"cpen_blocks": 4},
        {"denoiser_layers": 3},
        {"beta_schedule": "linear"},
        {"dim": 16, "ipr_dim": 64},
    ],
    ids=str,
)
def test_every_number_that_weights_show_is_found(tmp_path, changes):
    model = network(2, toy("deblur", **changes))
    assert official.read(write_pth(tmp_path / "net.pth", model)).config == model.config


def test_an_unpublished_ffn_expansion_gives_the_same_network(tmp_path):
    model = network(2, toy("deblur", ffn_expansion=3.1415))
    found = official.read(write_pth(tmp_path / "net.pth", model))
    assert torch.equal(run(found.model), run(model))


def test_averaged_parameters_are_preferred(tmp_path):
    averaged, last = (network(2, toy("deblur"), seed) for seed in (1, 2))
    path = tmp_path / "net.pth"
    torch.save({"params": authors_state(last), "params_ema": authors_state(averaged)}, path)
    assert torch.equal(run(official.read(path).model), run(averaged))


def test_parameters_without_an_average_do(tmp_path):
    model = network(2, toy("sr-x4"))
    path = write_pth(tmp_path / "net.pth", model, key="params")
    assert torch.equal(run(official.read(path).model), run(model))


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_a_bare_dict_does_with_and_without_the_prefixes_of_wrappers(tmp_path, stage, prefix):
    model = network(stage, toy("inpaint"))
    path = tmp_path / "net.pth"
    torch.save({prefix + name: tensor for name, tensor in authors_state(model).items()}, path)
    assert torch.equal(run(official.read(path).model), run(model))


@pytest.mark.parametrize("stage", [1, 2])
def test_a_lightning_checkpoint_gives_its_generator_alone(tmp_path, stage):
    model = network(stage, toy("inpaint"))
    path = write_lightning(tmp_path / "last.ckpt", model)
    modules = set(sys.modules)
    found = official.read(path)
    assert set(sys.modules) == modules  # nothing was imported for the file
    assert (found.stage, found.task) == (stage, "inpaint")
    assert torch.equal(run(found.model), run(model))


def test_stand_ins_are_gone_after_reading(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    official.read(write_lightning(tmp_path / "last.ckpt", network(1, toy("inpaint"))))
    assert set(torch.serialization.get_safe_globals()) == before


def test_the_file_of_origin_is_told(tmp_path):
    found = official.read(write_pth(tmp_path / "GoPro.pth", network(1, toy("deblur"))))
    assert found.training == {"converted_from": "GoPro.pth"}


def test_a_schedule_that_is_none_of_ours_is_refused(tmp_path):
    state = authors_state(network(2, toy("deblur")))
    state["diffusion.betas"] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    torch.save(state, tmp_path / "net.pth")
    assert "noise schedule [0.1, 0.2, 0.3, 0.4]" in refused(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("G.encoder_level1.0.attn.new.weight", "G.encoder_level1.0.attn.new.weight, unknown"),
        ("E.E.0.weight", "E.E.0.weight, unknown in a network of stage 2"),
        ("condition.E.99.weight", "unknown"),
        ("surprise.weight", "surprise.weight, unknown"),
    ],
)
def test_an_extra_parameter_is_named(tmp_path, name, told):
    state = authors_state(network(2, toy("deblur")))
    torch.save(state | {name: torch.zeros(1)}, tmp_path / "net.pth")
    assert told in refused(tmp_path / "net.pth")


def test_of_many_extra_parameters_three_are_named(tmp_path):
    state = authors_state(network(2, toy("deblur")))
    extra = {f"extra{index}": torch.zeros(1) for index in range(9)}
    torch.save(state | extra, tmp_path / "net.pth")
    assert "extra0, extra1, extra2 and 6 more, unknown" in refused(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("G.latent.0.attn.qkv.weight", "dirformer.latent.0.attention.qkv.weight missing"),
        ("G.patch_embed.proj.weight", "no G.patch_embed.proj.weight"),
        ("denoise.resmlp.0.bias", "denoiser.layers.0.bias missing"),
    ],
)
def test_a_missing_parameter_is_named(tmp_path, name, told):
    state = authors_state(network(2, toy("deblur")))
    del state[name]
    torch.save(state, tmp_path / "net.pth")
    assert told in refused(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("G.output.weight", (4, 16, 3, 3)),
        ("G.patch_embed.proj.weight", (8,)),
        ("G.patch_embed.proj.weight", (8, 5, 3, 3)),
        ("G.patch_embed.proj.weight", (0, 3, 3, 3)),
        ("G.latent.0.attn.temperature", (0, 1, 1)),
        ("G.latent.0.attn.temperature", (7, 1, 1)),
        ("G.latent.0.ffn.project_in.weight", (11, 64, 1, 1)),
        ("diffusion.betas", ()),
    ],
)
def test_a_shape_of_no_network_is_refused(tmp_path, name, shape):
    state = authors_state(network(2, toy("deblur")))
    torch.save(state | {name: torch.zeros(shape)}, tmp_path / "net.pth")
    refused(tmp_path / "net.pth")


def test_values_that_are_not_finite_are_refused(tmp_path):
    state = authors_state(network(2, toy("deblur")))
    state["G.output.weight"] = torch.full_like(state["G.output.weight"], torch.nan)
    torch.save(state, tmp_path / "net.pth")
    assert "not finite" in refused(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ({"params": {"conv1.weight": torch.zeros(1)}}, "holds conv1"),
        ({}, "holds nothing"),
        ([torch.zeros(1)], "state_dict is wanted"),
        ({1: torch.zeros(1)}, "state_dict is wanted"),
        ({"epoch": 3, "best": torch.zeros(1)}, "epoch without tensors"),
    ],
)
def test_other_contents_are_refused(tmp_path, stored, told):
    torch.save(stored, tmp_path / "net.pth")
    assert told in refused(tmp_path / "net.pth")


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"echo > {self.marker}",)


class ToCompiled(Malicious):
    def __reduce__(self):
        return exec, (f"open({str(self.marker)!r}, 'w')",)


class ThroughAStandIn(Malicious):
    def __reduce__(self):  # builtins.dict is on the list, but what a file gets is not the real one
        return getattr, (dict, "fromkeys")


@pytest.mark.parametrize("attack", [Malicious, ToCompiled, ThroughAStandIn])
def test_code_in_a_file_is_named_and_never_runs(tmp_path, attack):
    state = authors_state(network(2, toy("deblur")))
    path, marker = tmp_path / "net.pth", tmp_path / "marker"
    torch.save({"params": state, "extra": attack(marker)}, path)
    assert "requires code" in refused(path)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_bare_pickle_never_runs(tmp_path, protocol):
    path, marker = tmp_path / "net.pth", tmp_path / "marker"
    path.write_bytes(pickle.dumps({"params": Malicious(marker)}, protocol))
    refused(path)
    assert not marker.exists()


def test_code_in_a_newer_pickle_protocol_never_runs(tmp_path):
    path, marker = tmp_path / "net.pth", tmp_path / "marker"
    torch.save({"params": Malicious(marker)}, path, pickle_protocol=4)
    refused(path)
    assert not marker.exists()


def test_an_unlisted_class_is_refused_by_name(tmp_path):
    torch.save({"params": {}, "extra": Malicious}, tmp_path / "net.pth")
    assert "test_official.Malicious" in refused(tmp_path / "net.pth")


def test_a_file_of_old_pytorch_is_refused(tmp_path):
    state = authors_state(network(1, toy("deblur")))
    torch.save(state, tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    assert "before PyTorch 1.6" in refused(tmp_path / "net.pth")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_torchscript_program_is_refused(tmp_path):
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "net.pth"))
    assert "TorchScript" in refused(tmp_path / "net.pth")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_cut_file_is_refused(tmp_path, share):
    path = write_pth(tmp_path / "net.pth", network(1, toy("deblur")))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "cut short" in refused(path)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>\n", b"PK", b"\x80", b"\x00" * 64])
def test_files_of_another_kind_are_refused(tmp_path, content):
    (tmp_path / "net.pth").write_bytes(content)
    refused(tmp_path / "net.pth")


def test_a_missing_file_is_refused(tmp_path):
    assert "cannot be read" in refused(tmp_path / "net.pth")


def test_a_directory_that_was_damaged_is_refused(tmp_path):
    whole = write_pth(tmp_path / "net.pth", network(1, toy("deblur"))).read_bytes()
    entry = whole.index(b"PK\x01\x02")
    for place, damage in ((0, bytes(4)), (6, b"\xff\xff"), (46, b"\xff\xff\xff")):
        damaged = bytearray(whole)
        damaged[entry + place : entry + place + len(damage)] = damage
        (tmp_path / "net.pth").write_bytes(damaged)
        assert "get another copy" in refused(tmp_path / "net.pth")


def test_what_would_unpack_to_far_more_is_refused(tmp_path):
    state = authors_state(network(2, toy("deblur")))
    torch.save({**state, "extra.weight": torch.zeros(10**6)}, tmp_path / "plain.pth")
    packed = zipfile.ZipFile(tmp_path / "net.pth", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert "is compressed, which torch.save never does" in refused(tmp_path / "net.pth")
    state["diffusion.betas"] = torch.full((1,), 0.1).expand(200_000_000)
    torch.save(state, tmp_path / "net.pth")
    assert "200000000 steps of diffusion" in refused(tmp_path / "net.pth")


def test_tensors_larger_than_the_file_are_refused_before_memory_is_taken(tmp_path, monkeypatch):
    state = authors_state(network(2, toy("deblur")))
    repeated = {name: torch.zeros(()).expand(one.shape) for name, one in state.items()}
    torch.save(repeated | {"diffusion.betas": state["diffusion.betas"]}, tmp_path / "net.pth")
    monkeypatch.setattr("diffir.checkpoints.checkpoint._copied", None)
    assert "claims larger tensors than it stores" in refused(tmp_path / "net.pth")


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, torch.bool])
def test_weights_that_are_not_floating_point_are_refused(tmp_path, dtype):
    state = authors_state(network(2, toy("deblur")))
    state["G.output.weight"] = state["G.output.weight"].to(dtype)
    torch.save(state, tmp_path / "net.pth")
    name = str(dtype).removeprefix("torch.")
    assert f"values of type {name}; floating point is wanted" in refused(tmp_path / "net.pth")


def test_a_name_with_two_prefixes_is_refused(tmp_path):
    state = authors_state(network(2, toy("deblur")))
    twice = state | {"module.G.output.weight": torch.zeros_like(state["G.output.weight"])}
    torch.save(twice, tmp_path / "net.pth")
    assert "holds G.output.weight twice" in refused(tmp_path / "net.pth")


def test_an_empty_average_is_passed_over(tmp_path):
    model = network(2, toy("deblur"))
    torch.save({"params_ema": {}, "params": authors_state(model)}, tmp_path / "net.pth")
    assert torch.equal(run(official.read(tmp_path / "net.pth").model), run(model))


def test_more_layers_than_any_network_has_are_refused(tmp_path):
    state = authors_state(network(2, toy("deblur")))
    leaf = torch.zeros(1)
    state |= {f"denoise.resmlp.{n}.resmlp.0.weight": leaf for n in range(1, 1002)}
    torch.save(state, tmp_path / "net.pth")
    assert "each must be between 0 and 1000" in refused(tmp_path / "net.pth")


def test_threads_that_read_at_once_do_not_disturb_each_other(tmp_path):
    path = write_lightning(tmp_path / "last.ckpt", network(1, toy("inpaint")))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = [*pool.map(official.read, [path] * 12)]
    finally:
        sys.setswitchinterval(before)
    assert {one.task for one in found} == {"inpaint"}
