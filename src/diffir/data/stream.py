"""Stream: the batches of a training phase, in order, made by any number of workers.

Each item of the loader is the whole batch of one step, so that neither the number of workers nor a
stop changes a bit of it; each rank makes its share of the batch.
"""

import logging
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from diffir.errors import DataError

from .batch import Batch, joined
from .crops import Augment, Crops, CropSize, blended, collected, to_images, turned
from .degradations import MakesPairs
from .draws import Draws, generator
from .pool import PairPool
from .second_order import SecondOrder, sharpen
from .sources import Source, one_of

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")
PLAIN = Augment()


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The source of a run's batches, and how LQ is made."""

    source: Source
    degradation: MakesPairs
    scale: int
    augment: Augment = PLAIN
    device: torch.device = CPU
    workers: int = 0
    """Processes in addition to the one that trains."""
    rank: int = 0
    world: int = 1
    """Number of training processes, which share each batch."""

    def crop_size(self, lq: int) -> CropSize:
        """The size of crops with `lq` LQ pixels per side."""
        return CropSize(lq=lq, scale=self.scale, margin=self.degradation.margin(self.scale))


@dataclass(frozen=True)
class Made:
    """A worker's result for a step; a raised DataError would be wrapped by the loader."""

    content: Batch | Crops | None
    error: str = ""
    skipped: tuple[tuple[str, str], ...] = ()

    def pin_memory(self) -> "Made":
        """For fast copies to a GPU; torch's loader calls it by this name."""
        pinned = self.content.pin_memory() if isinstance(self.content, Crops) else self.content
        return replace(self, content=pinned)


class Steps(Dataset[Made]):
    """The batches of a phase by step; this runs in the workers."""

    def __init__(
        self, feed: Feed, sizes: Callable[[int], tuple[int, int]], seed: tuple[int, ...]
    ) -> None:
        self.feed, self.sizes, self.seed = feed, sizes, seed

    def draws(self, step: int) -> Draws:
        """The draws of this rank's share of a step's batch."""
        _, batch_size = self.sizes(step)
        return Draws((*self.seed, step), tuple(range(self.feed.rank, batch_size, self.feed.world)))

    def crops(self, step: int) -> Crops:
        """The crops of a step. Raises DataError."""
        feed = self.feed
        size = feed.crop_size(self.sizes(step)[0])
        own = self.draws(step).own("crops")
        samples = []
        for draw in own:
            sample = turned(feed.source.sample(size, draw), feed.augment, draw)
            if feed.augment.mixup and draw.random() < feed.augment.mixup:
                second = turned(feed.source.sample(size, draw), feed.augment, draw)
                sample = blended(sample, second, feed.augment, draw)
            samples.append(sample)
        return collected(samples, [draw.facts for draw in own])

    def batch(self, crops: Crops, step: int) -> Batch:
        """The pairs of a step's crops, on the device."""
        feed, draws, parts = self.feed, self.draws(step), []
        if crops.photos is not None:
            mine = Draws(draws.seed, tuple(draws.indices[place] for place in crops.photo_places))
            photos = to_images(crops.photos, feed.device)
            parts.append(feed.degradation.batch(photos, feed.scale, mine))
        if crops.gt is not None and crops.lq is not None:
            parts.append(self.given(crops.lq, crops.gt))
        batch = joined(parts, list(crops.order))
        facts = zip(crops.facts, batch.facts, strict=True)
        return replace(batch, facts=tuple(crop | drawn for crop, drawn in facts))

    def given(self, lq: torch.Tensor, gt: torch.Tensor) -> Batch:
        """Pairs whose LQ is given."""
        images, target = (to_images(crops, self.feed.device) for crops in (lq, gt))
        if isinstance(self.feed.degradation, SecondOrder) and self.feed.degradation.sharpen_gt:
            return Batch(lq=images, gt=sharpen(target), plain_gt=target)
        return Batch(lq=images, gt=target)

    @property
    def degrades_here(self) -> bool:
        """Whether the workers also make LQ, because a GPU would not be faster."""
        return self.feed.device.type == "cpu" or not self.feed.degradation.on_device

    def __getitem__(self, step: int) -> Made:
        """The worker's part of a step."""
        source = self.feed.source
        known = set(source.skipped)
        try:
            crops = self.crops(step)
            with torch.no_grad():
                content = on_cpu(self).batch(crops, step) if self.degrades_here else crops
        except DataError as error:
            return Made(None, error=str(error))
        new = ((name, text) for name, text in source.skipped.items() if name not in known)
        return Made(content, skipped=tuple(new))


def on_cpu(steps: Steps) -> Steps:
    """The same steps, made on the CPU."""
    return Steps(replace(steps.feed, device=CPU), steps.sizes, steps.seed)


class Stream:
    """The batches of one phase; keeps its pair pool and the names of skipped pictures.

    Args:
        feed: the source of the batches.
        sizes: the side of LQ and the size of the global batch at a step; picklable if there are
            workers.
        seed: of the phase; the draws of a step come from (*seed, step).
    """

    def __init__(
        self, feed: Feed, sizes: Callable[[int], tuple[int, int]], seed: tuple[int, ...]
    ) -> None:
        self.steps = Steps(feed, sizes, seed)
        self.skipped: dict[str, str] = dict(feed.source.skipped)
        degradation = feed.degradation
        pool_size = degradation.pool_size if isinstance(degradation, SecondOrder) else 0
        self.pool = PairPool(pool_size) if pool_size else None

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of the steps from `start` up to `stop`, exclusive, on the feed's device.

        Raises:
            DataError: when one can't be made.
        """
        feed = self.steps.feed
        on_gpu = feed.device.type == "cuda"
        loader: DataLoader[Made] = DataLoader(
            self.steps,
            batch_size=None,
            sampler=range(start, stop),
            num_workers=feed.workers,
            pin_memory=on_gpu and not self.steps.degrades_here,
            generator=torch.Generator(),  # otherwise the loader would advance the global one
            worker_init_fn=ignore_interrupts,
        )
        for step, made in zip(range(start, stop), loader, strict=True):
            yield self.finished(made, step)

    @torch.no_grad()
    def finished(self, made: Made, step: int) -> Batch:
        """The training process's part of a step: the work on the device, and the pool."""
        self.report(made)
        feed, content = self.steps.feed, made.content
        if isinstance(content, Crops):
            batch = self.steps.batch(content, step)
        else:
            assert content is not None
            batch = content.map(lambda tensor: tensor.to(feed.device, non_blocking=True))
        if self.pool is None:
            return batch
        return self.pool.exchange(batch, generator((*self.steps.seed, step), "pool", feed.rank))

    def report(self, made: Made) -> None:
        """Raise an error; record skipped pictures, and log each of them once."""
        if made.error:
            raise DataError(made.error)
        for name, sentence in made.skipped:
            if name not in self.skipped:
                logger.warning("skipped: %s", sentence)
            self.skipped[name] = sentence

    def state_dict(self) -> dict[str, Any]:
        """The state that the next batches depend on, besides the step."""
        return {} if self.pool is None else self.pool.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the stream with this state."""
        if self.pool is not None:
            self.pool.load_state_dict(state)


def ignore_interrupts(_worker: int) -> None:
    """Ignore Ctrl-C and SIGTERM, which reach all processes of a job, in workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def summary_of(skipped: dict[str, str]) -> str:
    """One line on the pictures that a run left out; empty if there are none."""
    return f"{len(skipped)} skipped: {one_of(skipped)}" if skipped else ""
