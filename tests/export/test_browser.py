"""The page in docs/browser, in a real browser, gives what ONNX Runtime gives here."""

import functools
import importlib.util
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from skimage import data

from diffir.export import ExportedRestorer, Target

pytest.importorskip("onnxscript", reason="exports take diffir[export]")
pytest.importorskip("onnxruntime", reason="exports take diffir[export]")
sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright to drive a browser")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no chromium is installed", allow_module_level=True)

ROOT = Path(__file__).parents[2]
Exported = Callable[[str, Target], Path]
pytestmark = pytest.mark.timeout(600)  # tracing, on a busy machine


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    """examples/browser_page.py."""
    spec = importlib.util.spec_from_file_location("page", ROOT / "examples" / "browser_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(
    builder: ModuleType, exported: Exported, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page with the toy network."""
    folder = tmp_path_factory.mktemp("page")
    try:
        builder.build(folder, exported("sr-x4", "onnx"), "toy")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"npm has no {builder.RUNTIME}, neither stored nor to fetch ({error})")
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def page(address: str) -> "Iterator[sync_api.Page]":
    """The opened page, which reaches its own server alone."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page()
        page.set_default_timeout(60_000)
        errors: list[object] = []
        page.on("pageerror", lambda error: errors.append(error))
        page.on("request", lambda request: errors.extend(foreign(request.url, address)))
        page.goto(address)
        yield page
        browser.close()
        assert errors == []


def foreign(url: str, address: str) -> list[str]:
    return [] if url.startswith((address, f"blob:{address}", "data:")) else [url]


def test_a_photo_is_enlarged_as_by_onnxruntime(
    page: "sync_api.Page", exported: Exported, tmp_path: Path
) -> None:
    photo = Image.fromarray(data.astronaut()[40:77, 200:251])
    photo.save(tmp_path / "photo.png")
    page.set_input_files("#file", tmp_path / "photo.png")
    assert page.is_hidden("#save")
    page.click("#run")  # waits until the network is loaded
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "restored.png")
    found = np.asarray(Image.open(tmp_path / "restored.png").convert("RGB"), np.int16)
    restorer = ExportedRestorer.from_file(exported("sr-x4", "onnx"))
    wanted = np.asarray(restorer(photo, seed=0).to_pil(), np.int16)
    assert found.shape == wanted.shape == (4 * 37, 4 * 51, 3)
    assert np.abs(found - wanted).max() <= 1  # another order of sums, another rounding
    assert "204×148" in (page.text_content("#status") or "")


def test_what_the_page_can_not_take_is_told(page: "sync_api.Page", tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "text.png")
    page.wait_for_function("document.getElementById('status').textContent.includes('no picture')")
    assert page.is_disabled("#run")
    Image.new("RGB", (600, 600)).save(tmp_path / "large.png")
    page.set_input_files("#file", tmp_path / "large.png")
    page.wait_for_function("document.getElementById('status').textContent.includes('too many')")
    assert page.is_disabled("#run")
