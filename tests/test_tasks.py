"""What the networks see of pictures, and what people get of the networks."""

import pytest
import torch

from diffir.errors import MaskError
from diffir.tasks import TASKS, Deblurring, Inpainting, SuperResolution

DRAW = torch.Generator().manual_seed(0)
IMAGE = torch.rand(2, 3, 5, 4, generator=DRAW)
MASK = (torch.rand(2, 1, 5, 4, generator=DRAW) > 0.5).float()
WILD = 10 * torch.randn(2, 3, 5, 4, generator=DRAW)


def test_tasks_are_found_by_their_names():
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}
    assert {name for name, task in TASKS.items() if task.wants_mask} == {"inpaint"}


@pytest.mark.parametrize("task", [Deblurring(), SuperResolution()])
def test_without_holes_the_network_sees_the_picture_itself(task):
    assert torch.equal(task.network_input(IMAGE), IMAGE)
    assert torch.equal(task.finish(WILD, IMAGE), WILD.clamp(0, 1))


@pytest.mark.parametrize("task", [Deblurring(), SuperResolution()])
def test_a_mask_that_nobody_needs_is_refused_by_the_tasks_name(task):
    with pytest.raises(MaskError, match=f"task {task.name}, which takes none; leave it out"):
        task.network_input(IMAGE, MASK)


def test_the_network_cannot_see_what_is_under_the_holes():
    other = torch.where(MASK > 0, torch.rand_like(IMAGE), IMAGE)
    seen = Inpainting().network_input(IMAGE, MASK)
    assert seen.shape == (2, 4, 5, 4)
    assert torch.equal(seen, Inpainting().network_input(other, MASK))
    assert torch.equal(seen[:, 3:], MASK)


def test_known_pixels_are_the_users_own_and_holes_the_networks():
    finished = Inpainting().finish(WILD, IMAGE, MASK)
    holes = MASK.expand_as(IMAGE) > 0
    assert torch.equal(finished[~holes], IMAGE[~holes])
    assert torch.equal(finished[holes], WILD.clamp(0, 1)[holes])


def test_inpainting_asks_for_a_mask_and_says_its_polarity():
    task = Inpainting()
    for call in (lambda: task.network_input(IMAGE), lambda: task.finish(WILD, IMAGE)):
        with pytest.raises(MaskError, match=r"white \(or transparent\) = hole"):
            call()
