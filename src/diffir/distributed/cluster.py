"""Connecting to a Ray cluster: a running one, or a local one on this machine's cores."""

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
"""In place of an address: a cluster on this machine only, stopped at the end of the block."""
STORE = 200_000_000
"""Bytes of a local cluster's shared memory; Ray spills the rest to disk."""

CONNECT_TIMEOUT = 10  # seconds


@contextmanager
def cluster(address: str = LOCAL, cores: int | None = None) -> Iterator[None]:
    """Connect to a Ray cluster for the length of the block.

    Args:
        address: `local`, `auto` (the one that runs on this machine), `host:port`, `ray://host:port`.
        cores: of a local cluster; None: all cores of this machine.

    Raises:
        DeviceError: when nothing answers at the address.
        MissingLibraryError: when Ray is not installed.
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
        raise no_cluster(address, error) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Restore the SIGTERM handler, which Ray replaces in the main thread by a silent exit."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if current_thread() is main_thread():
        signal.signal(signal.SIGTERM, before)


def imported() -> Any:
    """The module `ray`, which sends no telemetry; raises MissingLibraryError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's new default, set here to avoid its warning about the change
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with needed("ray", "a cluster"):
        import ray
    return ray


def require_listener(address: str) -> None:
    """Raise DeviceError at once if nothing listens: Ray itself would retry for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT).close()
        except (OSError, OverflowError) as error:
            raise no_cluster(address, error) from error


def no_cluster(address: str, error: Exception) -> DeviceError:
    """The error if no cluster is found at an address."""
    return DeviceError(
        f"no Ray cluster at {address} ({first_line(error)}); start one with `ray start --head`, "
        f"or use `{LOCAL}` for this machine only"
    )


def first_line(error: Exception) -> str:
    """The first line of an error message of Ray, which may be pages long."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
