"""What `diffir restore` runs: a network, in this process, in several, or on a cluster."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from diffir.export import Backend
    from diffir.inference import Restorer
    from diffir.inference.batch import Outcome

Run: TypeAlias = "Callable[..., Generator[Outcome, None, None]]"
"""From jobs, and how they are to be done, to outcomes; see `restore_files`."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """What shall restore, as it was asked for."""

    model: str
    """A name, a file of weights or an exported one, a repository of the Hub."""
    backend: "Backend | None"
    """What runs an exported file; None: what its suffix tells."""
    device: str
    precision: Literal["float32", "bfloat16"]
    budget: int | None
    """Bytes that a picture may take."""
    ensemble: bool
    detail: float
    has_mask: bool

    @property
    def is_exported(self) -> bool:
        """Whether it is a file of `diffir export`."""
        from diffir.export import is_exported

        return is_exported(self.model)

    def build(self, budget: int | None) -> "Callable[..., Restorer]":
        """What loads it, in any process; raises as `Restorer.from_pretrained`."""
        from diffir.export import ExportedRestorer
        from diffir.inference import Restorer

        load: Callable[..., Restorer] = (
            partial(ExportedRestorer.from_file, self.model, self.backend)
            if self.is_exported
            else partial(Restorer.from_pretrained, self.model)
        )
        return partial(
            load,
            detail=self.detail,
            device=self.device,
            precision=self.precision,
            memory=budget,
            ensemble=self.ensemble,
        )

    def refuse_mask(self, restorer: "Restorer") -> None:
        """Raise MaskError for a mask that the task does not want."""
        from diffir.tasks import unwanted_mask

        if self.has_mask and not restorer.task.wants_mask:
            raise unwanted_mask(restorer.task.name)


def model_of(task: str | None, model: str | None, backend: "Backend | None") -> str:
    """The model that a task or a name means; raises WeightsError where both or none fit."""
    from diffir.export.runners import backend_of
    from diffir.inference.pipeline import named

    name = str(named(task, model))
    if backend is not None:
        backend_of(Path(name), backend)
    return name


def run_here(network: Network, workers: int | None) -> Run:
    """Restoring in this process or in several; raises as `Restorer.from_pretrained`."""
    from diffir.distributed.ranks import processes_here
    from diffir.inference.batch import restore_files
    from diffir.inference.devices import pick_device
    from diffir.inference.engine import default_budget
    from diffir.inference.workers import restore_in_processes

    place = pick_device(network.device)
    free = default_budget(place) if place.type == "cpu" and not network.is_exported else None
    sharing = processes_here() * (workers or 1)
    budget = network.budget
    if sharing > 1 and budget is None and free is not None:
        budget = free // sharing  # else each would take all that is free
    build = network.build(budget)
    restorer = build() if workers is None else build(device="cpu")  # there, to see what is wrong
    network.refuse_mask(restorer)
    if workers is None:
        return partial(restore_files, restorer)
    return partial(restore_in_processes, build, workers=workers)


def run_on_ray(network: Network, workers: int | None, cores: int, gpus: float | None) -> Run:
    """Restoring on the cluster that is connected; raises as `Restorer.from_pretrained`."""
    from diffir.distributed import restore_on_ray

    build = network.build(network.budget)
    network.refuse_mask(build(device="cpu"))
    share = 0 if network.device == "cpu" else gpus
    return partial(restore_on_ray, build, workers=workers, cores=cores, gpus=share)
