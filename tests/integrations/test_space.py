"""The Space's folder is one that Hugging Face builds, and its page is diffir's."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "integrations" / "space"


def head() -> dict[str, object]:
    _, yaml_text, _ = (FOLDER / "README.md").read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(yaml_text)


def test_the_head_of_the_readme_says_how_to_run_it():
    told = head()
    assert told["sdk"] == "gradio"
    assert (FOLDER / str(told["app_file"])).is_file()
    assert str(told["sdk_version"]).startswith("6.")
    assert len(str(told["short_description"])) <= 60  # the Hub's limit


def test_what_is_installed_is_diffir_with_its_page_and_no_namesake_of_the_index():
    (wanted,) = (FOLDER / "requirements.txt").read_text().splitlines()
    assert wanted.startswith("diffir[app,hub] @ https://")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def answer(url: str, process: subprocess.Popen[bytes]) -> str:
    """What the page says, once it is up."""
    for _ in range(300):
        try:
            with urlopen(url, timeout=5) as response:
                return response.read().decode()
        except OSError:
            assert process.poll() is None, "the app ended"
            time.sleep(0.2)
    raise AssertionError("no page came up")


def test_the_app_shows_a_page_for_the_bundled_networks():
    pytest.importorskip("gradio")
    port = free_port()
    hosts = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    command = [sys.executable, str(FOLDER / "app.py")]
    with subprocess.Popen(command, env=os.environ | hosts, stdout=subprocess.DEVNULL) as process:
        try:
            page = answer(f"http://127.0.0.1:{port}/config", process)
        finally:
            process.kill()
    assert "deblur-lite" in page
    assert "It is too small" in page
