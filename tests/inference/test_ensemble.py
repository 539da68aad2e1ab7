"""Self-ensemble: the mean over flips and quarter turns."""

import numpy as np
import pytest
import torch
from official import network, toy
from skimage import data

from diffir.inference import Restorer
from diffir.inference.ensemble import TURNS, ensembled, turned, turned_back
from diffir.tasks import TASKS

PHOTO = np.ascontiguousarray(data.astronaut()[90:114, 200:240])  # (24, 40, 3)
HOLES = np.zeros(PHOTO.shape[:2], bool)
HOLES[5:12, 6:20] = True


def restorer(preset: str, ensemble: bool = True) -> Restorer:
    task = preset.partition("-")[0]
    return Restorer(network(2, toy(preset)), TASKS[task], device="cpu", ensemble=ensemble)


def test_every_flip_and_turn_is_one_of_eight_and_is_undone():
    x = torch.arange(24.0).view(1, 2, 3, 4)
    views = [turned(x, *turn) for turn in TURNS]
    assert len({tuple(view.flatten().tolist()) + tuple(view.shape) for view in views}) == 8
    for view, turn in zip(views, TURNS, strict=True):
        assert torch.equal(turned_back(view, *turn), x)


def test_the_result_is_the_mean_of_eight_runs_each_turned_back():
    def run(images, holes, _progress):
        assert holes.shape[2:] == images.shape[2:]
        return images * torch.linspace(0, 1, images.shape[-1])  # not the same from all sides

    x = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    holes = torch.zeros(1, 1, 4, 6)
    single = [turned_back(run(turned(x, *t), turned(holes, *t), None), *t) for t in TURNS]
    torch.testing.assert_close(ensembled(run, x, holes, None), torch.stack(single).mean(dim=0))


@pytest.mark.parametrize("preset", ["deblur", "sr-x2", "inpaint"])
def test_a_turned_picture_gives_the_turned_result(preset):
    ours = restorer(preset)
    holes = HOLES if ours.task.wants_mask else None
    upright = ours(PHOTO, mask=holes).pixels
    turned_holes = None if holes is None else np.rot90(holes).copy()
    aside = ours(np.rot90(PHOTO).copy(), mask=turned_holes).pixels
    # Eight sums in another order; one run alone is far from it.
    np.testing.assert_allclose(aside, np.rot90(upright), atol=1e-5)
    single = restorer(preset, ensemble=False)(PHOTO, mask=holes).pixels
    assert abs(single - upright).max() > 1e-4


def test_known_pixels_stay_untouched():
    filled = restorer("inpaint")(PHOTO, mask=HOLES).to_array()
    np.testing.assert_array_equal(filled[~HOLES], PHOTO[~HOLES])
    assert (filled[HOLES] != PHOTO[HOLES]).any()


def test_progress_rises_once_over_all_runs():
    told = []
    restorer("deblur")(PHOTO, progress=told.append)
    assert told == sorted(told)
    assert len(told) >= 8
    assert told[-1] == 1
