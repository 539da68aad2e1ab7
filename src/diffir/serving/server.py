"""The process: its models and socket, and an end that loses no running picture."""

import ipaddress
import logging
import math
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from diffir.errors import WeightsError
from diffir.inference import Precision, Restorer
from diffir.loading import bundled_file
from diffir.presets import PRESETS

LAST_WORDS = 10
"""Seconds for answers to go out when the time for jobs is over."""


def is_loopback(host: str) -> bool:
    """Whether only this computer can connect to the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_models(
    names: Sequence[str], *, device: str, precision: Precision, memory: int | None
) -> dict[str, Restorer]:
    """Restorers by the names that clients may use: a preset's, or a file's without its suffix.

    No names: every preset with bundled weights. Raises WeightsError or DeviceError.
    """
    wanted = names or [preset.name for preset in PRESETS.values() if bundled_file(preset)]
    restorers: dict[str, Restorer] = {}
    for name in wanted:
        short = name if name in PRESETS else Path(name).stem
        if short in restorers:
            raise WeightsError(
                f"two models would be called {short}; name each once, or rename one of the files"
            )
        restorers[short] = Restorer.from_pretrained(
            name, device=device, precision=precision, memory=memory
        )
    return restorers


def listen(host: str, port: int) -> socket.socket:
    """A socket that clients can connect to, at any free port for 0; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


class Server(uvicorn.Server):
    """Uvicorn's, which waits for open connections, told to refuse at once what has not begun."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell that it does."""
        await super().startup(sockets)
        if self.started:
            self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """After SIGTERM or SIGINT: no new requests, and the end of those that run."""
        app: Any = self.config.app
        app.state.service.jobs.close()
        await super().shutdown(sockets)


def server_for(app: FastAPI, ready: Callable[[], None] = lambda: None) -> Server:
    """The server of an app that `build_app` made; `ready` is called once it listens."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        # Jobs are given up before, so that clients are told by an answer, not by a cut line.
        timeout_graceful_shutdown=math.ceil(app.state.service.settings.stop_seconds + LAST_WORDS),
    )
    return Server(config, ready)


def serve(app: FastAPI, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Answer until SIGTERM or SIGINT, then finish what runs and return."""
    server = server_for(app, ready)

    def stop(*_: object) -> None:
        server.should_exit = True

    # Uvicorn listens to signals only while it runs: they may come before, and it raises them once
    # more when all is done, which would end the process with them.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    # A malformed form is its sender's matter, who is told.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    server.run(sockets=[listening])
