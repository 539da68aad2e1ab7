"""diffir app: the process as it is started, used and told to stop."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from diffir.cli.app import app

START = "import diffir.cli.web; from diffir.cli import main; main()"


def refused(*words: str) -> str:
    """The sentence on standard error."""
    result = CliRunner().invoke(app, ["app", *words])
    assert result.exit_code == 2, result.output
    assert result.output.count("\n") == 1
    return result.output


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_told_to_stop_it_ends_with_0_and_leaves_no_file(files, tmp_path):
    started = subprocess.Popen(
        [sys.executable, "-c", START, "app", str(files / "deblur.safetensors"), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(tmp_path),
        },
    )
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        assert line.startswith("open http://127.0.0.1:"), line
        address = line.split()[1]
        answer = httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.png", b"secret")})
        assert "diffir-app-" in str(Path(answer.json()[0]).relative_to(tmp_path))
        port = address.rpartition(":")[2]
        busy = refused(str(files / "deblur.safetensors"), "--port", port)
        assert f"cannot listen on 127.0.0.1:{port}" in busy
        started.send_signal(signal.SIGTERM)
        assert started.wait(30) == 0
        assert started.stderr is not None
        assert started.stderr.read() == ""
    finally:
        started.kill()
        started.communicate()
    # Gradio makes an empty folder of its own when it is imported.
    assert [path for path in tmp_path.rglob("*") if path.is_file() or "diffir" in path.name] == []


def test_other_computers_are_let_in_by_a_plain_word_alone(monkeypatch, files):
    for host in ("0.0.0.0", "::", "example.org"):
        assert "add --no-key if that is intended" in refused("--host", host)
    listened = []

    def stop(_restorers, _settings, *, host, port):
        listened.append((host, port))
        raise OSError(1, "no more of this")

    monkeypatch.setattr("diffir.app.launch.opened", stop)
    weights = str(files / "deblur.safetensors")
    assert "no more of this" in refused(weights, "--host", "0.0.0.0", "--no-key")
    assert listened == [("0.0.0.0", 7860)]


def test_mistakes_are_one_sentence():
    assert "no file and no preset 'nope'" in refused("nope")
    assert "inpaint has no bundled weights" in refused("inpaint")


def test_without_its_libraries_it_says_how_to_get_them(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("diffir.app")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert "pip install 'diffir[app]'" in refused()
