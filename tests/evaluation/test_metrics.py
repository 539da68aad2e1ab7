"""The table of metrics: what is said of them is true, and what can't be had says why."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics
from torch import Tensor

from diffir.errors import DataError
from diffir.evaluation import dists, fid, lpips
from diffir.evaluation.alexnet import AlexNet
from diffir.evaluation.inception import Inception
from diffir.evaluation.metrics import METRICS, open_metrics
from diffir.evaluation.psnr_ssim import psnr, ssim
from diffir.losses.vgg import VGG16

WITH_FILES = {"lpips_alex", "lpips_vgg", "dists", "fid", "niqe"}
PUBLISHED = Path(torchmetrics.__file__).parent / "functional/image"


@pytest.fixture(autouse=True)
def no_weights_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("DIFFIR_WEIGHTS", raising=False)


def pair() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    gt = torch.rand(2, 3, 96, 192, generator=generator).round(decimals=1)
    mask = torch.zeros(2, 1, 96, 192)
    mask[..., 10:60, 20:70] = 1
    return {"restored": gt * 0.9, "gt": gt, "mask": mask}


def given(name: str) -> dict[str, object]:
    """What a metric is called with."""
    values = {key: pair()[key] for key in ("restored", *METRICS[name].needs)}
    return {key: [tensor] for key, tensor in values.items()} if METRICS[name].of_sets else values


def test_without_files_the_rest_is_available_and_each_missing_one_says_why(tmp_path: Path) -> None:
    available, unavailable = open_metrics(METRICS, tmp_path)
    assert set(unavailable) == WITH_FILES
    assert set(available) == set(METRICS) - WITH_FILES
    for name, file in {
        "lpips_alex": "alexnet-owt-7be5be79.pth",
        "lpips_vgg": "vgg16-397923af.pth",
        "dists": "vgg16-397923af.pth",
        "fid": "pt_inception-2015-12-05-6726825d.pth",
        "niqe": "niqe_pris_params.npz",
    }.items():
        assert unavailable[name].startswith(file)
        assert str(tmp_path) in unavailable[name]
        assert "download it from http" in unavailable[name]


def test_names_are_kept_in_order_and_an_unknown_one_is_refused() -> None:
    available, unavailable = open_metrics(["ssim", "psnr"])
    assert [*available] == ["ssim", "psnr"]
    assert not unavailable
    with pytest.raises(DataError, match=r"^metric 'pnsr' found; choose from psnr, psnr_y, "):
        open_metrics(["psnr", "pnsr"])


def test_a_broken_file_makes_a_metric_unavailable_too(tmp_path: Path) -> None:
    (tmp_path / "alexnet-owt-7be5be79.pth").write_bytes(b"broken")
    (tmp_path / "niqe_pris_params.npz").write_bytes(b"broken")
    _, unavailable = open_metrics(["lpips_alex", "niqe"], tmp_path)
    assert "it is broken or another file" in unavailable["lpips_alex"]
    assert "is not a model of NIQE" in unavailable["niqe"]


@pytest.fixture
def all_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published heads, a made-up model of NIQE, and networks of random weights."""
    for folder, name in {"lpips": "alex.pth", "lpips ": "vgg.pth", "dists": "weights.pt"}.items():
        source = PUBLISHED / f"{folder.strip()}_models" / name
        (tmp_path / name).write_bytes(source.read_bytes())
    np.savez(
        tmp_path / "niqe_pris_params.npz", mu_pris_param=np.ones(36), cov_pris_param=np.eye(36)
    )
    monkeypatch.setattr(lpips, "load_alexnet", lambda folder: AlexNet())
    monkeypatch.setattr(lpips, "load_vgg16", lambda folder: VGG16())
    monkeypatch.setattr(dists, "load_vgg16", lambda folder, pool: VGG16(pool=pool))
    monkeypatch.setattr(fid, "load_inception", lambda folder: Inception(2))
    return tmp_path


def test_with_all_files_every_metric_judges(all_weights: Path) -> None:
    available, unavailable = open_metrics(METRICS, all_weights)
    assert not unavailable
    for name, score in available.items():
        found = score(**given(name))
        assert found.shape == (() if METRICS[name].of_sets else (2,)), name
        assert found.isfinite().all(), name


def test_what_is_called_better_is_better_for_the_true_picture(all_weights: Path) -> None:
    available, _ = open_metrics(set(METRICS) - {"niqe"}, all_weights)
    for name, score in available.items():
        values = given(name)
        worse, perfect = score(**values), score(**{**values, "restored": values["gt"]})
        higher = METRICS[name].better == "higher"
        assert (perfect > worse if higher else perfect < worse).all(), name


def test_the_simple_ones_are_what_their_names_say() -> None:
    available, _ = open_metrics(["psnr", "psnr_y", "psnr_hole", "ssim", "ssim_y"])
    restored, gt, mask = pair().values()
    wanted = {
        "psnr": psnr(restored, gt),
        "psnr_y": psnr(restored, gt, y_channel=True),
        "psnr_hole": psnr(restored, gt, mask=mask),
        "ssim": ssim(restored, gt),
        "ssim_y": ssim(restored, gt, y_channel=True),
    }
    for name, value in wanted.items():
        assert torch.equal(available[name](**given(name)), value)


def test_networks_go_to_the_device(all_weights: Path) -> None:
    available, _ = open_metrics(["lpips_alex", "fid", "psnr"], all_weights, device="meta")
    for name in ("lpips_alex", "fid"):
        assert all(tensor.is_meta for tensor in available[name].state_dict().values())
