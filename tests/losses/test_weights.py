"""Weights of others: where they are sought, how they are checked, and what is said of misfits."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from diffir.errors import WeightsError
from diffir.losses import (
    PublicWeights,
    find_weights,
    load_dilated_resnet50,
    load_into,
    load_vgg19,
    read_weights,
)

URL = "https://example.org/tiny.pth"


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights of this machine's user are seen."""
    monkeypatch.delenv("DIFFIR_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def network() -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(2, 3)


def stored(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def put(folder: Path, name: str, data: bytes = b"") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_places_are_searched_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = PublicWeights("tiny.pth", URL)
    given, told = tmp_path / "given", tmp_path / "told"
    monkeypatch.setenv("DIFFIR_WEIGHTS", str(told))
    in_hub = put(tmp_path / "torch" / "hub" / "checkpoints", "tiny.pth")
    assert find_weights(weights, given) == in_hub
    in_told = put(told, "tiny.pth")
    assert find_weights(weights, given) == in_told
    in_given = put(given, "tiny.pth")
    assert find_weights(weights, given) == in_given
    assert find_weights(weights) == in_told


def test_without_torch_home_the_cache_of_the_user_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = put(tmp_path / ".cache" / "torch" / "hub" / "checkpoints", "tiny.pth")
    assert find_weights(PublicWeights("tiny.pth", URL)) == path


def test_a_missing_file_is_told_with_its_hash_the_places_and_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFIR_WEIGHTS", "/told")
    with pytest.raises(WeightsError) as caught:
        load_vgg19(Path("/given"))
    assert str(caught.value) == (
        f"vgg19-dcbb9e9d.pth (sha256 dcbb9e9d…) is in none of /given, /told, "
        f"{tmp_path}/torch/hub/checkpoints; "
        "download it from https://download.pytorch.org/models/vgg19-dcbb9e9d.pth into one of them, "
        "or set DIFFIR_WEIGHTS to its folder"
    )


def test_a_file_without_a_hash_in_its_name_is_told_without() -> None:
    wanted = r"^ade20k-resnet50dilated-ppm_deepsup/encoder_epoch_20\.pth is in none of .*csail"
    with pytest.raises(WeightsError, match=wanted):
        load_dilated_resnet50()


def test_the_hash_in_the_name_is_held_against_the_content(tmp_path: Path) -> None:
    data = stored(network().state_dict())
    right = PublicWeights(f"tiny-{hashlib.sha256(data).hexdigest()[:8]}.pth", URL)
    wrong = PublicWeights("tiny-0badc0de.pth", URL)
    for weights in (right, wrong):
        put(tmp_path, weights.name, data)
    net = nn.Linear(2, 3)
    load_into(net, find_weights(right, tmp_path))
    torch.testing.assert_close(net.weight, network().weight, rtol=0, atol=0)
    with pytest.raises(WeightsError, match=r"instead of 0badc0de…; it is broken or another file"):
        find_weights(wrong, tmp_path)


@pytest.mark.parametrize("new_format", [True, False])
def test_files_of_old_and_new_torch_are_read(tmp_path: Path, new_format: bool) -> None:
    data = stored(network().state_dict(), _use_new_zipfile_serialization=new_format)
    state = read_weights(put(tmp_path, "tiny.pth", data))
    torch.testing.assert_close(state["weight"], network().weight.detach(), rtol=0, atol=0)


class Boom:
    """Would run if it were unpickled."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("code of the file ran",)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut", b"text", stored({"weight": Boom()})])
def test_broken_and_dangerous_files_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(WeightsError, match="is broken or holds more than data"):
        read_weights(put(tmp_path, "tiny.pth", data))


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(2)])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(WeightsError, match="holds no state_dict"):
        read_weights(put(tmp_path, "tiny.pth", stored(content)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight": None}, "lacks weight; give the weights of a Linear"),
        ({"scale": torch.ones(1)}, "has unexpected scale;"),
        ({"bias": torch.ones(4)}, "has in other shapes bias;"),
        ({"bias": None, "scale": torch.ones(1)}, "lacks bias and has unexpected scale;"),
        ({"weight": None, **{f"x{i}": torch.ones(1) for i in range(5)}}, "x0, x1, x2 and 2 more;"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    state = {k: v for k, v in {**network().state_dict(), **change}.items() if v is not None}
    net = nn.Linear(2, 3)
    before = net.weight.clone()
    with pytest.raises(WeightsError) as caught:
        load_into(net, put(tmp_path, "tiny.pth", stored(state)))
    assert words in str(caught.value)
    torch.testing.assert_close(net.weight, before, rtol=0, atol=0)  # nothing half done
