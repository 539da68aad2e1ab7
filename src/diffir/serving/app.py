"""The app: the routes, what they share, and how long it lives."""

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
from .jobs import Jobs
from .limits import Tickets
from .metrics import CountAnswers, Metrics
from .settings import Settings


async def gone(_request: Request, _error: Exception) -> Response:
    """For the log of answers: the client left before there was one."""
    return JSONResponse({"detail": "the client left"}, 408)


async def mistaken(_request: Request, _error: Exception) -> Response:
    """For a mistake of ours; the server logs it."""
    return JSONResponse({"detail": "the server made a mistake; its log says which"}, 500)


def build_app(restorers: Mapping[str, Restorer], settings: Settings) -> FastAPI:
    """The app that serves these networks; its worker lives as long as its lifespan."""
    numbers = Metrics()
    service = Service(
        restorers=restorers,
        settings=settings,
        tickets=Tickets(settings.max_jobs, settings.max_client_jobs),
        jobs=Jobs(restorers, settings, numbers),
        metrics=numbers,
    )

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
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would be to whatever host a client names
    )
    app.state.service = service
    app.include_router(public)
    app.include_router(guarded)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, mistaken)
    app.add_middleware(CountAnswers, metrics=numbers)
    return app
