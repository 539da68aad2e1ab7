"""Jobs: a queue, one thread that runs the networks, and results that are kept for a while."""

import time
from collections.abc import Mapping
from threading import Condition, Event, Thread

from fastapi import HTTPException

from diffir.errors import StoppedError
from diffir.inference import Restorer

from .job import Job, answer_to, stopping
from .metrics import Metrics
from .results import Results
from .schema import JobView
from .settings import Settings
from .work import restore_items

SWEEP_SECONDS = 5.0


class Jobs:
    """All waiting, running and finished jobs; thread-safe."""

    def __init__(
        self, restorers: Mapping[str, Restorer], settings: Settings, metrics: Metrics
    ) -> None:
        self.restorers, self.settings, self.metrics = restorers, settings, metrics
        self.waiting: list[Job] = []
        self.running: list[Job] = []
        self.closed, self._stop_at = False, 0.0
        self._kept: dict[str, Job] = {}  # unfinished jobs whose result will be fetched
        self._results = Results(settings.keep_seconds, settings.keep_bytes)
        self._changed = Condition()
        self._thread = Thread(target=self._work, name="diffir-worker", daemon=True)
        metrics.watch(lambda: len(self.waiting), lambda: len(self.running))

    def start(self) -> None:
        """Start the worker thread."""
        self._thread.start()

    def add(self, job: Job, *, keep: bool) -> None:
        """Queue a job; with `keep`, it can be found by its id. Raises 503 during shutdown."""
        with self._changed:
            if self.closed:
                raise stopping()
            self.waiting.append(job)
            if keep:
                self._kept[job.id] = job
            self._changed.notify()

    def find(self, name: str) -> Job:
        """The job with an id; raises 404."""
        with self._changed:
            job = self._kept.get(name) or self._results.get(name)
        if job is None:
            raise HTTPException(
                404, "no job has this id; it may have expired, so post the picture again"
            )
        return job

    def view(self, job: Job) -> JobView:
        """The job as its client sees it."""
        with self._changed:
            place = self.waiting.index(job) + 1 if job in self.waiting else None
        return JobView(
            id=job.id,
            model=job.model,
            state=job.state,
            progress=job.progress,
            place=place,
            detail=job.detail,
        )

    def forget(self, job: Job) -> None:
        """Remove it from the queue, or stop it at the next stripe, or delete its result."""
        job.unwanted = True
        with self._changed:
            self._kept.pop(job.id, None)
            self._results.drop(job.id)
            was_waiting = job in self.waiting
            if was_waiting:
                self.waiting.remove(job)
        if was_waiting:
            job.end(HTTPException(409, "the job was cancelled"))

    def close(self) -> None:
        """Accept no more jobs and fail the waiting ones; running ones continue."""
        with self._changed:
            if self.closed:
                return
            self.closed, self._stop_at = True, time.monotonic() + self.settings.stop_seconds
            waiting, self.waiting = self.waiting, []
            self._changed.notify()
        for job in waiting:
            job.end(stopping())

    @property
    def overdue(self) -> bool:
        """Whether the server is shutting down and the grace period for running jobs is over."""
        return self.closed and time.monotonic() > self._stop_at

    def join(self) -> None:
        """After `close`: wait for running jobs, and stop them after the grace period."""
        self._thread.join(max(0, self._stop_at - time.monotonic()))
        for job in self.running:
            job.unwanted = True
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            began = time.monotonic()
            for job, result in zip(batch, self._restored(batch), strict=True):
                answer = result if isinstance(result, bytes) else answer_to(result)
                self._end(job, answer)
            self.metrics.restored(batch[0].model, len(batch), time.monotonic() - began)

    def _next(self) -> list[Job]:
        """The next batch: the oldest waiting job and others of its kind; empty at shutdown."""
        with self._changed:
            self.running = []
            while not self.waiting and not self.closed:
                self._changed.wait(SWEEP_SECONDS)
                self._results.sweep()
            self.running = self._batch()
            self.waiting = [job for job in self.waiting if job not in self.running]
            for job in self.running:
                job.outcome.set_running_or_notify_cancel()
            return self.running

    def _batch(self) -> list[Job]:
        alike = [job for job in self.waiting if job.kind == self.waiting[0].kind]
        pixels = alike[0].pixels if alike else 1
        return alike[: min(self.settings.max_batch, max(1, self.settings.max_pixels // pixels))]

    def _restored(self, batch: list[Job]) -> list[bytes | Exception]:
        stop, deadline = Event(), time.monotonic() + self.settings.seconds

        def progress(share: float) -> None:
            for job in batch:
                job.progress = share
            if time.monotonic() > deadline or self.overdue or all(job.unwanted for job in batch):
                stop.set()

        restorer = self.restorers[batch[0].model]
        try:
            items = [job.item for job in batch]
            return [*restore_items(restorer, items, progress=progress, stop=stop)]
        except StoppedError as error:
            return [stopping() if self.closed else error] * len(batch)
        except Exception as error:  # the thread must survive any error
            return [error] * len(batch)

    def _end(self, job: Job, answer: bytes | HTTPException) -> None:
        job.end(answer)
        with self._changed:
            if self._kept.pop(job.id, None):
                self._results.put(job)
