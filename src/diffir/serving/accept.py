"""From a request to a queued job; invalid requests are refused before any pixel is decoded."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from fastapi import HTTPException, Request

from diffir.images import Header
from diffir.inference import Restorer
from diffir.tasks import Task, misfit_mask, missing_mask, unwanted_mask

from .job import Job
from .jobs import Jobs
from .limits import Tickets, examine
from .metrics import Metrics
from .reading import read_order
from .schema import Order
from .settings import Settings
from .work import Item


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the routes share."""

    restorers: Mapping[str, Restorer]
    settings: Settings
    tickets: Tickets
    jobs: Jobs
    metrics: Metrics

    @classmethod
    def of(cls, restorers: Mapping[str, Restorer], settings: Settings) -> "Service":
        """A service with an empty queue, whose jobs are yet to be started."""
        metrics = Metrics()
        return cls(
            restorers=restorers,
            settings=settings,
            tickets=Tickets(settings.max_jobs, settings.max_client_jobs),
            jobs=Jobs(restorers, settings, metrics),
            metrics=metrics,
        )


async def accept(service: Service, request: Request, *, keep: bool) -> Job:
    """Queue a request; raises an HTTPException that says what to change."""
    client = request.client.host if request.client else ""
    with ExitStack() as stack:
        stack.callback(service.tickets.take(client))
        order = await read_order(request, service.settings)
        job = await asyncio.to_thread(job_of, order, service)
        service.jobs.add(job, keep=keep)
        ticket = stack.pop_all()
        job.outcome.add_done_callback(lambda _: ticket.close())
    return job


def job_of(order: Order, service: Service) -> Job:
    """The job for an order, its picture headers checked; raises 413, 415 or 422."""
    model = chosen(order, service.restorers)
    most = service.settings.max_pixels
    head = examine(order.picture, "the picture", most)
    mask = None if order.mask is None else examine(order.mask, "the mask", most)
    check_mask(service.restorers[model].task, head, mask)
    item = Item(
        picture=order.picture,
        mask=order.mask,
        seed=order.seed,
        format=order.format or head.format.lower(),
    )
    return Job(model=model, size=(head.width, head.height), item=item)


def chosen(order: Order, restorers: Mapping[str, Restorer]) -> str:
    """The name of the model an order asks for; raises 422."""
    fitting = [
        name
        for name, restorer in restorers.items()
        if order.model in (None, name) and order.task in (None, restorer.task.name)
    ]
    if not fitting:
        raise HTTPException(
            422, "no such model is served for this task; see /v1/models for the available ones"
        )
    if order.model is None and order.task is None and len(fitting) > 1:
        raise HTTPException(422, f"several models are served; name one: {', '.join(fitting)}")
    return fitting[0]


def check_mask(task: Task, picture: Header, mask: Header | None) -> None:
    """Raise 422 for a mask that is missing, unexpected or of the wrong size, judged by headers."""
    if mask is not None and not task.wants_mask:
        raise HTTPException(422, str(unwanted_mask(task.name)))
    if mask is None and task.wants_mask and not picture.has_alpha:
        raise HTTPException(422, str(missing_mask()))
    if mask is not None and (mask.width, mask.height) != (picture.width, picture.height):
        sizes = (mask.width, mask.height), (picture.width, picture.height)
        raise HTTPException(422, str(misfit_mask(*sizes)))
