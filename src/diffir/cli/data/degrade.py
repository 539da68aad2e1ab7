"""diffir data degrade: pairs of photos, made before a training rather than in it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from diffir.cli.app import explained, fail, say, watched

from .app import data

if TYPE_CHECKING:
    from diffir.data.degrade_set import Degraded


@data.command("degrade")
@explained
def degrade_photos(
    sources: Annotated[
        list[str], typer.Argument(metavar="SRC...", help="Folders of photos, .txt, .yaml, shards")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The folder to make")],
    kind: Annotated[
        str, typer.Option("--degradation", help="bicubic, published, mild, motion, phone …")
    ],
    scale: Annotated[int, typer.Option(min=1, max=8, help="GT is so much larger than LQ")] = 1,
    copies: Annotated[int, typer.Option(min=1, help="LQs of each photo, each drawn anew")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same bits")] = 0,
    on_bad: Annotated[
        Literal["skip", "stop"], typer.Option(help="What a photo that can't be read does")
    ] = "skip",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Photos at a time; one for each core if not given")
    ] = None,
) -> None:
    """Degrade whole photos into files that `diffir train --data DST/pairs.yaml` learns from.

    For GPUs that would wait for their pairs, and for seeing the same ones again. Run again, it
    goes on.
    """
    import torch

    from diffir.data import DEGRADATIONS
    from diffir.data.degrade_set import degrade_set
    from diffir.data.sets import MADE
    from diffir.data.stream import summary_of

    if kind not in DEGRADATIONS:
        raise fail(f"degradation {kind!r} found; take one of {', '.join(DEGRADATIONS)}")

    def watch(items: "Iterable[Degraded]", total: int) -> "Iterable[Degraded]":
        return watched(items, "degrading", total)

    torch.set_num_threads(1)  # the photos share the cores
    skipped = degrade_set(
        sources,
        target,
        DEGRADATIONS[kind],
        scale=scale,
        copies=copies,
        seed=seed,
        on_bad=on_bad,
        jobs=jobs,
        watch=watch,
    )
    left = f"; {summary_of(skipped)}" if skipped else ""
    say(f"{target / MADE}: what --data of `diffir train` takes{left}")
