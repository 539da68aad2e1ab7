"""The networks equal the authors', number for number."""

from pathlib import Path

import pytest
import torch
from reference import CONFIGS, Reference, load_reference
from torch import Tensor, nn

from diffir.losses import ipr_kl, ipr_l1, ipr_l2, pixel_l1

# float64: the reference was rounded to float32 once; float32: another order of sums
PRECISIONS = [(torch.float64, 1e-6), (torch.float32, 1e-5)]
every_task = pytest.mark.parametrize("task", CONFIGS)
every_precision = pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)


def assert_close(actual: Tensor, wanted: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(actual, wanted, atol=tolerance, rtol=0)


def assert_scalar(actual: Tensor | float, wanted: float, tolerance: float) -> None:
    assert float(actual) == pytest.approx(wanted, rel=tolerance)


def gradient_norm(part: nn.Module) -> float:
    squares = [p.grad.double().square().sum() for p in part.parameters() if p.grad is not None]
    assert len(squares) == len(list(part.parameters())), "some parameter has no gradient"
    return float(torch.stack(squares).sum().sqrt())


@every_task
def test_parameter_counts_are_the_authors(task: str) -> None:
    reference = load_reference(task, torch.float32)
    for stage in ("stage1", "stage2"):
        count = sum(p.numel() for p in getattr(reference, stage).parameters())
        assert count == reference.facts[f"params_{stage}"]


@every_task
@every_precision
def test_inference_of_both_stages_equals_the_authors(
    task: str, dtype: torch.dtype, tolerance: float
) -> None:
    reference = load_reference(task, dtype)
    arrays, stage1, stage2 = reference.arrays, reference.stage1, reference.stage2
    lq, gt, noise = arrays["lq"], arrays["gt"], arrays["noise"]
    with torch.no_grad():
        assert_close(stage1.extract_ipr(lq, gt), arrays["s1_ipr"], tolerance)
        assert_close(stage1(lq, gt), arrays["s1_restored"], tolerance)
        assert_close(stage2.extract_condition(lq), arrays["s2_condition"], tolerance)
        assert_close(stage2.estimate_ipr_steps(lq, noise), arrays["s2_ipr_steps"], tolerance)
        assert_close(stage2(lq, noise), arrays["s2_restored"], tolerance)


def stage2_forward(reference: Reference) -> tuple[Tensor, Tensor, Tensor]:
    """The training forward: the teacher's Z, Ẑ after each step, the restored pictures."""
    arrays = reference.arrays
    with torch.no_grad():
        ipr = reference.stage1.extract_ipr(arrays["lq"], arrays["gt"])
    start = reference.stage2.diffusion.add_noise(ipr, arrays["noise"])
    steps = reference.stage2.estimate_ipr_steps(arrays["lq"], start)
    return ipr, steps, reference.stage2.dirformer(arrays["lq"], steps[-1])


@every_task
@every_precision
def test_stage_2_training_equals_the_authors(
    task: str, dtype: torch.dtype, tolerance: float
) -> None:
    reference = load_reference(task, dtype)
    arrays, scalars = reference.arrays, reference.facts["scalars"]
    ipr, steps, restored = stage2_forward(reference)
    noised = reference.stage2.diffusion.add_noise(ipr, arrays["noise"])
    assert_close(noised, arrays["train_noised_ipr"], tolerance)
    assert_close(steps.detach(), arrays["train_ipr_steps"], tolerance)
    assert_close(restored.detach(), arrays["train_restored"], tolerance)

    reconstruction, diffusion = pixel_l1(restored, arrays["gt"]), ipr_l1(steps[-1], ipr)
    assert_scalar(reconstruction.detach(), scalars["loss_reconstruction"], tolerance)
    assert_scalar(diffusion.detach(), scalars["loss_diffusion_l1"], tolerance)
    assert_scalar(ipr_l2(steps[-1], ipr).detach(), scalars["loss_diffusion_l2"], tolerance)
    assert_scalar(ipr_kl(steps[-1], ipr).detach(), scalars["loss_diffusion_kl"], tolerance)

    (reconstruction + diffusion).backward()
    for part in ("dirformer", "cpen", "denoiser"):
        norm = gradient_norm(getattr(reference.stage2, part))
        assert_scalar(norm, scalars[f"grad_norm_{part}"], tolerance)


@every_task
@every_precision
def test_stage_1_training_equals_the_authors(
    task: str, dtype: torch.dtype, tolerance: float
) -> None:
    reference = load_reference(task, dtype)
    arrays, scalars = reference.arrays, reference.facts["scalars"]
    loss = pixel_l1(reference.stage1(arrays["lq"], arrays["gt"]), arrays["gt"])
    loss.backward()
    assert_scalar(loss.detach(), scalars["stage1_loss"], tolerance)
    for part in ("dirformer", "cpen"):
        norm = gradient_norm(getattr(reference.stage1, part))
        assert_scalar(norm, scalars[f"stage1_grad_norm_{part}"], tolerance)


def test_reference_files_are_complete() -> None:
    here = Path(__file__).parent
    assert {path.stem for path in here.glob("*.npz")} == {*CONFIGS, "pictures"}
