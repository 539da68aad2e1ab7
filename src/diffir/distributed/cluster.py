"""The Ray cluster that restores: one that runs somewhere, or one of this machine's cores."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

from diffir.errors import DeviceError
from diffir.libraries import needed

LOCAL = "local"
"""Instead of an address: a cluster of this machine alone, which ends with the block."""
STORE = 200_000_000
"""Bytes of a local cluster's shared memory; what does not fit is put on the disk by Ray."""

PATIENCE = 10  # seconds


@contextmanager
def cluster(address: str = LOCAL, cores: int | None = None) -> Iterator[None]:
    """Be connected to a Ray cluster.

    Args:
        address: `local`, `auto` (the one that runs on this machine), `host:port`, `ray://host:port`.
        cores: of a local cluster; None: all of this machine.

    Raises:
        DeviceError: when Ray is not installed, or nothing answers at the address.
    """
    ray = imported()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == LOCAL:
        options |= {"include_dashboard": False, "object_store_memory": STORE, "num_cpus": cores}
    else:
        require_listener(address)
    try:
        with sigterm_kept():
            ray.init(address=address, **options)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        raise nobody_at(address, error) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Undo that Ray ends the process at a SIGTERM without a word; it does so in the main thread."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if current_thread() is main_thread():
        signal.signal(signal.SIGTERM, before)


def imported() -> Any:
    """The module `ray`, which sends no telemetry; raises MissingLibraryError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its new default, without the warning of that
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with needed("ray", "a cluster"):
        import ray
    return ray


def require_listener(address: str) -> None:
    """Raise DeviceError where nothing listens at once, for Ray itself asks for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise nobody_at(address, error) from error


def nobody_at(address: str, error: Exception) -> DeviceError:
    """What to say where no cluster is."""
    return DeviceError(
        f"no Ray cluster at {address} ({first_line(error)}); start one with `ray start --head`, "
        f"or take `{LOCAL}` for this machine alone"
    )


def first_line(error: Exception) -> str:
    """The beginning of what Ray says, which may be pages."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
