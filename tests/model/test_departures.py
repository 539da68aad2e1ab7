"""Departures from the authors' form: each does what it says, and none is there unless asked for."""

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from official import toy
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from diffir.checkpoints import Checkpoint, format
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2, IPRModulation
from diffir.model.cpen import CPEN, BatchStandardization, standardised
from diffir.model.diffir import gaussian_blur
from diffir.presets import RECIPES, choose

NEUTRAL = {
    "identity_modulation": False,
    "ipr_norm": "none",
    "cpen_standardise": False,
    "cpen_pooling": "mean",
    "prefill": False,
    "teacher_blur": 0.0,
    "teacher_residual": False,
    "ipr_bottleneck": 0,
    "denoiser_residual": False,
    "constant_ipr": False,
}
DEPARTURES: dict[str, dict[str, Any]] = {
    "identity": {"identity_modulation": True},
    "norm": {"ipr_norm": "batch"},
    "norm, no diffusion": {"ipr_norm": "batch", "timesteps": 0},
    "standardised input": {"cpen_standardise": True},
    "pooling": {"cpen_pooling": "mean_std"},
    "logarithms": {"cpen_pooling": "mean_log_std"},
    "blur": {"teacher_blur": 1.5},
    "bottleneck": {"ipr_bottleneck": 3},
    "residual": {"teacher_residual": True},
    "residual denoiser": {"denoiser_residual": True},
    "constant": {"constant_ipr": True, "timesteps": 0},
    "several": {"identity_modulation": True, "ipr_norm": "batch", "cpen_pooling": "mean_std"},
}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def networks(**changes: Any) -> tuple[DiffIRS1, DiffIRS2]:
    config = toy("sr-x2", **changes)
    torch.manual_seed(0)
    return DiffIRS1(config), DiffIRS2(config)


PAIR = drawn(3, 3, 16, 16), drawn(3, 3, 32, 32, seed=1)


def restored_by(model: DiffIRS1 | DiffIRS2) -> Tensor:
    lq, gt = PAIR
    other = gt if isinstance(model, DiffIRS1) else drawn(3, model.config.ipr_dim, seed=2)
    with torch.no_grad():
        return model.eval()(lq, other)


def test_the_default_is_the_authors_form() -> None:
    """Their files have these names and no others; tests/parity holds the numbers."""
    assert {name: getattr(DiffIRConfig(), name) for name in NEUTRAL} == NEUTRAL
    first, second = networks()
    for model in (first, second):
        assert not [*model.buffers()]
        parts = {name.split(".")[0] for name in model.state_dict()}
        assert parts == {"cpen", "dirformer"} | ({"denoiser"} if model is second else set())
    assert not any(module.identity for module in modulations(first))
    assert isinstance(second.denoiser.layers[-1], nn.LeakyReLU)
    assert isinstance(second.cpen.mlp[-1], nn.LeakyReLU)
    assert not first.cpen.with_std


def modulations(model: nn.Module) -> list[IPRModulation]:
    return [module for module in model.modules() if isinstance(module, IPRModulation)]


@pytest.mark.parametrize("name", DEPARTURES)
def test_a_file_with_a_departure_rebuilds_its_network(tmp_path: Path, name: str) -> None:
    for stage, model in enumerate(networks(**DEPARTURES[name]), start=1):
        for buffer in model.buffers():
            buffer.copy_(0.01 * drawn(*buffer.shape))
        path = tmp_path / f"{stage}.safetensors"
        format.save(Checkpoint(model=model, task="sr"), path)
        read = format.read(path)
        assert read.config == model.config != networks()[0].config
        assert torch.equal(restored_by(read.model), restored_by(model))


def test_files_from_before_departures_are_the_authors_form(tmp_path: Path) -> None:
    written = {key: value for key, value in asdict(DiffIRConfig()).items() if key not in NEUTRAL}
    assert DiffIRConfig(**written) == DiffIRConfig()
    assert len(written) == len(fields(DiffIRConfig)) - len(NEUTRAL)


def test_recipes_take_departures_by_name() -> None:
    settings = ["network.identity_modulation=true", "network.ipr_norm=batch"]
    config = choose(RECIPES, "toy-sr", [*settings, "network.teacher_blur=2"]).config
    wanted = replace(RECIPES["toy-sr"].config, identity_modulation=True, ipr_norm="batch")
    assert config == replace(wanted, teacher_blur=2.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"teacher_blur": -1.0},
        {"teacher_blur": float("inf")},
        {"teacher_blur": float("nan")},
        {"constant_ipr": True},
        {"constant_ipr": True, "timesteps": 0, "ipr_norm": "batch"},
        {"constant_ipr": True, "timesteps": 0, "cpen_pooling": "mean_std"},
        {"constant_ipr": True, "timesteps": 0, "cpen_standardise": True},
        {"constant_ipr": True, "timesteps": 0, "teacher_blur": 1.0},
        {"constant_ipr": True, "timesteps": 0, "teacher_residual": True},
        {"constant_ipr": True, "timesteps": 0, "ipr_bottleneck": 3},
        {"denoiser_residual": True, "timesteps": 0},
        {"denoiser_residual": True, "prediction": "epsilon"},
        {"ipr_bottleneck": -1},
        {"ipr_bottleneck": 257},
    ],
)
def test_what_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="found"):
        DiffIRConfig(**wrong)


# Identity modulation


@pytest.mark.parametrize("identity", [False, True])
def test_scale_and_shift_are_what_the_block_does(identity: bool) -> None:
    modulation = IPRModulation(4, 8, identity)
    x, ipr = drawn(2, 4, 5, 5), drawn(2, 8, seed=1)
    scale, shift = modulation.scale_and_shift(ipr)
    assert torch.equal(modulation(x, ipr), x * scale[..., None, None] + shift[..., None, None])
    plain = torch.cat([scale - float(identity), shift], dim=1)
    torch.testing.assert_close(plain, ipr @ modulation.linear.weight.T)
    unmoved = x if identity else torch.zeros_like(x)
    assert torch.equal(modulation(x, torch.zeros(2, 8)), unmoved)


def test_every_block_has_the_identity() -> None:
    for model in networks(identity_modulation=True):
        found = modulations(model)
        assert len(found) == 2 * sum("temperature" in name for name in model.state_dict())
        assert all(module.identity for module in found)


# Z standardised over the batch


def test_stage_1_standardises_z_over_the_batch_and_in_use_by_what_it_remembers() -> None:
    (plain, _), (model, _) = networks(), networks(ipr_norm="batch")
    raw = plain.extract_ipr(*PAIR).detach()
    ipr = model.train().extract_ipr(*PAIR)
    torch.testing.assert_close(ipr.mean(dim=0), torch.zeros(32), atol=1e-3, rtol=0)
    mean, std = raw.mean(dim=0), (raw.var(dim=0, correction=0) + 1e-12).sqrt()
    torch.testing.assert_close(ipr, (raw - mean) / std, atol=1e-3, rtol=1e-3)
    for _ in range(300):
        model.extract_ipr(*PAIR)
    in_use = model.eval().extract_ipr(PAIR[0][:1], PAIR[1][:1])
    wanted = (raw - mean)[:1] / (std * 1.5**0.5)  # without the bias of three pictures
    torch.testing.assert_close(in_use, wanted, atol=5e-3, rtol=5e-3)  # rounding of a small Z


def test_z_is_as_large_in_use_as_the_spread_of_all_pictures_has_it() -> None:
    norm = BatchStandardization(64)
    for step in range(300):
        norm(3 * drawn(8, 64, seed=step))
    spread = norm.eval()(3 * drawn(4000, 64, seed=999)).std(dim=0).mean()
    assert spread == pytest.approx(1, abs=0.02)  # 1.07 by the spread over each batch of 8


def test_moments_move_by_a_tenth() -> None:
    norm = BatchStandardization(3)
    x = drawn(50, 3) * torch.tensor([1.0, 2.0, 5.0])
    norm(x)
    torch.testing.assert_close(norm.mean, 0.1 * x.mean(dim=0))
    torch.testing.assert_close(norm.std**2, 0.9 + 0.1 * x.var(dim=0))
    before = norm.state_dict()["mean"].clone()
    norm.eval()(x)
    assert torch.equal(norm.mean, before)


def test_a_z_that_never_changes_is_0_and_teaches_finitely() -> None:
    x = torch.full((4, 3), 0.1, requires_grad=True)
    y = BatchStandardization(3)(x)
    assert torch.equal(y, torch.zeros(4, 3))
    y.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_norm_in_use_folds_into_a_linear_layer_with_a_bias() -> None:
    norm, linear, ipr = BatchStandardization(8).eval(), nn.Linear(8, 4, bias=False), drawn(2, 8)
    norm.mean.copy_(drawn(8, seed=1))
    norm.std.copy_(0.1 + drawn(8, seed=2))
    weight = linear.weight / norm.std
    folded = ipr @ weight.T - weight @ norm.mean
    torch.testing.assert_close(linear(norm(ipr)), folded, atol=1e-4, rtol=1e-4)


def test_stage_2_has_no_norm_and_can_say_both_signs() -> None:
    _, model = networks(ipr_norm="batch")
    assert not [*model.buffers()]
    assert isinstance(model.denoiser.layers[-1], nn.Linear)
    assert isinstance(model.cpen.mlp[-1], nn.LeakyReLU)
    _, alone = networks(ipr_norm="batch", timesteps=0)
    assert isinstance(alone.cpen.mlp[-1], nn.Linear)


def test_small_spreads_survive_half_precision(tmp_path: Path) -> None:
    model, _ = networks(ipr_norm="batch")
    model.norm.std.fill_(2e-4)
    path = tmp_path / "net.safetensors"
    format.save(Checkpoint(model=model, task="sr"), path, torch.float16)
    read = format.read(path).model.norm
    torch.testing.assert_close(read.std, model.norm.std, rtol=1e-3, atol=0)


# The denoiser


def test_a_chain_that_corrects_begins_with_what_cpen_says() -> None:
    _, model = networks(denoiser_residual=True)
    lq, noise = PAIR[0], drawn(3, 32, seed=3)
    condition = model.extract_condition(lq)
    torch.testing.assert_close(model.denoiser(noise, 0.1, condition), condition)
    ipr = model.estimate_ipr(lq, noise)
    torch.testing.assert_close(ipr, condition)
    (ipr - drawn(3, 32, seed=4)).abs().sum().backward()
    assert model.denoiser.layers[-1].weight.grad.abs().sum() > 0


# CPEN


def test_pooling_keeps_the_standard_deviation_beside_the_mean() -> None:
    torch.manual_seed(0)
    cpen = CPEN(3, 8, 1, pooling="mean_std")
    x = drawn(2, 3, 6, 6)
    found = cpen.expand(cpen.blocks(cpen.embed(x)))
    pooled = [found.mean(dim=(2, 3)), found.flatten(2).std(dim=2, correction=0)]
    torch.testing.assert_close(cpen(x), cpen.mlp(torch.cat(pooled, dim=1)), atol=1e-4, rtol=0)
    for model in networks(cpen_pooling="mean_std"):
        assert model.cpen.with_std
        assert model.cpen.mlp[0].weight.shape == (32, 64)


def test_pooling_may_take_the_logarithm_of_the_standard_deviation() -> None:
    torch.manual_seed(0)
    cpen = CPEN(3, 8, 1, pooling="mean_log_std")
    x = drawn(2, 3, 6, 6)
    found = cpen.expand(cpen.blocks(cpen.embed(x)))
    spread = found.flatten(2).std(dim=2, correction=0)
    pooled = torch.cat([found.mean(dim=(2, 3)), (spread + 0.001).log()], dim=1)
    torch.testing.assert_close(cpen(x), cpen.mlp(pooled), atol=1e-4, rtol=0)


@pytest.mark.parametrize("pooling", ["mean_std", "mean_log_std"])
def test_a_map_without_detail_teaches_finitely(pooling: str) -> None:
    cpen = CPEN(3, 8, 1, pooling=pooling)
    for layer in cpen.expand:
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
    cpen(drawn(1, 3, 6, 6)).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in cpen.parameters())


def test_cpen_sees_lq_and_gt_standardised_by_lq() -> None:
    (first, second), (ours, ours2) = networks(), networks(cpen_standardise=True)
    lq, gt = PAIR
    seen = standardised(lq, by=lq)
    wanted = first.extract_ipr(seen, standardised(gt, by=lq))
    torch.testing.assert_close(ours.extract_ipr(lq, gt), wanted)
    torch.testing.assert_close(ours2.extract_condition(lq), second.extract_condition(seen))
    assert not torch.allclose(ours2.extract_condition(lq), second.extract_condition(lq))
    paler = standardised(0.3 + 0.5 * lq, by=0.3 + 0.5 * lq)
    assert (paler - seen).abs().max() < 0.2 < (seen - lq).abs().max()


def test_the_teacher_may_see_what_gt_has_beyond_lq() -> None:
    (plain, _), (model, _) = networks(), networks(teacher_residual=True)
    lq, gt = PAIR
    beyond = gt - lq.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(model.extract_ipr(lq, gt), plain.extract_ipr(lq, beyond))
    with_mask = DiffIRS1(toy("inpaint", teacher_residual=True))
    assert with_mask(drawn(1, 4, 16, 16), drawn(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_z_may_be_made_of_few_numbers() -> None:
    model, second = networks(ipr_bottleneck=3)
    few = model.extract_few(*PAIR)
    assert few.shape == (3, 3)
    torch.testing.assert_close(model.extract_ipr(*PAIR), model.ipr_of(few))
    dim = model.config.ipr_dim
    assert model.ipr_of(drawn(40, 3)).shape == (40, dim)
    rows = model.widen[0](drawn(40, 3))
    assert torch.linalg.matrix_rank(rows - rows[0]) == 3
    parts = {name.split(".")[0] for name in second.state_dict()}
    assert parts == {"cpen", "denoiser", "dirformer"}  # use has nothing of it


def test_the_mask_of_inpainting_is_not_standardised() -> None:
    lq = drawn(2, 4, 8, 8)
    found = standardised(lq, by=lq)
    assert torch.equal(found[:, 3:], lq[:, 3:])
    torch.testing.assert_close(found[:, :3].mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    wanted = lq[:, :3].flatten(1).std(dim=1, correction=0)
    wanted = wanted / (wanted + 0.02)
    torch.testing.assert_close(found[:, :3].flatten(1).std(dim=1, correction=0), wanted)


def test_a_picture_of_one_colour_is_standardised_finitely() -> None:
    even = torch.full((1, 3, 4, 4), 0.7)
    assert standardised(even, by=even).abs().max() < 1e-4


def test_the_teacher_sees_the_ground_truth_blurred() -> None:
    (plain, _), (model, _) = networks(), networks(teacher_blur=1.5)
    lq, gt = PAIR
    found = model.extract_ipr(lq, gt)
    torch.testing.assert_close(found, plain.extract_ipr(lq, gaussian_blur(gt, 1.5)))
    assert not torch.allclose(found, plain.extract_ipr(lq, gt), atol=1e-5, rtol=0)
    with torch.no_grad():
        same = plain.dirformer(lq, found)
    torch.testing.assert_close(model(lq, gt), same)


@pytest.mark.parametrize("sigma", [0.5, 2.0, 9.0])
def test_the_blur_is_gaussian(sigma: float) -> None:
    picture = drawn(1, 3, 20, 24)
    radius = -int(-3 * sigma // 1)
    wanted = gaussian_filter(
        picture.double().numpy(),
        (0, 0, sigma, sigma),
        mode="nearest",
        radius=(0, 0, radius, radius),
    )
    torch.testing.assert_close(
        gaussian_blur(picture, sigma).double(), torch.from_numpy(wanted), atol=1e-5, rtol=0
    )


# A network without a prior


def test_a_constant_is_the_same_for_all_pictures_and_learns() -> None:
    for model in networks(constant_ipr=True, timesteps=0):
        assert {name.split(".")[0] for name in model.state_dict()} == {"cpen", "dirformer"}
        assert model.cpen.ipr.shape == (32,)
        assert 0.01 < model.cpen.ipr.square().mean().sqrt() < 0.1
        lq, gt = PAIR
        second = gt if isinstance(model, DiffIRS1) else drawn(3, 32)
        changed = model(lq, 1 - second)
        assert torch.equal(model(lq, second), changed)
        assert torch.equal(changed, model.dirformer(lq, model.cpen.ipr.expand(3, -1)))
        changed.sum().backward()
        assert all(p.grad is not None for p in model.parameters())


def test_a_constant_network_is_the_same_in_both_stages() -> None:
    first, second = networks(constant_ipr=True, timesteps=0)
    second.load_state_dict(first.state_dict())
    assert torch.equal(restored_by(first), restored_by(second))
