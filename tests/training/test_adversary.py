"""The discriminator and the network take turns, and neither learns from the other's terms."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from diffir.data import Batch
from diffir.errors import StoppedError, WeightsError
from diffir.losses import GAN_LOSSES, feature_matching, r1_penalty
from diffir.model import DiffIRS1
from diffir.presets import RECIPES, choose
from diffir.recipe import Adversary, PixelL1
from diffir.training import build, loop
from diffir.training.adversary import DiscriminatorStage
from diffir.training.criteria import RestorationLoss
from diffir.training.fabric import opened_fabric
from diffir.training.order import Order, order_of_run
from diffir.training.run import Run
from diffir.training.stages import Stage1

CPU = torch.device("cpu")
UNET = Adversary(width=4, weight=2)
PATCH = Adversary(
    discriminator="patch",
    width=4,
    loss="non_saturating",
    weight=3,
    r1_weight=0.5,
    feature_matching_weight=7,
    mask_as_target=True,
)
KINDS = {"unet": UNET, "patch": PATCH}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def batch_of(**tensors: Tensor) -> Batch:
    mask = torch.zeros(2, 1, 32, 32)
    mask[..., :16] = 1
    given = {"lq": drawn(2, 3, 32, 32), "gt": drawn(2, 3, 32, 32, seed=1), "mask": mask}
    return Batch(**(given | tensors))


def stage_of(settings: Adversary) -> DiscriminatorStage:
    torch.manual_seed(0)
    return DiscriminatorStage(settings)


def gradients(module: nn.Module) -> list[Tensor | None]:
    return [parameter.grad for parameter in module.parameters()]


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack([*terms.values()]).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_the_networks_terms_teach_the_picture_and_not_the_discriminator(kind: str) -> None:
    stage, restored = stage_of(KINDS[kind]), drawn(2, 3, 32, 32, seed=2).requires_grad_()
    total(stage.judge(restored, batch_of())).backward()
    assert restored.grad is not None
    assert restored.grad.any()
    assert gradients(stage) == [None] * len(gradients(stage))
    assert all(parameter.requires_grad for parameter in stage.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_the_networks_terms_are_those_of_the_settings(kind: str) -> None:
    settings = KINDS[kind]
    stage, batch, restored = stage_of(settings).eval(), batch_of(), drawn(2, 3, 32, 32, seed=2)
    terms = stage.judge(restored, batch)
    made, true = stage.model(restored), stage.model(batch.gt)
    logits = made if kind == "unet" else made[0]
    wanted = {"adversarial": settings.weight * GAN_LOSSES[settings.loss].generator(logits)}
    if kind == "patch":
        wanted["feature_matching"] = 7 * feature_matching(made[1], true[1])
    assert terms.keys() == wanted.keys()
    for name, term in wanted.items():
        torch.testing.assert_close(terms[name], term)


@pytest.mark.parametrize("kind", KINDS)
def test_the_discriminators_terms_are_those_of_the_settings(kind: str) -> None:
    settings = KINDS[kind]
    stage, batch, restored = stage_of(settings).eval(), batch_of(), drawn(2, 3, 32, 32, seed=2)
    terms, _ = stage(batch, restored)
    real = batch.gt.clone().requires_grad_()
    true, made = stage.model(real), stage.model(restored)
    loss, wanted = GAN_LOSSES[settings.loss], {}
    if kind == "unet":
        wanted["discriminator"] = loss.discriminator(true, made)
    else:
        wanted["discriminator"] = loss.discriminator(true[0], made[0], batch.mask)
        wanted["r1"] = 0.5 * r1_penalty(true[0], real)
    torch.testing.assert_close(terms, wanted)


def test_a_penalty_at_some_steps_alone_is_as_much_heavier() -> None:
    every_step, lazy = stage_of(PATCH), stage_of(PATCH.model_copy(update={"r1_every": 4}))
    batch, restored = batch_of(), drawn(2, 3, 32, 32, seed=2)
    of_all, _ = every_step.eval()(batch, restored)
    (with_r1, _), (without, _) = (lazy.eval()(batch, restored, due) for due in (True, False))
    torch.testing.assert_close(with_r1["r1"], 4 * of_all["r1"])
    assert without.keys() == {"discriminator"}
    torch.testing.assert_close(without["discriminator"], of_all["discriminator"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_discriminators_terms_teach_all_of_it(kind: str) -> None:
    stage = stage_of(KINDS[kind])
    terms, _ = stage(batch_of(), drawn(2, 3, 32, 32, seed=2))
    total(terms).backward()
    assert all(gradient is not None and gradient.any() for gradient in gradients(stage))


def test_sharpened_pictures_are_no_model_the_true_ones_are() -> None:
    stage, plain = stage_of(PATCH).eval(), drawn(2, 3, 32, 32, seed=3)
    restored, sharpened = drawn(2, 3, 32, 32, seed=2), batch_of(plain_gt=plain)
    wanted = [stage(batch_of(gt=plain), restored), stage.judge(restored, batch_of(gt=plain))]
    found = [stage(sharpened, restored), stage.judge(restored, sharpened)]
    torch.testing.assert_close(found, wanted)
    assert total(found[1]) != total(stage.judge(restored, batch_of()))


class Known(nn.Module):
    """Takes each pixel's first channel for its logit."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1]


def logits(*values: float) -> Tensor:
    """A picture of 1 × N pixels whose logits are the values."""
    return torch.tensor(values, dtype=torch.float32).expand(1, 3, 1, -1)


@pytest.mark.parametrize(
    ("true", "made", "mask", "share"),
    [
        (logits(1, 1, 1, 1), logits(-1, -1, -1, -1), None, 1),
        (logits(1, 1, 1, -1), logits(-1, -1, -1, -1), None, 0.75),
        (logits(1, 1, 1, 1), logits(-1, 1, 1, 1), None, 0.25),
        (logits(1, 1, 1, 1), logits(-1, 1, 1, 1), logits(1, 0, 0, 0), 1),
        (logits(1, 1, 1, 1), logits(-1, 1, 1, 1), logits(1, 1, 0, 0), 0.5),
        (logits(1, 1, 1, 1), logits(1, 1, 1, 1), logits(0, 0, 0, 0), 0),
    ],
)
def test_accuracy_is_the_smaller_share_and_of_made_pictures_the_hole_counts(
    true: Tensor, made: Tensor, mask: Tensor | None, share: float
) -> None:
    stage = stage_of(Adversary(width=4, mask_as_target=mask is not None))
    stage.model = Known()  # type: ignore[assignment]
    given = None if mask is None else mask[:, :1]
    _, accuracy = stage(Batch(lq=true, gt=true, mask=given), made)
    assert float(accuracy) == share


# Turns, in runs of toys


def order_in(folder: Path, *settings: str) -> Order:
    small = ("batch_size=2", "lq_size=8", "steps=4", "warmup_steps=0")
    words = (
        *("prior=null", "joint=null"),
        *(f"{phase}.{setting}" for phase in ("stage1", "finetune") for setting in small),
        *("stage1.steps=1", "finetune.adversary.warmup_steps=2"),
    )
    preset = choose(RECIPES, "toy-sr", (*words, *settings))
    return Order(preset=preset, data=("dead-leaves",), folder=folder)


def run_of(folder: Path) -> Run:
    return Run(folder=folder, fabric=opened_fabric(CPU), log_every=1, save_every=1)


def watched(monkeypatch: pytest.MonkeyPatch, watch: Callable[[loop.PhaseRun, int], None]) -> None:
    """Have `watch` look at each phase before each of its steps."""
    real = loop.PhaseRun.step

    def step(phase: loop.PhaseRun, number: int, batch: Batch) -> Any:
        watch(phase, number)
        return real(phase, number, batch)

    monkeypatch.setattr(loop.PhaseRun, "step", step)


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_the_discriminator_warms_up_alone_and_then_both_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watch(phase: loop.PhaseRun, _: int) -> None:
        if phase.discriminator:
            networks = (phase.stage.model, phase.average, phase.discriminator.stage)
            seen.append([copied(network) for network in networks])

    watched(monkeypatch, watch)
    build.train(order_in(tmp_path), run_of(tmp_path))
    (network, average, discriminator) = zip(*seen, strict=True)
    assert [same(network[0], later) for later in network] == [True, True, True, False]
    assert [same(average[0], later) for later in average] == [True, True, True, False]
    assert not any(same(*pair) for pair in itertools.pairwise(discriminator))


def test_the_rate_of_the_discriminator_follows_the_schedule_of_the_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: dict[type[nn.Module], list[float]] = {}
    real = loop.Learner.step

    def step(learner: loop.Learner, parts: Any, rate: float) -> Any:
        rates.setdefault(type(learner.stage), []).append(rate)
        return real(learner, parts, rate)

    monkeypatch.setattr(loop.Learner, "step", step)
    halved = "finetune.schedule={kind: milestones, steps: [1, 3]}"
    rate = "finetune.adversary.learning_rate=0.008"
    build.train(order_in(tmp_path, halved, rate), run_of(tmp_path))
    assert rates[DiscriminatorStage] == pytest.approx([0.008, 0.004, 0.004, 0.002])


def test_the_penalty_comes_at_every_so_many_steps(tmp_path: Path) -> None:
    words = ("finetune.adversary.r1_weight=0.1", "finetune.adversary.r1_every=3")
    build.train(order_in(tmp_path, *words), run_of(tmp_path))
    told = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    steps = [line for line in told if "discriminator" in line]
    assert ["r1" in line for line in steps] == [True, False, False, True]


def test_discriminators_are_written_and_begin_later_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.train(order_in(tmp_path / "first"), run_of(tmp_path / "first"))
    written = tmp_path / "first/toy-sr-finetune-discriminator.safetensors"
    state = torch.load(tmp_path / "first/states/finetune-00000004.pt", weights_only=True)
    wanted = safetensors.torch.load_file(written)
    assert same(wanted, state["opponent_model"])
    begun = []

    def watch(phase: loop.PhaseRun, number: int) -> None:
        if phase.discriminator and number == 0:
            begun.append(same(copied(phase.discriminator.stage.model), wanted))

    watched(monkeypatch, watch)
    words = f"finetune.adversary.weights={written}"
    build.train(order_in(tmp_path / "second", words), run_of(tmp_path / "second"))
    assert begun == [True]


def test_the_file_of_a_discriminator_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.save_discriminator(stage_of(UNET).model, tmp_path / "d.safetensors")
    monkeypatch.chdir(tmp_path)
    words = "finetune.adversary.weights={}"
    run, stop = run_of(tmp_path / "run"), Event()
    stop.set()
    order = order_in(tmp_path / "run", words.format("d.safetensors"))
    with pytest.raises(StoppedError):
        build.train(order, replace(run, stop=stop))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    resumed = order_of_run(tmp_path / "run")
    again = order_in(tmp_path / "run", words.format(tmp_path / "d.safetensors"))
    assert resumed.claimed() == again.claimed()
    again.claim()
    assert build.train(resumed, run).exists()


def test_a_run_that_was_begun_with_a_relative_path_is_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.save_discriminator(stage_of(UNET).model, tmp_path / "d.safetensors")
    monkeypatch.chdir(tmp_path)
    order = order_in(tmp_path / "run", "finetune.adversary.weights=d.safetensors")
    order.claim()
    file = tmp_path / "run/run.json"
    file.write_text(file.read_text().replace(f"{tmp_path.resolve()}/d.", "d."))
    assert '"d.safetensors"' in file.read_text()
    order.claim()


@pytest.mark.parametrize("change", ["width=8", "discriminator=patch"])
def test_discriminators_that_do_not_fit_are_a_sentence(tmp_path: Path, change: str) -> None:
    file = tmp_path / "discriminator.safetensors"
    build.save_discriminator(stage_of(UNET).model, file)
    words = (f"finetune.adversary.weights={file}", f"finetune.adversary.{change}")
    with pytest.raises(WeightsError, match="no discriminator of this kind and width") as caught:
        build.train(order_in(tmp_path / "run", *words), run_of(tmp_path / "run"))
    assert "\n" not in str(caught.value)


def test_a_discriminator_goes_on_through_the_phases_where_it_is_of_the_same_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def watch(phase: loop.PhaseRun, number: int) -> None:
        if phase.discriminator and number == 0:
            begun.append(copied(phase.discriminator.stage.model))

    watched(monkeypatch, watch)
    adversary = "stage1.adversary={discriminator: unet, width: 4}"
    build.train(order_in(tmp_path, adversary), run_of(tmp_path))
    state = torch.load(tmp_path / "states/stage1-00000001.pt", weights_only=True)
    assert same(begun[1], state["opponent_model"])
    assert not same(begun[0], begun[1])


def test_a_stage_has_no_parameters_of_its_discriminator() -> None:
    adversary, network = stage_of(UNET), DiffIRS1(RECIPES["toy-sr"].config)
    stage = Stage1(network, RestorationLoss(PixelL1(), judged=adversary.judge))
    ours = {id(parameter) for parameter in adversary.parameters()}
    assert not ours & {id(parameter) for parameter in stage.parameters()}
