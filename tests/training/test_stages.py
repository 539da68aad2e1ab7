"""What each phase minimises, on what it draws, and what rests meanwhile."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from diffir.data import Batch, Draws
from diffir.loading import load_checkpoint
from diffir.losses import (
    PerceptualLoss,
    PublicWeights,
    charbonnier,
    ipr_kl,
    ipr_l2,
    masked_l1,
    negative_psnr,
    vgg,
)
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2, dirformer
from diffir.model.dirformer import Level
from diffir.presets import RECIPES, choose
from diffir.recipe import (
    Charbonnier,
    IPRLoss,
    MaskedL1,
    NegativePSNR,
    VGG16Features,
    VGG19Features,
    VGGFeatures,
)
from diffir.training import build
from diffir.training.build import train
from diffir.training.criteria import RestorationLoss, perceptual_loss
from diffir.training.fabric import opened_fabric
from diffir.training.order import Order
from diffir.training.run import Run
from diffir.training.stages import JointPhase, PriorPhase, SingleStep, Stage, Stage1

TINY = replace(RECIPES["toy-sr"].config, upscale=1, ipr_dim=8)
PARTS = {"cpen", "denoiser", "dirformer"}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def batch_of(size: int = 2) -> Batch:
    return Batch(lq=drawn(size, 3, 16, 16), gt=drawn(size, 3, 16, 16, seed=1))


def networks(config: DiffIRConfig = TINY) -> tuple[DiffIRS2, DiffIRS1]:
    torch.manual_seed(0)
    return DiffIRS2(config), DiffIRS1(config)


def noise_of(stage: Stage, *indices: int) -> dict[str, Tensor]:
    return stage.noise(Draws((0, 2, 5), indices))


def learning(module: nn.Module) -> set[str]:
    """The parts of which some parameters learn; all of each do."""
    names = {name.split(".")[0]: set[bool]() for name, _ in module.named_parameters()}
    for name, parameter in module.named_parameters():
        names[name.split(".")[0]].add(parameter.requires_grad)
    assert all(len(asked) == 1 for asked in names.values())
    return {name for name, asked in names.items() if asked == {True}}


def taught(module: nn.Module) -> set[str]:
    """The parts that got a gradient."""
    return {name.split(".")[0] for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("insert_variance", [False, True])
@pytest.mark.parametrize("kind", [PriorPhase, SingleStep, JointPhase])
def test_noise_belongs_to_a_pictures_place_in_the_global_batch(
    kind: type[PriorPhase], insert_variance: bool
) -> None:
    stage = kind(*networks(replace(TINY, insert_variance=insert_variance)))
    whole, second, odd = noise_of(stage, 0, 1, 2, 3), noise_of(stage, 1), noise_of(stage, 3, 1)
    assert whole.keys() == second.keys() == odd.keys()
    for name, drawn_for_all in whole.items():
        assert torch.equal(second[name], drawn_for_all[[1]])
        assert torch.equal(odd[name], drawn_for_all[[3, 1]])
    assert len(whole["start"].unique(dim=0)) == 4
    other = stage.noise(Draws((0, 2, 6), (0, 1, 2, 3)))
    assert not torch.equal(other["start"], whole["start"])


def test_the_noise_is_gaussian_and_fits_the_chain() -> None:
    stage = JointPhase(*networks(replace(TINY, insert_variance=True, timesteps=3)))
    noise = stage.noise(Draws((0,), tuple(range(500))))
    assert noise["start"].shape == (500, 8)
    assert noise["steps"].shape == (500, 3, 8)
    values = torch.cat([noise["start"][:, None], noise["steps"]], dim=1)
    assert values.mean().abs() < 0.03
    assert abs(values.std() - 1) < 0.03
    assert values.flatten(1).T.corrcoef().fill_diagonal_(0).abs().max() < 0.25
    assert JointPhase(*networks()).noise(Draws((0,), (0, 1)))["steps"].shape == (2, 0, 8)


def test_stage_1_teaches_all_of_it_by_the_loss_of_the_recipe() -> None:
    _, model = networks()
    stage, batch = Stage1(model, RestorationLoss(Charbonnier(weight=2))), batch_of()
    terms, restored = stage(batch, {})
    torch.testing.assert_close(restored, model(batch.lq, batch.gt))
    assert terms.keys() == {"charbonnier"}
    torch.testing.assert_close(terms["charbonnier"], 2 * charbonnier(restored, batch.gt))
    terms["charbonnier"].backward()
    assert learning(model) == taught(model) == {"cpen", "dirformer"}


def test_the_loss_of_masks_sees_the_mask() -> None:
    _, model = networks()
    mask = (drawn(2, 1, 16, 16, seed=4) > 0.5).float()
    batch = replace(batch_of(), mask=mask)
    settings = MaskedL1(known_weight=10, hole_weight=3)
    terms, restored = Stage1(model, RestorationLoss(settings))(batch, {})
    wanted = masked_l1(restored, batch.gt, mask, 10, 3)
    torch.testing.assert_close(terms, {"masked_l1": wanted})
    terms, _ = Stage1(model, RestorationLoss(NegativePSNR(weight=3)))(batch, {})
    torch.testing.assert_close(terms, {"psnr": 3 * negative_psnr(restored, batch.gt, mask)})


@pytest.mark.parametrize("kind", [PriorPhase, SingleStep])
def test_in_the_prior_phase_the_restorer_and_the_teacher_rest(kind: type[PriorPhase]) -> None:
    model, teacher = networks()
    stage = kind(model, teacher)
    terms, restored = stage(batch_of(), noise_of(stage, 0, 1))
    assert terms.keys() == {"ipr_l1"}
    assert restored is None
    terms["ipr_l1"].backward()
    assert learning(model) == taught(model) == {"cpen", "denoiser"}
    assert learning(teacher) == taught(teacher) == set()
    assert not teacher.training


def test_in_the_joint_phase_all_learns_by_both_losses_and_the_teacher_rests() -> None:
    model, teacher = networks()
    PriorPhase(model, teacher)  # behind which the restorer rested
    stage, batch = JointPhase(model, teacher, IPRLoss(kind="ipr_l2", weight=3)), batch_of()
    noise = noise_of(stage, 0, 1)
    terms, restored = stage(batch, noise)
    assert terms.keys() == {"pixel_l1", "ipr_l2"}
    ipr = teacher.extract_ipr(batch.lq, batch.gt)
    guess = model.estimate_ipr(batch.lq, model.diffusion.add_noise(ipr, noise["start"]))
    torch.testing.assert_close(terms["ipr_l2"], 3 * ipr_l2(guess, ipr))
    torch.testing.assert_close(restored, model.dirformer(batch.lq, guess))
    torch.stack([*terms.values()]).sum().backward()
    assert learning(model) == taught(model) == PARTS
    assert learning(teacher) == taught(teacher) == set()


def test_the_restorers_loss_reaches_the_chain() -> None:
    stage = JointPhase(*networks())
    stage(batch_of(), noise_of(stage, 0, 1))[0]["pixel_l1"].backward()
    assert taught(stage.model) == PARTS


def test_without_a_teacher_the_chain_begins_in_noise_and_pixels_are_all_there_is() -> None:
    model, _ = networks()
    stage, batch = JointPhase(model, None), batch_of()
    noise = noise_of(stage, 0, 1)
    terms, restored = stage(batch, noise)
    assert terms.keys() == {"pixel_l1"}
    torch.testing.assert_close(restored, model(batch.lq, noise["start"]))


def test_the_divergence_of_iprs_has_its_temperature() -> None:
    model, teacher = networks()
    stage, batch = PriorPhase(model, teacher, IPRLoss(kind="ipr_kl", temperature=0.4)), batch_of()
    noise = noise_of(stage, 0, 1)
    ipr = teacher.extract_ipr(batch.lq, batch.gt)
    guess = stage.predict(batch, noise, ipr)
    terms, _ = stage(batch, noise)
    torch.testing.assert_close(terms, {"ipr_kl": ipr_kl(guess, ipr, 0.4)})


# The paper's variants


@pytest.mark.parametrize("prediction", ["x0", "epsilon"])
def test_a_single_step_learns_what_the_denoiser_should_predict_at_one_time(
    prediction: Any,
) -> None:
    model, teacher = networks(replace(TINY, prediction=prediction))
    stage, batch = SingleStep(model, teacher), batch_of()
    t, ipr = 1, teacher.extract_ipr(batch.lq, batch.gt)
    noise = noise_of(stage, 0, 1) | {"t": torch.tensor([t, t])}
    condition = model.extract_condition(batch.lq)
    noised = model.diffusion.add_noise(ipr, noise["start"], t)
    predicted = model.denoiser(noised, model.diffusion.scaled_time(t), condition)
    wanted = ipr if prediction == "x0" else noise["start"]
    terms, _ = stage(batch, noise)
    torch.testing.assert_close(terms, {"ipr_l1": (predicted - wanted).abs().mean()})


def test_a_single_step_meets_every_time() -> None:
    stage = SingleStep(*networks())
    drawn_at = [stage.noise(Draws((0, step), (0, 1)))["t"] for step in range(200)]
    assert all(len(times.unique()) == 1 for times in drawn_at)
    met = [int(times[0]) for times in drawn_at]
    counts = [met.count(t) for t in range(4)]
    assert sum(counts) == 200
    assert min(counts) > 30


def test_noise_at_a_time_is_that_of_the_forward_process() -> None:
    diffusion = networks()[0].diffusion
    ipr, noise = drawn(1, 8), drawn(1, 8, seed=1)
    assert torch.equal(diffusion.add_noise(ipr, noise), diffusion.add_noise(ipr, noise, 3))
    first = (1 - diffusion.betas[0]) ** 0.5 * ipr + diffusion.betas[0] ** 0.5 * noise
    torch.testing.assert_close(diffusion.add_noise(ipr, noise, 0), first)


VARIANTS = {
    "V1, no diffusion": ("network.timesteps=0",),
    "V2, one step": ("diffusion_training=single_step", "joint=null"),
    "V4, variance": ("network.insert_variance=true",),
    "noise predicted": ("network.prediction=epsilon", "ipr_loss=ipr_kl"),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_papers_variants_train_and_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stages = Mock(wraps=build.run_phase)
    monkeypatch.setattr(build, "run_phase", stages)
    phases = ("stage1", "prior", "joint")
    small = [f"{p}.{s}" for p in phases for s in ("steps=2", "batch_size=2", "lq_size=8")]
    preset = choose(RECIPES, "toy-sr", (*small, "finetune=null", *VARIANTS[name]))
    run = Run(folder=tmp_path, fabric=opened_fabric(torch.device("cpu")))
    written = train(Order(preset=preset, data=("dead-leaves",), folder=tmp_path), run)
    prior = stages.call_args_list[1].args[1]
    assert type(prior) is (SingleStep if name.startswith("V2") else PriorPhase)
    model = load_checkpoint(written).model
    assert isinstance(model, DiffIRS2)
    config = model.config
    steps = drawn(config.timesteps, 1, config.ipr_dim) if config.insert_variance else None
    restored = model(drawn(1, 3, 16, 16), drawn(1, config.ipr_dim), steps)
    assert restored.shape == (1, 3, 32, 32)
    assert restored.isfinite().all()


def test_without_diffusion_the_condition_is_the_guess_and_noise_is_nothing() -> None:
    model, teacher = networks(replace(TINY, timesteps=0))
    lq = drawn(1, 3, 16, 16)
    assert not hasattr(model, "denoiser")
    assert torch.equal(model.estimate_ipr(lq, drawn(1, 8)), model.extract_condition(lq))
    stage = JointPhase(model, teacher)
    terms, _ = stage(batch_of(), noise_of(stage, 0, 1))
    assert terms.keys() == {"pixel_l1", "ipr_l1"}


# Memory


def kept_by(stage: Stage) -> tuple[int, list[Tensor]]:
    """The numbers that a step keeps for the way back, and the gradients that it comes to."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        terms, _ = stage(batch_of(), noise_of(stage, 0, 1))
    torch.stack([*terms.values()]).sum().backward()
    gradients = [p.grad for p in stage.model.parameters() if p.grad is not None]
    stage.zero_grad()
    return sum(kept.values()), gradients


def test_blocks_computed_again_give_the_same_gradients_and_keep_less() -> None:
    stage = JointPhase(*networks())
    plain, wanted = kept_by(stage)
    for module in stage.model.modules():
        if isinstance(module, Level):
            module.recompute = True
    less, found = kept_by(stage)
    assert less < plain / 3
    assert len(found) == len(wanted)
    assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))


def test_a_run_may_compute_again_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("stage1.steps=2", "stage1.batch_size=2", "stage1.lq_size=8")
    only = ("prior=null", "joint=null", "finetune=null")
    preset = choose(RECIPES, "toy-sr", (*small, *only))
    counted = Mock(wraps=dirformer.checkpoint)
    monkeypatch.setattr(dirformer, "checkpoint", counted)
    found = []
    for recompute in (False, True):
        folder = tmp_path / str(recompute)
        run = Run(folder=folder, fabric=opened_fabric(torch.device("cpu")))
        order = Order(preset=preset, data=("dead-leaves",), folder=folder)
        found.append(load_checkpoint(train(order, run, recompute=recompute)).model.state_dict())
        assert counted.call_count == (2 * 8 if recompute else 0)  # 8 blocks, 2 steps
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (VGG19Features(layer_weights={"conv5_4": 2}), vgg.VGG19),
        (VGG16Features(style_weight=3), vgg.VGG16),
    ],
)
def test_a_perceptual_loss_compares_by_the_network_that_the_recipe_names(
    settings: VGGFeatures, kind: type[vgg.VGG], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    small = kind(width=2)
    torch.save(small.state_dict(), tmp_path / "small.pth")
    name = kind.__name__
    monkeypatch.setenv("DIFFIR_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(vgg, f"{name}_WEIGHTS", PublicWeights("small.pth", "https://example.org"))
    monkeypatch.setattr(vgg, name, partial(kind, 2))
    restored, gt = drawn(1, 3, 32, 32), drawn(1, 3, 32, 32, seed=1)
    wanted = PerceptualLoss(small, settings.layer_weights, settings.style_weight)
    assert perceptual_loss(settings)(restored, gt) == wanted(restored, gt) > 0
