"""diffir data shard: pack many pictures into a few large files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from diffir.cli.app import explained, fail, say

from .app import data


@data.command()
@explained
def shard(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SRC...", help="Folders of photos, folders with `gt` and `lq`, .txt, .yaml"
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The folder to write shards into")],
    megabytes: Annotated[int, typer.Option("--size", min=1, help="Size of a shard in MB")] = 500,
    scale: Annotated[int, typer.Option(min=1, help="Factor by which GT is larger than LQ")] = 1,
    on_bad: Annotated[
        Literal["skip", "stop"], typer.Option(help="What to do with an unusable picture")
    ] = "skip",
) -> None:
    """Pack pictures, or pairs, into WebDataset shards, which training reads like folders.

    Files are stored unchanged. Shards make sets on network drives much faster to read.
    """
    from diffir.data.prepare import require_apart
    from diffir.data.sets import data_sets, entries_of_sets
    from diffir.data.shards import write_shards
    from diffir.data.stream import summary_of

    for source in sources:
        require_apart(Path(source), target)
    entries, unfit = entries_of_sets(data_sets(sources), scale=scale)
    if (unfit and on_bad == "stop") or not entries:
        raise fail(summary_of(unfit) or "no pictures found; give some")
    pictures = 0
    for path, count in write_shards(entries, target, shard_bytes=megabytes * 1_000_000):
        say(f"{path}: {count} pictures, {path.stat().st_size / 1e6:.1f} MB")
        pictures += count
    say(f"{pictures} pictures in {target}" + (f"; {summary_of(unfit)}" if unfit else ""))
