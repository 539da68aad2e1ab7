"""What lies behind the page: wishes, masks, memory, files that go."""

import gc
import io
import time
import weakref
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio.data_classes import FileData
from gradio.route_utils import delete_files_created_by_app
from PIL import Image
from server import PICTURE, Held, restorer

from diffir.app.desk import MEMORIES, STARTED, Desk, bounded, within
from diffir.app.examples import EXAMPLES, write_examples
from diffir.app.orders import Asked, content, order_of
from diffir.app.page import Answers, build_page
from diffir.app.parts import place_parts
from diffir.app.pictures import SCREEN, brushed, pair, shown
from diffir.app.wishes import WISHES, offered
from diffir.errors import PictureError, WeightsError
from diffir.images import Picture
from diffir.serving import Settings
from diffir.serving.schema import Order


def test_only_wishes_that_can_be_granted_are_offered():
    models = {"deblur": restorer("deblur")}
    assert {wish.words: names for wish, names in offered(models).items()} == {
        "It is blurry": ["deblur"]
    }


def test_every_network_serves_one_wish():
    names = ("a", "real-x4-lite", "b", "real-x4-lite-detail")
    models = {name: restorer("sr") for name in names}
    assert {wish.words: names for wish, names in offered(models).items()} == {
        "It is too small": ["a", "b"],
        "It is old and noisy": ["real-x4-lite", "real-x4-lite-detail"],
    }


def test_a_page_without_networks_is_a_sentence():
    with pytest.raises(WeightsError, match="the page has no network"):
        build_page({})


def test_a_bound_of_memory_changes_neither_network_nor_bits():
    free = restorer("deblur")
    tight = bounded(free, MEMORIES["500 MB"])
    assert tight.model is free.model
    assert (free.memory, tight.memory) == (None, 500_000_000)
    photo = np.random.default_rng(0).random((40, 50, 3), np.float32)
    assert np.array_equal(free(photo).pixels, tight(photo).pixels)


def test_strokes_on_a_reduced_photo_become_a_mask_of_the_whole_one():
    layers = [np.zeros((10, 20, 4), np.uint8) for _ in range(2)]
    layers[0][2, 3, 3] = 1  # the faint rim of a stroke counts as the stroke does
    layers[1][9, 19, 3] = 255
    mask = np.asarray(Image.open(io.BytesIO(brushed(layers, 40, 20) or b"")))
    wanted = np.zeros((20, 40), bool)
    wanted[4:6, 6:8] = wanted[18:, 38:] = True
    assert np.array_equal(mask == 255, wanted)
    assert np.array_equal(mask == 0, ~wanted)
    assert brushed([layers[0] * 0], 40, 20) is None


def test_what_is_shown_is_never_larger_than_a_screen_and_lies_upon_each_other():
    large = Picture.from_array(np.zeros((10, 2 * SCREEN, 1), np.uint16))
    assert shown(large).size == (SCREEN, 5)
    before, after = pair(Picture.from_array(np.zeros((9, 7, 3), np.uint8)), large)
    assert before.size == after.size == (SCREEN, 5)


def test_every_example_has_a_wish(tmp_path):
    words = [wish.words for wish in WISHES]
    written = write_examples(tmp_path, words)
    assert [example for _, example in written] == list(EXAMPLES)
    assert {example.wish for example in EXAMPLES} == set(words)
    assert all(path.is_file() for path, _ in written)


def test_an_upload_that_was_removed_or_is_too_large_is_a_sentence(tmp_path):
    with pytest.raises(PictureError, match="the uploaded photo has expired; choose it again"):
        content(str(tmp_path / "gone.png"), "photo", Settings())
    (tmp_path / "large").write_bytes(bytes(2**20 + 1))
    with pytest.raises(PictureError, match="the mask exceeds 1 MiB; choose a smaller one"):
        content(str(tmp_path / "large"), "mask", Settings(max_bytes=2**20))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_a_picture_error_as_the_restorers_is(tmp_path, seed):
    (tmp_path / "photo.png").write_bytes(PICTURE)
    asked = Asked(
        photo=str(tmp_path / "photo.png"),
        wants_mask=False,
        editor=None,
        mask=None,
        model="toy",
        seed=seed,
        memory=STARTED,
        own_format=False,
    )
    with pytest.raises(PictureError, match=f"seed {seed} found; wanted a whole number from 0 to"):
        order_of(asked, Settings())


def test_uploads_are_private_and_go_after_a_while(launched):
    address = launched({"toy": restorer()}, Settings(keep_seconds=1))
    answer = httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.png", b"secret")})
    path = Path(answer.json()[0])
    assert path.read_bytes() == b"secret"
    folder = next(parent for parent in path.parents if parent.name.startswith("diffir-app-"))
    assert folder.stat().st_mode & 0o077 == 0
    for _ in range(100):
        if not path.exists():
            return
        time.sleep(0.1)
    raise AssertionError("still there")


ORDER = Order(picture=PICTURE, model=within("toy", STARTED), format="png")


@pytest.fixture
def desk():
    one = Desk({"toy": restorer("deblur", Held)}, Settings())
    one.open()
    yield one
    one.restorers["toy"].release.set()
    one.close()


def test_all_that_was_shown_of_an_order_goes_with_the_uploads(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks() as page:
        answers = Answers(desk, {"It is blurry": ["toy"]})
        answers.connect(place_parts(answers.wishes, []))
    desk.restorers["toy"].release.set()
    job = desk.submit(ORDER, "a visitor")
    job.outcome.result()
    ended = answers.ended(job, ORDER, "photo.png")
    before, after = map(Path, ended[answers.parts.slider])
    assert before.read_bytes() != after.read_bytes()
    assert before.parent != after.parent
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3  # and the download
    delete_files_created_by_app(page, None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_upload_is_handed_on_without_a_file_more(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks():
        parts = place_parts({"It is blurry": ["toy"]}, [])
    for part in (parts.photo, parts.mask):
        assert part.preprocess(FileData(path="photo.png")) == "photo.png"
        assert part.preprocess(None) is None
    assert not list(tmp_path.iterdir())


def test_the_desk_keeps_no_job_that_has_ended_and_cancels_the_one_that_has_not(desk):
    held = desk.restorers["toy"]
    first = desk.submit(ORDER, "a visitor")
    second = desk.submit(ORDER, "a visitor")  # of another window, say
    first.unwanted = True
    first.outcome.result(20)
    assert held.stopped.wait(20)
    desk.cancel("a visitor")
    assert second.unwanted
    assert second.outcome.result(20)
    third = desk.submit(ORDER, "a visitor")
    held.release.set()
    third.outcome.result(20)
    ended = weakref.ref(third)
    del third
    desk.submit(ORDER, "another").outcome.result(20)  # for its worker still knows the last one
    gc.collect()
    assert ended() is None
