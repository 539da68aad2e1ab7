"""The process of a page: its files in a folder of its own, and an end that leaves none of them."""

import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event

from starlette.requests import ClientDisconnect

from diffir.inference import Restorer
from diffir.serving import Settings
from diffir.serving.server import listen

from .desk import Desk
from .page import look, page_of

FOLDER = "GRADIO_TEMP_DIR"


@contextmanager
def private_files() -> Iterator[None]:
    """Let Gradio keep its files in a folder that none but this user can read, and that goes."""
    before = os.environ.get(FOLDER)
    with tempfile.TemporaryDirectory(prefix="diffir-app-", ignore_cleanup_errors=True) as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            os.environ.pop(FOLDER)
            if before is not None:
                os.environ[FOLDER] = before


@contextmanager
def opened(
    restorers: Mapping[str, Restorer], settings: Settings, *, host: str, port: int
) -> Iterator[str]:
    """A page that can be visited at the address given, until the block ends; raises OSError."""
    with listen(host, port) as found:  # says why not, and finds a free port for 0
        port = found.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    logging.getLogger("uvicorn.error").addFilter(is_news)
    with private_files():
        desk = Desk(restorers, settings)
        page = page_of(desk)
        desk.open()
        try:
            page.launch(
                **look(settings),
                server_name=shown,
                server_port=port,
                prevent_thread_lock=True,
                quiet=True,
            )
            yield f"http://{shown}:{port}"
        finally:
            page.close(verbose=False)
            desk.close()


def is_news(record: logging.LogRecord) -> bool:
    """Whether uvicorn shall log it: no visitor who left in the middle of an upload."""
    return not (record.exc_info and isinstance(record.exc_info[1], ClientDisconnect))


def until_told_to_stop(ready: Callable[[], None]) -> None:
    """Wait for SIGTERM or SIGINT, which may come from when `ready` is called on."""
    told = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    ready()
    told.wait()
