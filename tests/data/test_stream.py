"""The stream: the same batches whatever the workers, the ranks and the stops."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from diffir.data import (
    DEGRADATIONS,
    Augment,
    Batch,
    Bicubic,
    Draws,
    Feed,
    Holes,
    MotionBlur,
    SecondOrder,
    Stream,
    data_sets,
    imresize,
    open_sets,
)
from diffir.data.pixels import round_to_8_bit, to_tensor
from diffir.data.stream import Steps
from diffir.errors import DataError
from diffir.recipe import Phase

WAYS: dict[str, tuple[Any, int]] = {
    "bicubic": (Bicubic(), 4),
    "second order": (SecondOrder(context=8, pool_size=0), 2),
    "pooled": (SecondOrder(context=8, pool_size=6), 2),
    "sharpened": (SecondOrder(context=0, pool_size=0, sharpen_gt=True), 1),
    "motion": (MotionBlur(length=(0, 9)), 1),
    "holes": (Holes(), 1),
}


def sizes(step: int) -> tuple[int, int]:
    """Two sizes of crops: progressive training in small."""
    return (16, 4) if step < 3 else (24, 2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, photo in enumerate((data.astronaut(), data.coffee(), data.chelsea())):
        Image.fromarray(photo[40:160, 100 : 220 + index]).save(folder / f"{index}.png")
    return folder


def feed_of(way: str, *words: object, **options: Any) -> Feed:
    degradation, scale = WAYS[way]
    source = open_sets(data_sets(map(str, words)), scale=scale)
    return Feed(source=source, degradation=degradation, scale=scale, **options)


def batches(
    feed: Feed, start: int = 0, stop: int = 5, seed: tuple[int, ...] = (7, 1)
) -> list[Batch]:
    return list(Stream(feed, sizes, seed).batches(start, stop))


def equal(first: list[Batch], second: list[Batch]) -> bool:
    pairs = [(a.tensors(), b.tensors()) for a, b in zip(first, second, strict=True)]
    return all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) for a, b in pairs
    )


@pytest.mark.parametrize("way", WAYS)
def test_workers_change_no_bit(photos: Path, way: str) -> None:
    alone, shared = (batches(feed_of(way, photos, workers=n)) for n in (0, 2))
    assert equal(alone, shared)
    assert [batch.facts for batch in alone] == [batch.facts for batch in shared]


@pytest.mark.parametrize("way", [way for way in WAYS if way != "pooled"])  # ranks have own pools
def test_ranks_share_out_the_very_batch_that_one_process_makes(photos: Path, way: str) -> None:
    whole = batches(feed_of(way, photos))
    ranks = [batches(feed_of(way, photos, rank=rank, world=2)) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        for name, tensor in batch.tensors().items():
            for rank in (0, 1):
                assert torch.equal(ranks[rank][step].tensors()[name], tensor[rank::2]), name


@pytest.mark.parametrize("way", WAYS)
def test_lq_made_where_it_is_trained_is_that_made_in_workers(
    photos: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of a GPU, on the CPU: workers cut crops, the process that trains degrades them."""
    in_workers = batches(feed_of(way, photos))
    monkeypatch.setattr(Steps, "degrades_here", False)
    assert equal(in_workers, batches(feed_of(way, photos, workers=1)))


def test_all_that_workers_are_sent_can_be_pickled(photos: Path) -> None:
    """As systems do that start workers afresh instead of copying the process."""
    phase = Phase(steps=9, learning_rate=1, batch_size=2, lq_size=16)
    feed = feed_of("pooled", photos)
    steps = pickle.loads(pickle.dumps(Steps(feed, phase.sizes, (7, 1))))
    assert torch.equal(steps[0].content.lq, Steps(feed, phase.sizes, (7, 1))[0].content.lq)


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_stream_goes_on_as_an_unbroken_one(photos: Path, way: str) -> None:
    whole = batches(feed_of(way, photos), stop=8)
    broken = Stream(feed_of(way, photos), sizes, (7, 1))
    first = list(broken.batches(0, 5))
    resumed = Stream(feed_of(way, photos), sizes, (7, 1))
    resumed.load_state_dict(broken.state_dict())
    assert equal(whole, first + list(resumed.batches(5, 8)))


def test_another_seed_or_step_gives_other_batches(photos: Path) -> None:
    first, second = batches(feed_of("bicubic", photos), stop=2)
    (other,) = batches(feed_of("bicubic", photos), stop=1, seed=(8, 1))
    assert not torch.equal(first.gt, second.gt)
    assert not torch.equal(first.gt, other.gt)


def test_the_global_generators_are_neither_used_nor_moved(photos: Path) -> None:
    for way in WAYS:
        before = torch.get_rng_state()
        batches(feed_of(way, photos), stop=1)
        assert torch.equal(before, torch.get_rng_state())


def test_batches_and_crops_change_with_the_step(photos: Path) -> None:
    shapes = [tuple(batch.lq.shape) for batch in batches(feed_of("bicubic", photos))]
    assert shapes == [(4, 3, 16, 16)] * 3 + [(2, 3, 24, 24)] * 2


def test_a_bicubic_crop_is_a_crop_of_the_reduced_picture(photos: Path) -> None:
    """To the bit, borders included: the margin holds all that the kernel sees."""
    whole = to_tensor(np.array(Image.open(photos / "0.png")))
    reduced = round_to_8_bit(imresize(whole, 1 / 4))[0]
    lq_windows = reduced.unfold(1, 24, 1).unfold(2, 24, 1)  # (3, y, x, 24, 24)
    feed = feed_of("bicubic", photos / "0.png", augment=Augment(flips=False, turns=False))
    places = set()
    for batch in batches(feed, 3, 40):
        for lq, gt in zip(batch.lq, batch.gt, strict=True):
            found = (lq_windows == lq[:, None, None]).all(dim=(0, 3, 4)).nonzero().tolist()
            assert len(found) == 1
            ((y, x),) = found
            assert torch.equal(gt, whole[0, :, 4 * y : 4 * y + 96, 4 * x : 4 * x + 96])
            places |= {("top", y == 0), ("bottom", y == 6), ("left", x == 0), ("right", x == 6)}
    assert {(side, True) for side in ("top", "bottom", "left", "right")} <= places


def test_inpainting_sees_the_known_pixels_and_the_mask(photos: Path) -> None:
    (batch,) = batches(feed_of("holes", photos), stop=1)
    assert batch.mask is not None
    assert batch.mask.unique().tolist() == [0, 1]
    assert torch.equal(batch.lq, torch.cat([batch.gt * (1 - batch.mask), batch.mask], 1))
    for mask, fact in zip(batch.mask, batch.facts, strict=True):
        assert float(mask.mean()) == pytest.approx(fact["hole_share"], abs=1e-6)


def test_given_pairs_and_photos_make_one_batch(tmp_path: Path, photos: Path) -> None:
    for side, value in (("gt", 200), ("lq", 100)):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        flat = np.full((60, 60, 3), value, np.uint8)
        Image.fromarray(flat).save(tmp_path / "pairs" / side / "flat.png")
    (tmp_path / "sets.yaml").write_text(
        "- {gt: pairs/gt, lq: pairs/lq, weight: 1}\n- {photos: photos, weight: 1}\n"
    )
    for way in ("motion", "sharpened"):
        found = batches(feed_of(way, tmp_path / "sets.yaml", augment=Augment(mixup=0.5)), stop=3)
        assert photos.exists()
        flat = sum(int((x == 100 / 255).all()) for batch in found for x in batch.lq)
        assert 0 < flat < 12
        for batch in found:
            for lq, gt, fact in zip(batch.lq, batch.gt, batch.facts, strict=True):
                is_flat = bool((lq == 100 / 255).all())
                assert is_flat == bool((gt - 200 / 255).abs().max() < 1e-6)
                assert is_flat == ("flat" in str(fact["picture"]))


def test_a_photo_among_pairs_is_degraded_by_the_draws_of_its_place(
    tmp_path: Path, photos: Path
) -> None:
    for side in ("gt", "lq"):
        save_flat(tmp_path / "pairs" / side / "flat.png")
    (tmp_path / "sets.yaml").write_text(
        "- {gt: pairs/gt, lq: pairs/lq, weight: 1}\n- {photos: photos, weight: 1}\n"
    )
    feed = feed_of("motion", tmp_path / "sets.yaml")
    steps, moved = Steps(feed, sizes, (7, 1)), 0
    for step in range(3):
        crops = steps.crops(step)
        batch = steps.batch(crops, step)
        for crop, place in zip(crops.photos, crops.photo_places, strict=True):
            draws = Draws((7, 1, step), (place,))
            alone = feed.degradation.batch(to_tensor(crop.numpy()), 1, draws)
            assert torch.equal(alone.lq[0], batch.lq[place])
        moved += crops.photo_places != tuple(range(len(crops.photo_places)))
    assert moved


def save_flat(path: Path) -> None:
    path.parent.mkdir(parents=True)
    Image.fromarray(np.full((60, 60, 3), 100, np.uint8)).save(path)


def test_ranks_draw_different_pairs_from_their_pools(photos: Path) -> None:
    def size(_step: int) -> tuple[int, int]:
        return 16, 4

    made = [Steps(feed_of("pooled", photos), size, (7, 1))[step] for step in range(5)]
    ranks = [
        [stream.finished(one, step) for step, one in enumerate(made)]
        for stream in (
            Stream(feed_of("pooled", photos, rank=rank, world=2), size, (7, 1)) for rank in (0, 1)
        )
    ]
    assert equal(ranks[0][:2], ranks[1][:2])  # while the pools fill up
    assert not equal(ranks[0][2:], ranks[1][2:])


def test_the_pool_mixes_what_single_batches_share(photos: Path) -> None:
    feed = feed_of("pooled", photos)
    stream = Stream(feed, lambda _step: (16, 4), (7, 1))
    shares = [{fact["resize"] for fact in batch.facts} for batch in stream.batches(0, 9)]
    assert len(shares[0]) == 1
    assert max(len(share) for share in shares) > 1


def test_what_was_skipped_is_told_by_workers_too(photos: Path) -> None:
    whole = (photos / "0.png").read_bytes()
    (photos / "broken.png").write_bytes(whole[: len(whole) // 2])
    for workers in (0, 2):
        stream = Stream(feed_of("bicubic", photos, workers=workers), sizes, (7, 1))
        list(stream.batches(0, 12))
        (sentence,) = stream.skipped.values()
        assert "broken.png" in sentence


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_worker_is_one_sentence(photos: Path, workers: int) -> None:
    for file in photos.iterdir():
        file.write_bytes(file.read_bytes()[:2000])
    stream = Stream(feed_of("bicubic", photos, workers=workers), sizes, (7, 1))
    with pytest.raises(DataError, match="in a row can't be read") as caught:
        list(stream.batches(0, 3))
    assert "\n" not in str(caught.value)


def test_degradations_that_have_a_name_survive_json() -> None:
    for settings in DEGRADATIONS.values():
        assert type(settings).model_validate_json(settings.model_dump_json()) == settings


def test_the_crops_of_dead_leaves_differ_by_seed_and_step() -> None:
    feed = feed_of("bicubic", "dead-leaves")
    seen: list[Tensor] = [batch.gt for batch in batches(feed, stop=2)]
    assert not torch.equal(seen[0], seen[1])
