"""What departures from the authors' prior change, at a tiny fixed budget with several seeds.

    python benchmarks/prior.py deblur --train PHOTOS --val PHOTOS -o runs/prior --seeds 3

Each variant trains its own stage 1 and, from it, stage 2 for the same steps. The constant prior
spends those of stage 2 in which the restorer learns on the same network, so that all restorers have
learnt equally long; what begins with the constant prior's restorer has learnt longer. Printed, as
Markdown: PSNR in dB of the network for use (for inpainting in the hole) over centre crops, mean ±
standard error over seeds; the difference to the constant prior with the standard error of that
difference; and what `diffir train --val` tells of the prior: PSNR of the network for use with the
true Z, another picture's and the mean, and the spread of Z over its size. Run again, it goes on
where it was. `diffir probe` asks the files it leaves more.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from ablations import HOLE, NETWORK, VAL_SIDE, mean_of, preset_of
from small_budget import Scores, arguments_of, cropped, error, file_name, kept, trained

from diffir.checkpoints import Checkpoint, format
from diffir.data import MILD, Bicubic, Degradation, MotionBlur
from diffir.evaluation.validate import validator
from diffir.loading import load
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.presets import Preset
from diffir.recipe import Phase
from diffir.tasks import Deblurring, Inpainting, SuperResolution, Task

RGB = replace(NETWORK, in_channels=3, global_residual=True)
TASKS: dict[str, tuple[Task, DiffIRConfig, Degradation]] = {
    "inpaint": (Inpainting(), NETWORK, HOLE),
    "deblur": (Deblurring(), RGB, MotionBlur(length=(0, 20))),
    "sr": (SuperResolution(), replace(RGB, unshuffle=1, upscale=4), Bicubic()),
    "blind-sr": (SuperResolution(), replace(RGB, unshuffle=1, upscale=4), MILD),
}
LQ_SIDE = {"sr": 16, "blind-sr": 16}  # GT is as large as elsewhere
AUTHORS = "the authors' form"
CONSTANT = "constant prior"
WARM = "begun with the constant's restorer"
VARIANTS = {
    AUTHORS: [],
    CONSTANT: ["network.timesteps=0", "network.constant_ipr=true", "prior=null", "joint=null"],
    "V1: no diffusion": ["network.timesteps=0"],
    "T = 1": ["network.timesteps=1"],
    WARM: [],
    "rate of the prior × 4": ["modulation_rate=4"],
    "identity modulation": ["network.identity_modulation=true"],
    "Z standardised": ["network.ipr_norm=batch"],
    "variance and covariance": ["ipr_variance_weight=0.01", "ipr_covariance_weight=0.0004"],
    "deeper CPEN": ["network.cpen_blocks=5"],
    "mean and deviation pooled": ["network.cpen_pooling=mean_std"],
    "Z of 64 numbers": ["network.ipr_dim=64"],
    "Z of 512 numbers": ["network.ipr_dim=512"],
    "noise on Z": ["teacher_noise=0.3"],
    "blurred GT": ["network.teacher_blur=2"],
    "facts beside": ["facts_weight=0.1"],
    "facts alone": ["facts_weight=0.1", "facts_alone=true"],
    "facts, identity, standardised": [
        "facts_weight=0.1",
        "network.identity_modulation=true",
        "network.ipr_norm=batch",
    ],
}
WITHOUT_FACTS = "sr"
COLUMNS = {"psnr_true": 2, "psnr_other": 2, "psnr_mean": 2, "ipr/spread": 3}


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
    recipe = recipe.model_copy(update={"degradation": degradation, **sized})
    return replace(preset, name=f"prior-{task}", task=kind, config=config, recipe=recipe)


def preset_of_variant(name: str, preset: Preset) -> Preset:
    """The preset, for a constant with the joint phase as one of fine-tuning."""
    assert preset.recipe is not None
    joint: Phase | None = preset.recipe.joint
    if name != CONSTANT:
        return preset
    return replace(preset, recipe=preset.recipe.model_copy(update={"finetune": joint}))


def variants_of(task: str) -> dict[str, list[str]]:
    """The settings of all variants that a task has, by name."""
    facts = task != WITHOUT_FACTS
    return {name: words for name, words in VARIANTS.items() if facts or "facts" not in name}


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


def scores_of(arguments: argparse.Namespace, seed: int) -> dict[str, Scores]:
    """The scores of every variant for a seed."""
    preset = preset_for(arguments.task, arguments.steps1, arguments.steps2, seed)
    folder = arguments.output / arguments.task / f"seed{seed}"
    degradation = TASKS[arguments.task][2]
    validate = validator([str(arguments.output / "val")], degradation, preset.config.scale)
    found = {}
    for name, settings in variants_of(arguments.task).items():
        place = folder / file_name(name)

        def judged(name: str = name, settings: list[str] = settings, place: Path = place) -> Scores:
            begun = {"start": warm_start(folder, preset, place)} if name == WARM else {}
            variant = preset_of_variant(name, preset)
            device = arguments.device
            weights = trained(variant, settings, arguments.train, place, device, **begun)
            first = None if name == CONSTANT else load(place / f"{preset.name}-stage1.safetensors")
            assert first is None or isinstance(first, DiffIRS1)
            return validate(load(weights), first)[0]

        place.mkdir(parents=True, exist_ok=True)
        found[name] = kept(place / "scores.json", judged)
        print(f"seed {seed}  {name:24} {found[name]['psnr']:.3f}", flush=True)
    return found


def table(rows: list[dict[str, Scores]]) -> str:
    """The means over seeds, as Markdown."""
    heads = ["variant", "PSNR", "to the constant", "true Z", "another's Z", "mean Z", "spread of Z"]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for name in rows[0]:
        values = [row[name]["psnr"] for row in rows]
        apart = [row[name]["psnr"] - row[CONSTANT]["psnr"] for row in rows]
        cells = [
            f"{fmean(values):.2f} ± {error(values):.2f}",
            f"{fmean(apart):+.2f} ± {error(apart):.2f}",
            *(mean_of(rows, name, key, digits) for key, digits in COLUMNS.items()),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Train all, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    arguments = arguments_of(parser)
    torch.set_num_threads(1)
    cropped(arguments.val, arguments.output / "val", arguments.pictures, VAL_SIDE)
    print(table([scores_of(arguments, seed) for seed in range(arguments.seeds)]))


if __name__ == "__main__":
    main()
