"""What lies behind the page: wishes, masks, memory, files that go."""

import io
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from server import restorer

from diffir.app.desk import MEMORIES, bounded
from diffir.app.examples import EXAMPLES, write_examples
from diffir.app.orders import content
from diffir.app.page import build_page
from diffir.app.pictures import SCREEN, brushed, pair, shown
from diffir.app.wishes import WISHES, offered
from diffir.errors import PictureError, WeightsError
from diffir.images import Picture
from diffir.serving import Settings


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
    with pytest.raises(WeightsError, match="no network is there"):
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
    with pytest.raises(PictureError, match="the photo is no longer here; choose it again"):
        content(str(tmp_path / "gone.png"), "photo", Settings())
    (tmp_path / "large").write_bytes(bytes(2**20 + 1))
    with pytest.raises(PictureError, match="the mask has more than 1 MiB; give a smaller one"):
        content(str(tmp_path / "large"), "mask", Settings(max_bytes=2**20))


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
