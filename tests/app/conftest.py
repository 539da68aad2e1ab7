"""A page with toy networks on a real port, and a real browser that visits it."""

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from official import network, toy
from PIL import Image, ImageCms
from server import Held, restorer
from skimage import data
from typer.testing import CliRunner

from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app
from diffir.serving import Settings
from diffir.serving.server import load_models

PHOTO = np.ascontiguousarray(data.astronaut()[60:156, 190:318])  # (96, 128, 3)
PRESETS = {"deblur": "deblur", "sr": "sr-x2", "real-x4-lite": "sr-x2", "inpaint": "inpaint"}
SETTINGS = Settings(max_pixels=1_000_000, max_bytes=2**22, seconds=60)


def jpeg() -> bytes:
    """A JPEG with a profile and EXIF."""
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "JPEG", exif=exif, icc_profile=profile)
    return buffer.getvalue()


@pytest.fixture(scope="module")  # while it is there, nobody else in this process can run a loop
def browser() -> Iterator[Any]:
    """Playwright's, for Debian's chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        # The tests may be root, whom the sandbox refuses; they visit no page but ours.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photo and toy weights of every task, as a visitor's own would be."""
    folder = tmp_path_factory.mktemp("files")
    for name, preset in PRESETS.items():
        task = "sr" if name.startswith("real") else name
        format.save(
            Checkpoint(model=network(2, toy(preset)), task=task), folder / f"{name}.safetensors"
        )
    (folder / "photo.jpg").write_bytes(jpeg())
    return folder


@pytest.fixture(scope="module")
def launched() -> Iterator[Callable[..., str]]:
    """What opens a page for restorers and gives its address."""
    from diffir.app.launch import opened

    with ExitStack() as stack:
        yield lambda restorers, settings=SETTINGS: stack.enter_context(
            opened(restorers, settings, host="127.0.0.1", port=0)
        )


@pytest.fixture(scope="module")
def address(launched: Callable[..., str], files: Path) -> str:
    """A page with a toy for every wish."""
    names = [str(files / f"{name}.safetensors") for name in PRESETS]
    return launched(load_models(names, device="cpu", precision="float32", memory=None))


@pytest.fixture
def held() -> Iterator[Held]:
    one = restorer("deblur", Held)
    yield one  # type: ignore[misc]
    one.release.set()  # type: ignore[attr-defined]


@pytest.fixture
def command_line(files: Path, tmp_path: Path) -> Callable[..., bytes]:
    """The bytes that `diffir restore` makes of the photo."""

    def run(model: str, suffix: str, *options: str) -> bytes:
        target = tmp_path / f"out.{suffix}"
        words = [
            "restore",
            str(files / "photo.jpg"),
            "-o",
            str(target),
            "--model",
            f"{files / model}.safetensors",
        ]
        result = CliRunner().invoke(app, [*words, *options])
        assert result.exit_code == 0, result.output
        return target.read_bytes()

    return run


class Visitor:
    """Somebody at the page."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def wish(self, words: str) -> None:
        self.page.get_by_role("radio", name=words).check()

    def give(self, data: bytes, name: str = "photo.png", to: str = "photo") -> None:
        """Upload a file, instead of the one that was there."""
        clear = self.page.locator(f"#{to}").get_by_role("button", name="Clear")
        if clear.count():
            clear.click()
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        self.page.locator(f"#{to} input[type=file]").set_input_files(file)
        clear.wait_for()

    def start(self) -> None:
        self.page.get_by_role("button", name="Restore").click()

    def restore(self) -> None:
        """Start, and wait until it is done."""
        self.start()
        self.page.get_by_role("status").get_by_text("Done in").wait_for()

    def downloaded(self) -> tuple[str, bytes]:
        """The name and the bytes of the restored photo."""
        with self.page.expect_download() as found:
            self.page.locator("#download").click()
        return found.value.suggested_filename, Path(found.value.path()).read_bytes()

    def complaint(self, where: str = "status") -> str:
        """What the page says is wrong, with the photo (trouble) or with the order (status)."""
        alert = self.page.locator(f"#{where}").get_by_role("alert")
        alert.wait_for()
        text = alert.inner_text()
        assert text
        assert "\n" not in text
        return text


@pytest.fixture(scope="module")
def context(browser: Any) -> Iterator[Any]:
    """The browser, with a cache: the second visit takes half as long."""
    with browser.new_context() as context:
        yield context


@pytest.fixture
def visit(browser: Any, context: Any) -> Iterator[Callable[..., Visitor]]:
    """What opens an address in a window of its own.

    With options, or beside another visitor, it has a browser of its own: the pages of one share few
    connections.
    """
    with ExitStack() as stack:

        def go(address: str, *, ready: bool = True, **options: object) -> Visitor:
            is_own = bool(options or context.pages)
            chosen = stack.enter_context(browser.new_context(**options)) if is_own else context
            chosen.set_default_timeout(60_000)
            page = stack.enter_context(chosen.new_page())
            page.goto(address)
            if ready:
                page.get_by_role("img", name="small").or_(
                    page.get_by_role("img", name="blurry")
                ).first.wait_for()
            return Visitor(page)

        yield go


@pytest.fixture
def visitor(visit: Callable[..., Visitor], address: str) -> Visitor:
    """Somebody at the page with a toy for every wish."""
    return visit(address)
