"""Job: a picture to restore, with its state."""

import logging
import secrets
from concurrent.futures import Future
from dataclasses import dataclass, field

from fastapi import HTTPException

from diffir.errors import DeviceError, DiffIRError, StoppedError

from .limits import SOON
from .schema import State
from .work import Item

logger = logging.getLogger(__name__)

NOTHING = Item(picture=b"", format="png")
INTERNAL_ERROR = "internal server error; see the server's log"


@dataclass(kw_only=True, eq=False)
class Job:
    """A picture to restore; its outcome is a file, or the HTTP error for the client."""

    model: str
    size: tuple[int, int]
    """Width and height, upright."""
    item: Item
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    format: str = field(init=False)
    outcome: Future[bytes | HTTPException] = field(default_factory=Future)
    progress: float = 0.0
    unwanted: bool = False
    """Cancelled, or its client has disconnected."""

    def __post_init__(self) -> None:
        """Keep the format, which is needed after the item is gone."""
        self.format = self.item.format

    @property
    def kind(self) -> object:
        """Equal for jobs that may share a batch."""
        return self.model, self.size

    @property
    def pixels(self) -> int:
        """Of the input picture."""
        return self.size[0] * self.size[1]

    @property
    def state(self) -> State:
        """As the API names it."""
        if not self.outcome.done():
            return "running" if self.outcome.running() else "waiting"
        return "done" if isinstance(self.outcome.result(), bytes) else "failed"

    @property
    def detail(self) -> str | None:
        """Why it failed."""
        answer = self.outcome.result() if self.outcome.done() else None
        return answer.detail if isinstance(answer, HTTPException) else None

    def end(self, answer: bytes | HTTPException) -> None:
        """Set the outcome, and release the input."""
        self.item = NOTHING
        self.progress = 1.0 if isinstance(answer, bytes) else self.progress
        self.outcome.set_result(answer)


def stopping() -> HTTPException:
    """The error of a server that is shutting down."""
    return HTTPException(503, "the server is stopping; try again later", SOON)


def answer_to(error: Exception) -> HTTPException:
    """The HTTP error for an exception; unexpected ones are logged and not described."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, StoppedError):
        return HTTPException(
            503, "restoring took too long and was stopped; send a smaller picture", SOON
        )
    if isinstance(error, DeviceError):
        return HTTPException(503, str(error), SOON)
    if isinstance(error, DiffIRError):
        return HTTPException(422, str(error))
    logger.error("a picture could not be restored", exc_info=error)
    return HTTPException(500, INTERNAL_ERROR)
