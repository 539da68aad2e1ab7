"""Evaluate: rows that are what the protocol says, whatever is broken and however many processes."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from official import network, toy
from PIL import Image
from skimage import data
from torch import Tensor, nn

from diffir.checkpoints import Checkpoint, format
from diffir.data import DEGRADATIONS, Bicubic, Draws, imresize
from diffir.data.pixels import round_to_8_bit, to_tensor
from diffir.errors import DataError
from diffir.evaluation import metrics, psnr, summary
from diffir.evaluation.crops import GAIN, SIDE
from diffir.evaluation.evaluate import Plan, evaluate
from diffir.evaluation.fid import FID
from diffir.evaluation.planning import plan_comparison, plan_evaluation, published_for
from diffir.evaluation.summary import Report, mean_of, report_of
from diffir.evaluation.validate import validator
from diffir.images import read
from diffir.inference import Restorer

PHOTO = np.ascontiguousarray(data.astronaut()[60:191, 170:303])  # (131, 133, 3)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Toy networks of each task, by the task's name."""
    folder = tmp_path_factory.mktemp("models")
    files = {}
    for preset, task in (("deblur", "deblur"), ("inpaint", "inpaint"), ("sr-x2", "sr")):
        files[task] = str(folder / f"{task}.safetensors")
        checkpoint = Checkpoint(model=network(2, toy(preset)), task=task)
        format.save(checkpoint, Path(files[task]))
    return files


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        photo = PHOTO[20 * index :][: 72 + index, 10 * index :][:, :73]
        Image.fromarray(photo).save(folder / f"{index}.png")
    return folder


def tensor(path: Path) -> Tensor:
    """(1, 3, H, W) in [0, 1]."""
    return to_tensor(np.array(Image.open(path)))


def pairs(tmp_path: Path, photos: Path, scale: int = 2) -> Path:
    """The photos with bicubic LQ."""
    for path in photos.iterdir():
        photo = tensor(path)
        photo = photo[..., : photo.shape[-2] // 2 * 2, : photo.shape[-1] // 2 * 2]
        small = (imresize(photo, 1 / scale)[0].clamp(0, 1) * 255).round().byte()
        target = tmp_path / "pairs" / "lq" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small.permute(1, 2, 0).numpy()).save(target)
    (tmp_path / "pairs" / "gt").symlink_to(photos)
    return tmp_path / "pairs"


class FewFeatures(nn.Module):
    """Instead of Inception, whose 2048 features take a minute."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.conv(pictures).relu().mean(dim=(2, 3))


def planned(model: str, folder: Path, **options: object) -> Plan:
    return plan_evaluation([model], str(folder), device="cpu", **options)[0]


def report(plan: Plan, jobs: int = 1) -> Report:
    return report_of(plan, evaluate(plan, jobs=jobs), data="photos")


def test_a_row_is_what_the_restorer_makes_compared_as_papers_do(
    models: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    folder = pairs(tmp_path, photos)
    rows = {row.picture: row for row in report(planned(models["sr"], folder)).rows}
    restored = Restorer.from_pretrained(models["sr"], device="cpu")(folder / "lq" / "1.png")
    gt = tensor(photos / "1.png")[..., :72, :72]
    expected = psnr(to_tensor(restored.to_array()), gt, border=2, y_channel=True)
    # a file rounds halves up, a tensor to even: far below 1e-3 dB
    assert rows["1"].scores["psnr_y"] == pytest.approx(float(expected), abs=1e-3)
    assert rows["1"].seconds is not None
    assert rows["1"].seconds > 0
    assert set(rows["1"].scores) == {"psnr_y", "ssim_y"}


def test_lq_that_is_made_is_the_one_that_lies_beside(
    models: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    made = report(planned(models["sr"], photos))
    given = report(planned(models["sr"], pairs(tmp_path, photos)))
    assert [row.scores for row in made.rows] == [row.scores for row in given.rows]


@pytest.mark.parametrize(
    ("task", "degradation", "metric"),
    [("deblur", "motion", "psnr"), ("inpaint", "holes-training", "psnr_hole")],
)
def test_made_pairs_and_scores_are_those_of_validation(
    models: dict[str, str], photos: Path, task: str, degradation: str, metric: str
) -> None:
    if task == "deblur":  # motion wants a margin
        for path in photos.iterdir():
            Image.open(path).resize((160, 150)).save(path)
    plan = planned(models[task], photos, metrics=[metric])
    found = report(plan).means[models[task]][metric].value
    validate = validator([str(photos)], DEGRADATIONS[degradation], 1)
    model = Restorer.from_pretrained(models[task], device="cpu").model
    scores, _ = validate(model, None)
    # 1e-4: sums in another order move a few values across a rounding to 8 bits
    assert found == pytest.approx(scores["psnr"], abs=1e-4)


@pytest.mark.parametrize(
    ("task", "degradation", "metric"),
    [("deblur", "motion-uniform", "psnr"), ("inpaint", "holes-training", "psnr_hole")],
)
def test_the_seed_is_that_of_the_degradation_and_of_the_noise(
    models: dict[str, str], photos: Path, task: str, degradation: str, metric: str
) -> None:
    plan = planned(models[task], photos, metrics=[metric], degradation=degradation, seed=1)
    scores = {row.picture: row.scores[metric] for row in report(plan).rows}
    restorer = Restorer.from_pretrained(models[task], device="cpu")
    for index in range(3):
        draws = Draws((1,), (index,), alone=True)
        pair = DEGRADATIONS[degradation].batch(tensor(photos / f"{index}.png"), 1, draws)
        for seed in (0, 1):
            restored = restorer.restore_batch(pair.lq[:, :3], masks=pair.mask, seeds=[seed])
            expected = float(psnr(round_to_8_bit(restored), pair.gt, mask=pair.mask))
            assert (scores[str(index)] == pytest.approx(expected, abs=1e-6)) == (seed == 1)


def test_masks_that_lie_beside_are_taken(models: dict[str, str], photos: Path) -> None:
    hole = np.zeros((72, 73), np.uint8)
    hole[20:40, 20:40] = 255
    for path in photos.iterdir():
        Image.open(path).crop((0, 0, 73, 72)).save(path)
        Image.fromarray(hole).save(path.with_name(f"{path.stem}_mask000.png"))
    plan = planned(models["inpaint"], photos, metrics=["psnr_hole"], baselines=True, views=True)
    assert [case.name for case in plan.cases] == ["0", "1", "2"]
    found = report(plan)
    assert not found.broken
    assert found.methods[1:] == ("telea", "navier_stokes", "biharmonic")
    restorer = Restorer.from_pretrained(models["inpaint"], device="cpu")
    restored = to_tensor(restorer(photos / "0.png", mask=hole).to_array())
    expected = psnr(
        restored,
        tensor(photos / "0.png"),
        mask=torch.from_numpy(hole > 0)[None, None],
    )
    (row,) = (row for row in found.of(models["inpaint"]) if row.picture == "0")
    assert row.scores["psnr_hole"] == pytest.approx(float(expected), abs=1e-3)  # halves, as above


def test_a_broken_picture_is_a_row_that_says_so(
    models: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    folder = pairs(tmp_path, photos)
    (folder / "lq" / "1.png").write_bytes((folder / "lq" / "1.png").read_bytes()[:100])
    Image.new("RGB", (30, 30)).save(folder / "lq" / "2.png")
    Image.fromarray(PHOTO).save(photos / "3.png")
    found = report(planned(models["sr"], folder, baselines=True))
    errors = {(row.picture, row.error) for row in found.broken}
    assert len(found.broken) == 3 * 4
    assert {picture for picture, _ in errors} == {"1", "2", "3"}
    assert any("3.png has no LQ" in error for _, error in errors)
    assert any("lq/1.png" in error for _, error in errors)
    assert any("LQ is 30×30 and GT 73×74; wanted LQ of 36×37" in text for _, text in errors)
    assert found.rows[-1].picture == "0"  # broken ones stand first
    assert len(found.of(models["sr"])) == 1


def test_a_gray_lq_of_a_gt_in_colours_is_a_row_that_says_so(
    models: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    folder = pairs(tmp_path, photos)
    Image.open(folder / "lq" / "1.png").convert("L").save(folder / "lq" / "1.png")
    (broken,) = report(planned(models["sr"], folder)).broken
    assert (broken.picture, broken.error) == (
        "1",
        "LQ is gray and GT has colours; save both the same way",
    )


def test_a_picture_too_small_for_a_metric_is_a_row_that_says_so(
    models: dict[str, str], photos: Path
) -> None:
    Image.fromarray(PHOTO[:12, :12]).save(photos / "0.png")
    found = report(planned(models["sr"], photos))
    assert [row.picture for row in found.broken] == ["0"]
    assert "SSIM needs 11×11" in found.broken[0].error


def test_several_processes_give_the_rows_of_one(models: dict[str, str], photos: Path) -> None:
    plan = planned(models["sr"], photos, baselines=True, views=True)
    one, two = report(plan), report(plan, jobs=2)
    assert [(r.picture, r.method, r.scores) for r in one.rows] == [
        (r.picture, r.method, r.scores) for r in two.rows
    ]
    assert one.means == two.means
    assert [v.picture for v in one.views] == [v.picture for v in two.views]


def test_the_worst_picture_of_the_first_method_stands_first(
    models: dict[str, str], photos: Path
) -> None:
    found = report(planned(models["sr"], photos, metrics=["psnr"], views=True))
    values = [row.scores["psnr"] for row in found.rows]
    assert values == sorted(values)
    assert [view.picture for view in found.views] == [row.picture for row in found.rows]


def test_a_view_shows_the_place_of_the_largest_error(
    tmp_path: Path, models: dict[str, str]
) -> None:
    gt = np.full((160, 200, 3), 100, np.uint8)
    restored = gt.copy()
    restored[120:140, 150:170] = 110
    for name, picture in (("gt/a.png", gt), ("mine/a.png", restored)):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(picture).save(tmp_path / name)
    folders = [str(tmp_path / "mine"), models["deblur"]]
    plan, _ = plan_evaluation(
        folders, str(tmp_path / "gt"), device="cpu", degradation="motion", views=True
    )
    plan = replace(plan, methods=plan.methods[:1], degradation=None)
    (view,) = report(plan).views
    mine, truth = view.tiles
    assert [mine.label, truth.label] == [folders[0], "GT"]
    assert truth.pixels.shape == (SIDE, SIDE, 3)
    assert view.top <= 120 <= 140 <= view.top + SIDE
    assert view.left <= 150 <= 170 <= view.left + SIDE
    assert mine.difference is not None
    assert mine.difference.max() == GAIN * 10


def test_the_interval_is_that_of_scipys_bootstrap_and_the_seed_fixes_it() -> None:
    values = np.random.default_rng(0).normal(30, 2, size=40).tolist()
    found = mean_of(values, seed=0)
    expected = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", rng=1
    ).confidence_interval
    assert found.value == pytest.approx(np.mean(values))
    assert found.low == pytest.approx(expected.low, abs=0.05)  # both resample by chance
    assert found.high == pytest.approx(expected.high, abs=0.05)
    assert mean_of(values, seed=0) == found
    assert mean_of(values, seed=1) != found


def test_one_picture_and_an_infinite_score_have_no_interval() -> None:
    assert mean_of([30.0], seed=0).low is None
    equal = mean_of([30.0, math.inf], seed=0)
    assert (equal.value, equal.high) == (math.inf, None)


def test_fid_is_that_of_the_sets(
    models: dict[str, str], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(summary, "BATCH", 2)
    fid = FID(FewFeatures()).eval()
    monkeypatch.setitem(metrics.METRICS, "fid", replace(metrics.METRICS["fid"], open=lambda _: fid))
    plan = planned(models["sr"], photos, metrics=["fid"])
    found = report(plan)
    restorer = Restorer.from_pretrained(models["sr"], device="cpu")
    sides = ((72, 72), (72, 72), (74, 72))
    gts = [tensor(photos / f"{i}.png")[..., :h, :w] for i, (h, w) in enumerate(sides)]
    lqs = [round_to_8_bit(imresize(gt, 1 / 2)) for gt in gts]
    restored = [round_to_8_bit(restorer.restore_batch(lq, seeds=[0])) for lq in lqs]
    expected = float(fid(restored, gts))
    assert found.means[models["sr"]]["fid"].value == pytest.approx(expected, rel=1e-4)
    assert found.rows[0].scores == {}
    assert not found.broken


def test_what_can_not_be_had_is_left_out_with_the_reason(
    models: dict[str, str], photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("DIFFIR_WEIGHTS", raising=False)
    asked = ["psnr_hole", "psnr", "lpips_alex"]
    plan, notes = plan_evaluation([models["sr"]], str(photos), metrics=asked, device="cpu")
    assert plan.metrics == ("psnr",)
    assert "psnr_hole is left out because the pictures have no masks" in notes
    assert any(note.startswith("lpips_alex is left out: ") for note in notes)
    with pytest.raises(DataError, match="no metric is left: psnr_hole"):
        planned(models["sr"], photos, metrics=["psnr_hole"])


def test_a_benchmark_brings_its_protocol_and_its_check(
    models: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    (tmp_path / "HR").symlink_to(photos)
    plan, notes = plan_evaluation(
        [models["sr"]], str(tmp_path), benchmark="Set5", device="cpu", metrics=["psnr_y"]
    )
    assert plan.border == 2
    assert plan.degradation == Bicubic()
    assert "set5: 3 of 5 pictures found as HR/{name}" in notes[0]
    assert "LQ of 3 of 3 pictures was made: bicubic, seed 0" in notes
    with pytest.raises(DataError, match="set5 is for sr and the model for deblur"):
        planned(models["deblur"], tmp_path, benchmark="set5")


def test_a_border_of_0_is_none(models: dict[str, str], photos: Path) -> None:
    assert planned(models["sr"], photos, border=0).border == 0


def test_the_papers_numbers_stand_beside_those_of_their_scale_alone(
    models: dict[str, str], photos: Path
) -> None:
    plan = planned(models["sr"], photos, metrics=["psnr_y"])
    assert published_for("set14", plan) == ()
    rows = published_for("set14", replace(plan, scale=4))
    assert (rows[-1].method, rows[-1].value) == ("DiffIR_S2", 27.73)


def test_models_of_different_tasks_are_no_table(models: dict[str, str], photos: Path) -> None:
    with pytest.raises(
        DataError, match=r"is for sr ×2 and .* for deblur ×1; evaluate them separately"
    ):
        plan_evaluation([models["sr"], models["deblur"]], str(photos), device="cpu")
    with pytest.raises(DataError, match="is given twice"):
        plan_evaluation([models["sr"]] * 2, str(photos), device="cpu")
    with pytest.raises(DataError, match="only folders found"):
        plan_evaluation([str(photos)], str(photos), device="cpu")


def test_degradations_that_do_not_fit_are_refused(
    models: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    with pytest.raises(DataError, match="degradation holes found for task sr"):
        planned(models["sr"], photos, degradation="holes-training")
    with pytest.raises(DataError, match="degradation 'x' found"):
        planned(models["sr"], photos, degradation="x")
    with pytest.raises(DataError, match="their own LQ; leave --degradation bicubic out"):
        planned(models["sr"], pairs(tmp_path, photos), degradation="bicubic")


def test_pictures_that_others_restored_are_a_row_beside_the_models(
    models: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    for path in photos.iterdir():
        photo = read(path)
        Image.fromarray(photo.to_array()[: photo.height // 2 * 2, :72]).save(
            folder / f"{path.stem}_x2.png"
        )
    plan, _ = plan_evaluation([models["sr"], str(folder)], str(photos), device="cpu")
    found = report(plan)
    assert {row.scores["psnr_y"] for row in found.of(str(folder))} == {math.inf}
    assert found.seconds(str(folder)) is None


def test_folders_may_be_called_as_the_parts_of_a_view(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, more in (("GT", 20), ("LQ", 40)):
        Path(name).mkdir()
        for path in photos.iterdir():
            Image.fromarray(np.array(Image.open(path)) // 2 + np.uint8(more)).save(
                Path(name) / path.name
            )
    fid = FID(FewFeatures()).eval()
    monkeypatch.setitem(metrics.METRICS, "fid", replace(metrics.METRICS["fid"], open=lambda _: fid))
    folders = [Path("GT"), Path("LQ")]
    plan, _ = plan_comparison(folders, photos, metrics=["psnr", "fid"], views=True)
    found = report(replace(plan, device="cpu"))
    tiles = found.views[0].tiles
    assert [tile.label for tile in tiles] == ["GT", "LQ", "GT"]
    assert not np.array_equal(tiles[0].pixels, tiles[2].pixels)
    assert found.means["GT"]["fid"].value > 0


def test_what_needs_too_much_memory_to_be_judged_is_a_row_that_says_so(
    models: dict[str, str], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = metrics.METRICS["ssim_y"]

    def hungry(restored: Tensor, gt: Tensor) -> Tensor:
        if restored.shape[-2] == 70:  # of 74, without a border of 2
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …")
        return wanted.open(torch.device("cpu"))(restored, gt=gt)

    monkeypatch.setitem(metrics.METRICS, "ssim_y", replace(wanted, open=lambda _: hungry))
    found = report(planned(models["sr"], photos))
    (broken,) = found.broken
    assert broken.picture == "2"
    assert "out of memory" in broken.error
    assert len(found.of(models["sr"])) == 2


def test_a_mistake_of_ours_is_no_row(
    models: dict[str, str], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(restored: Tensor, gt: Tensor) -> Tensor:
        raise RuntimeError("expected scalar type Half but found Float")

    bad = replace(metrics.METRICS["ssim_y"], open=lambda _: wrong)
    monkeypatch.setitem(metrics.METRICS, "ssim_y", bad)
    with pytest.raises(RuntimeError, match="scalar type"):
        report(planned(models["sr"], photos))


def test_one_picture_is_no_set(
    models: dict[str, str], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fid = FID(FewFeatures()).eval()
    monkeypatch.setitem(metrics.METRICS, "fid", replace(metrics.METRICS["fid"], open=lambda _: fid))
    one = str(photos / "0.png")
    plan, notes = plan_evaluation([models["sr"]], one, metrics=["psnr", "fid"], device="cpu")
    assert plan.metrics == ("psnr",)
    assert "fid is left out because it compares sets of at least 2 pictures" in notes


def test_without_gt_pictures_of_other_sizes_stand_side_by_side(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in photos.iterdir():
        Image.open(path).resize((40, 40)).save(other / path.name)
    mean = replace(metrics.METRICS["niqe"], open=lambda _: lambda restored: restored.mean())
    monkeypatch.setitem(metrics.METRICS, "niqe", mean)
    plan, _ = plan_comparison([photos, other], None, metrics=["niqe"])
    assert not report(replace(plan, device="cpu")).broken


def test_a_network_in_a_folder_is_judged_and_its_name_may_be_that_of_a_folder(
    models: dict[str, str], tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Restorer.from_pretrained(models["sr"], device="cpu").save_pretrained(tmp_path / "saved")
    found = report(planned(str(tmp_path / "saved"), photos))
    assert len(found.of(str(tmp_path / "saved"))) == 3
    monkeypatch.chdir(tmp_path)
    Path("sr-x2-lite").mkdir()
    (method,) = planned("sr-x2-lite", photos).methods
    assert method.kind == "model"


def test_restored_folders_stand_beside_the_data_that_they_were_made_of(
    models: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    for role, word in (("HR", "_HR"), ("LR", "_LR2")):
        for path in photos.iterdir():
            photo = Image.open(path).crop((0, 0, 72, 72))
            small = photo.resize((36, 36)) if role == "LR" else photo
            for folder in (tmp_path / "realsr", tmp_path / "restored"):
                folder.mkdir(exist_ok=True)
                if folder.name == "realsr" or role == "LR":
                    large = small.resize((72, 72)) if folder.name == "restored" else small
                    large.save(folder / f"{path.stem}{word}.png")
    words = [models["sr"], str(tmp_path / "restored")]
    plan, _ = plan_evaluation(
        words, str(tmp_path / "realsr"), benchmark="realsr", metrics=["psnr_y"], device="cpu"
    )
    assert [case.name for case in plan.cases] == ["0", "1", "2"]
    nested = tmp_path / "nested" / "scene"
    nested.mkdir(parents=True)
    Image.open(photos / "0.png").save(nested / "a.png")
    words = [models["sr"], str(tmp_path / "nested")]
    plan, _ = plan_evaluation(words, str(tmp_path / "nested"), device="cpu")
    assert [case.name for case in plan.cases] == ["scene/a"]
