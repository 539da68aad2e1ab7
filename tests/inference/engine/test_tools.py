import pytest
import torch
from official import network, toy
from torch.utils.flop_counter import FlopCounterMode

from diffir.inference.engine.kernels import Kernels
from diffir.inference.engine.tools import Tools, Watch
from diffir.inference.engine.work import picture_work
from diffir.model import DiffIRS2
from diffir.presets import PRESETS


def tools() -> Tools:
    return Tools(
        kernels=Kernels(), fine=Kernels(), watch=Watch(total=1), device=torch.device("cpu")
    )


def test_a_name_gives_the_same_memory_until_more_is_wanted() -> None:
    ours = tools()
    first = ours.memory("rows", 4, 6)
    assert ours.memory("rows", 3, 2).data_ptr() == first.data_ptr()
    assert ours.memory("other", 4, 6).data_ptr() != first.data_ptr()
    assert ours.memory("rows", 4, 6, dtype=torch.bfloat16).dtype == torch.bfloat16
    larger = ours.memory("rows", 50, 6)
    assert larger.shape == (50, 6)
    assert ours.memory("rows", 4, 6).data_ptr() == larger.data_ptr()


@pytest.mark.parametrize("preset", PRESETS)
def test_work_is_what_torch_counts_in_the_plain_network(preset: str) -> None:
    config = toy(preset, dim=16)
    model = network(2, config)
    assert isinstance(model, DiffIRS2)
    height, width = 2 * config.multiple_of, 3 * config.multiple_of
    lq = torch.zeros(1, config.in_channels, height, width)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(lq, torch.zeros(1, config.ipr_dim))
    # ours has M V in place of attention and projection, and leaves the linear layers out
    assert picture_work(model, height, width) == pytest.approx(
        counter.get_total_flops() / 2, rel=0.08
    )
