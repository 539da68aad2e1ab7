"""FID: against scipy's and torchmetrics' formulas, in float64 and however the pictures come."""

from functools import reduce

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torchmetrics.image.fid import _compute_fid

from diffir.errors import DataError
from diffir.evaluation import fid
from diffir.evaluation.fid import FID, Gaussian, frechet_distance, resized
from diffir.evaluation.inception import Inception


def features(count: int, dim: int = 24, seed: int = 0) -> Tensor:
    """Correlated and far from 0, float32 as networks give them."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=generator) * torch.logspace(0, -2, dim)
    return torch.randn(count, dim, generator=generator) @ mixing.T + 100 * (seed + 1)


def by_scipy(a: Tensor, b: Tensor) -> float:
    """As pytorch-fid has it."""
    (ma, sa), (mb, sb) = ((np.mean(x, axis=0), np.cov(x, rowvar=False)) for x in (a, b))
    root = scipy.linalg.sqrtm(sa @ sb)
    return float((ma - mb) @ (ma - mb) + np.trace(sa + sb - 2 * root.real))


def test_the_distance_is_that_of_scipys_matrix_root() -> None:
    a, b = features(200).double().numpy(), features(300, seed=1).double().numpy() - 99
    found = frechet_distance(*(Gaussian.of(torch.from_numpy(x)) for x in (a, b)))
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(by_scipy(a, b), rel=1e-9)


def test_the_distance_is_that_of_torchmetrics() -> None:
    a, b = (Gaussian.of(features(200, seed=seed)) for seed in (0, 1))
    wanted = _compute_fid(a.mean, a.covariance(), b.mean, b.covariance())
    torch.testing.assert_close(frechet_distance(a, b), wanted, rtol=1e-9, atol=0)


def test_with_fewer_pictures_than_features_it_is_still_exact() -> None:
    x = features(5).double()
    a = Gaussian.of(x)
    assert float(frechet_distance(a, a)) == pytest.approx(0, abs=1e-9)
    # Twice the deviations about the same mean: tr(Σ + 4 Σ − 2 · 2 Σ) = tr Σ
    b = Gaussian.of(x.mean(dim=0) + 2 * (x - x.mean(dim=0)))
    assert float(frechet_distance(a, b)) == pytest.approx(float(a.covariance().trace()), rel=1e-9)


def test_rounding_never_makes_the_distance_negative() -> None:
    found = [float(frechet_distance(*[Gaussian.of(features(50, seed=s))] * 2)) for s in range(8)]
    assert min(found) >= 0


def test_a_distance_of_what_is_not_a_number_is_not_0() -> None:
    a = Gaussian(3, torch.full((2,), torch.nan).double(), torch.eye(2).double())
    b = Gaussian(3, torch.zeros(2).double(), torch.eye(2).double())
    assert frechet_distance(a, b).isnan()


def test_pieces_make_the_statistics_of_the_whole() -> None:
    x = features(57) * 1e-3 + 1e4  # a mean that sums of squares in float32 would drown in
    pieces = [Gaussian.of(piece) for piece in x.split([1, 20, 3, 33])]
    joined = reduce(Gaussian.joined, pieces)
    assert joined.count == 57
    np.testing.assert_allclose(joined.mean, x.double().mean(dim=0), rtol=1e-14)
    np.testing.assert_allclose(
        joined.covariance(), np.cov(x.double().numpy(), rowvar=False), rtol=1e-9, atol=1e-12
    )


def small() -> FID:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = FID(Inception(2))
        for name, tensor in net.state_dict().items():
            if name.endswith("conv.weight"):  # a signal comes through
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
        return net


def photos(count: int, seed: int = 0, side: int = 20) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_it_does_not_matter_how_the_pictures_are_batched() -> None:
    net, pictures = small(), photos(5)
    together = net.gaussian([pictures])
    apart = net.gaussian(pictures.split(1))
    assert together.count == apart.count == 5
    torch.testing.assert_close(together.mean, apart.mean)
    torch.testing.assert_close(together.scatter, apart.scatter, rtol=1e-3, atol=1e-12)


def test_the_network_sees_few_pictures_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fid, "BATCH", 2)
    monkeypatch.setattr(fid, "BATCHES", 1)
    net, seen = small(), []
    net.inception.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    taken = []

    def stream() -> "list[Tensor]":
        for picture in photos(5).split(1):
            taken.append(len(seen))
            yield picture

    assert net.gaussian(stream()).count == 5
    assert seen == [2, 2, 1]
    assert taken == [0, 0, 1, 1, 2]  # no picture is read before it is due


def test_pictures_of_any_size_make_a_set_and_order_is_nothing() -> None:
    net = small()
    pictures = [*photos(3).split(1), photos(1, 1, side=33)]
    distance = net(pictures, pictures[::-1])
    assert distance.shape == ()
    assert float(distance) == pytest.approx(0, abs=1e-9)
    assert float(net(pictures, [photos(4, 2)])) > 1e-6


def test_pictures_are_resized_as_pytorch_fid_does() -> None:
    """By bilinear interpolation between the two nearest pixels, also when they shrink."""
    line = torch.arange(598.0)
    found = resized(line.expand(1, 3, 10, 598))
    assert found.shape == (1, 3, 299, 299)
    torch.testing.assert_close(found[0, 0, 0], line.reshape(299, 2).mean(dim=1))
    shrunk = resized((torch.arange(1196) % 4 == 0).float().expand(1, 3, 10, 1196))
    assert not shrunk.any()  # pixels 1 and 2 of every 4 are looked at: no antialiasing


def test_too_few_pictures_are_refused() -> None:
    net = small()
    with pytest.raises(DataError, match=r"^1 picture found; FID needs sets of at least 2"):
        net([photos(1)], [photos(2)])
    with pytest.raises(DataError, match=r"^no picture found"):
        net([], [photos(2)])
