"""The FastAPI app: its routes, the service they share, and its lifespan."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from diffir._version import __version__
from diffir.inference import Restorer

from .accept import Service
from .api import guarded, public
from .job import INTERNAL_ERROR
from .metrics import CountAnswers
from .settings import Settings


async def disconnected(_request: Request, _error: Exception) -> Response:
    """Nobody receives it; it is counted in the metrics."""
    return JSONResponse({"detail": "the client disconnected"}, 408)


async def failed(_request: Request, _error: Exception) -> Response:
    """The answer to an unexpected error, which the server logs."""
    return JSONResponse({"detail": INTERNAL_ERROR}, 500)


def build_app(restorers: Mapping[str, Restorer], settings: Settings) -> FastAPI:
    """The app that serves these networks; its worker thread runs during its lifespan."""
    service = Service.of(restorers, settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        service.jobs.start()
        yield
        service.jobs.close()
        await asyncio.to_thread(service.jobs.join)

    app = FastAPI(
        title="DiffIR",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from another site
        redoc_url=None,
        redirect_slashes=False,  # a redirect would go to whatever host the client names
    )
    app.state.service = service
    app.include_router(public)
    app.include_router(guarded)
    app.add_exception_handler(ClientDisconnect, disconnected)
    app.add_exception_handler(Exception, failed)
    app.add_middleware(CountAnswers, metrics=service.metrics)
    return app
