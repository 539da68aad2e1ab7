"""What a run will need: stripe heights for a budget of memory, and bytes known beforehand."""

import math
from dataclasses import dataclass, replace

from diffir.errors import DeviceError
from diffir.model import DiffIRConfig

from .stripes import Grid

STRIPE = 400_000
"""Numbers of x in a stripe: few enough for the caches, enough to be worth a call."""
GPU_STRIPE = 32_000_000
"""The same on a GPU: a stripe is about 16 launches of some 12 µs, in which a GPU of 3 TB/s moves
what 13 million numbers in bfloat16 cause; by arithmetic, not measured."""
BLOCK = 512
"""Pixels, at least, that sums over pixels take together."""
ALLOWANCE = 160_000_000
"""Bytes for folded and packed weights, what libraries keep, and the allocator's gaps."""
GPU_ALLOWANCE = 200_000_000
"""The same on a GPU, with partial sums and what cuDNN works in; not measured."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How pictures of one size are restored; `bytes` is what that takes, LQ not counted."""

    config: DiffIRConfig
    batch: int
    height: int
    """Of LQ, padded to what the network takes."""
    width: int
    itemsize: int
    """Bytes of a number inside stripes; maps are float32."""
    stripe: int
    """Numbers of x in a stripe, about."""
    allowance: int = ALLOWANCE

    @property
    def grids(self) -> list[Grid]:
        """How the maps of the four levels are cut."""
        config = self.config
        height, width = self.height // config.unshuffle, self.width // config.unshuffle
        dims = [2 * config.dim, *(config.dim << level for level in (1, 2, 3))]
        return [
            grid_of(height >> level, width >> level, self.stripe // dim)
            for level, dim in enumerate(dims)
        ]

    @property
    def cpen_grid(self) -> Grid:
        """How CPEN's map is cut."""
        factor = self.config.cpen_unshuffle
        pixels = self.stripe // self.config.ipr_dim
        return grid_of(self.height // factor, self.width // factor, pixels)

    @property
    def tail_grid(self) -> Grid:
        """How level 1 is cut for the output layers, which enlarge it."""
        config, level = self.config, self.grids[0]
        pixels = self.stripe // (config.dim * max(config.upscale, 2) ** 2 // 2)
        return grid_of(level.height, level.width, pixels)

    @property
    def map_numbers(self) -> int:
        """Numbers of the maps: the 2C channels of level 1, or CPEN's map."""
        level, cpen = self.grids[0], self.cpen_grid
        body = 2 * self.config.dim * level.height * level.width
        return max(body, self.config.ipr_dim // 4 * cpen.height * cpen.width)

    @property
    def output_bytes(self) -> int:
        """Bytes of the restored pictures."""
        return 12 * self.batch * self.height * self.width * self.config.scale**2

    @property
    def scratch_bytes(self) -> int:
        """Bytes of everything that is as large as a stripe."""
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
        """Bytes of LQ with its holes filled; filling takes some more, before the maps are there."""
        return 16 * self.height * self.width * self.config.prefill

    @property
    def bytes(self) -> int:
        """Everything that a run allocates."""
        whole = 4 * self.map_numbers + self.output_bytes + self.prefilled_bytes
        return whole + self.scratch_bytes + self.allowance

    def halved(self) -> "Plan | None":
        """The plan with stripes about half as high, None where they are as low as can be."""
        stripe = self.stripe
        while stripe := stripe // 2:
            plan = replace(self, stripe=stripe)
            if plan.scratch_bytes < self.scratch_bytes:
                return plan
        return None

    def describe(self, whole: bool = False) -> str:
        """One line: size, memory, and stripes, unless whole maps are taken."""
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
    """A map cut into stripes of about so many pixels, in whole blocks of an even number of rows."""
    block = 2 * math.ceil(BLOCK / (2 * width))
    rows = block * max(1, pixels // (block * width))
    return Grid(height=height, width=width, block=block, rows=rows)


def block_numbers(dim: int, expansion: float) -> int:
    """Numbers that a block holds for every pixel of a stripe: lines and what is made of them."""
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
    """The plan with the highest stripes, up to what is useful, that a budget of bytes allows.

    Raises:
        ValueError: when the sides do not divide by `config.multiple_of`.
        DeviceError: when not even the lowest stripes fit.
    """
    if height % config.multiple_of or width % config.multiple_of or 0 in (batch, height, width):
        raise ValueError(
            f"{batch} picture(s) of {width}×{height} found; sides must divide by "
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
                f"{megabytes(budget)} of memory are allowed, but {width}×{height} needs "
                f"{megabytes(plan.bytes, up=True)}, padding included; allow that, or make the "
                "picture smaller"
            )
        plan = lower
    return plan


def too_little(plan: Plan) -> DeviceError:
    """What to say when memory ran out with the lowest plan."""
    return DeviceError(
        f"memory ran out at {plan.width}×{plan.height}, which needs "
        f"{megabytes(plan.bytes, up=True)}; free that much, or make the picture smaller"
    )


def megabytes(count: int, up: bool = False) -> str:
    """Bytes as people say them; with `up`, never fewer than they are."""
    if count < 1e6 and not up:
        return f"{count} bytes"
    return f"{math.ceil(count / 1e6) if up else round(count / 1e6)} MB"
