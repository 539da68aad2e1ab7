"""Grids: three pictures in one, pixel for pixel."""

import torch

from diffir.data import Batch
from diffir.evaluation.grids import GAP, grid


def test_lq_restored_and_gt_stand_side_by_side_at_the_size_of_gt() -> None:
    lq, restored, gt = torch.rand(1, 3, 3, 5), torch.rand(1, 3, 6, 10), torch.rand(1, 3, 6, 10)
    found = grid(restored, Batch(lq=lq, gt=gt))
    assert found.shape == (3, 6, 30 + 2 * GAP)
    parts = [found[:, :, start : start + 10] for start in (0, 10 + GAP, 20 + 2 * GAP)]
    assert torch.equal(parts[0][:, ::2, ::2], lq[0])
    assert torch.equal(parts[0][:, 1::2, 1::2], lq[0])
    assert torch.equal(parts[1], restored[0])
    assert torch.equal(parts[2], gt[0])
    assert bool((found[:, :, 10 : 10 + GAP] == 1).all())


def test_of_large_pictures_the_same_middle_is_shown_three_times() -> None:
    gt = torch.rand(1, 3, 302, 700)
    lq = gt[..., ::2, ::2]
    found = grid(gt, Batch(lq=lq, gt=gt))
    assert found.shape == (3, 256, 3 * 256 + 2 * GAP)
    assert torch.equal(found[:, :, -256:], gt[0, :, 23:279, 222:478])
    assert torch.equal(found[:, :, 256 + GAP : 512 + GAP], found[:, :, -256:])
    # Row 23 of GT lies in the middle of a pixel of LQ; so must the first row of the crop.
    assert torch.equal(found[:, 1:256:2, 0:256:2], gt[0, :, 24:280:2, 222:478:2])


def test_what_is_out_of_range_is_clipped_and_a_mask_is_not_shown() -> None:
    lq = torch.cat([torch.full((1, 3, 4, 4), 0.25), torch.ones(1, 1, 4, 4)], dim=1)
    found = grid(torch.full((1, 3, 4, 4), 1.5), Batch(lq=lq, gt=torch.zeros(1, 3, 4, 4)))
    assert found.unique().tolist() == [0, 0.25, 1]
