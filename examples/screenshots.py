"""Pictures of the page `diffir app`, for docs/app.md.

python examples/screenshots.py FOLDER [MODEL...]

Takes Debian's chromium and playwright. The pictures of brushing need a network for inpainting.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from diffir.app.launch import opened
from diffir.serving import Settings
from diffir.serving.server import load_models

DESKTOP = {"viewport": {"width": 1000, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SPOON = ((0.60, 0.70), (0.65, 0.55), (0.69, 0.42), (0.71, 0.30), (0.72, 0.24))


def visit(browser: Browser, address: str, **options: object) -> Page:
    """The page, all of it there."""
    page = browser.new_context(**options).new_page()
    page.goto(address)
    page.locator("#examples img").first.wait_for()
    return page


def restore(page: Page) -> None:
    """Restore what is there, and wait for the pictures."""
    page.locator("#restore").click()
    page.get_by_role("status").get_by_text("Done in").wait_for(timeout=300_000)
    page.wait_for_function(
        "() => [...document.querySelectorAll('[data-testid=imageslider-image]')]"
        ".every(image => image.complete)"
    )
    page.wait_for_timeout(1000)


def shot(page: Page, path: Path) -> None:
    """The whole page, however long."""
    page.evaluate("() => scrollTo(0, 0)")
    page.screenshot(path=path, full_page=True, type="jpeg", quality=80)
    print(path)


def brush(page: Page) -> None:
    """Along the spoon's handle."""
    canvas = page.locator("#brush canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(2000)
    box = canvas.bounding_box()
    assert box is not None
    for number, (x, y) in enumerate(SPOON):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
        if not number:
            page.mouse.down()
    page.mouse.up()
    page.wait_for_timeout(1000)


def main(folder: Path, models: list[str]) -> None:
    """Take all pictures."""
    restorers = load_models(models, device="cpu", precision="float32", memory=None)
    with (
        opened(restorers, Settings(), host="127.0.0.1", port=0) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = visit(browser, address, **DESKTOP)
        page.get_by_role("img", name="old").click()
        page.get_by_role("img", name="Your original photo").wait_for()
        restore(page)
        shot(page, folder / "app-result.jpg")
        page = visit(browser, address, color_scheme="dark", **PHONE)
        page.get_by_role("img", name="small").click()
        page.get_by_role("img", name="Your original photo").wait_for()
        restore(page)
        shot(page, folder / "app-phone.jpg")
        page = visit(browser, address, **DESKTOP)
        if page.get_by_role("img", name="spoon").count():
            page.get_by_role("img", name="spoon").click()
            brush(page)
            shot(page, folder / "app-brush.jpg")
            restore(page)
            shot(page, folder / "app-filled.jpg")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
