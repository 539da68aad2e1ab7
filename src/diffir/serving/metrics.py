"""Metrics for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "diffir_answers",
            "Responses by route and status",
            ["route", "status"],
            registry=self.registry,
        )
        self._pictures = Counter(
            "diffir_pictures", "Pictures processed by a model", ["model"], registry=self.registry
        )
        self._seconds = Histogram(
            "diffir_batch_seconds",
            "Time per batch, decoding and encoding included",
            ["model"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._jobs = Gauge(
            "diffir_jobs", "Jobs waiting or running", ["state"], registry=self.registry
        )

    def watch(self, waiting: Callable[[], float], running: Callable[[], float]) -> None:
        """Register the functions that count jobs."""
        self._jobs.labels("waiting").set_function(waiting)
        self._jobs.labels("running").set_function(running)

    def answered(self, route: str, status: int) -> None:
        """Count a response."""
        self._answers.labels(route, str(status)).inc()

    def restored(self, model: str, pictures: int, seconds: float) -> None:
        """Count a batch."""
        self._pictures.labels(model).inc(pictures)
        self._seconds.labels(model).observe(seconds)

    def text(self) -> bytes:
        """All metrics, in the text format of Prometheus."""
        return generate_latest(self.registry)


class CountAnswers:
    """ASGI middleware that counts responses by declared route, so clients can't create labels."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, and count its status."""
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
