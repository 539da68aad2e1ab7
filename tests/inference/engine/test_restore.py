from dataclasses import replace
from itertools import pairwise
from threading import Event

import pytest
import torch
from official import toy
from torch import Tensor

from diffir.errors import DeviceError, StoppedError
from diffir.inference.engine import (
    Plan,
    convolutions,
    plan_for,
    restore,
    run,
)
from diffir.inference.engine import (
    network as networks,
)
from diffir.inference.engine import (
    plan as plans,
)
from diffir.inference.engine.kernels import Kernels
from diffir.inference.engine.tools import Tools, Watch
from diffir.loading import load
from diffir.model import DiffIRConfig, DiffIRS2
from diffir.presets import PRESETS

SIZES = {"least": (1, 1, 1), "tall": (1, 7, 1), "wide": (1, 1, 9), "three": (3, 3, 2)}
EXACT = 1e-5  # the same sums in another order


def network(config: DiffIRConfig) -> DiffIRS2:
    """A network of random weights, none of them at a neutral start."""
    torch.manual_seed(0)
    model = DiffIRS2(config).eval()
    for parameter in model.parameters():
        if parameter.ndim not in (2, 4):  # norms, temperatures and biases
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def inputs(model: DiffIRS2, batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """LQ of (height, width) times what its sides must divide by, and noise."""
    config, generator = model.config, torch.Generator().manual_seed(1)
    size = height * config.multiple_of, width * config.multiple_of
    lq = torch.rand(batch, config.in_channels, *size, generator=generator)
    return lq, torch.randn(batch, config.ipr_dim, generator=generator)


@torch.inference_mode()
def plain(model: DiffIRS2, lq: Tensor, noise: Tensor) -> Tensor:
    return model(lq, noise)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_comes_out_as_from_the_plain_network(
    preset: str, size: tuple[int, int, int]
) -> None:
    model = network(toy(preset))
    lq, noise = inputs(model, *size)
    assert (restore(model, lq, noise) - plain(model, lq, noise)).abs().max() < EXACT


DEPARTURES = {
    "identity": {"identity_modulation": True},
    "standardised": {"ipr_norm": "batch"},
    "standardised input": {"cpen_standardise": True},
    "spread": {"cpen_pooling": "mean_std"},
    "logarithm of spread": {"cpen_pooling": "mean_log_std"},
    "residual denoiser": {"denoiser_residual": True},
    "half of LQ": {"cpen_reduction": 0.5},
    "no diffusion": {"timesteps": 0},
    "constant": {"constant_ipr": True, "timesteps": 0},
}


@pytest.mark.parametrize("changes", DEPARTURES.values(), ids=DEPARTURES)
def test_departures_from_the_published_form_come_out_as_well(changes: dict[str, object]) -> None:
    model = network(replace(toy("sr-x2"), **changes))
    lq, noise = inputs(model, 2, 3, 2)
    assert (restore(model, lq, noise) - plain(model, lq, noise)).abs().max() < EXACT


@pytest.mark.parametrize("preset", ["sr-x4", "inpaint"])
def test_plain_torch_gives_it_too(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "kernels_for", lambda *_: Kernels())
    model = network(toy(preset))
    lq, noise = inputs(model, 1, 3, 2)
    assert (restore(model, lq, noise) - plain(model, lq, noise)).abs().max() < EXACT


def test_the_order_of_memory_does_not_matter() -> None:
    model = network(toy("sr-x4"))
    lq, noise = inputs(model, 2, 3, 2)
    wanted = restore(model, lq, noise)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    last = lq.contiguous(memory_format=torch.channels_last)
    assert torch.equal(restore(model, last, noise), wanted)


def test_trained_weights_restore_as_they_do_in_the_plain_network() -> None:
    model = load("sr-x4-lite").eval()
    assert isinstance(model, DiffIRS2)
    lq, noise = inputs(model, 1, 5, 6)
    assert (restore(model, lq, noise) - plain(model, lq, noise)).abs().max() < EXACT


def test_chains_with_inserted_variance_or_without_diffusion_are_followed() -> None:
    for config in (toy("deblur", insert_variance=True), toy("deblur", timesteps=0)):
        model = network(config)
        lq, noise = inputs(model, 2, 2, 2)
        steps = torch.randn(config.timesteps, 2, config.ipr_dim) if config.timesteps else None
        with torch.inference_mode():
            wanted = model.dirformer(lq, model.estimate_ipr(lq, noise, steps))
        assert (restore(model, lq, noise, step_noise=steps) - wanted).abs().max() < EXACT


def plans_down(model: DiffIRS2, lq: Tensor) -> list[Plan]:
    """Every plan from the usual one to that with the lowest stripes."""
    plan: Plan | None = plan_for(model.config, len(lq), *lq.shape[2:])
    found = []
    while plan is not None:
        found.append(plan)
        plan = plan.halved()
    return found


@pytest.mark.parametrize("kernels", ["chosen", "plain"])
@pytest.mark.parametrize("preset", ["deblur", "sr-x4", "deblur-lite"])
def test_the_budget_changes_no_bit(
    preset: str, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels == "plain":
        monkeypatch.setattr(run, "kernels_for", lambda *_: Kernels())
    monkeypatch.setattr(plans, "BLOCK", 64)
    model = network(toy(preset))
    lq, noise = inputs(model, 1, 5, 3)
    ways = plans_down(model, lq)
    rows = {tuple(grid.rows for grid in plan.grids) for plan in ways}
    assert len(rows) > 3, "the budgets are to make different stripes"
    restored = [restore(model, lq, noise, budget=plan.bytes) for plan in ways]
    assert all(torch.equal(first, second) for first, second in pairwise(restored))


def test_a_picture_in_a_batch_gets_the_bits_it_gets_alone() -> None:
    model = network(toy("deblur"))
    lq, noise = inputs(model, 3, 2, 2)
    together = restore(model, lq, noise)
    alone = [restore(model, lq[i : i + 1], noise[i : i + 1]) for i in range(3)]
    assert torch.equal(together, torch.cat(alone))


def test_extreme_pictures_stay_finite() -> None:
    model = network(toy("deblur"))
    _, noise = inputs(model, 1, 1, 1)
    for lq in (torch.zeros(1, 3, 8, 16), torch.ones(1, 3, 16, 8), torch.rand(1, 3, 8, 4000)):
        assert restore(model, lq, noise).isfinite().all()


def test_a_budget_too_small_says_what_would_do() -> None:
    model = network(toy("deblur"))
    lq, noise = inputs(model, 1, 2, 2)
    least = plans_down(model, lq)[-1]
    with pytest.raises(DeviceError, match="the memory limit is 1 MB, but 16×16 needs"):
        restore(model, lq, noise, budget=10**6)
    with pytest.raises(DeviceError) as caught:
        plan_for(model.config, 1, 16, 16, budget=10**6)
    needed = int(str(caught.value).split("needs ")[1].split(" MB")[0])
    assert needed * 10**6 >= least.bytes
    restore(model, lq, noise, budget=needed * 10**6)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 7 bytes")])
def test_when_memory_runs_out_it_goes_on_with_lower_stripes(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "BLOCK", 64)
    model = network(toy("deblur"))
    lq, noise = inputs(model, 1, 5, 3)
    wanted, seen = restore(model, lq, noise), []
    run_blocks = networks.run_blocks

    def short_of_memory(
        blocks: object, ipr: object, x: object, grid: object, tools: object
    ) -> None:
        seen.append(grid.rows)  # type: ignore[attr-defined]
        if len(seen) < 5:
            raise error
        run_blocks(blocks, ipr, x, grid, tools)  # type: ignore[arg-type]

    monkeypatch.setattr(networks, "run_blocks", short_of_memory)
    shares: list[float] = []
    assert torch.equal(restore(model, lq, noise, progress=shares.append), wanted)
    assert seen[4] < seen[0]
    assert shares[-1] == pytest.approx(1)
    assert shares[-2] < 1


def test_when_memory_runs_out_in_the_end_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(networks, "run_blocks", no_memory)
    model = network(toy("deblur"))
    with pytest.raises(DeviceError, match=r"memory ran out at 16×8, which needs .* MB; free"):
        restore(model, *inputs(model, 1, 1, 2))


def test_other_errors_are_not_taken_for_lack_of_memory() -> None:
    model = network(toy("deblur"))
    lq, noise = inputs(model, 1, 1, 1)
    with pytest.raises(RuntimeError, match=r"shape|size"):
        restore(model, lq, noise[:, :5])


@pytest.mark.parametrize("preset", ["deblur", "sr-x2", "inpaint", "deblur-lite"])
def test_progress_rises_to_exactly_one(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "STRIPE", 4_000)
    monkeypatch.setattr(plans, "BLOCK", 16)
    model = network(toy(preset))
    shares: list[float] = []
    restore(model, *inputs(model, 2, 3, 5), progress=shares.append)
    assert all(0 < first < second for first, second in pairwise(shares))
    assert shares[-1] == pytest.approx(1, abs=1e-9)
    assert shares[-2] < 1
    assert max(second - first for first, second in pairwise(shares)) < 0.15


def test_a_run_can_be_stopped_inside_a_picture() -> None:
    model = network(toy("deblur"))
    stop, shares = Event(), []

    def progress(share: float) -> None:
        shares.append(share)
        if share > 0.3:
            stop.set()

    with pytest.raises(StoppedError, match="stopped before the picture was done"):
        restore(model, *inputs(model, 1, 4, 4), progress=progress, stop=stop)
    assert 0.3 < shares[-1] < 0.9


def test_bfloat16_is_close_and_keeps_the_float32_maps() -> None:
    model = network(toy("sr-x4"))
    lq, noise = inputs(model, 1, 4, 4)
    exact = restore(model, lq, noise)
    near = restore(model, lq, noise, dtype=torch.bfloat16)
    assert near.dtype == torch.float32
    decibels = -10 * (near - exact).square().mean().log10()
    assert 40 < decibels < 90


def test_a_size_that_does_not_divide_is_refused() -> None:
    model = network(toy("deblur"))
    with pytest.raises(ValueError, match="sides must be multiples of 8"):
        restore(model, torch.rand(1, 3, 12, 16), torch.randn(1, 32))


def test_the_network_and_the_inputs_are_left_as_they_were() -> None:
    model = network(toy("deblur"))
    lq, noise = inputs(model, 1, 2, 2)
    before = [value.clone() for value in (lq, noise, *model.state_dict().values())]
    restore(model, lq, noise)
    after = [lq, noise, *model.state_dict().values()]
    assert all(torch.equal(first, second) for first, second in zip(before, after, strict=True))


def test_in_bfloat16_the_layers_next_to_the_pictures_stay_exact() -> None:
    model = network(toy("deblur"))
    plan = plan_for(model.config, 1, 16, 24)
    tools = Tools(
        kernels=Kernels(torch.bfloat16),
        fine=Kernels(),
        watch=Watch(total=1),
        device=torch.device("cpu"),
    )
    dirformer, grid, (lq, _) = model.dirformer, plan.grids[0], inputs(model, 1, 2, 3)
    x, wide = torch.zeros(16, 24, 8), torch.rand(16, 24, 16)
    with torch.inference_mode():
        convolutions.embed(dirformer.embed, lq[0], 1, x, grid, tools)
        rgb = torch.cat(
            [rows for _, rows in convolutions.tail(dirformer.output, wide, grid, tools)]
        )
        wanted = dirformer.embed(lq)[0].permute(1, 2, 0)
        wanted_rgb = dirformer.output(wide.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert (x - wanted).abs().max() < EXACT
    assert (rgb - wanted_rgb).abs().max() < EXACT
