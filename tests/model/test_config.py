"""The numbers of a network contradict themselves in a sentence, never in a crash later."""

import math
from dataclasses import replace

import pytest

from diffir.model import DiffIRConfig


@pytest.mark.parametrize(
    ("unshuffle", "upscale", "scale", "multiple", "cpen_unshuffle"),
    [(1, 1, 1, 8, 4), (1, 4, 4, 8, 1), (2, 4, 2, 16, 2), (4, 4, 1, 32, 4), (2, 2, 1, 16, 4)],
)
def test_what_follows_from_unshuffle_and_upscale(
    unshuffle: int, upscale: int, scale: int, multiple: int, cpen_unshuffle: int
) -> None:
    config = DiffIRConfig(unshuffle=unshuffle, upscale=upscale)
    assert (config.scale, config.multiple_of) == (scale, multiple)
    assert config.cpen_unshuffle == cpen_unshuffle
    assert replace(config, cpen_reduction=2).cpen_unshuffle == 2 * cpen_unshuffle
    assert replace(config, cpen_reduction=scale / 4).cpen_unshuffle == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"upscale": 3},
        {"unshuffle": 4, "upscale": 2},
        {"num_heads": (1, 2, 5, 8)},
        {"ipr_dim": 30},
        {"timesteps": -1},
        {"timesteps": 0, "insert_variance": True},
        {"cpen_reduction": 3},
        {"cpen_reduction": 0.125},
        {"upscale": 4, "cpen_reduction": 0.5},
        {"beta_start": 0.0},
        {"beta_end": 1.0},
        {"dim": 0},
        {"dim": 7},
        {"num_heads": (0, 1, 1, 1)},
        {"num_blocks": (-1, 1, 1, 1)},
        {"num_blocks": (3_000_000, 1, 1, 1)},
        {"cpen_blocks": -1},
        {"timesteps": 30_000_000},
        {"ipr_dim": 0},
        {"denoiser_layers": 0},
        {"ffn_expansion": -1.0},
        {"ffn_expansion": math.inf},
    ],
)
def test_impossible_numbers_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"found|makes|do not divide"):
        DiffIRConfig(**wrong)
