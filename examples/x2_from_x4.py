"""Begin ×2 with what ×4 has learnt: weights of sr-x2-lite made of those of sr-x4-lite.

    python examples/x2_from_x4.py start.safetensors

The ×2 network sees LQ unshuffled, four pixels side by side as channels. Each gets a quarter of the
weight that the ×4 network gives to one pixel, so that the new network does to LQ what the old one
does to LQ reduced to half. Training then tells the four apart.
"""

import math
import sys
from pathlib import Path

from einops import repeat
from torch import Tensor

from diffir.checkpoints import Checkpoint, format
from diffir.loading import load_checkpoint
from diffir.model import DiffIRS2
from diffir.presets import PRESETS


def widened(weight: Tensor, wanted: Tensor) -> Tensor:
    """A weight (O, C, k, k) as one for pictures of twice the size, (O, 4C, k, k)."""
    if weight.shape == wanted.shape:
        return weight
    side = math.isqrt(weight.shape[1] // 3)
    return repeat(weight, "o (c y x) k l -> o (c y 2 x 2) k l", c=3, y=side) / 4


def main(target: Path) -> None:
    """Write the weights to begin with."""
    preset = PRESETS["sr-x2-lite"]
    source = load_checkpoint("sr-x4-lite").model.state_dict()
    model = DiffIRS2(preset.config)
    model.load_state_dict(
        {name: widened(source[name], wanted) for name, wanted in model.state_dict().items()}
    )
    format.save(Checkpoint(model=model, task=preset.task.name, preset=preset.name), target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
