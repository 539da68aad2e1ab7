"""The page in a real browser: every wish, and the bits that the command line writes."""

import io

import numpy as np
import pytest
from PIL import Image

SLOT = {
    "It is blurry": "deblur",
    "It is too small": "sr",
    "It is old and noisy": "real-x4-lite",
    "Something should go": "inpaint",
}


@pytest.mark.parametrize("words", list(SLOT)[:3])
def test_the_download_has_the_bits_of_the_command_line(visitor, files, command_line, words):
    visitor.give((files / "photo.jpg").read_bytes(), "my photo.jpg")
    visitor.wish(words)
    visitor.restore()
    name, got = visitor.downloaded()
    assert name == "my photo-restored.png"
    assert got == command_line(SLOT[words], "png")


def test_what_stands_under_more_counts_and_the_own_format_keeps_exif_and_profile(
    visitor, files, command_line
):
    visitor.give((files / "photo.jpg").read_bytes(), "photo.jpg")
    visitor.wish("It is too small")
    page = visitor.page
    page.get_by_role("button", name="More").click()
    page.get_by_role("radio", name="the photo's own format").check()
    page.get_by_label("Seed").fill("7")
    page.keyboard.press("Tab")
    page.get_by_label("Memory").click()
    page.get_by_role("option", name="500 MB").click()
    visitor.restore()
    name, got = visitor.downloaded()
    assert name == "photo-restored.jpg"
    assert got == command_line("sr", "jpg", "--seed", "7")
    assert got != command_line("sr", "jpg", "--overwrite")
    image = Image.open(io.BytesIO(got))
    assert image.size == (256, 192)
    assert image.getexif()[0x010F] == "A camera"
    assert image.info["icc_profile"]


def test_what_is_brushed_over_goes_and_the_mask_is_shown(
    visit, address, files, command_line, tmp_path
):
    visitor = visit(address, viewport={"width": 500, "height": 900})
    visitor.wish("Something should go")
    visitor.give((files / "photo.jpg").read_bytes(), "photo.jpg")
    visitor.start()
    assert "nothing is brushed over yet" in visitor.complaint()
    page = visitor.page
    canvas = page.locator("#brush canvas").first
    page.locator("#brush").get_by_text("%").wait_for()  # how much the photo is zoomed, once there
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # it is drawn some frames later
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 10, steps=5)
    page.mouse.up()
    visitor.restore()
    shown = page.locator("#filled img")
    assert shown.get_attribute("alt") == "The mask: white was filled"
    mask = page.request.get(shown.get_attribute("src")).body()
    holes = np.asarray(Image.open(io.BytesIO(mask)))
    assert holes.shape == (96, 128)
    assert set(np.unique(holes)) == {0, 255}
    assert holes[48, 64] == 255
    assert 0.005 < (holes > 0).mean() < 0.3
    (tmp_path / "mask.png").write_bytes(mask)
    _, got = visitor.downloaded()
    assert got == command_line("inpaint", "png", "--mask", str(tmp_path / "mask.png"))


def test_before_and_after_lie_under_a_line_that_mouse_and_keyboard_move_and_a_wheel_that_zooms(
    visitor, files
):
    visitor.give((files / "photo.jpg").read_bytes(), "photo.jpg")
    visitor.wish("It is too small")
    visitor.restore()
    page = visitor.page
    images = page.get_by_test_id("imageslider-image")
    assert images.count() == 2
    page.wait_for_function(
        "() => [...document.querySelectorAll('[data-testid=imageslider-image]')]"
        ".every(image => image.complete && image.naturalWidth === 256)"
    )

    def until_cut(low, high):
        """Until the line lies between, in per cent of the width."""
        page.wait_for_function(
            "([low, high]) => { const after = document.querySelectorAll("
            "'[data-testid=imageslider-image]')[1];"
            " const cut = parseFloat(after.style.clipPath.match(/([\\d.]+)%/)[1]);"
            " return low < cut && cut < high }",
            arg=[low, high],
        )

    until_cut(49, 51)
    line = page.get_by_role("slider", name="Line between before and after")
    line.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    until_cut(29, 31)
    page.locator("#slider").scroll_into_view_if_needed()
    handle = page.locator("#slider [data-testid=slider]").bounding_box()
    page.mouse.move(handle["x"] + 5, handle["y"] + 100)
    page.mouse.down()
    page.mouse.move(handle["x"] + 105, handle["y"] + 100, steps=3)
    page.mouse.up()
    until_cut(35, 49)
    assert "scale(1)" in images.first.get_attribute("style")
    page.mouse.move(handle["x"] + 150, handle["y"] + 100)
    page.mouse.wheel(0, -100)
    page.wait_for_function(
        "() => !document.querySelector('[data-testid=imageslider-image]')"
        ".style.transform.includes('scale(1)')"
    )


def test_an_example_brings_its_wish_along(visitor):
    visitor.page.get_by_role("button", name="Thumbnail 2").click()
    visitor.page.locator("#photo").get_by_text("small").first.wait_for()
    assert visitor.page.get_by_role("radio", name="It is too small").is_checked()
    visitor.page.get_by_role("img", name="Your original photo").wait_for()
    visitor.restore()
    assert Image.open(io.BytesIO(visitor.downloaded()[1])).size == (192, 192)
