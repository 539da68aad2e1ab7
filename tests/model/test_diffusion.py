"""The noise schedule and the reverse chain, against formulas written a second way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from diffir.model import DiffIRConfig, DiffIRS2, IPRDiffusion

TOY = DiffIRConfig(dim=8, num_blocks=(1, 1, 1, 1), num_refinement_blocks=1, cpen_blocks=1)
EPSILON = replace(TOY, prediction="epsilon")
STEPS = [1, 2, 3, 4, 8, 16]


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize(
    ("schedule", "betas"),
    [
        ("scaled_linear", np.linspace(0.1**0.5, 0.99**0.5, 4) ** 2),
        ("linear", np.linspace(0.1, 0.99, 4)),
    ],
)
def test_four_steps_have_the_published_betas(schedule: str, betas: np.ndarray) -> None:
    diffusion = IPRDiffusion(replace(TOY, beta_schedule=schedule))
    np.testing.assert_allclose(diffusion.betas, betas, rtol=1e-12)
    np.testing.assert_allclose(diffusion.alpha_bar, np.cumprod(1 - betas), rtol=1e-12)


@pytest.mark.parametrize("timesteps", STEPS)
def test_the_end_is_noise_whatever_the_number_of_steps(timesteps: int) -> None:
    diffusion = IPRDiffusion(replace(TOY, timesteps=timesteps))
    assert len(diffusion.betas) == timesteps
    assert all(0 < beta < 1 for beta in diffusion.betas)
    # all schedules end where that of T = 4 ends; 1e-12: sums of logarithms
    assert diffusion.alpha_bar[-1] == pytest.approx(IPRDiffusion(TOY).alpha_bar[-1], rel=1e-12)


def test_twice_the_steps_pass_through_the_same_noise_levels() -> None:
    four, eight = IPRDiffusion(TOY), IPRDiffusion(replace(TOY, timesteps=8))
    np.testing.assert_allclose(eight.alpha_bar[1::2], four.alpha_bar, rtol=1e-12)


@pytest.mark.parametrize("config", [TOY, EPSILON, replace(TOY, beta_schedule="linear")])
@pytest.mark.parametrize("timesteps", STEPS)
def test_a_perfect_denoiser_leads_back_to_the_clean_ipr(
    config: DiffIRConfig, timesteps: int
) -> None:
    diffusion = IPRDiffusion(replace(config, timesteps=timesteps))
    clean, noise = gaussian(3, 16), gaussian(3, 16, seed=1)

    def oracle(z: Tensor, time: float, _condition: Tensor) -> Tensor:
        if config.prediction == "x0":
            return clean
        alpha_bar = diffusion.alpha_bar[round(time * 10 * timesteps)]
        return (z - alpha_bar**0.5 * clean) / (1 - alpha_bar) ** 0.5

    steps = diffusion.denoise(oracle, diffusion.add_noise(clean, noise), clean)
    assert steps.shape == (timesteps, 3, 16)
    # the last x0 step has weight 1 on the prediction; the epsilon chain divides by √α several times
    torch.testing.assert_close(steps[-1], clean, atol=1e-9, rtol=0)


@pytest.mark.parametrize("t", range(4))
def test_both_predictions_have_the_mean_of_the_posterior(t: int) -> None:
    """q(z_{t-1} | z_t, z_0) as a product of two Gaussians, completed to a square."""
    x0, epsilon = IPRDiffusion(TOY), IPRDiffusion(EPSILON)
    z0, noise = gaussian(2, 8), gaussian(2, 8, seed=1)
    alpha, before, after = x0.alphas[t], x0.alpha_bar_before[t], x0.alpha_bar[t]
    z_t = after**0.5 * z0 + (1 - after) ** 0.5 * noise
    if t == 0:
        mean, variance = z0, 0.0  # nothing is noised before the first step
    else:
        precision = alpha / (1 - alpha) + 1 / (1 - before)
        mean = (alpha**0.5 * z_t / (1 - alpha) + before**0.5 * z0 / (1 - before)) / precision
        variance = 1 / precision
    torch.testing.assert_close(x0.step_mean(z0, z_t, t), mean, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(epsilon.step_mean(noise, z_t, t), mean, atol=1e-12, rtol=1e-10)
    assert x0.posterior_variance(t) == pytest.approx(variance, abs=1e-15, rel=1e-12)


def test_inserted_variance_adds_noise_after_every_step_but_the_last() -> None:
    diffusion = IPRDiffusion(replace(TOY, insert_variance=True))
    start, condition, step_noise = gaussian(2, 8), gaussian(2, 8), gaussian(4, 2, 8, seed=2)

    def predict(z: Tensor, time: float, condition: Tensor) -> Tensor:
        return 0.5 * z + condition + time

    found = diffusion.denoise(predict, start, condition, step_noise)
    z, wanted = start, []
    for index, t in enumerate([3, 2, 1, 0]):
        z = diffusion.step_mean(predict(z, t / 40, condition), z, t)
        if index < 3:
            z = z + diffusion.posterior_variance(t) ** 0.5 * step_noise[index]
        wanted.append(z)
    torch.testing.assert_close(found, torch.stack(wanted))


def test_step_noise_is_wanted_exactly_where_variance_is_inserted() -> None:
    noise = gaussian(4, 2, 8)
    with pytest.raises(ValueError, match="takes no step_noise"):
        IPRDiffusion(TOY).denoise(lambda z, _t, _c: z, noise[0], noise[0], noise)
    chain = IPRDiffusion(replace(TOY, insert_variance=True))
    with pytest.raises(ValueError, match="needs step_noise"):
        chain.denoise(lambda z, _t, _c: z, noise[0], noise[0])


def test_only_a_denoiser_of_noise_can_go_far_below_zero() -> None:
    torch.manual_seed(0)
    inputs = 50 * torch.randn(64, 256), 0.0, torch.zeros(64, 256)
    lows = [DiffIRS2(config).denoiser(*inputs).min() for config in (TOY, EPSILON)]
    assert lows[1] < 5 * lows[0] < 0  # LeakyReLU(0.1) shrinks what is negative


@pytest.mark.parametrize("timesteps", [1, 4])
def test_gradients_flow_through_all_steps(timesteps: int) -> None:
    torch.manual_seed(0)
    model = DiffIRS2(replace(TOY, timesteps=timesteps))
    start = torch.randn(2, 256, requires_grad=True)
    model.estimate_ipr(torch.rand(2, 3, 16, 16), start).sum().backward()
    parts = [*model.cpen.parameters(), *model.denoiser.parameters()]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in parts)
    assert start.grad is not None
    assert start.grad.abs().sum() > 0


def test_a_batch_gives_what_single_pictures_give() -> None:
    torch.manual_seed(0)
    model = DiffIRS2(replace(TOY, upscale=4, cpen_reduction=2)).eval()
    lq, noise = torch.rand(3, 3, 16, 24), torch.randn(3, 256)
    with torch.no_grad():
        together = model(lq, noise)
        singles = [model(lq[i : i + 1], noise[i : i + 1]) for i in range(3)]
    assert together.shape == (3, 3, 64, 96)
    # 1e-5: another order of sums
    torch.testing.assert_close(together, torch.cat(singles), atol=1e-5, rtol=0)
