"""Results: what ended, for a while, and never more than so many bytes."""

import time
from collections import OrderedDict

from .job import Job

OVERHEAD = 2000  # bytes of a job without its result, so that failed ones count, too


def weight(job: Job) -> int:
    """Bytes that a job takes once it has ended."""
    answer = job.outcome.result()
    return OVERHEAD + (len(answer) if isinstance(answer, bytes) else 0)


class Results:
    """Jobs that ended, by their ids, the oldest first. Not locked: its owner is."""

    def __init__(self, seconds: float, most: int) -> None:
        self.seconds, self.most = seconds, most
        self.bytes = 0
        self._jobs: OrderedDict[str, tuple[float, Job]] = OrderedDict()

    def put(self, job: Job) -> None:
        """Keep a job that ended."""
        self._jobs[job.id] = time.monotonic(), job
        self.bytes += weight(job)
        self.sweep()

    def get(self, name: str) -> Job | None:
        """The job of an id, while it is kept."""
        self.sweep()
        return self._jobs[name][1] if name in self._jobs else None

    def drop(self, name: str) -> None:
        """Forget a job, if it is there."""
        if name in self._jobs:
            self.bytes -= weight(self._jobs.pop(name)[1])

    def sweep(self) -> None:
        """Forget what is too old, and the oldest of what is too much."""
        while self._jobs:
            name, (ended, _) = next(iter(self._jobs.items()))
            if self.bytes <= self.most and time.monotonic() - ended < self.seconds:
                return
            self.drop(name)
