"""The networks that have a name are those of the paper, and the lite ones are small."""

import pytest
import torch

from diffir.model import DiffIRS1, DiffIRS2
from diffir.presets import PRESETS, Preset

# stage 1 and stage 2, from the authors' published models
PUBLISHED = {
    "deblur": (26_742_206, 26_911_934),
    "sr-x4": (24_801_478, 24_971_206),
    "sr-x2": (24_811_846, 24_981_574),
    "sr-x1": (24_853_318, 25_023_046),
    "inpaint": (26_232_746, 26_402_474),
    "inpaint-big": (49_313_194, 49_482_922),
}
LITE = {
    "sr-x4-lite": 4,
    "sr-x2-lite": 2,
    "real-x4-lite": 4,
    "real-x4-lite-detail": 4,
    "deblur-lite": 1,
    "inpaint-lite": 1,
}
LITE_LIMIT = 4_900_000  # fp16 stays under 10 MB


def test_every_preset_is_published_or_lite() -> None:
    assert PRESETS.keys() == {*PUBLISHED, *LITE}
    assert all(name == preset.name for name, preset in PRESETS.items())


@pytest.mark.parametrize(("name", "counts"), PUBLISHED.items())
def test_published_presets_have_exactly_the_published_parameters(
    name: str, counts: tuple[int, int]
) -> None:
    with torch.device("meta"):
        networks = [stage(PRESETS[name].config) for stage in (DiffIRS1, DiffIRS2)]
    assert tuple(sum(p.numel() for p in net.parameters()) for net in networks) == counts
    assert PRESETS[name].parameters == counts[1]


@pytest.mark.parametrize(("name", "scale"), LITE.items())
def test_lite_presets_fit_into_ten_megabytes(name: str, scale: int) -> None:
    assert PRESETS[name].parameters <= LITE_LIMIT
    assert PRESETS[name].config.scale == scale


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_take_what_their_task_shows_them(preset: Preset) -> None:
    image = torch.rand(1, 3, 32, 32)
    mask = torch.ones(1, 1, 32, 32) if preset.task.wants_mask else None
    lq = preset.task.network_input(image, mask)
    assert lq.shape[1] == preset.config.in_channels
    assert lq.shape[2] % preset.config.multiple_of == 0
    with torch.device("meta"):
        model = DiffIRS2(preset.config)
        restored = model(lq.to("meta"), torch.empty(1, preset.config.ipr_dim))
    size = 32 * preset.config.scale
    assert restored.shape == (1, 3, size, size)
