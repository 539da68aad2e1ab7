"""What the IPR is worth: each score is what its name says."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import pytest
import torch
from torch import Tensor

from diffir.data import Batch
from diffir.evaluation import round_to_8_bit
from diffir.evaluation.ipr_statistics import ipr_statistics
from diffir.evaluation.protocol import own_ipr
from diffir.evaluation.psnr_ssim import psnr
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2

TOY = DiffIRConfig(
    dim=8, num_blocks=(1, 1, 1, 1), num_refinement_blocks=1, cpen_blocks=1, ipr_dim=32
)


@pytest.fixture
def pairs() -> list[Batch]:
    """Of different brightness, so that their Z differ."""
    generator = torch.Generator().manual_seed(0)

    def picture(low: float) -> Tensor:
        return low + 0.3 * torch.rand(1, 3, 16, 16, generator=generator)

    return [Batch(lq=picture(low), gt=picture(low)) for low in (0.0, 0.3, 0.7)]


def networks(config: DiffIRConfig) -> tuple[DiffIRS1, DiffIRS2]:
    torch.manual_seed(0)
    teacher, student = DiffIRS1(config).eval(), DiffIRS2(config).eval()
    with torch.no_grad():
        for parameter in teacher.cpen.parameters():
            parameter *= 3  # that Z matters
    return teacher, student


@torch.no_grad()
def true(teacher: DiffIRS1, pairs: Sequence[Batch]) -> Tensor:
    return torch.cat([teacher.extract_ipr(pair.lq, pair.gt) for pair in pairs])


@torch.no_grad()
def mean_psnr(network: DiffIRS1 | DiffIRS2, pairs: Sequence[Batch], iprs: Tensor) -> float:
    return fmean(
        float(psnr(round_to_8_bit(network.dirformer(pair.lq, ipr[None])), pair.gt))
        for pair, ipr in zip(pairs, iprs, strict=True)
    )


@pytest.mark.parametrize("stage", [1, 2])
def test_a_network_is_handed_the_true_ipr_the_next_pictures_and_the_mean(
    pairs: list[Batch], stage: int
) -> None:
    teacher, student = networks(TOY)
    network = teacher if stage == 1 else student
    with torch.no_grad():
        found = ipr_statistics(network, teacher if stage == 2 else None, pairs)
    z = true(teacher, pairs)
    wanted = {
        "psnr_true": mean_psnr(network, pairs, z),
        "psnr_other": mean_psnr(network, pairs, z[[1, 2, 0]]),
        "psnr_mean": mean_psnr(network, pairs, z.mean(dim=0).expand(3, -1)),
    }
    assert len({round(value, 3) for value in wanted.values()}) == 3
    if stage == 1:  # the network's own score
        del wanted["psnr_true"]
    assert {name: found[name] for name in found if name.startswith("psnr")} == pytest.approx(wanted)


@pytest.mark.parametrize("stage", [1, 2])
def test_the_spread_is_how_far_the_ipr_differs_from_picture_to_picture(
    pairs: list[Batch], stage: int
) -> None:
    teacher, student = networks(TOY)
    with torch.no_grad():
        found = (
            ipr_statistics(teacher, None, pairs)
            if stage == 1
            else ipr_statistics(student, teacher, pairs)
        )
        alike = ipr_statistics(teacher, None, [pairs[0], pairs[0]])
    z = true(teacher, pairs).numpy()
    assert found["ipr/spread"] == pytest.approx(z.std(axis=0, ddof=1).mean() / abs(z).mean())
    assert found["ipr/spread"] > 0.01
    assert alike["ipr/spread"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("timesteps", "insert_variance"), [(0, False), (1, False), (3, False), (1, True), (3, True)]
)
def test_the_distance_to_the_true_ipr_is_told_after_each_reverse_step(
    pairs: list[Batch], timesteps: int, insert_variance: bool
) -> None:
    teacher, student = networks(replace(TOY, timesteps=timesteps, insert_variance=insert_variance))
    z = true(teacher, pairs)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1 + timesteps * insert_variance, 1, TOY.ipr_dim, generator=generator)
    with torch.no_grad():
        steps = torch.cat(
            [
                student.estimate_ipr_steps(p.lq, noise[0], noise[1:] if insert_variance else None)
                for p in pairs
            ],
            dim=1,
        )  # (T, N, 4C')
        found = ipr_statistics(student, teacher, pairs)
        last = torch.cat([own_ipr(student, pair) for pair in pairs])
    distances = [value for name, value in found.items() if name.startswith("ipr/distance")]
    assert distances == pytest.approx((steps - z).abs().mean(dim=(1, 2)).tolist())
    assert len(distances) == max(timesteps, 1)
    assert found[f"ipr/distance_{len(distances)}"] == pytest.approx(float((last - z).abs().mean()))


def test_a_stage_2_without_a_teacher_has_nothing_to_be_held_against(pairs: list[Batch]) -> None:
    assert ipr_statistics(networks(TOY)[1], None, pairs) == {}
