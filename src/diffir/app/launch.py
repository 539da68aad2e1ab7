"""The process of a page, with a private folder for its files that is deleted at the end."""

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
from diffir.serving.server import in_url, listen

from .desk import Desk
from .page import look, page_of

FOLDER = "GRADIO_TEMP_DIR"


@contextmanager
def private_files() -> Iterator[None]:
    """Make Gradio keep its files in a temporary folder that only this user can read."""
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
    """Serve a page until the block ends; yields its URL. Raises OSError."""
    with listen(host, port) as found:  # reports errors, and finds a free port for 0
        port = found.getsockname()[1]
    logging.getLogger("uvicorn.error").addFilter(is_news)
    with private_files():
        desk = Desk(restorers, settings)
        page = page_of(desk)
        desk.open()
        try:
            page.launch(
                **look(settings),
                server_name=in_url(host),
                server_port=port,
                prevent_thread_lock=True,
                quiet=True,
            )
            yield f"http://{in_url(host)}:{port}"
        finally:
            page.close(verbose=False)
            desk.close()


def is_news(record: logging.LogRecord) -> bool:
    """Whether uvicorn should log it: not if a visitor left during an upload."""
    return not (record.exc_info and isinstance(record.exc_info[1], ClientDisconnect))


def until_told_to_stop(ready: Callable[[], None]) -> None:
    """Wait for SIGTERM or SIGINT; they are handled from before `ready` is called."""
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    ready()
    stopped.wait()
