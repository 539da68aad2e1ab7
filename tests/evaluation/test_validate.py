"""Validation: the protocol of each task, on pairs that are always the same."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from diffir.data import Batch, Bicubic, Holes, MotionBlur
from diffir.errors import DataError
from diffir.evaluation import psnr, round_to_8_bit
from diffir.evaluation.validate import restored_by, score, validation_pairs, validator
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2

SMALL = DiffIRConfig(dim=8, num_blocks=(1, 1, 1, 1), num_refinement_blocks=1, cpen_blocks=1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, photo in (("a", data.astronaut()), ("b", data.coffee())):
        Image.fromarray(photo[:73, 100:186]).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("degradation", [MotionBlur(length=(4, 9)), Holes()])
def test_pairs_are_the_same_every_time(photos: Path, degradation: MotionBlur | Holes) -> None:
    first, again = (validation_pairs([str(photos)], degradation, 1) for _ in range(2))
    assert len(first) == 2
    assert all(torch.equal(a.lq, b.lq) for a, b in zip(first, again, strict=True))


def test_networks_of_both_stages_are_scored_by_psnr_on_y(photos: Path) -> None:
    torch.manual_seed(0)
    config = DiffIRConfig(**{**vars(SMALL), "upscale": 2})
    validate = validator([str(photos)], Bicubic(), 2)
    for network in (DiffIRS1(config), DiffIRS2(config)):
        found = validate(network.eval())
        assert found == validate(network)
        pairs = validation_pairs([str(photos)], Bicubic(), 2)
        with torch.no_grad():
            wanted = [
                float(psnr(round_to_8_bit(restored_by(network, p)), p.gt, border=2, y_channel=True))
                for p in pairs
            ]
        assert found["psnr"] == pytest.approx(np.mean(wanted))


def test_inpainting_is_judged_in_the_hole_alone() -> None:
    gt, mask = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    mask[..., :2, :] = 1
    restored = torch.where(mask > 0, 0.1, 0.9).expand(1, 3, 8, 8)
    pair = Batch(lq=gt, gt=gt, mask=mask)
    assert float(score(restored, pair, 1)) == pytest.approx(20)


def test_given_pairs_are_taken_as_they_are(tmp_path: Path) -> None:
    for side, value in (("gt", 200), ("lq", 100)):
        (tmp_path / side).mkdir()
        Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(tmp_path / side / "a.png")
    (pair,) = validation_pairs([str(tmp_path)], MotionBlur(), 1)
    assert float(pair.lq.mean()) == pytest.approx(100 / 255)
    assert float(score(pair.lq, pair, 1)) == pytest.approx(20 * np.log10(255 / 100))


def test_pictures_that_are_all_too_small_are_a_sentence(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="no picture to validate on"):
        validation_pairs([str(tmp_path)], MotionBlur(), 1)


def test_a_bad_picture_is_not_left_out_of_the_score(photos: Path) -> None:
    (photos / "c.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"c\.png: not a picture"):
        validation_pairs([str(photos)], Bicubic(), 2)
