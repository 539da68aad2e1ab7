"""The page for everybody: offline, dark or light, small, by keyboard, read aloud."""

import io

import numpy as np
from PIL import Image

BUFFER = io.BytesIO()
Image.fromarray(np.full((24, 32, 3), 99, np.uint8)).save(BUFFER, "PNG")
PICTURE = BUFFER.getvalue()


def test_nothing_is_asked_of_any_other_computer(visit, address):
    asked = []
    visitor = visit("about:blank", ready=False, color_scheme="light")  # with nothing in a cache
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.page.goto(address)
    visitor.give(PICTURE)
    visitor.wish("Something should go")
    visitor.page.locator("#brush canvas").first.wait_for()
    visitor.wish("It is blurry")
    visitor.restore()
    assert len(asked) > 50
    others = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert others == []


def brightness(visitor):
    colour = visitor.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    return max(int(part) for part in colour[4:-1].split(","))


def test_it_is_dark_for_those_who_have_all_dark(visit, address):
    assert brightness(visit(address, color_scheme="dark")) < 60
    assert brightness(visit(address, color_scheme="light")) > 200


def test_it_fits_a_phone(visit, address):
    visitor = visit(address, viewport={"width": 360, "height": 740}, has_touch=True)
    visitor.give(PICTURE)
    visitor.restore()
    visitor.page.locator("#slider").wait_for()
    assert visitor.page.evaluate("() => document.documentElement.scrollWidth") <= 360
    for name in ("Restore", "Cancel"):
        box = visitor.page.get_by_role("button", name=name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert box["height"] >= 36  # a finger's width


def test_a_photo_is_restored_without_a_mouse(visitor):
    keyboard, choosers = visitor.page.keyboard, []
    visitor.page.on("filechooser", lambda chooser: choosers.append(chooser))

    def tab_to(selector):
        for _ in range(40):
            if visitor.page.evaluate("where => document.activeElement.matches(where)", selector):
                return
            keyboard.press("Tab")
        raise AssertionError(f"{selector} cannot be reached")

    tab_to("#photo button")
    keyboard.press("Enter")
    for _ in range(100):
        if not choosers:
            visitor.page.wait_for_timeout(50)
    file = {"name": "photo.png", "mimeType": "image/png", "buffer": PICTURE}
    choosers[0].set_files(file)
    visitor.page.get_by_role("img", name="Your original photo").wait_for()
    tab_to("#wish input[value='It is too small']")
    keyboard.press("Space")
    visitor.page.locator("#wish .selected input[value='It is too small']").wait_for()
    tab_to("#restore")
    keyboard.press("Enter")
    visitor.page.get_by_role("status").get_by_text("Done in").wait_for()
    tab_to("#line input")
    tab_to("#download")
    with visitor.page.expect_download() as found:
        keyboard.press("Enter")
    assert found.value.suggested_filename == "photo-restored.png"


def test_whatever_can_be_used_has_a_name_to_be_read_aloud(visitor):
    visitor.give(PICTURE)
    visitor.restore()
    visitor.page.get_by_role("button", name="More").click()
    visitor.page.get_by_label("Seed").wait_for()
    spoken = visitor.page.locator("body").aria_snapshot()
    for role in ("button", "radio", "slider", "spinbutton", "listbox", "textbox", "progressbar"):
        nameless = [
            line for line in spoken.splitlines() if line.strip() in (f"- {role}", f"- {role}:")
        ]
        assert nameless == [], role
    assert visitor.page.evaluate("() => document.documentElement.lang") == "en"
    assert visitor.page.title() == "Restore a photo"
