"""What departs from the authors' prior, and what it changes: tiny networks, several seeds.

    python benchmarks/prior.py deblur --train PHOTOS --val PHOTOS -o runs/prior --seeds 3

Each variant trains its own stage 1 and from it stage 2, unless only stage 2 differs, which then
learns from another variant's stage 1. The constant prior spends the steps of all phases in which
the restorer learns on the same network, so that all restorers have learnt equally long; but what
begins with the constant's restorer has learnt longer. More constants get the steps of the prior's
phase, too, once and four times, which is all that the others spend, and twice, which takes about as
long as ours (`prior_time.py`). Printed, as Markdown, over centre crops and mean ± standard error
over seeds: PSNR in dB of the network for use, in inpainting in the hole; its difference to the
first constant of those wanted; what it loses when it gets the next picture's Ẑ; its PSNR with the
true Z; how far Z differs between pictures, over its size.
`--variants` names those wanted, all by default; `--set network.dim=8` and such change all of them
alike, the constant, too. `--metrics` (lpips_alex, lpips_vgg, dists) adds columns; their weights
have to be on this machine (docs/metrics.md). With `--first-seed` several processes share the seeds.
Run again, it goes on where it was. `diffir probe` asks the files it leaves more.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
from ablations import HOLE, NETWORK, VAL_SIDE, mean_of, preset_of
from small_budget import Scores, arguments_of, cropped, file_name, kept, told, trained
from torch import Tensor

from diffir.checkpoints import Checkpoint, format
from diffir.data import Batch, Bicubic, Degradation, MotionBlur, SecondOrder
from diffir.data.kernels import KernelSettings
from diffir.data.second_order import Round
from diffir.evaluation.metrics import open_metrics
from diffir.evaluation.pairs import validation_sets
from diffir.evaluation.protocol import own_ipr, restored_with, score
from diffir.evaluation.validate import validator
from diffir.loading import load
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.presets import Preset, choose
from diffir.tasks import Deblurring, Inpainting, SuperResolution, Task

RGB = replace(NETWORK, in_channels=3, global_residual=True)
SR = replace(RGB, unshuffle=1, upscale=4)
STRAIGHT = MotionBlur(
    length=(0, 20), turn_probability=0, tremor=(0, 0), jerks=(0, 0), inertia=(1, 1)
)
WITHOUT = Round(
    blur_probability=0,
    resize_odds={"keep": 1},
    gaussian_probability=1,
    gaussian_sigma=(0, 0),
    gray_probability=0,
    jpeg_quality=(95, 95),
)
ANISOTROPIC = SecondOrder(
    first=WITHOUT.model_copy(
        update={
            "blur_probability": 1,
            "kernels": KernelSettings(
                sizes=(21, 21), odds={"gaussian_aniso": 1}, sigma=(0.2, 4), sinc_probability=0
            ),
            "gaussian_sigma": (0, 3),
        }
    ),
    second=WITHOUT,
    final_sinc_probability=0,
    transpose_luma=False,
    pool_size=0,
    context=20,
)
TASKS: dict[str, tuple[Task, DiffIRConfig, Degradation]] = {
    "deblur": (Deblurring(), RGB, STRAIGHT),
    "shake": (Deblurring(), RGB, MotionBlur(length=(0, 20))),
    "blind-sr": (SuperResolution(), replace(SR, upscale=2), ANISOTROPIC),
    "blurred-sr": (SuperResolution(), replace(SR, upscale=2), STRAIGHT),
    "sr": (SuperResolution(), SR, Bicubic()),
    "inpaint": (Inpainting(), NETWORK, HOLE),
}
LQ_SIDE = {"sr": 16, "blind-sr": 32, "blurred-sr": 32}  # GT is as large as elsewhere
# In the prior's phase CPEN is alone, and reads larger crops better
PRIOR_SIDE = {"blind-sr": 64, "blurred-sr": 64}
FACTS_ALONE = ("facts_weight=0.1", "facts_alone=true")
FEW = "network.ipr_bottleneck=8"
CORRECTS = ("network.denoiser_residual=true", "network.denoiser_layers=3")
QUICK = "prior.learning_rate=2e-3"
READS = (
    "ipr_init=he",
    "network.cpen_standardise=true",
    "network.cpen_pooling=mean_log_std",
    "network.teacher_residual=true",
)


@dataclass(frozen=True)
class Variant:
    """What is changed, and whose stage 1 it learns from, where not from its own."""

    settings: tuple[str, ...] = ()
    teacher: str = ""
    longer: int = 0
    """Of a constant: how many times the steps of the prior's phase it gets on top."""


AUTHORS = "the authors' form"
CONSTANT = "constant prior"
OURS = "ours"
WARM = "begun with the constant's restorer"
LONG_OURS = "ours, four times as long in the prior's phase"
EQUAL_CONSTANT = "constant prior, as many steps as ours in all"
TIMED_CONSTANT = "constant prior, about as long as ours in time"
LONG_CONSTANT = "constant prior, as many steps as that in all"
LONG_V1 = f"{LONG_OURS}, V1"
LONG_T1 = f"{LONG_OURS}, T = 1"
CONSTANTS = {CONSTANT, EQUAL_CONSTANT, TIMED_CONSTANT, LONG_CONSTANT}
LONG = "prior.steps=2240"
NO_PRIOR = ("network.timesteps=0", "network.constant_ipr=true", "prior=null", "joint=null")
VARIANTS = {
    CONSTANT: Variant(NO_PRIOR),
    EQUAL_CONSTANT: Variant(NO_PRIOR, longer=1),
    TIMED_CONSTANT: Variant(NO_PRIOR, longer=2),
    LONG_CONSTANT: Variant(NO_PRIOR, longer=4),
    "constant prior, He's size": Variant((*NO_PRIOR, "ipr_init=he")),
    AUTHORS: Variant(),
    "V1: no diffusion": Variant(("network.timesteps=0",), AUTHORS),
    "T = 1": Variant(("network.timesteps=1",), AUTHORS),
    OURS: Variant((*READS, FEW, *FACTS_ALONE, *CORRECTS, QUICK)),
    "ours, V1: no diffusion": Variant((*READS, FEW, QUICK, "network.timesteps=0"), OURS),
    "ours, T = 1": Variant((*READS, FEW, *CORRECTS, QUICK, "network.timesteps=1"), OURS),
    LONG_OURS: Variant((*READS, FEW, *CORRECTS, QUICK, LONG), OURS),
    LONG_V1: Variant((*READS, FEW, QUICK, LONG, "network.timesteps=0"), OURS),
    LONG_T1: Variant((*READS, FEW, *CORRECTS, QUICK, LONG, "network.timesteps=1"), OURS),
    "ours, the usual chain": Variant((*READS, FEW, QUICK), OURS),
    "ours, the usual rate": Variant((*READS, FEW, *CORRECTS), OURS),
    "ours, no facts": Variant((*READS, FEW, *CORRECTS, QUICK)),
    "ours, facts beside": Variant((*READS, FEW, "facts_weight=0.1", *CORRECTS, QUICK)),
    "ours, all numbers": Variant((*READS, *FACTS_ALONE, *CORRECTS, QUICK)),
    "ours, He's weights left out": Variant((*READS[1:], FEW, *FACTS_ALONE, *CORRECTS, QUICK)),
    "ours, standardised LQ left out": Variant(
        (READS[0], *READS[2:], FEW, *FACTS_ALONE, *CORRECTS, QUICK)
    ),
    "ours, logarithms left out": Variant(
        (*READS[:2], READS[3], FEW, *FACTS_ALONE, *CORRECTS, QUICK)
    ),
    "ours, residual left out": Variant((*READS[:3], FEW, *FACTS_ALONE, *CORRECTS, QUICK)),
    "ours, identity modulation": Variant(
        (*READS, FEW, *FACTS_ALONE, *CORRECTS, QUICK, "network.identity_modulation=true")
    ),
    "facts alone": Variant(FACTS_ALONE),
    "facts beside": Variant(("facts_weight=0.1",)),
    "few numbers": Variant((FEW,)),
    "He's weights": Variant(("ipr_init=he",)),
    "standardised LQ": Variant(("network.cpen_standardise=true",)),
    "residual to the teacher": Variant(("network.teacher_residual=true",)),
    WARM: Variant(),
    "rate of the prior × 4": Variant(("modulation_rate=4",)),
    "identity modulation": Variant(("network.identity_modulation=true",)),
    "Z standardised": Variant(("network.ipr_norm=batch",)),
    "variance and covariance": Variant(
        ("ipr_variance_weight=0.01", "ipr_covariance_weight=0.0004")
    ),
    "entropy": Variant(("ipr_entropy_weight=0.003",)),
    "all of LQ's resolution": Variant(("network.cpen_reduction=0.25",)),
    "deeper CPEN": Variant(("network.cpen_blocks=5",)),
    "mean and deviation pooled": Variant(("network.cpen_pooling=mean_std",)),
    "Z of 64 numbers": Variant(("network.ipr_dim=64",)),
    "Z of 512 numbers": Variant(("network.ipr_dim=512",)),
    "noise on Z": Variant(("teacher_noise=0.3",)),
    "blurred GT": Variant(("network.teacher_blur=2",)),
}
WITHOUT_FACTS = "sr"
LEARNED = ("lpips_alex", "lpips_vgg", "dists")
ANOTHERS = " by another's Ẑ"
COLUMNS = {"psnr_true": 2, "ipr/spread": 3}


def preset_for(task: str, steps1: int, steps2: int, seed: int) -> Preset:
    """The network and the budget that all variants of a task share."""
    preset = preset_of(steps1, steps2, seed)
    kind, config, degradation = TASKS[task]
    recipe = preset.recipe
    assert recipe is not None
    sized = {
        name: phase.model_copy(update={"lq_size": LQ_SIDE.get(task, phase.lq_size)})
        for name, phase in recipe.phases().items()
    }
    # By crops of one size the phase of the prior costs half as much, and the goal is the prior.
    for name, steps in {"prior": 2 * steps2 // 5, "joint": steps2 - 2 * steps2 // 5}.items():
        sized[name] = sized[name].model_copy(update={"steps": steps})
    side = PRIOR_SIDE.get(task, sized["prior"].lq_size)
    sized["prior"] = sized["prior"].model_copy(update={"lq_size": side})
    recipe = recipe.model_copy(
        update={"degradation": degradation, "ema_decay": 0.995, **sized}  # of so few steps
    )
    return replace(preset, name=f"prior-{task}", task=kind, config=config, recipe=recipe)


def preset_of_variant(variant: Variant, preset: Preset) -> Preset:
    """The preset, for a constant with the joint phase as one of fine-tuning."""
    assert preset.recipe is not None
    joint, prior = preset.recipe.joint, preset.recipe.prior
    if "network.constant_ipr=true" not in variant.settings:
        return preset
    assert joint is not None
    assert prior is not None
    more = joint.model_copy(update={"steps": joint.steps + variant.longer * prior.steps})
    return replace(preset, recipe=preset.recipe.model_copy(update={"finetune": more}))


def variants_of(task: str, wanted: list[str] | None) -> dict[str, Variant]:
    """The variants that a task has, of those wanted, and those they need; by name, in order."""
    chosen = set(wanted or VARIANTS)
    if WARM in chosen or not chosen & CONSTANTS:
        chosen |= {CONSTANT}
    chosen |= {VARIANTS[name].teacher for name in chosen}
    if task == WITHOUT_FACTS:
        chosen = {name for name in chosen if name and not wants_facts(VARIANTS[name])}
    return {name: variant for name, variant in VARIANTS.items() if name in chosen}


def wants_facts(variant: Variant) -> bool:
    """Whether it, or the teacher it learns from, has a loss of facts."""
    taught = VARIANTS[variant.teacher].settings if variant.teacher else ()
    return any("facts" in word for word in (*variant.settings, *taught))


def warm_start(folder: Path, preset: Preset, place: Path) -> str:
    """A file of stage 1 whose restorer is the constant prior's of the same seed."""
    constant = load(folder / file_name(CONSTANT) / f"{preset.name}.safetensors")
    assert isinstance(constant, DiffIRS2)
    assert preset.recipe is not None
    torch.manual_seed(preset.recipe.seed)
    model = DiffIRS1(preset.config)
    model.dirformer.load_state_dict(constant.dirformer.state_dict())
    file = place / "start.safetensors"
    format.save(Checkpoint(model=model, task=preset.task.name), file)
    return str(file)


@torch.no_grad()
def by_own_and_anothers(
    network: DiffIRS2, pairs: list[Batch], measure: Callable[[Tensor, Batch], float]
) -> tuple[float, float]:
    """A mean score when each picture gets its own Ẑ, and when it gets the next one's."""
    network.eval()
    iprs = [own_ipr(network, pair) for pair in pairs]

    def mean(iprs: list[Tensor]) -> float:
        chosen = zip(iprs, pairs, strict=True)
        return fmean(measure(restored_with(ipr, network, pair), pair) for ipr, pair in chosen)

    return mean(iprs), mean([*iprs[1:], iprs[0]])


def metric_scores(name: str, weights: Path, pairs: list[Batch]) -> Scores:
    """A metric's mean, and what another's Ẑ adds to it."""
    network, metric = load(weights), open_metrics([name])[0][name]
    assert isinstance(network, DiffIRS2)
    own, others = by_own_and_anothers(
        network, pairs, lambda restored, pair: float(metric(restored, gt=pair.gt))
    )
    return {name: own, name + ANOTHERS: others - own}


def scores_of(arguments: argparse.Namespace, seed: int) -> dict[str, Scores]:
    """The scores of every variant for a seed."""
    preset = preset_for(arguments.task, arguments.steps1, arguments.steps2, seed)
    preset = choose({preset.name: preset}, preset.name, arguments.set)
    folder = arguments.output / arguments.task / f"seed{seed}"
    degradation, scale = TASKS[arguments.task][2], preset.config.scale
    val = str(arguments.output / f"val-{arguments.task}")
    validate = validator([val], degradation, scale)
    (pairs,) = validation_sets([val], degradation, scale).values()
    found = {}
    for name, variant in variants_of(arguments.task, arguments.variants).items():
        place = folder / file_name(name)

        def judged(name: str = name, variant: Variant = variant, place: Path = place) -> Scores:
            settings, begun = list(variant.settings), dict[str, str]()
            first: Path | None = place / f"{preset.name}-stage1.safetensors"
            if name == WARM:
                begun["start"] = warm_start(folder, preset, place)
            if variant.teacher:
                first = folder / file_name(variant.teacher) / f"{preset.name}-stage1.safetensors"
                begun["teacher"] = str(first)
                settings.append("stage1=null")
            if "prior=null" in settings:
                first = None
            ready = preset_of_variant(variant, preset)
            weights = trained(ready, settings, arguments.train, place, arguments.device, **begun)
            network, teacher = load(weights), load(first) if first else None
            assert isinstance(network, DiffIRS2)
            assert teacher is None or isinstance(teacher, DiffIRS1)
            scores = validate(network, teacher)[0]
            own, others = by_own_and_anothers(
                network, pairs, lambda restored, pair: score(restored, pair, scale)
            )
            return scores | {"lost": own - others}

        place.mkdir(parents=True, exist_ok=True)
        found[name] = kept(place / "scores.json", judged)
        for metric in arguments.metrics:

            def measured(metric: str = metric, place: Path = place) -> Scores:
                return metric_scores(metric, place / f"{preset.name}.safetensors", pairs)

            found[name] |= kept(place / f"{metric}.json", measured)
        print(f"seed {seed}  {name:32} {found[name]['psnr']:.3f}", flush=True)
    return found


def table(rows: list[dict[str, Scores]]) -> str:
    """The means over seeds, as Markdown."""
    constant = next(iter(rows[0]))
    metrics = [name.removesuffix(ANOTHERS) for name in rows[0][constant] if ANOTHERS in name]
    heads = ["variant", "PSNR", "to the constant", "lost by another's Ẑ", "true Z", "spread of Z"]
    for metric in metrics:
        heads += [metric, "to the constant", f"added{ANOTHERS}"]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]

    def values(key: str, name: str, base: str = "") -> list[float]:
        return [row[name][key] - (row[base][key] if base else 0) for row in rows]

    for name in rows[0]:
        cells = [
            told(values("psnr", name), 2),
            told(values("psnr", name, constant), 3, "+"),
            told(values("lost", name), 3),
            *(mean_of(rows, name, key, digits) for key, digits in COLUMNS.items()),
        ]
        for metric in metrics:
            cells += [
                told(values(metric, name), 4),
                told(values(metric, name, constant), 4, "+"),
                told(values(metric + ANOTHERS, name), 4, "+"),
            ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Train all, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, metavar="VARIANT")
    parser.add_argument("--metrics", nargs="+", default=[], choices=LEARNED, metavar="METRIC")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = arguments_of(parser)
    if missing := open_metrics(arguments.metrics)[1]:
        parser.error("; ".join(missing.values()))
    torch.set_num_threads(1)
    _, config, degradation = TASKS[arguments.task]
    side = VAL_SIDE + 2 * degradation.margin(config.scale)  # which is cut off
    folder = arguments.output / f"val-{arguments.task}"
    cropped(arguments.val, folder, arguments.pictures, side)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    print(table([scores_of(arguments, seed) for seed in seeds]))


if __name__ == "__main__":
    main()
