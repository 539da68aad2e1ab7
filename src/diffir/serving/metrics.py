"""Metrics: what Prometheus is told."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "diffir_answers", "By route and status", ["route", "status"], registry=self.registry
        )
        self._pictures = Counter(
            "diffir_pictures", "Taken up by a network", ["model"], registry=self.registry
        )
        self._seconds = Histogram(
            "diffir_batch_seconds",
            "From the first decoded to the last encoded picture of a batch",
            ["model"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._jobs = Gauge("diffir_jobs", "Waiting or running", ["state"], registry=self.registry)

    def watch(self, waiting: Callable[[], float], running: Callable[[], float]) -> None:
        """Ask these for the numbers of jobs."""
        self._jobs.labels("waiting").set_function(waiting)
        self._jobs.labels("running").set_function(running)

    def answered(self, route: str, status: int) -> None:
        """Count an answer."""
        self._answers.labels(route, str(status)).inc()

    def restored(self, model: str, pictures: int, seconds: float) -> None:
        """Count a batch."""
        self._pictures.labels(model).inc(pictures)
        self._seconds.labels(model).observe(seconds)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


class CountAnswers:
    """ASGI middleware; routes are counted as they are declared, so that no client invents any."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and note the status."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.metrics.answered(getattr(scope.get("route"), "path", "none"), status)
