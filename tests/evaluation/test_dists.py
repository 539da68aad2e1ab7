"""DISTS: against torchmetrics with its copy of the published α and β, on random weights."""

from pathlib import Path

import pytest
import torch
import torchmetrics
from torch import Tensor, nn
from torchmetrics.functional.image import dists as oracle

from diffir.errors import WeightsError
from diffir.evaluation import dists
from diffir.evaluation.dists import DISTS, DISTS_WEIGHTS, L2Pool, Shares
from diffir.evaluation.lpips import VGG16Features
from diffir.losses import load_into, vgg
from diffir.losses.vgg import VGG16
from diffir.losses.weights import find_any

PUBLISHED = Path(torchmetrics.__file__).parent / "functional/image/dists_models"


def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    gt = torch.rand(2, 3, 45, 64, generator=generator)  # odd at some resolution
    noise = torch.rand(gt.shape, generator=generator)
    return torch.lerp(gt, noise, torch.tensor([0.1, 0.5])[:, None, None, None]), gt


def small(width: int = 64) -> DISTS:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features = VGG16Features(VGG16(width, pool=L2Pool))
    return DISTS(features, Shares([3, *features.dims]))


def test_dists_equals_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = small()
    load_into(ours.shares, PUBLISHED / "weights.pt")

    class TorchvisionVGG16(nn.Module):
        """What torchvision would give: pooling in its places, a last ReLU and pooling."""

        def __init__(self, weights: None) -> None:
            super().__init__()
            self.features = nn.Sequential(*ours.features.vgg.features, nn.ReLU(), nn.MaxPool2d(2))

    class Weights:
        DEFAULT = None

    monkeypatch.setattr(oracle, "_TORCHVISION_AVAILABLE", True)
    monkeypatch.setattr(oracle, "vgg16", TorchvisionVGG16, raising=False)
    monkeypatch.setattr(oracle, "VGG16_Weights", Weights, raising=False)
    restored, gt = pictures()
    wanted = oracle.deep_image_structure_and_texture_similarity(restored, gt)
    assert wanted.min() > 1e-3
    # 1e-5: they subtract large numbers from each other for the covariance, in float32
    torch.testing.assert_close(ours(restored, gt), wanted, rtol=0, atol=1e-5)


def test_the_published_file_is_found_by_name_and_hash_and_another_refused(tmp_path: Path) -> None:
    assert find_any(DISTS_WEIGHTS, PUBLISHED) == PUBLISHED / "weights.pt"
    torch.save(Shares([3, 64, 128, 256, 512, 512]).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"instead of f5e65c96…"):
        find_any(DISTS_WEIGHTS, tmp_path)


def test_the_published_file_fits_the_full_network() -> None:
    with torch.device("meta"):
        features = VGG16Features(VGG16(pool=L2Pool))
    shares = Shares([3, *features.dims])
    load_into(shares, PUBLISHED / "weights.pt")
    alpha, beta = shares()
    assert alpha.shape == beta.shape == (1, 1475)
    torch.testing.assert_close(alpha.sum() + beta.sum(), torch.tensor(1.0))


def test_equal_pictures_have_no_distance_and_a_batch_is_its_pictures() -> None:
    net = small(2)
    restored, gt = pictures()
    torch.testing.assert_close(net(gt, gt), torch.zeros(2), rtol=0, atol=1e-6)
    apart = [net(r[None], g[None]) for r, g in zip(restored, gt, strict=True)]
    torch.testing.assert_close(net(restored, gt), torch.cat(apart))
    assert net(restored, gt)[0] < net(restored, gt)[1]
    with pytest.raises(ValueError, match="must be equal"):
        net(restored, gt[:1])


def test_the_pool_is_the_root_of_a_blurred_square() -> None:
    x = torch.zeros(1, 2, 5, 5)
    x[0, 0, 2, 2] = 4.0
    x[0, 1, 1, 2] = 4.0
    found = L2Pool()(x)
    assert found.shape == (1, 2, 3, 3)
    assert float(found[0, 0, 1, 1]) == pytest.approx(2)  # √(16 · ½ · ½)
    assert float(found[0, 1, 1, 1]) == pytest.approx(2**0.5)  # √(16 · ¼ · ½)
    assert float(found[0, 1, 2, 2]) == pytest.approx(1e-6)  # a gradient lives here


def test_it_is_put_together_from_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = small(1)
    shares = Shares([3, *wanted.features.dims])
    shares.alpha.copy_(torch.rand(shares.alpha.shape))
    torch.save(wanted.features.vgg.state_dict(), tmp_path / "vgg.pth")
    torch.save(shares.state_dict(), tmp_path / "shares.pth")

    def load_vgg16(weights_dir: Path, pool: vgg.MakePool) -> VGG16:
        net = VGG16(1, pool)
        load_into(net, weights_dir / "vgg.pth")
        return net

    monkeypatch.setattr(dists, "load_vgg16", load_vgg16)
    monkeypatch.setattr(dists, "find_any", lambda choices, folder: folder / "shares.pth")
    found = dists.load_dists(tmp_path)(*pictures())
    torch.testing.assert_close(found, DISTS(wanted.features, shares)(*pictures()))
