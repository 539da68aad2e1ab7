"""What training learns from: any data, the same whatever the workers, and refused in words."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from skimage import data

from diffir.data import Batch, SecondOrder
from diffir.errors import DataError, RecipeError
from diffir.loading import load_checkpoint
from diffir.model import DiffIRConfig
from diffir.presets import RECIPES, Preset
from diffir.recipe import Growth, Phase, Recipe
from diffir.tasks import TASKS
from diffir.training import loop
from diffir.training.feed import feed_of
from trainer import equal, train_in, trained

SMALL: dict[str, Any] = {"dim": 8, "num_blocks": (1, 1, 1, 1), "num_refinement_blocks": 1}
SAME_SIZE = DiffIRConfig(**SMALL, cpen_blocks=1)
TIMES_TWO = DiffIRConfig(**SMALL, cpen_blocks=1, upscale=2)
FILLING = DiffIRConfig(**SMALL, cpen_blocks=1, in_channels=4, global_residual=False)
PHASE = Phase(steps=4, learning_rate=1e-3, batch_size=2, lq_size=16)
CPU = torch.device("cpu")


def toy(task: str, config: DiffIRConfig, phase: Phase = PHASE, **recipe: Any) -> Preset:
    made = Recipe(stage1=phase, prior=phase, joint=phase, **recipe)
    return Preset(name="toy", summary="", task=TASKS[task], config=config, recipe=made)


TOYS = {
    "camera shake": toy("deblur", SAME_SIZE, degradation="phone"),
    "masks": toy("inpaint", FILLING, degradation="holes-everyday"),
    "second order": toy("sr", TIMES_TWO, degradation=SecondOrder(context=8, pool_size=3)),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, photo in enumerate((data.astronaut(), data.coffee())):
        Image.fromarray(photo[40:120, 100:180]).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize("name", TOYS)
def test_every_task_learns_from_a_folder_and_workers_change_nothing(
    tmp_path: Path, photos: Path, name: str
) -> None:
    alone = trained(tmp_path / "alone", TOYS[name], photos)
    assert equal(alone, trained(tmp_path / "shared", TOYS[name], photos, workers=2))


class Killed(BaseException):
    """Stands for a kill."""


def test_a_killed_run_goes_on_with_the_pool_it_had(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = TOYS["second order"]
    unbroken = trained(tmp_path / "unbroken", preset, photos, save_every=1)
    real, calls = loop.update_average, []

    def dying(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 4:  # after the pool was filled and saved
            raise Killed
        real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "update_average", dying)
        with pytest.raises(Killed):
            trained(tmp_path / "killed", preset, photos, save_every=1)
    assert equal(unbroken, trained(tmp_path / "killed", preset, photos, save_every=1))


def test_no_photo_at_all_is_needed_and_the_file_says_so(tmp_path: Path) -> None:
    preset = toy("sr", TIMES_TWO)
    weights = train_in(tmp_path / "run", preset, "dead-leaves")
    assert load_checkpoint(weights).training["synthetic"] == "dead leaves"


def test_crops_grow_as_the_recipe_says(tmp_path: Path, photos: Path) -> None:
    seen: list[tuple[int, ...]] = []
    phase = PHASE.model_copy(update={"growth": (Growth(from_step=2, lq_size=32, batch_size=1),)})
    real = loop.PhaseRun.step

    def spy(self: loop.PhaseRun, step: int, batch: Batch) -> Any:
        seen.append(tuple(batch.gt.shape))
        return real(self, step, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.PhaseRun, "step", spy)
        trained(tmp_path / "run", toy("sr", TIMES_TWO, phase), photos)
    assert seen[:4] == [(2, 3, 32, 32)] * 2 + [(1, 3, 64, 64)] * 2


@pytest.mark.parametrize("ipr_loss", ["ipr_l1", "ipr_l2", "ipr_kl"])
def test_the_losses_of_the_recipe_are_those_that_are_minimised_and_logged(
    tmp_path: Path, photos: Path, ipr_loss: str
) -> None:
    preset = toy("sr", TIMES_TWO, ipr_loss=ipr_loss, pixel_loss="charbonnier")
    trained(tmp_path / "run", preset, photos)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    terms = {"charbonnier", "pixel_l1", "ipr_l1", "ipr_l2", "ipr_kl"}
    found = {line["phase"]: terms & line.keys() for line in lines}
    assert found == {
        "stage1": {"charbonnier"},
        "prior": {ipr_loss},
        "joint": {"charbonnier", ipr_loss},
    }


def test_growth_has_to_come_in_order() -> None:
    growth = tuple(Growth(from_step=step, lq_size=16, batch_size=1) for step in (3, 2))
    with pytest.raises(ValidationError, match=r"growth from steps \[3, 2\] found"):
        Phase(steps=9, learning_rate=1, batch_size=1, lq_size=8, growth=growth)


def test_what_was_skipped_is_told_at_the_end(
    tmp_path: Path, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = (photos / "0.png").read_bytes()
    (photos / "broken.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(photos / "tiny.png")
    trained(tmp_path / "run", toy("sr", TIMES_TWO), photos)
    assert caplog.messages[-1].startswith("2 skipped: ")
    for name in ("broken.png", "tiny.png"):
        (photos / name).rename(tmp_path / name)
    for name in ("broken.png", "tiny.png"):
        (tmp_path / name).rename(photos / name)
        with pytest.raises(DataError, match=name):
            trained(tmp_path / f"no {name}", toy("sr", TIMES_TWO), photos, on_bad="stop")
        (photos / name).rename(tmp_path / name)


@pytest.mark.parametrize(
    ("preset", "sentence"),
    [
        (toy("deblur", SAME_SIZE), "bicubic at scale 1 leaves nothing to learn"),
        (
            toy("inpaint", replace(FILLING, upscale=2), degradation="holes-training"),
            "degradation holes keeps the size; a network of scale 2 found",
        ),
        (toy("inpaint", FILLING), "degradation bicubic found for task inpaint; holes is wanted"),
        (toy("sr", TIMES_TWO, degradation="holes-training"), "holes found for task sr"),
        (
            toy("sr", TIMES_TWO, PHASE.model_copy(update={"lq_size": 12})),
            "lq_size 12 found; toy needs a multiple of 8",
        ),
        (
            toy("sr", TIMES_TWO, degradation=SecondOrder(pool_size=1)),
            "batch_size 2 found; the pair pool holds only 1",
        ),
    ],
)
def test_recipes_that_contradict_themselves_are_a_sentence(
    photos: Path, preset: Preset, sentence: str
) -> None:
    with pytest.raises(RecipeError, match=sentence):
        feed_of(preset, [str(photos)], device=CPU)


def test_pairs_are_no_data_for_inpainting(tmp_path: Path, photos: Path) -> None:
    for side in ("gt", "lq"):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        (tmp_path / "pairs" / side / "a.png").write_bytes((photos / "0.png").read_bytes())
    preset = TOYS["masks"]
    with pytest.raises(DataError, match="inpainting makes its own"):
        feed_of(preset, [str(tmp_path / "pairs")], device=CPU)


@pytest.mark.parametrize("name", [name for name in RECIPES if not name.startswith("toy")])
def test_every_recipe_survives_json_and_fits_its_network(photos: Path, name: str) -> None:
    preset = RECIPES[name]
    assert preset.recipe is not None
    again = Recipe.model_validate_json(preset.recipe.model_dump_json())
    assert again == preset.recipe
    with pytest.raises(DataError, match="as large as the crop"):  # 80 pixels are too few for all
        feed_of(preset, [str(photos)], device=CPU)
