"""Jobs: queued, followed, fetched for a while, and cancelled at any time."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from http.client import HTTPConnection
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest
from server import PICTURE, Held, detail, file_of, post, restorer, served
from torch import Tensor

from diffir.errors import StoppedError
from diffir.inference import Restorer
from diffir.serving import Settings, build_app
from diffir.serving.job import Job
from diffir.serving.results import OVERHEAD, Results
from diffir.serving.work import Item


def until(true: Callable[[], object]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("never came true")


def started(client: httpx.Client, picture: bytes = PICTURE, **fields: object) -> str:
    """The path of a posted job."""
    response = post(client, picture, to="/v1/jobs", **fields)
    assert response.status_code == 202
    path = response.headers["location"]
    assert path == f"/v1/jobs/{response.json()['id']}"
    return path


def running(client: httpx.Client) -> int:
    lines = client.get("/metrics").text.splitlines()
    return int(float(next(x for x in lines if x.startswith('diffir_jobs{state="running"}'))[-3:]))


def test_a_job_is_followed_and_its_result_is_that_of_restore():
    held = restorer("deblur", Held)
    with served(held) as client:
        paths = [started(client, seed=4) for _ in range(3)]
        until(lambda: client.get(paths[0]).json()["progress"] == 0.5)
        views = [client.get(path).json() for path in paths]
        assert [view["state"] for view in views] == ["running", "waiting", "waiting"]
        assert [view["place"] for view in views] == [None, 1, 2]
        assert "is waiting" in detail(client.get(paths[1] + "/result"), 409)
        held.release.set()
        until(lambda: client.get(paths[2]).json()["state"] == "done")
        view = client.get(paths[2]).json()
        assert (view["progress"], view["place"], view["detail"]) == (1, None, None)
        for path in paths:
            result = client.get(path + "/result")
            assert result.headers["content-type"] == "image/png"
            assert result.content == post(client, seed=4).content


def test_a_failed_job_says_why():
    with served() as client:
        path = started(client, PICTURE[:-40])
        until(lambda: client.get(path).json()["state"] == "failed")
        why = client.get(path).json()["detail"]
        assert "cannot be decoded" in why
        assert detail(client.get(path + "/result"), 422) == why


def test_a_waiting_job_is_cancelled_once():
    held = restorer("deblur", Held)
    with served(held) as client:
        first, second = started(client), started(client)
        assert held.started.wait(10)
        assert client.delete(second).status_code == 204
        for response in (client.delete(second), client.get(second), client.get(second + "/result")):
            assert "it may have expired" in detail(response, 404)
        held.release.set()
        until(lambda: client.get(first).json()["state"] == "done")
        assert post(client).status_code == 200
    assert held.batches == [1, 1]


def test_a_cancelled_job_gives_its_place_back():
    with served(restorer("deblur", Held), max_client_jobs=2) as client:
        started(client)
        for _ in range(5):
            assert client.delete(started(client)).status_code == 204


def test_a_running_job_is_stopped():
    held = restorer("deblur", Held)
    with served(held, max_client_jobs=1) as client:
        path = started(client)
        assert held.started.wait(10)
        assert client.delete(path).status_code == 204
        assert held.stopped.wait(10)
        until(lambda: post(client, to="/v1/jobs").status_code == 202)


def test_in_a_batch_one_cancelled_job_stops_no_other():
    held = restorer("deblur", Held)
    with served(held, max_batch=2) as client:
        first = started(client, file_of(np.zeros((9, 9, 3), np.uint8)))
        assert held.started.wait(10)
        second, third = started(client), started(client)
        client.delete(first)
        until(lambda: client.get(third).json()["state"] == "running")
        assert client.delete(third).status_code == 204
        held.release.set()
        until(lambda: client.get(second).json()["state"] == "done")
        assert client.get(third).status_code == 404
        until(lambda: 'diffir_pictures_total{model="toy"} 3.0' in client.get("/metrics").text)
        assert 'diffir_batch_seconds_count{model="toy"} 2.0' in client.get("/metrics").text
    assert held.batches == [1, 2]


class Noting(Restorer):
    """Notes how far it is, and cancels its job when it has told so for the third time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.shares: list[float] = []
        self.cancel: Future[Callable[[], object]] = Future()
        self.stopped = Event()

    def restore_batch(self, images: Tensor, **options: Any) -> Tensor:
        tell = options.pop("progress")

        def progress(share: float) -> None:
            self.shares.append(share)
            if len(self.shares) == 3:
                self.cancel.result(20)()
            tell(share)

        try:
            return super().restore_batch(images, progress=progress, **options)
        except StoppedError:
            self.stopped.set()
            raise


def test_the_network_itself_stops_within_a_stripe():
    noting = restorer("deblur", Noting)
    large = file_of(np.zeros((700, 700, 3), np.uint8))
    with served(noting) as client:
        path = started(client, large)
        noting.cancel.set_result(lambda: client.delete(path))
        assert noting.stopped.wait(60)
    assert len(noting.shares) <= 4
    assert noting.shares[-1] < 0.9


def test_a_client_that_hangs_up_stops_its_picture():
    held = restorer("deblur", Held)
    with served(held) as client:
        request = client.build_request("POST", "/v1/restore", files={"picture": ("p", PICTURE)})
        line = HTTPConnection(request.url.host, request.url.port)
        line.request("POST", "/v1/restore", request.read(), dict(request.headers))
        assert held.started.wait(20)
        line.close()
        assert held.stopped.wait(10)
        until(lambda: not running(client))


def test_a_result_expires():
    with served(keep_seconds=2) as client:
        path = started(client)
        until(lambda: client.get(path + "/result").status_code == 200)
        until(lambda: client.get(path).status_code == 404)
        for response in (client.get(path), client.get(path + "/result"), client.delete(path)):
            assert "it may have expired" in detail(response, 404)


def test_a_fetched_result_can_be_dropped():
    with served() as client:
        path = started(client)
        until(lambda: client.get(path + "/result").status_code == 200)
        assert client.delete(path).status_code == 204
        assert client.get(path + "/result").status_code == 404


def test_an_unknown_id_is_told():
    with served() as client:
        for path in ("/v1/jobs/nope", "/v1/jobs/%00", "/v1/jobs/" + "x" * 3000):
            detail(client.get(path), 404)


def ended(result: bytes) -> Job:
    job = Job(model="m", size=(1, 1), item=Item(picture=b"large" * 99, format="png"))
    job.end(result)
    return job


def test_the_oldest_results_go_when_there_are_too_many_bytes():
    results = Results(seconds=60, most=3 * OVERHEAD + 30)
    jobs = [ended(bytes(10)) for _ in range(4)]
    for job in jobs[:3]:
        results.put(job)
    assert results.get(jobs[0].id) is jobs[0]
    results.drop(jobs[1].id)
    results.put(jobs[3])
    assert [results.get(job.id) for job in jobs] == [jobs[0], None, jobs[2], jobs[3]]
    results.put(ended(bytes(10)))
    assert [results.get(job.id) for job in jobs] == [None, None, jobs[2], jobs[3]]
    assert results.bytes == results.most


def test_what_came_in_is_let_go_once_a_job_has_ended():
    assert ended(b"result").item.picture == b""


def test_health_is_told_while_a_picture_is_restored():
    large = file_of(np.zeros((600, 600, 3), np.uint8))
    with served() as client:
        path = started(client, large)
        until(lambda: client.get(path).json()["progress"] > 0)
        waited = []
        while client.get(path).json()["state"] == "running":
            began = time.monotonic()
            assert client.get("/healthz").status_code == 200
            waited.append(time.monotonic() - began)
        assert len(waited) >= 3
        assert sorted(waited)[len(waited) // 2] < 0.5


def test_while_it_stops_nothing_more_is_taken():
    app = build_app({"toy": restorer()}, Settings())
    app.state.service.jobs.close()

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
            picture = {"picture": PICTURE}
            return [
                await client.get("/readyz"),
                await client.post("/v1/restore", files=picture),
                await client.post("/v1/jobs", files=picture),
            ]

    for response in asyncio.run(ask()):
        assert "stopping" in detail(response, 503)
        assert int(response.headers["retry-after"]) > 0
    assert not app.state.service.tickets.taken


@pytest.mark.parametrize("hears", [True, False])
def test_what_outlasts_the_time_to_stop_is_answered_in_words(hears: bool):
    held = restorer("deblur", Held)
    if not hears:  # a network that tells of no progress
        held.restore_batch = lambda *_args, **_options: held.release.wait(3)
    app = build_app({"toy": held}, Settings(stop_seconds=0.3))
    jobs = app.state.service.jobs

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
            asked = asyncio.create_task(client.post("/v1/restore", files={"picture": PICTURE}))
            while not jobs.running:
                await asyncio.sleep(0.01)
            jobs.close()
            return await asked

    jobs.start()
    try:
        assert "stopping" in detail(asyncio.run(ask()), 503)
    finally:
        held.release.set()
        jobs.close()
        jobs.join()
