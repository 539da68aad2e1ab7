"""diffir serve: the process as it is started, used and told to stop."""

import dataclasses
import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from official import network, toy
from server import detail, file_of, post
from typer.testing import CliRunner, Result

from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app
from diffir.cli.serve import serve
from diffir.inference.engine import bytes_of
from diffir.serving import Settings

LARGE = file_of(np.zeros((700, 700, 3), np.uint8))
START = "import diffir.cli.serve; from diffir.cli import main; main()"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIFFIR_API_KEY", raising=False)
    model = network(2, toy("deblur"))
    format.save(Checkpoint(model=model, task="deblur"), Path("deblur.safetensors"))


def refused(*words: str) -> str:
    """The sentence on standard error."""
    result: Result = CliRunner().invoke(app, ["serve", *words])
    assert result.exit_code == 2, result.output
    assert result.output.count("\n") == 1
    return result.output


@contextmanager
def process(*words: str, **environment: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A server of its own, and its address."""
    started = subprocess.Popen(
        [sys.executable, "-c", START, "serve", "deblur.safetensors", "--port", "0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", **environment},
    )
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        assert line.startswith("serving deblur on http://"), line
        yield started, line.split()[-1]
    finally:
        started.kill()
        started.communicate()


def until(true: Callable[[], object]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("never came true")


def is_running(client: httpx.Client) -> bool:
    return 'diffir_jobs{state="running"} 1.0' in client.get("/metrics").text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_what_runs_and_ends_with_0(number):
    with (
        process() as (started, address),
        httpx.Client(base_url=address, timeout=60) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        assert post(client).status_code == 200
        runs = pool.submit(post, client, LARGE)
        until(lambda: is_running(client))
        waits = pool.submit(post, client)
        until(lambda: 'state="waiting"} 1.0' in client.get("/metrics").text)
        started.send_signal(number)
        assert "stopping" in detail(waits.result(), 503)
        assert not runs.done()
        with pytest.raises(httpx.ConnectError):
            httpx.get(address + "/healthz")
        assert runs.result().status_code == 200
        assert started.wait(30) == 0
        assert started.stderr.read() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_what_takes_longer_than_the_time_to_stop_is_stopped():
    with (
        process("--stop-seconds", "1") as (started, address),
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        large = file_of(np.zeros((1900, 1900, 3), np.uint8))
        assert post(client, large, to="/v1/jobs").status_code == 202
        until(lambda: is_running(client))
        began = time.monotonic()
        started.send_signal(signal.SIGTERM)
        assert started.wait(30) == 0
        assert 0.5 < time.monotonic() - began < 10


def test_the_key_comes_from_the_environment():
    with process(DIFFIR_API_KEY="a secret\n") as (_, address), httpx.Client() as client:
        client.base_url = httpx.URL(address)
        assert address.startswith("http://127.0.0.1:")
        assert post(client).status_code == 401
        client.headers = httpx.Headers({"X-API-Key": "a secret"})
        assert post(client).status_code == 200


SELF_STOPPED = """
import os, signal, diffir.cli.serve as verb, diffir.serving.server as server

def stopped(work):
    def both(*args, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return work(*args, **options)
    return both

{place} = stopped({place})
verb.app()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("place", ["verb.say", "server.Server.run"])
def test_a_stop_at_the_line_or_before_it_listens_ends_with_0(place):
    words = ["serve", "deblur.safetensors", "--port", "0"]
    command = [sys.executable, "-c", SELF_STOPPED.format(place=place), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("serving deblur on http://")


def test_a_stop_before_any_request_ends_with_0():
    with process() as (started, address):
        httpx.get(address + "/readyz")
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 0


def test_other_computers_need_a_key_or_a_plain_word():
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        assert "set DIFFIR_API_KEY to a secret, or add --no-key" in refused("--host", host)


@pytest.mark.parametrize("words", [["--no-key"], []])
def test_a_plain_word_or_a_key_opens_the_door(monkeypatch, words):
    served = []
    monkeypatch.setattr("diffir.serving.server.serve", lambda *args: served.append(args[1]))
    if not words:
        monkeypatch.setenv("DIFFIR_API_KEY", "secret")
    words = ["serve", "deblur.safetensors", "--host", "0.0.0.0", "--port", "0", *words]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert served[0].getsockname()[0] == "0.0.0.0"
    served[0].close()


def test_mistakes_are_one_sentence():
    assert "no file and no preset 'nope'" in refused("nope")
    assert "deblur has no bundled weights" in refused("deblur")
    twice = refused("deblur.safetensors", "./deblur.safetensors")
    assert "two models would be called deblur" in twice
    assert "wanted a size" in refused("deblur.safetensors", "--max-bytes", "many")
    with process() as (_, address):
        port = address.rpartition(":")[2]
        assert f"cannot listen on 127.0.0.1:{port}" in refused("deblur.safetensors", "--port", port)


def test_without_its_libraries_it_says_how_to_get_them(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("diffir.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert "pip install 'diffir[serve]'" in refused("deblur.safetensors")


def test_the_limits_of_the_command_are_those_of_the_settings():
    told = inspect.signature(serve).parameters
    for field in dataclasses.fields(Settings):
        if field.name != "key":
            default = told[field.name].default
            default = bytes_of(default) if isinstance(default, str) else default
            assert default == field.default, field.name


def test_every_limit_of_the_command_reaches_the_server(monkeypatch):
    given = {
        "max_bytes": 5000,
        "max_pixels": 6000,
        "max_jobs": 7,
        "max_client_jobs": 3,
        "max_batch": 4,
        "seconds": 9.0,
        "keep_seconds": 11.0,
        "keep_bytes": 13000,
        "stop_seconds": 17.0,
    }
    seen: list[Settings] = []
    monkeypatch.setattr("diffir.serving.build_app", lambda _, settings: seen.append(settings))
    monkeypatch.setattr("diffir.serving.server.serve", lambda _, socket, __: socket.close())
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    command = ["serve", "deblur.safetensors", "--port", "0", *words]
    result = CliRunner(env={"DIFFIR_API_KEY": " secret "}).invoke(app, command)
    assert result.exit_code == 0, result.output
    assert dataclasses.asdict(seen[0]) == {**given, "key": "secret"}
