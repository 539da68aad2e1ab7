import re
from dataclasses import replace

import pytest
import torch
from official import toy

from diffir.inference.engine import plan as plans
from diffir.inference.engine import plan_for, restore, run
from diffir.inference.engine.tools import Tools
from diffir.model import DiffIRS2
from diffir.presets import PRESETS


def test_a_plan_says_beforehand_what_it_needs() -> None:
    text = plan_for(PRESETS["deblur"].config, 1, 720, 1280).describe()
    found = re.fullmatch(
        r"1 picture of 1280×720: (\d+) MB, of which (\d+) MB for stripes of 2(, \d+){3} rows .*",
        text,
    )
    assert found is not None
    assert 473 < int(found[1]) < 620  # what was measured, and some
    assert int(found[2]) < 60


def test_the_maps_of_4k_fit_into_four_gigabytes() -> None:
    assert plan_for(PRESETS["deblur"].config, 1, 2160, 3840).bytes < 4e9


@pytest.mark.parametrize("preset", PRESETS)
def test_a_budget_lowers_stripes_and_is_kept(preset: str) -> None:
    config = PRESETS[preset].config
    usual = plan_for(config, 1, 256, 256)
    tight = plan_for(config, 1, 256, 256, budget=usual.bytes - 1)
    assert tight.bytes < usual.bytes
    assert tight.map_numbers == usual.map_numbers
    assert plan_for(config, 1, 256, 256, budget=usual.bytes) == usual
    lower = [
        first.rows <= second.rows for first, second in zip(tight.grids, usual.grids, strict=True)
    ]
    assert all(lower)


def test_stripes_are_even_so_that_levels_meet() -> None:
    for width in (8, 24, 128, 5000):
        for grid in plan_for(toy("deblur"), 1, 64, width).grids:
            assert grid.rows % grid.block == 0
            assert grid.block % 2 == 0
            assert grid.block * grid.width >= plans.BLOCK


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("preset", ["deblur", "sr-x4", "sr-x1", "inpaint", "deblur-lite"])
def test_scratch_memory_stays_within_the_plan(
    preset: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Tools] = []
    monkeypatch.setattr(run, "Tools", lambda **parts: taken.append(Tools(**parts)) or taken[-1])
    monkeypatch.setattr(plans, "STRIPE", 20_000)
    config = toy(preset, num_blocks=(1, 1, 1, 1))
    lq = torch.rand(1, config.in_channels, 32, 160)
    restore(DiffIRS2(config), lq, torch.randn(1, config.ipr_dim), dtype=dtype)
    plan = plan_for(config, 1, 32, 160, itemsize=dtype.itemsize)
    scratch = dict(taken[-1].scratch)
    assert scratch.pop("maps torch.float32").numel() == plan.map_numbers
    held = sum(memory.numel() * memory.itemsize for memory in scratch.values())
    assert 0.2 * plan.scratch_bytes < held < plan.scratch_bytes


def test_halving_ends() -> None:
    plan = plan_for(replace(toy("deblur"), dim=16), 1, 80, 80)
    steps = 0
    while (lower := plan.halved()) is not None:
        assert lower.scratch_bytes < plan.scratch_bytes
        plan, steps = lower, steps + 1
    assert 0 < steps < 20


def test_stripes_are_taller_on_a_gpu_where_launches_cost():
    config = PRESETS["deblur"].config
    assert len(plan_for(config, 1, 256, 256, gpu=True).grids[0].spans()) == 1
    assert len(plan_for(config, 1, 256, 256).grids[0].spans()) > 4
    tight = plan_for(config, 1, 720, 1280, gpu=True, budget=1_500_000_000)
    assert tight.bytes <= 1_500_000_000
