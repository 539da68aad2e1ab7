"""Validation: the protocol of each task, on pairs that are always the same."""

import os
import random
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor, nn

from diffir.data import DEGRADATIONS, Batch, Bicubic, Holes, MotionBlur, SecondOrder
from diffir.data.pixels import to_pixels, to_tensor
from diffir.errors import DataError
from diffir.evaluation import psnr, round_to_8_bit
from diffir.evaluation.grids import grid
from diffir.evaluation.pairs import validation_sets
from diffir.evaluation.protocol import own_ipr, restored_with, score
from diffir.evaluation.validate import validator
from diffir.images import Picture
from diffir.inference.restorer import Restorer
from diffir.model import DiffIRConfig, DiffIRS1, DiffIRS2
from diffir.tasks import Deblurring

SMALL = DiffIRConfig(
    dim=8, num_blocks=(1, 1, 1, 1), num_refinement_blocks=1, cpen_blocks=1, ipr_dim=32
)
TWICE = replace(SMALL, upscale=2)


def write_photos(folder: Path, count: int = 2) -> Path:
    folder.mkdir()
    for index in range(count):
        photo = Image.fromarray(data.astronaut()[20 * index :][:73, 100:186])
        photo.save(folder / f"{index:02d}.png")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


@pytest.fixture
def networks() -> tuple[DiffIRS1, DiffIRS2]:
    torch.manual_seed(0)
    return DiffIRS1(TWICE), DiffIRS2(TWICE)


@pytest.mark.parametrize("degradation", [MotionBlur(length=(4, 9)), Holes()])
def test_pairs_are_the_same_every_time_and_beside_any_other_set(
    photos: Path, degradation: MotionBlur | Holes
) -> None:
    first = validation_sets([str(photos)], degradation, 1)["photos"]
    again = validation_sets([str(photos / "01.png"), str(photos)], degradation, 1)["photos"]
    assert len(first) == 2
    assert all(torch.equal(a.lq, b.lq) for a, b in zip(first, again, strict=True))


def test_sets_are_called_after_their_folders_and_files_each_by_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_photos(tmp_path / "Set.v2")
    (tmp_path / "some.txt").write_text("Set.v2/00.png\n")
    monkeypatch.chdir(photos)
    words = [".", f"{photos}/", "../some.txt", "01.png", str(photos)]
    found = validation_sets(words, Bicubic(), 2)
    assert [(name, len(pairs)) for name, pairs in found.items()] == [
        *(("Set.v2", 2), ("Set.v2-2", 2), ("some", 1), ("01", 1), ("Set.v2-3", 2))
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_set_whose_name_is_not_utf_8_has_one_that_is(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / os.fsdecode(b"caf\xe9"))
    assert list(validation_sets([str(photos)], Bicubic(), 2)) == [r"caf\udce9"]


def test_stage_1_is_scored_on_y_with_the_ipr_of_the_ground_truth(
    photos: Path, networks: tuple[DiffIRS1, DiffIRS2]
) -> None:
    network = networks[0].eval()
    pairs = validation_sets([str(photos)], Bicubic(), 2)["photos"]
    assert pairs[0].lq.shape[-2:] == (30, 37)  # neither side divides by 8

    def wanted(pair: Batch) -> float:
        sides = (0, 3, 0, 2)
        lq = torch.nn.functional.pad(pair.lq, sides, mode="reflect")
        gt = torch.nn.functional.pad(pair.gt, [2 * side for side in sides], mode="reflect")
        restored = round_to_8_bit(network(lq, gt))[..., :60, :74]
        return float(psnr(restored, pair.gt, border=2, y_channel=True))

    found, _ = validator([str(photos)], Bicubic(), 2)(network, None)
    with torch.no_grad():
        assert found["psnr"] == pytest.approx(fmean(map(wanted, pairs)))


@pytest.mark.parametrize("insert_variance", [False, True])
def test_stage_2_is_scored_by_what_the_restorer_makes_of_lq_alone(
    tmp_path: Path, insert_variance: bool
) -> None:
    torch.manual_seed(0)
    network = DiffIRS2(replace(SMALL, insert_variance=insert_variance))
    for side, value in (("lq", 90), ("gt", 110)):
        (tmp_path / side).mkdir()
        photo = data.coffee()[:33, :42] // 2 + np.uint8(value)
        Image.fromarray(photo).save(tmp_path / side / "a.png")
    found, _ = validator([str(tmp_path)], MotionBlur(), 1)(network, None)
    restorer = Restorer(network, Deblurring(), device="cpu")
    restored = to_tensor(to_pixels(as_batch(restorer(tmp_path / "lq" / "a.png"))))
    gt = to_tensor(np.array(Image.open(tmp_path / "gt" / "a.png")))
    assert found["psnr"] == pytest.approx(float(psnr(restored, gt)), abs=1e-3)  # channels last
    assert not any(name.startswith("ipr/") for name in found), "there is no Z to compare with"


def as_batch(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.pixels).permute(2, 0, 1)[None]


def test_psnr_is_the_mean_over_all_pictures_and_that_of_each_set_stands_beside_it(
    tmp_path: Path, networks: tuple[DiffIRS1, DiffIRS2]
) -> None:
    words = [str(write_photos(tmp_path / name, count)) for name, count in (("a", 1), ("b", 3))]
    alone = [validator([word], Bicubic(), 2)(networks[1], None)[0]["psnr"] for word in words]
    found, _ = validator(words, Bicubic(), 2)(networks[1], None)
    assert [found["psnr/a"], found["psnr/b"]] == alone
    assert found["psnr"] == pytest.approx((alone[0] + 3 * alone[1]) / 4)
    assert alone[0] != pytest.approx(alone[1], abs=1e-3)


def test_the_ipr_is_judged_on_the_first_eight_pictures_of_all(
    tmp_path: Path, networks: tuple[DiffIRS1, DiffIRS2]
) -> None:
    teacher, network = networks
    words = [str(write_photos(tmp_path / name, count)) for name, count in (("a", 6), ("b", 4))]
    fewer = [words[0], *(str(tmp_path / "b" / f"0{index}.png") for index in range(2))]
    found, _ = validator(words, Bicubic(), 2)(network, teacher)
    first, _ = validator(fewer, Bicubic(), 2)(network, teacher)
    names = {"psnr_true", "psnr_other", "psnr_mean", "psnr_own", "ipr/spread"}
    names |= {f"ipr/distance_{step}" for step in (1, 2, 3, 4)}
    assert names == found.keys() - {"psnr", "psnr/a", "psnr/b"}
    assert {name: found[name] for name in names} == {name: first[name] for name in names}
    assert found["psnr_own"] == pytest.approx(first["psnr"])
    assert found["psnr"] != pytest.approx(first["psnr"], abs=1e-4)
    assert all(type(value) is float for value in found.values())


def test_stage_1_is_its_own_teacher(photos: Path, networks: tuple[DiffIRS1, DiffIRS2]) -> None:
    found, _ = validator([str(photos)], Bicubic(), 2)(networks[0], None)
    wanted = {"psnr", "psnr/photos", "psnr_own", "psnr_other", "psnr_mean", "ipr/spread"}
    assert found.keys() == wanted
    assert found["psnr_own"] == found["psnr"]


def test_one_picture_has_no_other(photos: Path, networks: tuple[DiffIRS1, DiffIRS2]) -> None:
    validate = validator([str(photos / "00.png")], Bicubic(), 2)
    assert validate(networks[0], None)[0].keys() == {"psnr", "psnr/00"}
    found, _ = validate(networks[1], networks[0])
    distances = {f"ipr/distance_{step}" for step in (1, 2, 3, 4)}
    assert found.keys() == {"psnr", "psnr/00", "psnr_own", "psnr_true"} | distances


def test_the_first_four_pictures_of_all_are_shown(
    tmp_path: Path, networks: tuple[DiffIRS1, DiffIRS2]
) -> None:
    words = [str(write_photos(tmp_path / name, count)) for name, count in (("a", 3), ("b", 2))]
    _, pictures = validator(words, Bicubic(), 2)(networks[1], None)
    assert [*pictures] == ["a-0", "a-1", "a-2", "b-0"]
    pair = validation_sets(words, Bicubic(), 2)["b"][0]
    assert torch.equal(pictures["b-0"], grid(made_by(networks[1], pair), pair))


def made_by(network: DiffIRS2, pair: Batch) -> Tensor:
    with torch.no_grad():
        return restored_with(own_ipr(network, pair), network, pair)


def test_validation_leaves_training_as_it_was(
    photos: Path, networks: tuple[DiffIRS1, DiffIRS2]
) -> None:
    teacher, network = networks
    network.eval().cpen.train()  # a mixture
    modules = [*network.modules(), *teacher.modules()]
    modes, seen = [module.training for module in modules], set[bool]()
    for module in modules:
        module.register_forward_hook(lambda module, *_: seen.add(module.training))
    before = (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()))
    _, pictures = validator([str(photos)], SecondOrder(context=8), 2)(network, teacher)
    assert (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())) == before
    assert [module.training for module in modules] == modes
    assert seen == {False}
    assert torch.is_grad_enabled()
    assert not any(picture.requires_grad for picture in pictures.values())


def test_networks_are_put_back_also_when_validation_fails(
    photos: Path, networks: tuple[DiffIRS1, DiffIRS2]
) -> None:
    network = networks[1].train()
    network.cpen = nn.Identity()  # of the wrong shape
    with pytest.raises(RuntimeError):
        validator([str(photos)], Bicubic(), 2)(network, None)
    assert network.dirformer.training


@pytest.mark.parametrize("stage", [0, 1])
def test_inpainting_is_validated_on_whole_pictures_with_holes(photos: Path, stage: int) -> None:
    torch.manual_seed(0)
    config = replace(SMALL, in_channels=4, global_residual=False)
    teacher, student = DiffIRS1(config), DiffIRS2(config)
    network = (teacher, student)[stage]
    found, pictures = validator([str(photos)], Holes(), 1)(network, teacher if stage else None)
    assert 0 < found["psnr_other"] < 60
    pair = validation_sets([str(photos)], Holes(), 1)["photos"][0]
    assert torch.equal(pictures["photos-0"][:, :, :86], pair.lq[0, :3])


def test_inpainting_is_judged_in_the_hole_alone() -> None:
    gt, mask = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    mask[..., :2, :] = 1
    restored = torch.where(mask > 0, 0.1, 0.9).expand(1, 3, 8, 8)
    pair = Batch(lq=gt, gt=gt, mask=mask)
    assert score(restored, pair, 1) == pytest.approx(20)


def test_given_pairs_are_taken_as_they_are(tmp_path: Path) -> None:
    for side, value in (("gt", 200), ("lq", 100)):
        (tmp_path / side).mkdir()
        Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(tmp_path / side / "a.png")
    ((pair,),) = validation_sets([str(tmp_path)], MotionBlur(), 1).values()
    assert float(pair.lq.mean()) == pytest.approx(100 / 255)
    assert score(pair.lq, pair, 1) == pytest.approx(20 * np.log10(255 / 100))


def test_a_picture_too_small_for_an_lq_is_a_sentence(photos: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(photos / "small.png")
    with pytest.raises(DataError, match=r"small\.png is too small to make an LQ from"):
        validation_sets([str(photos)], MotionBlur(), 1)


def test_a_bad_picture_is_not_left_out_of_the_score(photos: Path) -> None:
    (photos / "c.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"c\.png: not a picture"):
        validation_sets([str(photos)], Bicubic(), 2)


def test_pairs_are_nothing_to_validate_inpainting_on(tmp_path: Path) -> None:
    for side in ("gt", "lq"):
        (tmp_path / side).mkdir()
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / side / "a.png")
    with pytest.raises(DataError, match="has its own LQ; inpainting takes only photos"):
        validation_sets([str(tmp_path)], DEGRADATIONS["holes-training"], 1)


def test_every_picture_is_degraded_by_chances_of_its_own(photos: Path) -> None:
    (pairs,) = validation_sets([str(photos)], DEGRADATIONS["mild"], 2).values()
    facts = [pair.facts[0] for pair in pairs]
    resized = {tuple(fact[name] for name in fact if "resize" in name) for fact in facts}
    assert len(resized) == len(pairs) > 1
