"""What the prior knows and is worth: each number is what its name says."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
import torch
from official import network, toy
from PIL import Image
from skimage import data
from torch import Tensor

from diffir.checkpoints import Checkpoint, format
from diffir.data import Batch, MotionBlur
from diffir.data.facts import labels_of
from diffir.errors import DataError, WeightsError
from diffir.evaluation.linear_probes import effective_rank, is_probed, read_off
from diffir.evaluation.probe import Priors, facts_read, modulation_of, probe, spreads_of
from diffir.evaluation.probe_pictures import degradation_for, pictures_for
from diffir.evaluation.protocol import noise_for, score
from diffir.inference.padding import pad_to_multiple
from diffir.model import DiffIRS1, DiffIRS2
from diffir.recipe import Recipe

PHOTO = np.ascontiguousarray(data.astronaut())


def drawn(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape)


def loud(stage: int, preset: str, **changes: Any) -> DiffIRS1 | DiffIRS2:
    """A toy network whose Z matters and differs between pictures."""
    found: DiffIRS1 | DiffIRS2 = network(stage, toy(preset, **changes)).eval()
    with torch.no_grad():
        for parameter in found.cpen.parameters():
            parameter *= 2
    return found


def saved(path: Path, model: DiffIRS1 | DiffIRS2, task: str, **facts: Any) -> str:
    format.save(Checkpoint(model=model, task=task, **facts), path)
    return str(path)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    """Four photos of different sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, (y, x) in enumerate([(0, 200), (100, 210), (300, 40), (400, 300)]):
        pixels = PHOTO[y : y + 40 + 8 * index, x : x + 50]
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return str(folder)


# Reading off


def test_a_line_reads_what_lies_on_a_line_and_nothing_where_nothing_is() -> None:
    numbers = drawn(60, 100) @ drawn(100, 100, seed=1)
    linear = numbers @ drawn(100, seed=2)
    told, chance = read_off(numbers[:, :20], linear, 0), read_off(numbers, drawn(60, seed=3), 0)
    easy = read_off(numbers[:, :20], numbers[:, :20] @ drawn(20, seed=2) + 5, 0)
    assert easy.r2 > 0.99
    assert 0 < told.r2 < 0.9
    assert chance.r2 < 0.15
    for found in (told, chance, easy):
        assert -0.3 < found.shuffled < 0.05
        assert found.shuffled_std > 0


def test_numbers_that_never_change_are_no_way_to_read_and_pictures_without_the_fact_are_out() -> (
    None
):
    label = drawn(30)
    still = 0.1 + 1e-9 * drawn(30, 300, seed=1)  # rounding errors
    numbers = np.concatenate([still, label[:, None]], axis=1)
    lacking = label.copy()
    lacking[::7] = np.nan
    assert read_off(numbers, lacking, 0).r2 > 0.99
    assert read_off(still, label, 0).r2 == pytest.approx(0, abs=0.1)


def test_the_effective_rank_counts_directions() -> None:
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], dtype=float)
    assert effective_rank(corners + 7) == pytest.approx(2)
    assert effective_rank(corners[:, :1]) == pytest.approx(1)
    uneven = corners * [np.sqrt(3), 1, 0]  # variances 3 to 1
    assert effective_rank(uneven) == pytest.approx(
        np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    )
    assert effective_rank(0.1 + 1e-9 * drawn(5, 3)) == 0  # rounding errors


def test_facts_become_numbers() -> None:
    facts = [
        {"path_angle": 0.0, "noise": "gaussian", "jpeg_quality": 30},
        {"path_angle": 45.0, "noise": "poisson"},
        {"path_angle": 179.999, "noise": "poisson"},
    ]
    found = labels_of(facts)
    assert [*found] == ["cos 2·path_angle", "sin 2·path_angle", "noise = gaussian", "jpeg_quality"]
    np.testing.assert_allclose(found["cos 2·path_angle"], [1, 0, 1], atol=1e-4)
    np.testing.assert_allclose(found["sin 2·path_angle"], [0, 1, 0], atol=1e-4)
    np.testing.assert_array_equal(found["noise = gaussian"], [1, 0, 0])
    np.testing.assert_array_equal(found["jpeg_quality"], [30, np.nan, np.nan])
    turned = labels_of([{"a_length_2": 3.0, "a_angle_2": 45.0}, {"a_angle_2": 90.0}])
    assert [*turned] == ["a_length_2", "a_length_2·cos 2θ", "a_length_2·sin 2θ"]
    np.testing.assert_allclose(turned["a_length_2·sin 2θ"], [3, np.nan], atol=1e-9)
    three = labels_of([{"blur": word} for word in "abc"])
    assert [*three] == ["blur = a", "blur = b", "blur = c"]


def test_facts_of_few_pictures_and_facts_that_hardly_differ_are_not_probed() -> None:
    assert is_probed(drawn(10))
    assert not is_probed(drawn(9))
    assert not is_probed(np.append(drawn(9), np.nan))
    assert not is_probed(np.ones(20))
    assert is_probed(np.array([1.0] * 3 + [0.0] * 9))
    assert not is_probed(np.array([1.0] * 2 + [0.0] * 10))


def test_a_fact_that_z_holds_is_read_off_it_and_the_guess_is_told_apart() -> None:
    lengths = np.random.default_rng(0).uniform(0, 40, size=40)
    true = torch.from_numpy(drawn(40, 16)).float()
    true[:, 3] = torch.from_numpy(lengths).float() / 40
    guessed = torch.from_numpy(drawn(1, 40, 16, seed=1)).float()
    facts: list[dict[str, float | str]] = [{"path_length": length} for length in lengths]
    priors = Priors(
        steps=guessed, of_other_noise=guessed[0], condition=guessed[0], true=true, facts=facts
    )
    (row,) = facts_read(priors, seed=0)
    assert (row.fact, row.pictures) == ("path_length", 40)
    assert row.readings["true Z"].r2 > 0.8
    assert row.readings["guessed Ẑ"].r2 < 0.2


def test_the_spread_is_over_pictures_and_over_size() -> None:
    ipr = 3 + drawn(6, 8)
    tensor = torch.from_numpy(ipr).float()
    (found,) = spreads_of(
        Priors(steps=tensor[None], of_other_noise=tensor, condition=tensor, true=None, facts=[])
    )
    each = ipr.std(axis=0, ddof=1) / abs(ipr).mean(axis=0)
    assert found.relative == pytest.approx(ipr.std(axis=0, ddof=1).mean() / abs(ipr).mean())
    assert found.quantiles == pytest.approx(np.quantile(each, [0.1, 0.5, 0.9]))
    assert found.rank == pytest.approx(effective_rank(ipr), rel=1e-4)


# A network


def test_blocks_move_as_far_as_their_scales_and_shifts_do() -> None:
    model = loud(2, "deblur", num_refinement_blocks=0)
    assert isinstance(model, DiffIRS2)
    ipr = torch.from_numpy(1 + drawn(5, 32)).float()
    with torch.no_grad():
        found = {row.level: row for row in modulation_of(model, ipr)}
        blocks = [*model.dirformer.decoders[2]]
        both = [m.linear(ipr) for b in blocks for m in (b.modulation1, b.modulation2)]
    assert [*found][:1] == ["level 1, down"]
    assert "refinement" not in found
    assert len(found) == 7
    halves = [(part[:, : part.shape[1] // 2], part[:, part.shape[1] // 2 :]) for part in both]
    scale, shift = (
        fmean(float(part.std(0).mean() / part.abs().mean()) for part in parts)
        for parts in zip(*halves, strict=True)
    )
    assert found["level 1, up"].scale == pytest.approx(scale)
    assert found["level 1, up"].shift == pytest.approx(shift)
    assert scale != pytest.approx(shift, rel=1e-3)


@torch.no_grad()
def by_hand(
    model: DiffIRS1 | DiffIRS2, pairs: Iterable[Batch], iprs: Tensor, scale: int
) -> list[float]:
    values = []
    for pair, ipr in zip(pairs, iprs, strict=True):
        restored = model.dirformer(pad_to_multiple(pair.lq, model.config.multiple_of), ipr[None])
        restored = restored[..., : pair.gt.shape[-2], : pair.gt.shape[-1]]
        values.append(score((255 * restored.clamp(0, 1)).round() / 255, pair, scale))
    return values


def test_every_z_is_the_one_that_its_name_says(tmp_path: Path, photos: str) -> None:
    teacher, model = loud(1, "sr-x2"), loud(2, "sr-x2")
    assert isinstance(teacher, DiffIRS1)
    assert isinstance(model, DiffIRS2)
    files = [
        saved(tmp_path / f"{n}.safetensors", net, "sr") for n, net in ((1, teacher), (2, model))
    ]
    seen = []

    def watch(pictures: Iterable[Batch], what: str, total: int) -> Iterable[Batch]:
        seen.append((what, total))
        return pictures

    report = probe(files[1], photos, stage1=files[0], watch=watch)
    assert seen == [("reading Z", 4), ("restoring", 4)]
    assert (report.pictures, report.degradation) == (4, "bicubic")
    pairs = [
        *pictures_for(
            photos, "sr", 2, degradation_for("bicubic", Checkpoint(model=model, task="sr"))[1], 0
        )[0]
    ]
    assert len({pair.gt.shape for pair in pairs}) == 4
    noise, _ = noise_for(model.config)
    with torch.no_grad():
        padded = [pad_to_multiple(pair.lq, 16) for pair in pairs]
        steps = torch.cat([model.estimate_ipr_steps(lq, noise) for lq in padded], dim=1)
        condition = torch.cat([model.extract_condition(lq) for lq in padded])
        noise, _ = noise_for(model.config, seed=1)
        other = torch.cat([model.estimate_ipr(lq, noise) for lq in padded])
        true = torch.cat(
            [
                teacher.extract_ipr(lq, pad_to_multiple(pair.gt, 32))
                for lq, pair in zip(padded, pairs, strict=True)
            ]
        )
    own = steps[-1]

    def mean(ipr: Tensor) -> Tensor:
        return ipr.mean(dim=0).expand_as(ipr)

    use, next_one = "network for use", [1, 2, 3, 0]
    wanted = {
        (use, "its own Ẑ"): (model, own),
        (use, "the Ẑ of another noise"): (model, other),
        (use, "CPEN's guess, no diffusion"): (model, condition),
        (use, "another picture's Ẑ"): (model, own[next_one]),
        (use, "the mean Ẑ"): (model, mean(own)),
        (use, "zero"): (model, torch.zeros_like(own)),
        (use, "the true Z"): (model, true),
        (use, "another picture's true Z"): (model, true[next_one]),
        (use, "the mean true Z"): (model, mean(true)),
        ("stage 1", "the true Z"): (teacher, true),
        ("stage 1", "another picture's true Z"): (teacher, true[next_one]),
        ("stage 1", "the mean true Z"): (teacher, mean(true)),
    }
    found = {(row.restorer, row.ipr): row for row in report.scores}
    assert [*found] == [*wanted]
    reference = by_hand(model, pairs, own, 2)
    for key, (restorer, iprs) in wanted.items():
        values = by_hand(restorer, pairs, iprs, 2)
        apart = [mine - its for mine, its in zip(values, reference, strict=True)]
        # 1e-4: stripes of another order of sums may round a pixel differently
        assert found[key].psnr == pytest.approx(fmean(values), abs=1e-4), key
        assert found[key].difference == pytest.approx(fmean(apart), abs=1e-4), key
        assert found[key].error == pytest.approx(stdev(apart) / 2, abs=1e-4), key
    differing = [row.psnr for row in found.values() if row.ipr != "the Ẑ of another noise"]
    assert len({round(psnr, 4) for psnr in differing}) == len(differing) == len(found) - 1
    assert [row.ipr for row in report.spreads] == ["guessed Ẑ", "true Z"]
    assert report.steps_lead_to == "true Z"
    distances = (steps - true).abs().mean(dim=(1, 2))
    assert [row.distance for row in report.steps] == pytest.approx(distances.tolist(), rel=1e-4)
    relative = distances / true.abs().mean()
    assert [row.relative for row in report.steps] == pytest.approx(relative.tolist(), rel=1e-4)
    assert report.other_noise is not None
    moved = (other - own).abs().mean()
    assert moved > 0
    assert report.other_noise.distance == pytest.approx(float(moved), rel=1e-4)
    assert report.other_noise.relative == pytest.approx(float(moved / own.abs().mean()), rel=1e-4)
    alone = probe(files[1], photos)
    assert alone.steps_lead_to == "guessed Ẑ"
    assert alone.steps[-1].distance == 0 < alone.steps[0].distance
    assert [row.ipr for row in alone.spreads] == ["guessed Ẑ"]


def test_the_facts_of_each_picture_are_probed_and_the_seed_chooses_them(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(11):
        x = 20 * index
        Image.fromarray(PHOTO[x : x + 64, x : x + 64]).save(folder / f"{index:02}.png")
    file = saved(tmp_path / "deblur.safetensors", loud(2, "deblur"), "deblur")
    first, second = probe(file, str(folder), degradation="phone"), probe(file, str(folder), seed=1)
    names = [row.fact for row in first.facts]
    of_path = {f"path_length·{part} 2θ" for part in ("cos", "sin")}
    assert {"path_length", "shot_noise"} | of_path <= {*names}
    assert "jpeg_quality" not in names  # of fewer than 10
    assert (first.degradation, second.degradation) == ("phone", "motion")
    assert all(row.pictures == 11 and [*row.readings] == ["guessed Ẑ"] for row in first.facts)
    assert first.scores[0].psnr != second.scores[0].psnr
    assert probe(file, str(folder), seed=1) == second


def test_in_inpainting_the_hole_alone_is_scored(tmp_path: Path, photos: str) -> None:
    model = loud(2, "inpaint")
    file = saved(tmp_path / "inpaint.safetensors", model, "inpaint")
    report = probe(file, photos, degradation="holes-training")
    makes = degradation_for("holes-training", Checkpoint(model=model, task="inpaint"))[1]
    pairs = [*pictures_for(photos, "inpaint", 1, makes, 0)[0]]
    assert all(pair.mask is not None for pair in pairs)
    noise, _ = noise_for(model.config)
    with torch.no_grad():
        padded = [pad_to_multiple(pair.lq, model.config.multiple_of) for pair in pairs]
        own = torch.cat([model.estimate_ipr(lq, noise) for lq in padded])
    assert report.scores[0].psnr == pytest.approx(fmean(by_hand(model, pairs, own, 1)), abs=1e-4)
    whole = [replace(pair, mask=None) for pair in pairs]
    assert report.scores[0].psnr != pytest.approx(fmean(by_hand(model, whole, own, 1)), abs=0.01)


def test_without_diffusion_the_condition_is_what_it_restores_with(
    tmp_path: Path, photos: str
) -> None:
    file = saved(tmp_path / "v1.safetensors", loud(2, "sr-x2", timesteps=0), "sr")
    report = probe(file, photos)
    assert [row.ipr for row in report.scores][1] == "another picture's Ẑ"
    assert len(report.steps) == 1
    assert report.other_noise is None


def test_a_constant_prior_differs_nowhere(tmp_path: Path, photos: str) -> None:
    model = loud(2, "sr-x2", timesteps=0, constant_ipr=True)
    report = probe(saved(tmp_path / "constant.safetensors", model, "sr"), photos)
    rows = {row.ipr: row.difference for row in report.scores}
    assert rows["another picture's Ẑ"] == 0
    assert rows["zero"] != 0
    assert (report.spreads[0].relative, report.spreads[0].rank) == (pytest.approx(0, abs=1e-6), 0)


# Pictures and mistakes


def test_the_degradation_is_the_one_that_was_learnt_from() -> None:
    learnt = MotionBlur(length=(3, 4))
    recipe = Recipe(degradation=learnt).model_dump(mode="json")
    model = loud(2, "deblur")
    checkpoint = Checkpoint(model=model, task="deblur", training={"recipe": recipe})
    assert degradation_for(None, checkpoint) == ("that of the network's recipe", learnt)
    assert degradation_for("phone", checkpoint)[0] == "phone"
    for facts in ({}, {"recipe": {"unknown": 1}}):
        other = Checkpoint(model=model, task="deblur", training=facts)
        assert degradation_for(None, other)[0] == "motion"


def test_pairs_keep_their_lq(tmp_path: Path) -> None:
    for index in range(3):
        for name, side in (("gt", 32), ("lq", 16)):
            path = tmp_path / "pairs" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(PHOTO[index : index + side, :side]).save(path)
    file = saved(tmp_path / "sr.safetensors", loud(2, "sr-x2"), "sr")
    report = probe(file, str(tmp_path / "pairs"))
    assert report.degradation == "the data's own LQ"
    assert report.facts == []
    assert "no fact about LQ" in report.notes[-1]


def test_pictures_too_small_are_left_out_and_the_others_keep_their_draws(
    tmp_path: Path, photos: str
) -> None:
    makes = MotionBlur(length=(4, 4))
    _, before = pictures_for(photos, "deblur", 1, makes, 0)
    assert before == []
    pairs = [*pictures_for(photos, "deblur", 1, makes, 0)[0]]
    Image.fromarray(PHOTO[:6, :40]).save(Path(photos) / "9.png")
    pictures, notes = pictures_for(photos, "deblur", 1, makes, 0)
    assert notes == ["1 of 5 pictures are left out, too small for an LQ"]
    for one, other in zip(pictures, pairs, strict=True):
        assert torch.equal(one.lq, other.lq)


def test_mistakes_are_sentences(tmp_path: Path, photos: str) -> None:
    one, two = (
        saved(tmp_path / f"{n}.safetensors", network(n, toy("sr-x2")), "sr") for n in (1, 2)
    )
    other = saved(tmp_path / "x4.safetensors", network(1, toy("sr-x4", ipr_dim=16)), "sr")
    holes = saved(tmp_path / "holes.safetensors", network(2, toy("inpaint")), "inpaint")
    few = tmp_path / "few"
    few.mkdir()
    Image.fromarray(PHOTO[:40, :40]).save(few / "a.png")
    Image.fromarray(PHOTO[:9, :9]).save(few / "b.png")
    pairs = tmp_path / "pairs"
    for name in ("gt", "lq"):
        (pairs / name).mkdir(parents=True)
        Image.fromarray(PHOTO[:40, :40]).save(pairs / name / "a.png")
    cases: list[tuple[type[Exception], str, str, dict[str, Any]]] = [
        (WeightsError, "is of stage 1.*--stage1", one, {}),
        (WeightsError, "is of stage 2; --stage1 takes", two, {"stage1": two}),
        (WeightsError, "has scale 4, ipr_dim 16, unlike", two, {"stage1": other}),
        (DataError, "'fog' found; choose one of bicubic", two, {"degradation": "fog"}),
        (
            DataError,
            "holes found for.*choose another with --degr",
            two,
            {"degradation": "holes-training"},
        ),
        (DataError, "has 1 pictures larger than 16×16; give at least 3", two, {"data": str(few)}),
        (DataError, "its own LQ; inpainting", holes, {"data": str(pairs)}),
    ]
    for kind, sentence, model, more in cases:
        with pytest.raises(kind, match=sentence) as caught:
            probe(model, **{"data": photos, **more})
        assert "\n" not in str(caught.value)


def test_a_picture_that_is_restored_exactly_leaves_the_probe_standing(
    tmp_path: Path, photos: str
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "photos" / "black.png")
    model = loud(2, "sr-x2")
    for parameter in model.dirformer.output.parameters():  # what is enlarged stays as it is
        torch.nn.init.zeros_(parameter)
    report = probe(saved(tmp_path / "2.safetensors", model, "sr"), photos)
    assert report.scores[0].psnr == math.inf
    assert report.scores[0].error == 0
