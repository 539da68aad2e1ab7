"""Plan a run: the height of stripes for a memory limit, and the bytes needed."""

import math
from dataclasses import dataclass, replace

from diffir.errors import DeviceError
from diffir.model import DiffIRConfig

from .stripes import Grid

STRIPE = 400_000
"""Elements of x in a stripe: few enough for the caches, enough to be worth a call."""
GPU_STRIPE = 32_000_000
"""The same on a GPU: a stripe takes about 16 launches of some 12 µs, in which a GPU with 3 TB/s
moves the data of 13 million elements in bfloat16; calculated, not measured."""
BLOCK = 512
"""The least number of pixels that sums over pixels process together."""
ALLOWANCE = 160_000_000
"""Bytes for folded and packed weights, libraries, and fragmentation."""
GPU_ALLOWANCE = 200_000_000
"""The same on a GPU, including partial sums and cuDNN's workspace; not measured."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How pictures of one size are restored; `bytes` is the memory needed, without LQ."""

    config: DiffIRConfig
    batch: int
    height: int
    """Of the padded LQ."""
    width: int
    itemsize: int
    """Bytes per element in stripes; maps are float32."""
    stripe: int
    """Approximate elements of x in a stripe."""
    allowance: int = ALLOWANCE

    @property
    def grids(self) -> list[Grid]:
        """The division of the maps of the four levels into stripes."""
        config = self.config
        height, width = self.height // config.unshuffle, self.width // config.unshuffle
        dims = [2 * config.dim, *(config.dim << level for level in (1, 2, 3))]
        return [
            grid_of(height >> level, width >> level, self.stripe // dim)
            for level, dim in enumerate(dims)
        ]

    @property
    def cpen_grid(self) -> Grid:
        """The division of CPEN's map into stripes."""
        factor = self.config.cpen_unshuffle
        pixels = self.stripe // self.config.ipr_dim
        return grid_of(self.height // factor, self.width // factor, pixels)

    @property
    def tail_grid(self) -> Grid:
        """The division of level 1 into stripes for the output layers, which enlarge it."""
        config, level = self.config, self.grids[0]
        pixels = self.stripe // (config.dim * max(config.upscale, 2) ** 2 // 2)
        return grid_of(level.height, level.width, pixels)

    @property
    def map_numbers(self) -> int:
        """Elements of the maps: the 2C channels of level 1, or CPEN's map if larger."""
        level, cpen = self.grids[0], self.cpen_grid
        body = 2 * self.config.dim * level.height * level.width
        return max(body, self.config.ipr_dim // 4 * cpen.height * cpen.width)

    @property
    def output_bytes(self) -> int:
        """Bytes of the restored pictures."""
        return 12 * self.batch * self.height * self.width * self.config.scale**2

    @property
    def scratch_bytes(self) -> int:
        """Bytes of all buffers with the size of a stripe."""
        config = self.config
        dims = [2 * config.dim, *(config.dim << level for level in (1, 2, 3))]
        block = max(
            (grid.tallest + 4) * grid.width * block_numbers(dim, config.ffn_expansion)
            for grid, dim in zip(self.grids, dims, strict=True)
        )
        cpen, tail = self.cpen_grid, self.tail_grid
        chain = (cpen.tallest + 5) * cpen.width * 2 * config.ipr_dim
        shuffles = sum(
            (tail.tallest + 3) * tail.width * 2 * config.dim * 3 * 4**doubling
            for doubling in range(1, config.upscale.bit_length())
        )
        return self.itemsize * (block + chain + shuffles)

    @property
    def prefilled_bytes(self) -> int:
        """Bytes of LQ with its holes filled; filling needs some more, before maps are allocated."""
        return 16 * self.height * self.width * self.config.prefill

    @property
    def bytes(self) -> int:
        """All bytes that a run allocates."""
        whole = 4 * self.map_numbers + self.output_bytes + self.prefilled_bytes
        return whole + self.scratch_bytes + self.allowance

    def halved(self) -> "Plan | None":
        """The plan with stripes about half as high, None if they are already the lowest."""
        stripe = self.stripe
        while stripe := stripe // 2:
            plan = replace(self, stripe=stripe)
            if plan.scratch_bytes < self.scratch_bytes:
                return plan
        return None

    def describe(self, whole: bool = False) -> str:
        """One line with size, memory, and stripes, unless whole maps are used."""
        pictures = "1 picture" if self.batch == 1 else f"{self.batch} pictures"
        size = f"{pictures} of {self.width}×{self.height}"
        if whole:
            return f"{size}: whole maps, below {megabytes(self.bytes, up=True)}"
        rows = ", ".join(str(grid.rows) for grid in self.grids)
        return (
            f"{size}: {megabytes(self.bytes)}, of which "
            f"{megabytes(self.scratch_bytes)} for stripes of {rows} rows at the four levels"
        )


def grid_of(height: int, width: int, pixels: int) -> Grid:
    """Divide a map into stripes of about `pixels` pixels, in blocks of an even number of rows."""
    block = 2 * math.ceil(BLOCK / (2 * width))
    rows = block * max(1, pixels // (block * width))
    return Grid(height=height, width=width, block=block, rows=rows)


def block_numbers(dim: int, expansion: float) -> int:
    """Elements that a block holds per pixel of a stripe: line buffers and intermediate results."""
    hidden = int(dim * expansion) + 16
    return 5 * dim + 2 * hidden + max(4 * dim, 2 * hidden)


def plan_for(
    config: DiffIRConfig,
    batch: int,
    height: int,
    width: int,
    budget: int | None = None,
    itemsize: int = 4,
    gpu: bool = False,
) -> Plan:
    """The plan with the highest useful stripes that a budget in bytes allows.

    Raises:
        ValueError: when the sides are not multiples of `config.multiple_of`.
        DeviceError: when not even the lowest stripes fit.
    """
    if height % config.multiple_of or width % config.multiple_of or 0 in (batch, height, width):
        raise ValueError(
            f"{batch} picture(s) of {width}×{height} found; sides must be multiples of "
            f"{config.multiple_of}"
        )
    plan = Plan(
        config=config,
        batch=batch,
        height=height,
        width=width,
        itemsize=itemsize,
        stripe=GPU_STRIPE if gpu else STRIPE,
        allowance=GPU_ALLOWANCE if gpu else ALLOWANCE,
    )
    while budget is not None and plan.bytes > budget:
        lower = plan.halved()
        if lower is None:
            raise DeviceError(
                f"the memory limit is {megabytes(budget)}, but {width}×{height} needs "
                f"{megabytes(plan.bytes, up=True)}, including padding; raise it, or make the "
                "picture smaller"
            )
        plan = lower
    return plan


def too_little(plan: Plan) -> DeviceError:
    """The error when memory ran out even with the lowest stripes."""
    return DeviceError(
        f"memory ran out at {plan.width}×{plan.height}, which needs "
        f"{megabytes(plan.bytes, up=True)}; free that much, or make the picture smaller"
    )


def megabytes(count: int, up: bool = False) -> str:
    """Format bytes as MB; with `up`, rounded up."""
    if count < 1e6 and not up:
        return f"{count} bytes"
    return f"{math.ceil(count / 1e6) if up else round(count / 1e6)} MB"
