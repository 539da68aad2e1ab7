"""Limits: API key, concurrent requests, bytes and pixels."""

import hmac
from collections import Counter
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from threading import Lock

from fastapi import HTTPException

from diffir.errors import PictureError
from diffir.images import Header, PictureSizeError, header
from diffir.images.read import kind_of, understood

from .bombs import refuse_bomb

SOON = {"Retry-After": "5"}


def require_key(wanted: str | None, shown: str | None) -> None:
    """Raise 401 unless the right key was sent."""
    if wanted is None:
        return
    # Headers are decoded as Latin-1 even if they are UTF-8.
    sent = (shown or "").encode("latin-1", "replace")
    if not hmac.compare_digest(sent, wanted.encode()):
        raise HTTPException(
            401,
            "the API key is missing or wrong; send it as `Authorization: Bearer KEY` or as "
            "`X-API-Key: KEY`",
            {"WWW-Authenticate": "Bearer"},
        )


class Tickets:
    """One for each unfinished request or job, up to a limit per client and in total."""

    def __init__(self, total: int, of_client: int) -> None:
        self.total, self.of_client = total, of_client
        self.taken: Counter[str] = Counter()
        self._lock = Lock()

    def take(self, client: str) -> Callable[[], None]:
        """Take a ticket; returns the function that releases it. Raises 429 or 503."""
        with self._lock:
            if self.taken[client] >= self.of_client:
                raise HTTPException(
                    429,
                    f"{self.of_client} of your requests are in progress; wait for one to finish",
                    SOON,
                )
            if self.taken.total() >= self.total:
                raise HTTPException(503, "the server is busy; try again in a few seconds", SOON)
            self.taken[client] += 1
        return lambda: self._release(client)

    def _release(self, client: str) -> None:
        with self._lock:
            self.taken[client] -= 1
            if not self.taken[client]:
                del self.taken[client]


async def counted(stream: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """The chunks of a body of at most `most` bytes; raises 413."""
    total = 0
    async for chunk in stream:
        total += len(chunk)
        if total > most:
            raise HTTPException(413, f"more than {most} bytes sent; send a smaller picture")
        yield chunk


def examine(data: bytes, name: str, max_pixels: int) -> Header:
    """The header of a picture that is safe to decode; raises 413, 415 or 422."""
    try:
        kind = kind_of(BytesIO(data))
    except PictureError as error:
        raise HTTPException(415, f"{name}: {error}") from error
    try:
        with understood(name):
            refuse_bomb(data, name, kind)
        return header(name, BytesIO(data), max_pixels=max_pixels)
    except PictureSizeError as error:
        raise HTTPException(
            413, f"{name} has more than {max_pixels} pixels; send a smaller one"
        ) from error
    except PictureError as error:
        raise HTTPException(422, str(error)) from error
