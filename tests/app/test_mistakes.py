"""What visitors get wrong: one sentence each, on the page."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SMALL = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def file_of(kind, samples=SMALL, **options):
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png_that_claims(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(99)))
    return b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")


FRAMES = [Image.fromarray(SMALL), Image.fromarray(255 - SMALL)]
WRONG = {
    "a text.png": (b"no picture at all, whatever the name says", "not a picture; wanted PNG"),
    "cut.png": (file_of("PNG")[:2000], "cut short"),
    "cut.jpg": (file_of("JPEG")[:1000], "cut short"),
    "empty.png": (b"", "an empty file found"),
    "claims.png": (png_that_claims(100_000, 100_000), "more than 1000000 pixels"),
    "moves.gif": (
        file_of("GIF", save_all=True, append_images=[FRAMES[1]]),
        "a GIF file found; wanted PNG",
    ),
    "moves.webp": (file_of("WEBP", save_all=True, append_images=[FRAMES[1]]), "an animation"),
    "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC, AVIF or video file found"),
    "<b>name.pdf": (b"%PDF-1.7", "a PDF file found"),
}


def test_wrong_files_are_a_sentence_each_and_the_next_photo_is_none_the_worse(visitor):
    for name, (data, words) in WRONG.items():
        visitor.give(data, name)
        visitor.page.locator("#trouble").get_by_text(words).wait_for()
        assert visitor.complaint("trouble").startswith("the photo")
        visitor.start()
        visitor.page.locator("#status").get_by_text(words).wait_for()
        assert visitor.complaint().startswith("the p")
        assert not visitor.page.locator("#preview").is_visible()
    visitor.give(file_of("PNG"))
    visitor.restore()
    assert visitor.page.get_by_role("alert").count() == 0
    assert Image.open(io.BytesIO(visitor.downloaded()[1])).size == (50, 40)


MASKS = {
    "small.png": (file_of("PNG", SMALL[:9, :9]), "the mask is 9×9, the picture 128×96"),
    "empty.png": (b"", "the mask: an empty file found"),
    "black.png": (file_of("PNG", np.zeros((96, 128), np.uint8)), "the mask has no hole"),
    "claims.png": (png_that_claims(100_000, 100_000), "the mask has more than 1000000 pixels"),
}


def test_wrong_masks_are_a_sentence_each_and_a_right_one_does(
    visitor, files, command_line, tmp_path
):
    photo = (files / "photo.jpg").read_bytes()
    visitor.wish("Something should go")
    visitor.give(photo, "photo.jpg")
    for name, (mask, words) in MASKS.items():
        visitor.give(mask, name, to="mask")
        visitor.start()
        visitor.page.locator("#status").get_by_text(words).wait_for()
        assert words in visitor.complaint()
    holes = np.zeros((96, 128), np.uint8)
    holes[20:40, 30:60] = 255
    (tmp_path / "mask.png").write_bytes(file_of("PNG", holes))
    visitor.give((tmp_path / "mask.png").read_bytes(), "right.png", to="mask")
    visitor.restore()
    _, got = visitor.downloaded()
    assert got == command_line("inpaint", "png", "--mask", str(tmp_path / "mask.png"))
    visitor.give(photo, "other.jpg")  # whose mask this is not
    visitor.page.locator("#mask").get_by_text("Drop File Here").wait_for()


def test_a_click_without_a_photo_or_with_a_wild_seed_is_a_sentence(visitor):
    visitor.start()
    assert visitor.complaint() == "no photo chosen yet; choose one first"
    visitor.give(file_of("PNG"))
    visitor.page.get_by_role("button", name="More").click()
    visitor.page.get_by_label("Seed").wait_for()
    visitor.page.wait_for_timeout(1000)  # a part that has just opened sets its values once more
    visitor.page.get_by_label("Seed").fill("-1")
    visitor.page.keyboard.press("Tab")
    visitor.page.wait_for_timeout(1000)  # what is filled in counts some frames later
    visitor.start()
    visitor.page.get_by_text("seed -1 found; wanted a whole number").wait_for()


def test_a_file_of_too_many_bytes_is_a_sentence(visitor):
    noise = np.random.default_rng(0).integers(0, 256, (1300, 1300, 3), np.uint8)
    large = file_of("PNG", noise)
    assert len(large) > 2**22
    file = {"name": "large.png", "mimeType": "image/png", "buffer": large}
    visitor.page.locator("#photo input[type=file]").set_input_files(file)
    visitor.page.get_by_text("exceed the maximum allowed size of 4.0 M").first.wait_for()
