"""The paper's ablations, each a switch of the recipe, at a small fixed budget with several seeds.

    python benchmarks/ablations.py --train PHOTOS --val PHOTOS -o runs/ablations --seeds 3

Inpainting, as in the paper, for there the prior carries most: boxes of a quarter to a half of the
crop's side, PSNR in dB inside the hole, mean over the validation pictures (centre crops, each with
a box of its own that is always the same). Stage 1 is trained once for each seed; every variant of
stage 2 then learns from it for the same number of steps. Printed: mean ± standard error over seeds,
and, because a seed's stage 1 lifts all of its variants alike, the difference to V3 with the
standard error of that difference. Run again, it goes on where it was.
"""

import argparse
from pathlib import Path
from statistics import fmean

import torch
from matplotlib.figure import Figure
from small_budget import arguments_of, cropped, error, file_name, kept, told, trained

from diffir.data import Holes
from diffir.data.masks import Boxes, MaskSettings
from diffir.evaluation.validate import validator
from diffir.loading import load
from diffir.model import DiffIRConfig, DiffIRS1
from diffir.presets import Preset
from diffir.recipe import Phase, Recipe
from diffir.tasks import Inpainting

SIDE = 64  # of training crops
VAL_SIDE = 96  # of validation pictures
HOLE = Holes(masks=MaskSettings(kinds=((Boxes(count=(1, 1), size=(16, 32), margin=8), 1),)))
NETWORK = DiffIRConfig(
    in_channels=4,
    global_residual=False,
    unshuffle=2,
    upscale=2,
    dim=16,
    num_blocks=(1, 1, 1, 2),
    num_refinement_blocks=0,
    cpen_blocks=1,
)
STEPS_OF_T = (1, 2, 3, 4, 8, 16, 32)
METHOD = "V3: the method"


def variants(steps: int) -> dict[str, list[str]]:
    """The settings of each variant of stage 2, by its name in the table."""
    prior_alone = [f"prior.steps={steps}", "joint=null"]
    return {
        METHOD: [],
        "V1: no diffusion, CPEN_S2 alone": ["network.timesteps=0"],
        "V2: one random t a step, apart": ["diffusion_training=single_step", *prior_alone],
        "V4: variance inserted": ["network.insert_variance=true"],
        "L_diff L2": ["ipr_loss=ipr_l2"],
        "L_diff KL": ["ipr_loss=ipr_kl"],
        "predicts ε": ["network.prediction=epsilon"],
        "β linear": ["network.beta_schedule=linear"],
        "not joint: all steps, prior alone": prior_alone,
        **{f"T = {t}": [f"network.timesteps={t}"] for t in STEPS_OF_T if t != 4},
    }


def preset_of(steps1: int, steps2: int, seed: int) -> Preset:
    """The network and the budget that all variants share."""
    phase = Phase(steps=steps1, learning_rate=6e-4, warmup_steps=50, batch_size=8, lq_size=SIDE)
    quarter = steps2 // 4
    recipe = Recipe(
        degradation=HOLE,
        seed=seed,
        stage1=phase,
        prior=phase.model_copy(update={"steps": quarter}),
        joint=phase.model_copy(update={"steps": steps2 - quarter, "learning_rate": 4e-4}),
        gradient_clip=0.25,
        precision="bfloat16",
    )
    return Preset(name="ablation", summary="", task=Inpainting(), config=NETWORK, recipe=recipe)


def scores_of(arguments: argparse.Namespace, seed: int) -> dict[str, dict[str, float]]:
    """The scores of stage 1 and of every variant for a seed."""
    preset = preset_of(arguments.steps1, arguments.steps2, seed)
    folder = arguments.output / f"seed{seed}"
    validate = validator([str(arguments.output / "val")], HOLE, 1)
    data, device = arguments.train, arguments.device
    stage1 = trained(preset, ["prior=null", "joint=null"], data, folder / "stage1", device)
    teacher = load(stage1)
    assert isinstance(teacher, DiffIRS1)
    rows = {"S1: sees the ground truth": lambda: validate(teacher, None)[0]}
    for name, settings in variants(arguments.steps2).items():

        def judged(name: str = name, settings: list[str] = settings) -> dict[str, float]:
            place = folder / file_name(name)
            ours = ["stage1=null", *settings]
            weights = trained(preset, ours, data, place, device, teacher=str(stage1))
            return validate(load(weights), teacher)[0]

        rows[name] = judged
    found = {}
    for name, row in rows.items():
        found[name] = kept(folder / f"{file_name(name)}.json", row)
        print(f"seed {seed}  {name:36} {found[name]['psnr']:.3f}", flush=True)
    return found


def table(rows: list[dict[str, dict[str, float]]]) -> str:
    """The means over seeds, as Markdown."""
    lines = [
        "| variant | PSNR in the hole | to V3 | with the true Z | distance of Ẑ to Z |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in rows[0]:
        values = [row[name]["psnr"] for row in rows]
        apart = [row[name]["psnr"] - row[METHOD]["psnr"] for row in rows]
        cells = [told(values, 2), told(apart, 2, "+"), mean_of(rows, name, "psnr_true", 2)]
        last = max((key for key in rows[0][name] if "distance" in key), key=number, default="")
        cells.append(mean_of(rows, name, last, 3))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def mean_of(rows: list[dict[str, dict[str, float]]], name: str, key: str, digits: int) -> str:
    """A score's mean over seeds, or nothing."""
    return f"{fmean(row[name][key] for row in rows):.{digits}f}" if key in rows[0][name] else ""


def number(key: str) -> int:
    """The step in `ipr/distance_4`."""
    return int(key.rsplit("_", 1)[1])


def plot(rows: list[dict[str, dict[str, float]]], path: Path) -> None:
    """Quality over T, with standard errors."""
    names = {t: METHOD if t == 4 else f"T = {t}" for t in STEPS_OF_T}
    values = {t: [row[name]["psnr"] for row in rows] for t, name in names.items()}
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(
        [*values], [fmean(v) for v in values.values()], [error(v) for v in values.values()],
        marker="o", capsize=3,
    )  # fmt: skip
    for v in zip(*values.values(), strict=True):
        axes.plot([*values], v, color="gray", alpha=0.4, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks([*values], [str(t) for t in values])
    axes.set_xlabel("T, steps of the diffusion")
    axes.set_ylabel("PSNR in the hole, dB")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train all, print the table, draw the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    arguments = arguments_of(parser)
    torch.set_num_threads(1)
    cropped(arguments.val, arguments.output / "val", arguments.pictures, VAL_SIDE)
    rows = [scores_of(arguments, seed) for seed in range(arguments.seeds)]
    print(table(rows))
    plot(rows, arguments.output / "steps.png")


if __name__ == "__main__":
    main()
