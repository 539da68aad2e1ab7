"""Deconvolution as a baseline: offered where the kernel is known, and better there than nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from official import network, toy
from PIL import Image
from skimage import data

from diffir.checkpoints import Checkpoint, format
from diffir.data import DEGRADATIONS, MotionBlur
from diffir.data.motion import blur, linear_to_srgb, srgb_to_linear
from diffir.data.sets import file_of
from diffir.evaluation import psnr
from diffir.evaluation.baselines import DECONVOLUTIONS
from diffir.evaluation.cases import read_pair
from diffir.evaluation.evaluate import Plan, evaluate
from diffir.evaluation.layouts import Case
from diffir.evaluation.planning import kernel_problem, plan_evaluation

PHOTOS = (data.astronaut()[60:220, 170:340], data.chelsea()[60:220, 120:290])
DECONVOLVED = ("wiener", "richardson_lucy")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("model") / "deblur.safetensors"
    format.save(Checkpoint(model=network(2, toy("deblur")), task="deblur"), file)
    return str(file)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for index, photo in enumerate(PHOTOS):
        Image.fromarray(np.ascontiguousarray(photo)).save(tmp_path / "photos" / f"{index}.png")
    return tmp_path / "photos"


def planned(model: str, folder: Path, degradation: str | None = None) -> tuple[Plan, list[str]]:
    return plan_evaluation(
        [model],
        str(folder),
        metrics=["psnr"],
        degradation=degradation,
        baselines=True,
        device="cpu",
    )


def names(plan: Plan) -> list[str]:
    return [method.name for method in plan.methods[1:]]


def test_deconvolution_with_the_known_kernel_beats_leaving_the_blur(
    model: str, photos: Path
) -> None:
    plan, notes = planned(model, photos, "motion-uniform")
    assert names(plan) == ["untouched", "unsharp_mask", *DECONVOLVED]
    assert not any("left out" in note for note in notes)
    plan = replace(plan, methods=plan.methods[1:])
    for judged in evaluate(plan):
        scores = {row.method: row.scores["psnr"] for row in judged.rows}
        for name in DECONVOLVED:
            assert scores[name] > scores["untouched"] + 2
            assert scores[name] > scores["unsharp_mask"] + 1


def test_the_kernel_of_a_pair_is_what_its_light_was_blurred_with(model: str, photos: Path) -> None:
    plan, _ = planned(model, photos, "motion-uniform")
    settings = DEGRADATIONS["motion-uniform"]
    assert isinstance(settings, MotionBlur)
    clean = settings.model_copy(update={"shot_noise": (0, 0)})
    for index, case in enumerate(plan.cases):
        pair = read_pair(case, index, degradation=clean, scale=1, seed=3)
        assert pair.gt is not None
        assert pair.lq is not None
        assert pair.kernel is not None
        wanted = linear_to_srgb(blur(srgb_to_linear(pair.gt), pair.kernel))
        inside = np.s_[..., 13:-13, 13:-13]  # beyond, GT has lost what the blur saw
        assert float((pair.lq - wanted)[inside].abs().max()) < 0.51 / 255  # rounding to 8 bits
    turning = DEGRADATIONS["motion"].model_copy(update={"turn_probability": 1})
    assert read_pair(case, 1, degradation=turning, scale=1, seed=3).kernel is None


@pytest.mark.parametrize("name", ["motion", "phone", "mild"])
def test_blur_without_one_kernel_is_a_sentence(model: str, photos: Path, name: str) -> None:
    plan, notes = planned(model, photos, name)
    assert names(plan) == ["untouched", "unsharp_mask"]
    assert (
        f"wiener and richardson_lucy are left out because {name} has no uniform kernel; use "
        "--degradation motion-uniform"
    ) in notes


def test_lq_that_lies_there_has_no_known_kernel(model: str, photos: Path) -> None:
    (photos.parent / "pairs").mkdir()
    for role in ("gt", "lq"):
        (photos.parent / "pairs" / role).symlink_to(photos)
    plan, notes = planned(model, photos.parent / "pairs")
    assert names(plan) == ["untouched", "unsharp_mask"]
    (note,) = (note for note in notes if "left out" in note)
    assert note == (
        "wiener and richardson_lucy are left out because the blur kernel of LQ is unknown; give "
        "only sharp photos with --degradation motion-uniform"
    )


def test_light_and_not_the_values_of_files_is_deconvolved(model: str, photos: Path) -> None:
    plan, _ = planned(model, photos, "motion-uniform")
    pair = read_pair(plan.cases[0], 0, degradation=plan.degradation, scale=1, seed=0)
    assert pair.lq is not None
    assert pair.kernel is not None
    for name in DECONVOLVED:
        right = DECONVOLUTIONS[name](pair.lq, pair.kernel)
        assert 0 <= float(right.min()) <= float(right.max()) <= 1
        # As if the file held light
        wrong = srgb_to_linear(DECONVOLUTIONS[name](linear_to_srgb(pair.lq), pair.kernel))
        assert float(psnr(right, pair.gt)) > float(psnr(wrong, pair.gt))


def test_one_picture_with_an_lq_of_its_own_is_enough(photos: Path) -> None:
    file = file_of(photos / "0.png")
    made, given = Case(name="a", gt=file), Case(name="b", gt=file, lq=file)
    assert kernel_problem("motion-uniform", [made]) is None
    assert "is unknown" in str(kernel_problem("motion-uniform", [made, given]))
