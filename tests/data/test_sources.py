"""Sources: what a user names as data becomes crops, and what can't is said in a sentence."""

import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
import yaml
from PIL import Image
from skimage import data

from diffir.data import data_sets, open_sets
from diffir.data.crops import CropSize, Sample
from diffir.data.draws import generator
from diffir.data.entries import File, indexed
from diffir.data.sets import entries_of_sets
from diffir.data.shards import write_shards
from diffir.data.sources import Mixture, PixelCache, Source
from diffir.errors import DataError

SIZE = CropSize(lq=8, scale=2)


def photo(height: int = 40, width: int = 48) -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[:height, 200 : 200 + width])


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos, in a folder and in one below."""
    save(tmp_path / "photos/a.png", photo())
    save(tmp_path / "photos/in ner/ü.png", photo(30, 34))
    return tmp_path / "photos"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two pairs of scale 2 whose LQ is every other pixel of GT."""
    for name, size in (("a", (40, 48)), ("b/c", (30, 34))):
        save(tmp_path / f"pairs/gt/{name}.png", photo(*size))
        save(tmp_path / f"pairs/lq/{name}.png", photo(*size)[::2, ::2])
    return tmp_path / "pairs"


def opened(*words: object, scale: int = 2, **options: Any) -> Source:
    return open_sets(data_sets(map(str, words)), scale=scale, **options)


def crops(source: Source, count: int = 30, size: CropSize = SIZE) -> list[Sample]:
    return [source.sample(size, generator((seed,), "crops")) for seed in range(count)]


def names(samples: list[Sample]) -> set[str]:
    return {Path(sample.name).name for sample in samples}


def test_a_folder_gives_crops_of_all_its_photos_with_the_margin_around_them(photos: Path) -> None:
    size = CropSize(lq=8, scale=2, margin=6)
    source = opened(photos)
    found = crops(source, size=size)
    assert names(found) == {"a.png", "ü.png"}
    assert {sample.gt.shape for sample in found} == {(28, 28, 3)}
    assert all(sample.lq is None for sample in found)
    assert not source.has_pairs()
    inner = crops(source)
    for wide, narrow in zip(found, inner, strict=True):  # the margin moves no crop
        assert np.array_equal(wide.gt[6:-6, 6:-6], narrow.gt)


def test_crops_lie_on_the_grid_of_lq(photos: Path) -> None:
    whole = photo()
    for sample in crops(opened(photos / "a.png")):
        windows = np.lib.stride_tricks.sliding_window_view(whole, (16, 16, 3))[:, :, 0]
        places = np.argwhere((windows == sample.gt).all(axis=(2, 3, 4)))
        assert (places % 2 == 0).all(axis=1).any()


def test_folders_of_gt_and_lq_are_pairs(pairs: Path) -> None:
    source = opened(pairs)
    found = crops(source)
    assert source.has_pairs()
    assert names(found) == {"a.png", "c.png"}
    for sample in found:
        assert sample.lq is not None
        assert np.array_equal(sample.gt[::2, ::2], sample.lq)


def test_lq_may_have_names_of_a_template(pairs: Path) -> None:
    for file in [*(pairs / "lq").rglob("*.png")]:
        file.rename(file.with_stem(file.stem + "x2"))
    described = pairs / "sets.yaml"
    described.write_text(yaml.safe_dump([{"gt": "gt", "lq": "lq", "lq_name": "{}x2"}]))
    assert names(crops(opened(described))) == {"a.png", "c.png"}


def test_a_list_names_its_pictures_from_its_own_folder(photos: Path) -> None:
    listing = photos / "list.txt"
    listing.write_text("in ner/ü.png\n\n", encoding="utf-8")
    assert names(crops(opened(listing))) == {"ü.png"}
    listing.write_text("a.png\ngone.png\n")
    with pytest.raises(DataError, match=r"lists .*gone\.png, which does not exist \(1 of 2"):
        opened(listing)


def test_a_list_may_begin_with_a_byte_order_mark(photos: Path) -> None:
    listing = photos / "list.txt"
    listing.write_text("in ner/ü.png\n", encoding="utf-8-sig")
    assert names(crops(opened(listing))) == {"ü.png"}


def test_linked_folders_give_their_pictures_and_shards(tmp_path: Path, photos: Path) -> None:
    shards_of(photos, tmp_path / "shards", 10**9)
    (tmp_path / "all").mkdir()
    for name in ("photos", "shards"):
        (tmp_path / "all" / name).symlink_to(tmp_path / name)
    (tmp_path / "all/loop").symlink_to(tmp_path / "all")
    assert opened(tmp_path / "all").describe()["pictures"] == 4


def test_large_photos_are_drawn_more_often(tmp_path: Path) -> None:
    save(tmp_path / "p/small.png", photo(20, 20))
    save(tmp_path / "p/large.png", photo(60, 60))
    found = crops(opened(tmp_path / "p"), 400)
    share = np.mean([sample.name.endswith("small.png") for sample in found])
    assert share == pytest.approx(0.1, abs=0.05)


def test_mixtures_follow_their_weights_and_the_unweighted_are_one_pool(
    tmp_path: Path, photos: Path, pairs: Path
) -> None:
    described = tmp_path / "sets.yaml"
    sets = [
        {"photos": "photos/a.png"},
        {"photos": "photos/in ner"},
        {"gt": "pairs/gt", "lq": "pairs/lq", "weight": 2},
        {"synthetic": "dead-leaves", "weight": 1},
    ]
    described.write_text(yaml.safe_dump(sets))
    source = opened(described)
    assert isinstance(source, Mixture)
    assert len(source.sources) == 3
    found = crops(source, 200)
    share = np.mean([sample.lq is not None for sample in found])
    assert share == pytest.approx(0.5, abs=0.1)
    assert names(found) == {"a.png", "ü.png", "c.png", "dead leaves"}


def test_no_photo_at_all_is_needed() -> None:
    (sample,) = crops(opened("dead-leaves"), 1, CropSize(lq=8, scale=4, margin=4))
    assert sample.gt.shape == (40, 40, 3)
    assert sample.gt.std() > 1


def test_synthetic_pictures_may_take_their_colours_from_photos(tmp_path: Path) -> None:
    save(tmp_path / "red/a.png", np.full((64, 64, 3), (200, 30, 20), np.uint8))
    described = tmp_path / "sets.yaml"
    described.write_text("- {synthetic: dead-leaves, colours: red}")
    source = opened(described)
    source.require(SIZE)
    assert names(crops(source, 2)) == {"dead leaves"}
    for sample in crops(source, 6):
        red, green, blue = sample.gt.reshape(-1, 3).mean(axis=0)
        assert red > 3 * green > 3 * blue
    save(tmp_path / "red/a.png", photo(20, 20))
    with pytest.raises(DataError, match="no training picture is as large as the crop of 64"):
        opened(described).require(SIZE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- fotos: x", "photos"),
        ("- {photos: x, weight: -1}", "weight"),
        ("- {synthetic: dead-leafs}", "wanted one of dead-leaves"),
        ("- {gt: x}", "lq"),
        ("- [", "is not valid YAML"),
        ("- photos: 2024-02-30", r"is not valid YAML \(day is out of range"),
        ("- {photos: here, weight: 0b_}", "is not valid YAML"),
        ("- photos", "lists 'photos'; wanted lines such as - photos: photos"),
        ("- 5", "lists 5; wanted"),
        ("photos: x", "list"),
    ],
)
def test_a_mistake_in_a_description_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    described = tmp_path / "sets.yaml"
    described.write_text(text)
    with pytest.raises(DataError, match=sentence) as caught:
        data_sets([str(described)])
    assert "\n" not in str(caught.value)
    assert str(described) in str(caught.value)


@pytest.mark.parametrize("names", [("gt", "lq"), ("sharp", "blur"), ("target", "input")])
def test_a_folder_of_pairs_is_known_by_the_names_in_it(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
    (pairs,) = data_sets([str(tmp_path)])
    assert (pairs.gt, pairs.lq) == (tmp_path / names[0], tmp_path / names[1])


def test_missing_and_empty_folders_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        opened(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no picture"):
        opened(tmp_path)
    with pytest.raises(DataError, match="no data given"):
        opened()
    with pytest.raises(DataError, match=r"gone\.yaml: No such file"):
        opened(tmp_path / "gone.yaml")


def corrupt(path: Path) -> Path:
    """A file whose head is whole and whose pixels are cut short."""
    save(path, photo(64, 64))
    path.write_bytes(path.read_bytes()[:-900])
    return path


BAD = {
    "no picture": lambda folder: (folder / "z.png").write_bytes(b"hello"),
    "empty": lambda folder: (folder / "z.png").write_bytes(b""),
    "cut short": lambda folder: corrupt(folder / "z.png"),
    "smaller than the crop": lambda folder: save(folder / "z.png", photo(12, 40)),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_photo_is_skipped_and_counted_or_stops_the_run(photos: Path, kind: str) -> None:
    BAD[kind](photos)
    source = opened(photos)
    source.require(SIZE)
    assert names(crops(source, 60)) == {"a.png", "ü.png"}
    (sentence,) = source.skipped.values()
    assert "z.png" in sentence
    assert "\n" not in sentence

    def strictly() -> None:
        strict = opened(photos, on_bad="stop")
        strict.require(SIZE)
        crops(strict, 60)

    with pytest.raises(DataError, match=r"z\.png"):
        strictly()


def test_skipping_a_photo_changes_no_other_draw(photos: Path) -> None:
    corrupt(photos / "z.png")
    first, again = (crops(opened(photos), 40) for _ in range(2))
    assert all(np.array_equal(a.gt, b.gt) for a, b in zip(first, again, strict=True))


def test_when_every_photo_is_bad_the_run_ends(tmp_path: Path) -> None:
    corrupt(tmp_path / "p/z.png")
    with pytest.raises(DataError, match=r"in a row can't be read, the last: .*z\.png"):
        crops(opened(tmp_path / "p"), 1)


def test_no_photo_as_large_as_the_crop_is_a_sentence(photos: Path) -> None:
    with pytest.raises(DataError, match="no training picture is as large as the crop of 128"):
        opened(photos).require(CropSize(lq=64, scale=2))


@pytest.mark.parametrize("way", ["unpaired", "of another size"])
def test_a_pair_that_does_not_fit_is_skipped_or_stops_the_run(pairs: Path, way: str) -> None:
    if way == "unpaired":
        (pairs / "lq/a.png").unlink()
    else:
        save(pairs / "lq/a.png", photo(21, 24))
    source = opened(pairs)
    assert names(crops(source)) == {"c.png"}
    (sentence,) = source.skipped.values()
    assert "a.png" in sentence
    with pytest.raises(DataError, match=r"a\.png"):
        opened(pairs, on_bad="stop")


def test_gt_may_be_a_little_larger_than_its_lq_says(tmp_path: Path) -> None:
    save(tmp_path / "p/gt/a.png", photo(41, 49))
    save(tmp_path / "p/lq/a.png", photo(40, 48)[::2, ::2])
    for sample in crops(opened(tmp_path / "p")):
        assert sample.lq is not None
        assert np.array_equal(sample.gt[::2, ::2], sample.lq)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "I;16"])
def test_photos_of_every_kind_are_learnt_from_in_colour_and_counted(
    tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    image = Image.fromarray(photo())
    if mode == "I;16":
        image = Image.fromarray(photo()[..., 0].astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    folder = tmp_path / "p"
    folder.mkdir()
    image.save(folder / ("a.jpg" if mode == "CMYK" else "a.png"))
    (sample,) = crops(opened(folder), 1)
    assert sample.gt.shape == (16, 16, 3)
    kinds = {"L": "gray", "LA": "gray", "RGBA": "alpha", "CMYK": "CMYK", "I;16": "16 bit"}
    told = [message for message in caplog.messages if "1 of 1 pictures are converted" in message]
    assert any(message.endswith(kinds[mode]) for message in told) if mode in kinds else not told
    if mode in ("L", "LA", "I;16"):
        assert np.array_equal(sample.gt[..., 0], sample.gt[..., 2])


def shards_of(folder: Path, target: Path, shard_bytes: int = 4000) -> list[Path]:
    """The pictures or pairs of a folder as shards."""
    gts = sorted((folder / "gt" if (folder / "gt").exists() else folder).rglob("*.png"))
    files = []
    for gt in gts:
        lq = Path(str(gt).replace("/gt/", "/lq/"))
        files.append((File(str(gt), gt), File(str(lq), lq) if lq != gt else None))
    entries, unfit = indexed(files, 2)
    assert not unfit
    return [path for path, _ in write_shards(entries, target, shard_bytes=shard_bytes)]


def test_shards_give_the_crops_that_the_files_gave(tmp_path: Path, photos: Path) -> None:
    shards = shards_of(photos, tmp_path / "shards")
    assert len(shards) == 2
    for a, b in zip(crops(opened(photos)), crops(opened(tmp_path / "shards")), strict=True):
        assert np.array_equal(a.gt, b.gt)


def test_shards_made_of_shards_lose_nothing(tmp_path: Path, pairs: Path) -> None:
    (shard,) = shards_of(pairs, tmp_path / "shards", 10**9)
    entries, unfit = entries_of_sets(data_sets([str(shard)]), 2)
    assert not unfit
    made = [path for path, _ in write_shards(entries, tmp_path / "again", shard_bytes=4000)]
    assert len(made) == 2  # by the size of the pictures, not of the shard they lie in
    for a, b in zip(crops(opened(pairs)), crops(opened(tmp_path / "again")), strict=True):
        assert np.array_equal(a.gt, b.gt)
        assert np.array_equal(a.lq, b.lq)


def test_photos_beside_shards_are_learnt_from_too(tmp_path: Path, photos: Path) -> None:
    shards_of(photos, tmp_path / "both", 10**9)
    save(tmp_path / "both/c.png", photo(50, 50))
    assert opened(tmp_path / "both").describe()["pictures"] == 3


def test_the_fingerprint_tells_pictures_in_shards_apart(tmp_path: Path, photos: Path) -> None:
    (first,) = shards_of(photos, tmp_path / "x", 10**9)
    (photos / "a.png").rename(photos / "b.png")
    (second,) = shards_of(photos, tmp_path / "y", 10**9)
    assert opened(first).describe()["fingerprint"] != opened(second).describe()["fingerprint"]


def test_shards_hold_pairs_too(tmp_path: Path, pairs: Path) -> None:
    (shard,) = shards_of(pairs, tmp_path / "shards", 10**9)
    for a, b in zip(crops(opened(pairs)), crops(opened(shard)), strict=True):
        assert np.array_equal(a.gt, b.gt)
        assert np.array_equal(a.lq, b.lq)


def test_equal_sets_make_equal_shards_that_webdataset_reads(tmp_path: Path, pairs: Path) -> None:
    first, second = (shards_of(pairs, tmp_path / name, 10**9)[0] for name in ("x", "y"))
    assert first.read_bytes() == second.read_bytes()
    samples = list(webdataset.WebDataset(str(first), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == ["00000000-a", "00000001-c"]
    assert samples[0]["gt.png"] == (pairs / "gt/a.png").read_bytes()
    assert samples[0]["lq.png"] == (pairs / "lq/a.png").read_bytes()


def test_shards_that_others_made_are_read(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.fromarray(photo()).save(picture, "JPEG", quality=95)
    with tarfile.open(tmp_path / "places-0.tar", "w") as tar:
        for name, content in (("x/1.jpg", picture.getvalue()), ("x/1.cls", b"7"), ("x/2.txt", b"")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert names(crops(opened(tmp_path / "places-0.tar"))) == {"1.jpg"}


@pytest.mark.parametrize("left", [0.3, 0.75, 0.97])
def test_a_shard_cut_short_is_a_sentence_and_its_whole_part_is_used(
    tmp_path: Path, photos: Path, left: float
) -> None:
    save(photos / "b.png", photo(32, 32))
    (shard,) = shards_of(photos, tmp_path / "shards", 10**9)
    end = sum(file.stat().st_size for file in photos.rglob("*.png"))
    shard.write_bytes(shard.read_bytes()[: int(left * end)])
    if left < 0.5:  # nothing whole is left
        with pytest.raises(DataError, match="cut short"):
            opened(shard)
    else:
        source = opened(shard)
        assert {name.split("-")[-1] for name in names(crops(source))} <= {"a.gt.png", "b.gt.png"}
        assert any("cut short" in sentence for sentence in source.skipped.values())
    with pytest.raises(DataError, match="cut short"):
        opened(shard, on_bad="stop")


def test_what_is_no_shard_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no tar file" * 100)
    with pytest.raises(DataError, match="cut short or not an uncompressed tar file"):
        opened(tmp_path / "x.tar")


def test_shards_are_not_written_over(tmp_path: Path, photos: Path) -> None:
    shards_of(photos, tmp_path / "shards")
    with pytest.raises(DataError, match="already has shards"):
        shards_of(photos, tmp_path / "shards")


def test_the_fingerprint_is_that_of_names_and_sizes(tmp_path: Path, photos: Path) -> None:
    shutil.copytree(photos, tmp_path / "copy")
    first, copied = (opened(folder).describe() for folder in (photos, tmp_path / "copy"))
    assert first == copied
    assert first["pictures"] == 2
    save(tmp_path / "copy/a.png", photo(41, 48))
    assert opened(tmp_path / "copy").describe() != first


def test_the_cache_forgets_what_was_used_longest_ago(photos: Path) -> None:
    first, second = (File(str(path), path) for path in sorted(photos.rglob("*.png")))
    cache = PixelCache(limit=photo().nbytes)
    pixels = cache.pixels(first)
    assert cache.pixels(first) is pixels
    cache.pixels(second)
    assert list(cache.pictures) == [second]
    assert cache.held == photo(30, 34).nbytes
