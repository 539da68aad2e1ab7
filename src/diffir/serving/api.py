"""The routes: pictures, jobs, models, metrics and health."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import ClientDisconnect

from .accept import Service, accept
from .job import Job, stopping
from .limits import SOON, require_key
from .schema import OTHERS, PICTURE, REQUEST, Health, JobView, ModelView, media_type, problems

POLL_SECONDS = 0.25  # between checks that the client is still connected


def service_of(request: Request) -> Service:
    """The service of the app that handles a request."""
    service: Service = request.app.state.service
    return service


Given = Annotated[Service, Depends(service_of)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))]
KeyHeader = Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))]


def check_key(service: Given, bearer: Bearer, header: KeyHeader) -> None:
    """Raise 401 unless one of the two headers holds the key."""
    require_key(service.settings.key, bearer.credentials if bearer else header)


public = APIRouter()
guarded = APIRouter(dependencies=[Depends(check_key)], responses=problems(401, 500))


@guarded.post(
    "/v1/restore",
    response_class=Response,
    openapi_extra=REQUEST,
    responses={200: PICTURE, **problems(408, 413, 415, 422, 429, 503)},
)
async def restore(request: Request, service: Given) -> Response:
    """Restore a picture and return it."""
    job = await accept(service, request, keep=False)
    try:
        await wait_for(job, request, service)
        return file_of(job)
    finally:
        service.jobs.forget(job)


@guarded.post(
    "/v1/jobs",
    status_code=202,
    openapi_extra=REQUEST,
    responses=problems(408, 413, 415, 422, 429, 503),
)
async def post_job(request: Request, service: Given, response: Response) -> JobView:
    """Queue a picture; fetch its result later."""
    job = await accept(service, request, keep=True)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return service.jobs.view(job)


@guarded.get("/v1/jobs/{id}", responses={**problems(404), **OTHERS})
async def get_job(id: str, service: Given) -> JobView:
    """The state and progress of a job."""
    return service.jobs.view(service.jobs.find(id))


@guarded.get(
    "/v1/jobs/{id}/result",
    response_class=Response,
    responses={200: PICTURE, **problems(404, 409, 422, 503)},
)
async def get_result(id: str, service: Given) -> Response:
    """The restored picture of a job, or the error it failed with."""
    job = service.jobs.find(id)
    if not job.outcome.done():
        raise HTTPException(409, f"the job is {job.state}; try again later")
    return file_of(job)


@guarded.delete("/v1/jobs/{id}", status_code=204, responses={**problems(404), **OTHERS})
async def delete_job(id: str, service: Given) -> None:
    """Cancel a job, or delete its result."""
    service.jobs.forget(service.jobs.find(id))


@guarded.get("/v1/models")
async def models(service: Given) -> list[ModelView]:
    """The available networks."""
    return [
        ModelView(
            name=name,
            task=restorer.task.name,
            scale=restorer.scale,
            takes_mask=restorer.task.wants_mask,
        )
        for name, restorer in service.restorers.items()
    ]


@guarded.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: Given) -> Response:
    """Metrics for Prometheus."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


@public.get("/healthz")
async def healthz() -> Health:
    """Whether the process is alive."""
    return Health(status="ok")


@public.get("/readyz", responses=problems(503))
async def readyz(service: Given) -> Health:
    """Whether it accepts pictures."""
    if service.jobs.closed:
        raise stopping()
    return Health(status="ready")


async def wait_for(job: Job, request: Request, service: Service) -> None:
    """Wait for a job; raises 503 at a timeout or shutdown, ClientDisconnect if the client left."""
    seconds = service.settings.seconds
    outcome, deadline = asyncio.wrap_future(job.outcome), time.monotonic() + seconds
    while not outcome.done():
        await asyncio.wait({outcome}, timeout=POLL_SECONDS)
        if await request.is_disconnected():
            raise ClientDisconnect
        if not outcome.done() and service.jobs.overdue:
            raise stopping()
        if not outcome.done() and time.monotonic() > deadline:
            raise HTTPException(
                503, f"not done within {seconds:g} s; try again later, or post it to /v1/jobs", SOON
            )


def file_of(job: Job) -> Response:
    """The restored picture of a finished job; raises the error it failed with."""
    answer = job.outcome.result()
    if isinstance(answer, HTTPException):  # a copy: its traceback would grow with each raise
        raise HTTPException(answer.status_code, answer.detail, answer.headers)
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(answer, media_type=media_type(job.format), headers=headers)
