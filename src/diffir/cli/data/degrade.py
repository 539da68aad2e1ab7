"""diffir data degrade: make training pairs in advance."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from diffir.cli.app import Seed, explained, fail, say, watched

from .app import data


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
    scale: Annotated[
        int, typer.Option(min=1, max=8, help="Factor by which GT is larger than LQ")
    ] = 1,
    copies: Annotated[int, typer.Option(min=1, help="LQ per photo, each drawn anew")] = 1,
    seed: Seed = 0,
    on_bad: Annotated[
        Literal["skip", "stop"], typer.Option(help="What to do with an unreadable photo")
    ] = "skip",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Photos at a time; default: one per core")
    ] = None,
) -> None:
    """Degrade whole photos in advance, for `diffir train --data DST/pairs.yaml`.

    For GPUs that would wait for their batches, and for pairs that stay the same. The same command
    continues an interrupted run.
    """
    import torch

    from diffir.data import DEGRADATIONS
    from diffir.data.degrade_set import degrade_set
    from diffir.data.sets import MADE
    from diffir.data.stream import summary_of

    if kind not in DEGRADATIONS:
        raise fail(f"degradation {kind!r} found; take one of {', '.join(DEGRADATIONS)}")

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
        watch=watched,
    )
    left = f"; {summary_of(skipped)}" if skipped else ""
    say(f"{target / MADE}: give this to `diffir train --data`{left}")
