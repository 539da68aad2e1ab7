"""The server process: its models, its socket, and a graceful shutdown."""

import ipaddress
import logging
import math
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI

from diffir.errors import WeightsError
from diffir.inference import Precision, Restorer
from diffir.inference.engine import bytes_of
from diffir.loading import bundled_file
from diffir.presets import PRESETS

FLUSH_SECONDS = 10
"""Seconds to send the last responses after the grace period for jobs."""


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
    """Restorers by the name clients use: a preset's, or a file's without its suffix.

    No names: every preset with bundled weights. Raises WeightsError or DeviceError.
    """
    wanted = names or [preset.name for preset in PRESETS.values() if bundled_file(preset)]
    restorers: dict[str, Restorer] = {}
    for name in wanted:
        short = name if name in PRESETS else Path(name).stem
        if short in restorers:
            raise WeightsError(
                f"two models would be called {short}; give each once, or rename one of the files"
            )
        restorers[short] = Restorer.from_pretrained(
            name, device=device, precision=precision, memory=memory
        )
    return restorers


def loaded(
    names: Sequence[str] | None,
    *,
    device: str,
    precision: Precision,
    memory: str | None,
    threads: int | None,
) -> dict[str, Restorer]:
    """As `load_models`, from the options of the command line: `memory` in words, such as 2GB."""
    if threads:
        torch.set_num_threads(threads)
    return load_models(
        names or [],
        device=device,
        precision=precision,
        memory=None if memory is None else bytes_of(memory),
    )


def in_url(host: str) -> str:
    """The host as URLs write it: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free port. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


class Server(uvicorn.Server):
    """Uvicorn's server, which at shutdown refuses waiting jobs and finishes running ones."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then call `ready`."""
        await super().startup(sockets)
        if self.started:
            self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """After SIGTERM or SIGINT: refuse new requests, and finish running ones."""
        app: Any = self.config.app
        app.state.service.jobs.close()
        await super().shutdown(sockets)


def server_for(app: FastAPI, ready: Callable[[], None] = lambda: None) -> Server:
    """The server for an app made by `build_app`; `ready` is called once it listens."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        # Jobs are stopped earlier, so that clients get an error response, not a dropped connection.
        timeout_graceful_shutdown=math.ceil(
            app.state.service.settings.stop_seconds + FLUSH_SECONDS
        ),
    )
    return Server(config, ready)


def serve(app: FastAPI, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish running jobs and return."""
    server = server_for(app, ready)

    def stop(*_: object) -> None:
        server.should_exit = True

    # Uvicorn handles signals only while it runs: they may arrive earlier, and at the end it raises
    # them again, which would end the process with a non-zero status.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    # A malformed form is the client's error, reported in the response.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    server.run(sockets=[listening])
