"""A linear layer that reads off Z how LQ was made: its loss in stage 1, and what learns from it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from diffir.data import Batch, Draws, MotionBlur
from diffir.data.second_order import PUBLISHED
from diffir.errors import RecipeError
from diffir.model import DiffIRConfig, DiffIRS1
from diffir.presets import RECIPES, Preset, choose
from diffir.recipe import Phase, Recipe
from diffir.training.facts_reader import FactsReader, sample_of
from diffir.training.stages import Stage1
from trainer import train_in, train_in_parts

BLUR = MotionBlur(length=(2, 8), turn_probability=0, read_noise=(0, 0))
WORDS = PUBLISHED.model_copy(update={"context": 0})
TINY = replace(RECIPES["toy-deblur"].config, ipr_dim=8)
PHASE = Phase(steps=4, learning_rate=1e-3, batch_size=4, lq_size=16)
STAGE_1 = (
    *("stage1.steps=4", "prior=null", "joint=null", "finetune=null"),
    "degradation={kind: motion, length: [2, 8], turn_probability: 0}",
)


def drawn(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def batch_of(size: int = 4) -> Batch:
    made = torch.Generator().manual_seed(0)
    lq, gt = (torch.rand((size, 3, 16, 16), generator=made) for _ in range(2))
    facts = [{"path_length": 2.0 + index, "path_angle": 20.0 * index} for index in range(size)]
    return Batch(lq=lq, gt=gt, facts=tuple(facts))


def stage_1(config: DiffIRConfig = TINY, **values: float) -> Stage1:
    torch.manual_seed(0)
    recipe = Recipe(degradation=BLUR, stage1=PHASE, **values)  # type: ignore[arg-type]
    return Stage1(DiffIRS1(config), recipe=recipe)


def gradient_of(term: Tensor, stage: Stage1) -> float:
    """How much CPEN learns from a term."""
    stage.zero_grad()
    term.backward(retain_graph=True)
    grads = [p.grad for p in stage.model.cpen.parameters() if p.grad is not None]
    return float(sum(grad.abs().sum() for grad in grads))


def test_facts_have_mean_0_and_variance_1_and_those_that_never_differ_are_left_out() -> None:
    reader = FactsReader(BLUR, 1, 16, 8)
    facts = reader.standardised(sample_of(BLUR, 1, 16))
    turned = [f"path_length·{part} 2θ" for part in ("cos", "sin")]
    names = ["path_length", *turned, "shot_noise"]
    assert reader.names == names
    torch.testing.assert_close(facts.mean(dim=0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(facts.std(dim=0, correction=0), torch.ones(4))


def test_the_loss_is_over_all_facts_and_unknown_ones_are_no_errors() -> None:
    reader, ipr = FactsReader(BLUR, 1, 16, 8), torch.rand(3, 8)
    length = float(reader.mean[0] + 2 * reader.std[0])
    told = reader.layer(ipr)[1, 0]
    error = reader(ipr, [{}, {"path_length": length}, {"something": "else"}])
    torch.testing.assert_close(error, (told - 2).square() / (3 * len(reader.names)))
    assert float(reader(ipr, [{}, {}, {}]).detach()) == 0


def test_a_word_that_no_picture_of_a_batch_has_is_labelled_0() -> None:
    reader = FactsReader(WORDS, 4, 32, 8)
    place = reader.names.index("noise = gaussian")
    off, on = ((x - reader.mean[place]) / reader.std[place] for x in (0, 1))
    for words in (["poisson"], ["poisson", "gaussian"], ["never seen"]):
        told = reader.standardised([{"noise": word} for word in words])[:, place]
        wanted = [on if word == "gaussian" else off for word in words]
        torch.testing.assert_close(told, torch.stack(wanted))
    assert reader.standardised([{}]).isnan().all()


def test_the_loss_does_not_hang_on_how_a_batch_is_cut() -> None:
    reader, ipr = FactsReader(WORDS, 4, 32, 8), drawn(9, 8)
    draws = Draws((1, 2, 3), tuple(range(8)))
    facts = [*WORDS.batch(drawn(8, 3, 32, 32), 4, draws).facts, {}]
    whole = reader(ipr, facts)
    for cut in (1, 4, 8):
        first, second = reader(ipr[:cut], facts[:cut]), reader(ipr[cut:], facts[cut:])
        torch.testing.assert_close((cut * first + (9 - cut) * second) / 9, whole)


def test_it_is_weighted_beside_the_pixels_and_reaches_cpen() -> None:
    stage, batch = stage_1(facts_weight=3), batch_of()
    terms, restored = stage(batch, {})
    ipr = stage.model.extract_ipr(batch.lq, batch.gt)
    assert [*terms] == ["pixel_l1", "facts"]
    assert stage.reader is not None
    torch.testing.assert_close(terms["facts"], 3 * stage.reader(ipr, batch.facts))
    assert torch.equal(restored, stage.model.dirformer(batch.lq, ipr))
    assert gradient_of(terms["facts"], stage) > 0
    assert gradient_of(terms["pixel_l1"], stage) > 0
    assert stage_1().reader is None


def test_cpen_may_learn_from_facts_alone() -> None:
    stage = stage_1(facts_weight=3, facts_alone=True)
    terms, _ = stage(batch_of(), {})
    assert gradient_of(terms["facts"], stage) > 0
    assert gradient_of(terms["pixel_l1"], stage) == 0


def test_where_nothing_is_known_pixels_teach_cpen_all_the_same() -> None:
    stage, batch = stage_1(facts_weight=3, facts_alone=True), batch_of()
    pairs = replace(batch, facts=({"picture": "a.png"},) * len(batch.gt))
    terms, _ = stage(pairs, {})
    assert float(terms["facts"].detach()) == 0
    assert gradient_of(terms["pixel_l1"], stage) > 0
    some = replace(batch, facts=(*pairs.facts[:-1], batch.facts[-1]))
    assert gradient_of(stage(some, {})[0]["pixel_l1"], stage) == 0


def test_z_comes_to_tell_the_facts() -> None:
    stage, batch = stage_1(facts_weight=1), batch_of()
    adam = torch.optim.Adam(stage.parameters(), lr=3e-3)
    errors = []
    assert stage.reader is not None
    for _ in range(60):
        error = stage.reader(stage.model.extract_ipr(batch.lq, batch.gt), batch.facts)
        errors.append(float(error.detach()))
        error.backward()
        adam.step()
        adam.zero_grad()
    assert errors[-1] < 0.5 * errors[0]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(data.astronaut()[:96, 150:246]).save(folder / "a.png")
    return folder


def preset_of(*settings: str) -> Preset:
    return choose(RECIPES, "toy-deblur", (*STAGE_1, *settings))


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, photos: Path) -> None:
    preset = preset_of("facts_weight=1")
    train_in(tmp_path / "whole", preset, photos)
    train_in_parts(tmp_path / "parts", preset, photos)
    whole, parts = (
        torch.load(tmp_path / name / "states" / "stage1-00000004.pt", weights_only=True)
        for name in ("whole", "parts")
    )
    for part in ("model", "average", "reader"):
        torch.testing.assert_close(parts[part], whole[part], rtol=0, atol=0)
    assert "facts" in (tmp_path / "parts" / "log.jsonl").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["facts_weight=1", "degradation=bicubic"], "which draws nothing at random"),
        (["facts_alone=true"], "facts_alone without facts_weight found"),
    ],
)
def test_a_loss_of_facts_where_there_are_none_is_refused(
    tmp_path: Path, photos: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        train_in(tmp_path / "run", preset_of(*settings), photos)
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_degradation_that_does_the_same_to_all_is_refused() -> None:
    class Same(MotionBlur):
        def batch(self, gt: Tensor, scale: int, draws: Draws) -> Batch:
            return Batch(lq=gt, gt=gt, facts=({"path_length": 3.0},) * len(gt))

    with pytest.raises(RecipeError, match="does the same to all pictures"):
        FactsReader(Same(), 1, 16, 8)


def test_with_a_bottleneck_facts_are_read_off_it_and_pixels_teach_what_widens_it() -> None:
    config = replace(TINY, ipr_bottleneck=3)
    stage, batch = stage_1(config, facts_weight=1, facts_alone=True), batch_of()
    terms, _ = stage(batch, {})
    assert stage.reader is not None
    few = stage.model.extract_few(batch.lq, batch.gt)
    torch.testing.assert_close(terms["facts"], stage.reader(few, batch.facts))
    terms["pixel_l1"].backward(retain_graph=True)
    model = stage.model
    assert all(p.grad is None for part in (model.cpen, model.narrow) for p in part.parameters())
    assert all(p.grad is not None for p in stage.model.widen.parameters())
    terms["facts"].backward()
    assert all(p.grad is not None for p in stage.model.narrow.parameters())


def test_a_batch_in_parts_teaches_each_picture_its_own_facts(tmp_path: Path, photos: Path) -> None:
    preset = preset_of("facts_weight=1", "facts_alone=true", "stage1.batch_size=4")
    train_in(tmp_path / "whole", preset, photos)
    whole = torch.load(tmp_path / "whole/states/stage1-00000004.pt", weights_only=True)
    for parts in (2, 4):
        folder = tmp_path / str(parts)
        train_in(folder, preset, photos, accumulate=parts)
        state = torch.load(folder / "states/stage1-00000004.pt", weights_only=True)
        for name, weight in whole["model"].items():
            torch.testing.assert_close(state["model"][name], weight, atol=1e-4, rtol=1e-3)


def test_facts_of_other_pictures_are_refused() -> None:
    reader = FactsReader(BLUR, 1, 16, 8)
    with pytest.raises(ValueError, match="2 facts found for 1 pictures"):
        reader(torch.rand(1, 8), [{}, {}])
