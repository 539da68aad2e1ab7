"""Steps per second and peak memory of training: a plain loop against ours with its defaults.

    python benchmarks/training.py                      # the lite networks, each phase
    python benchmarks/training.py --recipes deblur sr-x4 inpaint --batch 1 --rounds 1
    python benchmarks/training.py --device cuda --compile

Both learn from the same batch in memory, with the same losses. Plain: float32, PyTorch's default
layout and `torch.optim.Adam`, the average parameter by parameter. Ours: what `diffir train` does by
default, which is channels last, the recipe's precision, Fabric, a fused Adam, the average at once.
Steps of both alternate in one process; seconds are medians, of the CPU on a CPU (so that other work
on the machine counts little), of the clock on a GPU. Memory is the peak of a process that does
nothing but steps of one kind (on a GPU, of what torch allocates). Perceptual losses and
discriminators are left out: the first want weights that may not be here.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from diffir.data import Batch, Draws
from diffir.inference.devices import computes_bfloat16, pick_device, to_device
from diffir.inference.memory import peak_of_process
from diffir.model import DiffIRS1, DiffIRS2
from diffir.presets import RECIPES
from diffir.recipe import Phase, Recipe
from diffir.training.ema import average_of, update_average
from diffir.training.fabric import opened_fabric
from diffir.training.learner import Learner
from diffir.training.loop import placed
from diffir.training.stages import JointPhase, PriorPhase, Stage, Stage1

LITE = ("sr-x4-lite", "deblur-lite", "inpaint-lite")
Step = Callable[[], None]


def stage_of(name: str, recipe: str, device: torch.device) -> Stage:
    """A phase's stage around new networks, the same each time."""
    config = RECIPES[recipe].config
    torch.manual_seed(0)
    teacher, model = DiffIRS1(config).to(device), DiffIRS2(config).to(device)
    if name == "stage1":
        return Stage1(teacher)
    return {"prior": PriorPhase, "joint": JointPhase}[name](model, teacher)


def batch_of(recipe: str, size: int, side: int, device: torch.device) -> Batch:
    """Random pictures."""
    config = RECIPES[recipe].config
    generator = torch.Generator().manual_seed(0)
    lq = torch.rand(size, config.in_channels, side, side, generator=generator)
    big = side * config.scale
    gt = torch.rand(size, 3, big, big, generator=generator)
    return Batch(lq=lq.to(device), gt=gt.to(device))


def plain(stage: Stage, batch: Batch, noise: dict[str, Tensor], recipe: Recipe) -> Step:
    """A step as one writes it at first."""
    average = average_of(stage.model)
    learning = [p for p in stage.parameters() if p.requires_grad]
    adam = torch.optim.Adam(learning, lr=1e-4)

    def step() -> None:
        terms, _ = stage(batch, noise)
        adam.zero_grad()
        torch.stack([*terms.values()]).sum().backward()
        if recipe.gradient_clip:
            torch.nn.utils.clip_grad_norm_(learning, recipe.gradient_clip)
        adam.step()
        with torch.no_grad():
            for mean, now in zip(average.parameters(), stage.model.parameters(), strict=True):
                mean.mul_(0.999).add_(now, alpha=0.001)

    return step


def ours(
    stage: Stage, batch: Batch, noise: dict[str, Tensor], recipe: Recipe, *, compiled: bool = False
) -> Step:
    """A step of `diffir train`."""
    device = batch.lq.device
    to_device(stage.model, device)
    average = average_of(stage.model)
    learner = Learner(
        opened_fabric(device),
        stage,
        learning_rate=1e-4,
        adam_betas=(0.9, 0.99),
        clip=recipe.gradient_clip,
        bfloat16=recipe.precision == "bfloat16" and computes_bfloat16(device),
        compiled=compiled,
    )

    def step() -> None:
        images = batch.map(lambda tensor: placed(tensor, device))
        learner.step([(images, noise)], 1e-4)
        update_average(average, stage.model, 0.999)

    return step


def steps_of(
    name: str, recipe: str, batch: Batch, kinds: list[str], device: torch.device
) -> dict[str, Step]:
    """A step of each kind, by its name."""
    made = {}
    for kind in kinds:
        stage = stage_of(name, recipe, device)
        draws = Draws((0,), tuple(range(len(batch.gt))))
        noise = {key: value.to(device) for key, value in stage.noise(draws).items()}
        settings = RECIPES[recipe].recipe
        assert settings is not None
        made[kind] = (
            plain(stage, batch, noise, settings)
            if kind == "plain"
            else ours(stage, batch, noise, settings, compiled=kind == "compiled")
        )
    return made


def seconds_of(steps: dict[str, Step], rounds: int, device: torch.device) -> dict[str, float]:
    """The median of each kind, their steps in turn; the first of each is not counted."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    times: dict[str, list[float]] = {kind: [] for kind in steps}
    for number in range(rounds + 1):
        for kind, step in steps.items():
            began = clock()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number:
                times[kind].append(clock() - began)
    return {kind: statistics.median(values) for kind, values in times.items()}


def memory_of(arguments: argparse.Namespace, recipe: str, name: str, kind: str) -> float:
    """The peak of a process of its own, in GB."""
    words = [sys.executable, __file__, "--recipes", recipe, "--phases", name, "--only", kind]
    words += ["--device", arguments.device, "--batch", str(arguments.batch or 0)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def peak(step: Step, device: torch.device) -> float:
    """The most memory that two steps take, in GB."""
    step()
    step()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return (peak_of_process() or 0) / 1e9


def sizes(recipe: str, name: str, batch: int | None) -> tuple[int, int]:
    """(pictures, side of LQ) of a phase at its start; published ones at a side for one step."""
    settings = RECIPES[recipe].recipe
    assert settings is not None
    phase: Phase = settings.phases().get(name) or settings.phases()["stage1"]
    side, size = phase.sizes(0)
    return (batch, min(side, 128)) if batch else (size, side)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recipes", nargs="+", default=LITE)
    parser.add_argument("--phases", nargs="+", default=("stage1", "prior", "joint"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=None, help="instead of the recipe's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only", help="print the peak memory of this kind alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = pick_device(arguments.device)
    kinds = ["plain", "ours", *(["compiled"] if arguments.compile else [])]
    if arguments.only:
        (recipe,), (name,) = arguments.recipes, arguments.phases
        batch = batch_of(recipe, *sizes(recipe, name, arguments.batch), device)
        (step,) = steps_of(name, recipe, batch, [arguments.only], device).values()
        print(peak(step, device))
        return
    print(f"{device}, 1 thread, torch {torch.__version__}, allocator {allocator()}")
    print("| recipe | phase | batch | plain steps/s | ours | times | plain GB | ours |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for recipe in arguments.recipes:
        for name in arguments.phases:
            size, side = sizes(recipe, name, arguments.batch)
            batch = batch_of(recipe, size, side, device)
            steps = steps_of(name, recipe, batch, kinds, device)
            took = seconds_of(steps, arguments.rounds, device)
            held = {kind: memory_of(arguments, recipe, name, kind) for kind in ("plain", "ours")}
            rest = "".join(f"; {kind} {took['plain'] / took[kind]:.2f} ×" for kind in kinds[2:])
            print(
                f"| {recipe} | {name} | {size} × {side}² | {1 / took['plain']:.2f} | "
                f"{1 / took['ours']:.2f} | {took['plain'] / took['ours']:.2f}{rest} | "
                f"{held['plain']:.2f} | {held['ours']:.2f} |",
                flush=True,
            )


def allocator() -> str:
    """What was set about memory, which changes ratios."""
    told = {key: value for key, value in os.environ.items() if key.startswith("MALLOC_")}
    return json.dumps(told) if told else "of the C library, as it comes"


if __name__ == "__main__":
    main()
