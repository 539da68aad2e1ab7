"""One picture in one line, and many by a pipeline."""

import numpy as np
import pytest
from official import network, toy
from PIL import Image
from skimage import data

import diffir
from diffir.checkpoints import Checkpoint, format
from diffir.errors import DeviceError, MaskError, PictureError, WeightsError
from diffir.inference import Pipeline, Restorer, pipeline

PHOTO = np.ascontiguousarray(data.astronaut()[90:122, 200:240])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Toy weights of each task."""
    folder = tmp_path_factory.mktemp("weights")
    for name, task in (("deblur", "deblur"), ("sr-x2", "sr"), ("inpaint", "inpaint")):
        checkpoint = Checkpoint(model=network(2, toy(name)), task=task)
        format.save(checkpoint, folder / f"{task}.safetensors")
    return folder


@pytest.fixture
def deblur(files):
    return Pipeline(model=files / "deblur.safetensors", device="cpu")


def test_one_line_restores_what_a_restorer_does(files):
    model = files / "deblur.safetensors"
    expected = Restorer.from_pretrained(model, device="cpu")(PHOTO, seed=3)
    picture = diffir.restore(PHOTO, model=model, seed=3, device="cpu")
    np.testing.assert_array_equal(picture.pixels, expected.pixels)


def test_one_line_loads_its_network_once(files, monkeypatch):
    model = files / "sr.safetensors"
    pipeline._restorer.cache_clear()
    diffir.restore(PHOTO, model=model, device="cpu")
    monkeypatch.setattr(Restorer, "from_pretrained", None)
    assert diffir.restore(PHOTO, model=model, device="cpu").pixels.shape == (64, 80, 3)


def test_a_pipeline_averages_over_flips_and_rotations_on_request(files):
    model = files / "deblur.safetensors"
    wanted = Restorer.from_pretrained(model, device="cpu", ensemble=True)(PHOTO).pixels
    assert not np.array_equal(wanted, diffir.restore(PHOTO, model=model, device="cpu").pixels)
    (found,) = Pipeline(model=model, device="cpu", ensemble=True)([PHOTO])
    np.testing.assert_array_equal(found.pixels, wanted)


def test_one_line_sees_that_a_file_is_another(tmp_path, monkeypatch):
    def by_name() -> np.ndarray:
        return diffir.restore(PHOTO[:9, :9], model="net.safetensors", device="cpu").pixels

    for seed, folder in enumerate(("a", "b")):
        checkpoint = Checkpoint(model=network(2, toy("deblur"), seed), task="deblur")
        format.save(checkpoint, tmp_path / folder / "net.safetensors")
    monkeypatch.chdir(tmp_path / "a")
    first = by_name()
    monkeypatch.chdir(tmp_path / "b")
    second = by_name()
    assert not np.array_equal(first, second)
    (tmp_path / "a" / "net.safetensors").replace(tmp_path / "b" / "net.safetensors")
    np.testing.assert_array_equal(by_name(), first)


def test_more_detail_makes_a_crisper_picture():
    def crispness(detail: float) -> float:
        restored = diffir.restore(PHOTO, model="real-x4-lite", detail=detail, device="cpu")
        return float(np.abs(np.diff(restored.pixels, axis=0)).mean())

    soft, between, crisp = map(crispness, (0, 0.5, 1))
    assert soft < between < crisp
    assert crisp > 1.05 * soft
    half = Pipeline(model="real-x4-lite", detail=0.5, device="cpu")
    np.testing.assert_array_equal(
        next(half([PHOTO])).pixels,
        diffir.restore(PHOTO, model="real-x4-lite", detail=0.5, device="cpu").pixels,
    )


def test_a_task_means_its_bundled_network():
    assert pipeline.named("deblur", None) == "deblur-lite"
    assert pipeline.named(None, None) == "sr-x4-lite"
    with pytest.raises(WeightsError, match="task sharpen found; wanted one of"):
        pipeline.named("sharpen", None)
    with pytest.raises(WeightsError, match="give one of them"):
        pipeline.named("sr", "deblur-lite")


def test_a_task_without_bundled_weights_takes_the_users_own(files, tmp_path, monkeypatch):
    monkeypatch.setattr("diffir.loading.bundled_file", lambda _preset: None)
    with pytest.raises(WeightsError, match="no bundled weights for task inpaint"):
        pipeline.named("inpaint", None)
    (tmp_path / "inpaint-big.safetensors").write_bytes(b"")
    monkeypatch.setenv("DIFFIR_WEIGHTS", str(tmp_path))
    assert pipeline.named("inpaint", None) == "inpaint-big"


def test_pictures_come_one_by_one_as_they_are_asked_for(deblur):
    read = []

    def images():
        for index in range(3):
            read.append(index)
            yield PHOTO

    pictures = deblur(images())
    assert read == []
    next(pictures)
    assert read == [0]
    assert len(list(pictures)) == 2


def test_a_batch_holds_neighbours_of_equal_size_in_their_order(deblur, monkeypatch):
    sizes, restore_batch = [], deblur.restorer.restore_batch

    def counted(images, **more):
        sizes.append(len(images))
        return restore_batch(images, **more)

    images = [PHOTO, PHOTO[::-1], PHOTO[:, ::-1], PHOTO[:20], PHOTO]
    singles = list(deblur(images))
    monkeypatch.setattr(deblur.restorer, "restore_batch", counted)
    pictures = list(deblur(images, batch_size=2))
    assert sizes == [2, 1, 1, 1]
    for picture, single in zip(pictures, singles, strict=True):
        np.testing.assert_allclose(picture.pixels, single.pixels, atol=1e-5)


def test_each_picture_has_its_mask(files):
    fill = Pipeline(model=files / "inpaint.safetensors", device="cpu")
    masks = [np.zeros(PHOTO.shape[:2], bool) for _ in range(2)]
    masks[0][5:9, 5:9] = masks[1][20:24, 20:24] = True
    original = PHOTO.astype(np.float32) / 255
    for picture, mask in zip(fill([PHOTO, PHOTO], masks=masks, batch_size=2), masks, strict=True):
        changed = (picture.pixels != original).any(axis=-1)
        assert changed[mask].any()
        assert not changed[~mask].any()
    with pytest.raises(PictureError, match="give one for each"):
        list(fill([PHOTO, PHOTO], masks=masks[:1]))
    with pytest.raises(MaskError):
        list(fill([PHOTO]))


def test_what_is_no_list_or_no_batch_is_refused(deblur):
    with pytest.raises(PictureError, match="one picture found; give a list"):
        list(deblur(PHOTO))
    for size in (2.5, None, "2"):
        with pytest.raises(PictureError, match=f"batch size {size!r} found"):
            deblur([PHOTO], batch_size=size)
    with pytest.raises(PictureError, match="batch size 0 found"):
        deblur([PHOTO], batch_size=0)


def test_one_picture_or_mask_in_place_of_many_is_a_sentence(deblur):
    for images, masks in ((Image.fromarray(PHOTO), None), ([PHOTO], "mask.png")):
        with pytest.raises(PictureError, match=r"one (picture|mask) found; give a list"):
            next(deblur(images, masks=masks))


@pytest.mark.parametrize("asked", [{"precision": "fp16"}, {"memory": "2GB"}, {"memory": 0}])
def test_a_precision_or_memory_that_is_none_is_a_sentence(files, asked):
    (name,) = asked
    with pytest.raises(DeviceError, match=f"{name} .* found; wanted"):
        Pipeline(model=files / "deblur.safetensors", device="cpu", **asked)


def test_an_image_cut_short_is_a_sentence(deblur, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-100])
    with pytest.raises(PictureError, match="cannot be decoded"):
        next(deblur([Image.open(tmp_path / "a.jpg")]))


def test_a_bad_picture_takes_no_good_ones_along(deblur, tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    pictures = deblur([PHOTO, PHOTO, tmp_path / "bad.png"], batch_size=4)
    assert [next(pictures).width, next(pictures).width] == [40, 40]
    with pytest.raises(PictureError, match=r"bad\.png"):
        next(pictures)


def test_a_mask_that_is_none_is_the_pictures_own_transparency(files):
    fill = Pipeline(model=files / "inpaint.safetensors", device="cpu")
    alpha = np.full((*PHOTO.shape[:2], 1), 255, np.uint8)
    alpha[5:9, 5:9] = 0
    (picture,) = fill([np.dstack([PHOTO, alpha])], masks=[None])
    assert (picture.alpha == 1).all()
    with pytest.raises(PictureError, match="more masks than pictures"):
        list(fill([np.dstack([PHOTO, alpha])], masks=[None, None]))


def test_the_largest_file_to_read_is_the_callers_choice(files, deblur, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    for call in (
        lambda: next(deblur([tmp_path / "a.png"], max_pixels=9)),
        lambda: diffir.restore(
            tmp_path / "a.png", model=files / "deblur.safetensors", device="cpu", max_pixels=9
        ),
    ):
        with pytest.raises(PictureError, match="at most 9 are decoded"):
            call()


def test_one_line_keeps_few_networks(files, monkeypatch):
    monkeypatch.setattr(Restorer, "from_pretrained", lambda *_args, **_options: object())
    pipeline._restorer.cache_clear()
    for index in range(9):
        pipeline._restorer(files / "deblur.safetensors", "cpu", index / 9, ())
    assert pipeline._restorer.cache_info().currsize == 4
    pipeline._restorer.cache_clear()
