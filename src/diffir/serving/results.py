"""Results of finished jobs, kept for a limited time and within a limit of bytes."""

import time
from collections import OrderedDict

from .job import Job

OVERHEAD = 2000  # bytes of a job without its result, so that failed ones count too


def weight(job: Job) -> int:
    """The memory in bytes that a finished job takes."""
    answer = job.outcome.result()
    return OVERHEAD + (len(answer) if isinstance(answer, bytes) else 0)


class Results:
    """Finished jobs by id, the oldest first. Not thread-safe: its owner holds a lock."""

    def __init__(self, seconds: float, most: int) -> None:
        self.seconds, self.most = seconds, most
        self.bytes = 0
        self._jobs: OrderedDict[str, tuple[float, Job]] = OrderedDict()

    def put(self, job: Job) -> None:
        """Keep a finished job."""
        self._jobs[job.id] = time.monotonic(), job
        self.bytes += weight(job)
        self.sweep()

    def get(self, name: str) -> Job | None:
        """The job with an id; None if it is not kept."""
        self.sweep()
        return self._jobs[name][1] if name in self._jobs else None

    def drop(self, name: str) -> None:
        """Delete a job, if it is kept."""
        if name in self._jobs:
            self.bytes -= weight(self._jobs.pop(name)[1])

    def sweep(self) -> None:
        """Delete expired jobs, and the oldest ones beyond the limit of bytes."""
        while self._jobs:
            name, (ended, _) = next(iter(self._jobs.items()))
            if self.bytes <= self.most and time.monotonic() - ended < self.seconds:
                return
            self.drop(name)
