"""What the tests of serving share: toy networks, pictures as bytes, a server on a real socket."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import httpx
import numpy as np
from official import network, toy
from PIL import Image
from skimage import data
from torch import Tensor

from diffir.errors import StoppedError
from diffir.inference import Restorer
from diffir.serving import Settings, build_app
from diffir.serving.server import listen, server_for
from diffir.tasks import TASKS

PHOTO = np.ascontiguousarray(data.astronaut()[90:114, 200:232])  # (24, 32, 3)
HOLES = np.zeros(PHOTO.shape[:2], np.uint8)
HOLES[5:12, 6:20] = 255


def file_of(samples: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, kind, **options)
    return buffer.getvalue()


PICTURE, MASK = file_of(PHOTO), file_of(HOLES)


def restorer(task: str = "deblur", kind: type[Restorer] = Restorer) -> Restorer:
    preset = {"deblur": "deblur", "inpaint": "inpaint", "sr": "sr-x2"}[task]
    return kind(network(2, toy(preset)), TASKS[task], device="cpu")  # type: ignore[arg-type]


class Held(Restorer):
    """A restorer that goes no further than half until it is released or stopped."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.started, self.release, self.stopped = Event(), Event(), Event()
        self.batches: list[int] = []

    def restore_batch(self, images: Tensor, **options: Any) -> Tensor:
        self.batches.append(len(images))
        self.started.set()
        while not self.release.wait(0.01):
            options["progress"](0.5)
            if options["stop"].is_set():
                self.stopped.set()
                raise StoppedError("stopped")
        return super().restore_batch(images, **options)


@contextmanager
def served(
    restorers: Mapping[str, Restorer] | Restorer | None = None, **limits: Any
) -> Iterator[httpx.Client]:
    """A client of a server that runs in a thread of this process."""
    if not isinstance(restorers, Mapping):
        restorers = {"toy": restorers or restorer()}
    listening = listen("127.0.0.1", 0)
    server = server_for(build_app(restorers, Settings(**limits)))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with httpx.Client(base_url=address, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        for one in restorers.values():
            if isinstance(one, Held):
                one.release.set()
        thread.join(30)
        assert not thread.is_alive()


def post(
    client: httpx.Client,
    picture: bytes = PICTURE,
    *,
    to: str = "/v1/restore",
    mask: bytes | None = None,
    **fields: Any,
) -> httpx.Response:
    """Post a picture as a form."""
    files = {"picture": ("name.png", picture)} | ({} if mask is None else {"mask": ("m", mask)})
    return client.post(to, files=files, data=fields)


def detail(response: httpx.Response, status: int) -> str:
    """The sentence of a refusal, seen to be one."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"detail"}
    assert "\n" not in body["detail"]
    return body["detail"]
