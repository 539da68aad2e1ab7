"""Stage 1 in two processes, each with half of a batch; what they found goes into files.

python prior_shares.py FOLDER: writes 0.pt and 1.pt there.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, distributed

from diffir.data import Batch
from diffir.model import DiffIRS1
from diffir.presets import RECIPES
from diffir.recipe import Recipe
from diffir.training.stages import Stage1

PROCESSES, PICTURES = 2, 6
CONFIG = replace(RECIPES["toy-sr"].config, upscale=1, ipr_dim=8, ipr_norm="batch")


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def found_in(share: slice, norm: bool) -> dict[str, Tensor]:
    """Terms, gradients and moments after a step's forward and backward on a share of the batch."""
    torch.manual_seed(0)
    recipe = Recipe(teacher_noise=0.5, ipr_variance_weight=2, ipr_covariance_weight=3)
    stage = Stage1(DiffIRS1(replace(CONFIG, ipr_norm="batch" if norm else "none")), recipe=recipe)
    with torch.no_grad():
        for parameter in stage.model.cpen.parameters():
            parameter *= 3  # that Z differs by more than rounding
    brightness = torch.linspace(0.1, 1, PICTURES)[:, None, None, None]
    lq, gt = (brightness * drawn(PICTURES, 3, 16, 16, seed=seed) for seed in (0, 1))
    noise = {"ipr": drawn(PICTURES, 8, seed=2)[share]}
    terms, restored = stage(Batch(lq=lq[share], gt=gt[share]), noise)
    torch.stack([*terms.values()]).sum().backward()
    return {
        "restored": restored.detach(),
        **{f"term {name}": term.detach() for name, term in terms.items()},
        **{name: p.grad for name, p in stage.named_parameters() if p.grad is not None},
        **{f"moment {name}": buffer for name, buffer in stage.named_buffers()},
    }


def work(rank: int, folder: Path) -> None:
    store = f"file://{folder / 'store'}"
    distributed.init_process_group("gloo", store, rank=rank, world_size=PROCESSES)
    share = slice(rank * PICTURES // PROCESSES, (rank + 1) * PICTURES // PROCESSES)
    found = {str(norm): found_in(share, norm) for norm in (False, True)}
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    torch.multiprocessing.start_processes(work, (folder,), PROCESSES, start_method="fork")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
