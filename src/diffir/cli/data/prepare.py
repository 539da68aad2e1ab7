"""diffir data prepare: turn a downloaded set into a folder that training reads."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from diffir.cli.app import complain, counted, explained, say, watched

from .app import data

if TYPE_CHECKING:
    from diffir.data.cutting import Cutting
    from diffir.data.prepare import Prepared
    from diffir.data.prepare_sets import PublicSet


def print_sets(wanted: bool) -> None:
    """Print the sets with their sources and terms, and exit."""
    if not wanted:
        return
    from diffir.data.prepare_sets import PUBLIC_SETS

    for name, public in PUBLIC_SETS.items():
        say(f"{name}: {source_of(public)}")
        say(f"    needs {public.layout}")
        say(f"    makes {described(public.cutting, public.has_pairs)}")
    raise typer.Exit


@data.command()
@explained
def prepare(
    name: Annotated[
        str,
        typer.Argument(
            metavar="SET",
            help="div2k, flickr2k, df2k, ost, gopro, hide, places, celeba-hq; or folder, for any "
            "photos",
        ),
    ],
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="The folder the set was unpacked into")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The folder to make")],
    split: Annotated[
        Literal["train", "test"], typer.Option(help="Which part; test pictures stay whole")
    ] = "train",
    size: Annotated[
        int | None, typer.Option(min=0, help="Side of the crops; 0 keeps pictures whole")
    ] = None,
    step: Annotated[
        int | None, typer.Option(min=1, help="Pixels from crop to crop; default: half the size")
    ] = None,
    scales: Annotated[
        str | None, typer.Option(help="Lanczos-reduced copies to add: 1,0.75,0.5,1/3; 1: none")
    ] = None,
    edge: Annotated[
        int | None,
        typer.Option(min=0, help="Short side of one more, smallest copy; 0: none"),
    ] = None,
    blur: Annotated[
        Literal["blur", "blur_gamma"], typer.Option(help="Which of GoPro's blurred frames")
    ] = "blur",
    on_bad: Annotated[
        Literal["skip", "stop"],
        typer.Option(help="What to do with an unreadable or unpaired file"),
    ] = "skip",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Pictures at a time; default: one per core")
    ] = None,
    _list: Annotated[
        bool,
        typer.Option(
            "--list", callback=print_sets, is_eager=True, help="List the sets and their terms"
        ),
    ] = False,
) -> None:
    """Turn a downloaded set into a folder for `diffir train --data`.

    DST gets gt/, for pairs lq/ with the same names, and list.txt. Sizes default to the set's usual
    ones (see --list); pictures smaller than the crop stay as they are. Whole pictures are copied,
    crops and reduced copies are 8-bit PNG. The same command continues an interrupted run.
    """
    from diffir.data.prepare import prepare as prepare_set
    from diffir.data.prepare import set_named, usual_cutting

    public = set_named(name)
    cutting = chosen(usual_cutting(public, split), size, step, scales, edge)
    say(source_of(public))
    say(f"making {described(cutting, public.has_pairs)}")
    result = prepare_set(
        name,
        source,
        target,
        split=split,
        blur=blur,
        cutting=cutting,
        on_bad=on_bad,
        jobs=jobs,
        watch=watched,
    )
    tell(result, target, public.has_pairs)


def chosen(
    usual: "Cutting", size: int | None, step: int | None, scales: str | None, edge: int | None
) -> "Cutting":
    """The default cutting with the options that were given."""
    from diffir.data.cutting import scales_of

    side = usual.size if size is None else size
    between = usual.step if size is None else side - side // 2
    return replace(
        usual,
        size=side,
        step=between if step is None else step,
        scales=usual.scales if scales is None else scales_of(scales.split(",")),
        edge=usual.edge if edge is None else edge,
    )


def source_of(public: "PublicSet") -> str:
    """The source and terms of a set."""
    if not public.page:
        return f"{public.title}; terms: {public.terms}"
    return f"{public.title}, from {public.page}; terms: {public.terms}"


def described(cutting: "Cutting", has_pairs: bool) -> str:
    """A cutting in words."""
    what = "pairs" if has_pairs else "pictures"
    words = f"whole {what}"
    if cutting.size:
        side = cutting.size
        words = f"crops of {side}×{side} every {cutting.step} pixels, of {what}"
    if cutting.resizes:
        words += f" at scales {cutting.names()}"
    return words + (f" and with a short side of {cutting.edge}" if cutting.edge else "")


def tell(result: "Prepared", target: Path, has_pairs: bool) -> None:
    """Print a line per original that was left out, and a summary."""
    for sentence in result.skipped.values():
        complain("left out:", sentence)
    what = "pair" if has_pairs else "picture"
    left_out = f", {len(result.skipped)} left out" if result.skipped else ""
    say(
        f"{counted(len(result.gt), what)} in {target}, {result.made} of them made now, from "
        f"{counted(result.originals, what)}{left_out}; train with --data {target}"
    )
