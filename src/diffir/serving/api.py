"""The routes: pictures and jobs, and what operators ask."""

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

LOOK_SECONDS = 0.25  # between two looks at whether the client is still there


def service_of(request: Request) -> Service:
    """The service of the app that a request came to."""
    service: Service = request.app.state.service
    return service


Given = Annotated[Service, Depends(service_of)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))]
KeyHeader = Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))]


def key_shown(service: Given, bearer: Bearer, header: KeyHeader) -> None:
    """Raise 401 unless the key is there, in one header or the other."""
    require_key(service.settings.key, bearer.credentials if bearer else header)


public = APIRouter()
guarded = APIRouter(dependencies=[Depends(key_shown)], responses=problems(401, 500))


@guarded.post(
    "/v1/restore",
    response_class=Response,
    openapi_extra=REQUEST,
    responses={200: PICTURE, **problems(408, 413, 415, 422, 429, 503)},
)
async def restore(request: Request, service: Given) -> Response:
    """Restore a picture and answer with it."""
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
    """Queue a picture; its result is to be fetched."""
    job = await accept(service, request, keep=True)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return service.jobs.view(job)


@guarded.get("/v1/jobs/{id}", responses={**problems(404), **OTHERS})
async def get_job(id: str, service: Given) -> JobView:
    """How far a job is."""
    return service.jobs.view(service.jobs.find(id))


@guarded.get(
    "/v1/jobs/{id}/result",
    response_class=Response,
    responses={200: PICTURE, **problems(404, 409, 422, 503)},
)
async def get_result(id: str, service: Given) -> Response:
    """The restored picture of a job, or the error that it ended with."""
    job = service.jobs.find(id)
    if not job.outcome.done():
        raise HTTPException(409, f"the job is {job.state}; ask again later")
    return file_of(job)


@guarded.delete("/v1/jobs/{id}", status_code=204, responses={**problems(404), **OTHERS})
async def delete_job(id: str, service: Given) -> None:
    """Cancel a job, or drop its result."""
    service.jobs.forget(service.jobs.find(id))


@guarded.get("/v1/models")
async def models(service: Given) -> list[ModelView]:
    """The networks that can be asked for."""
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
    """What Prometheus reads."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


@public.get("/healthz")
async def healthz() -> Health:
    """Whether the process lives."""
    return Health(status="ok")


@public.get("/readyz", responses=problems(503))
async def readyz(service: Given) -> Health:
    """Whether it takes pictures."""
    if service.jobs.closed:
        raise stopping()
    return Health(status="ready")


async def wait_for(job: Job, request: Request, service: Service) -> None:
    """Until the job has ended; raises 503 after so long, ClientDisconnect when nobody is there."""
    seconds = service.settings.seconds
    outcome, latest = asyncio.wrap_future(job.outcome), time.monotonic() + seconds
    while not outcome.done():
        await asyncio.wait({outcome}, timeout=LOOK_SECONDS)
        if await request.is_disconnected():
            raise ClientDisconnect
        if not outcome.done() and service.jobs.overdue:
            raise stopping()
        if not outcome.done() and time.monotonic() > latest:
            raise HTTPException(
                503, f"not done within {seconds:g} s; send it again later, or to /v1/jobs", SOON
            )


def file_of(job: Job) -> Response:
    """The restored picture of a job that ended; raises the error that it ended with."""
    answer = job.outcome.result()
    if isinstance(answer, HTTPException):  # a new one, for its traceback would grow with each
        raise HTTPException(answer.status_code, answer.detail, answer.headers)
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(answer, media_type=media_type(job.format), headers=headers)
