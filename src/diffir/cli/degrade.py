"""diffir degrade: a good photo made bad, to try a network on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .app import app, explained, fail, say

DEFAULTS = {"sr": "bicubic", "real": "published", "deblur": "motion", "inpaint": "holes-training"}
FITTING = {
    "sr": ("bicubic",),
    "real": ("published", "mild"),
    "deblur": ("motion", "phone"),
    "inpaint": ("holes-",),
}


@app.command()
@explained
def degrade(
    source: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo")],
    task: Annotated[
        Literal["deblur", "sr", "real", "inpaint"],
        typer.Option(
            help="deblur: camera shake; sr: bicubic reduction; real: blurred, noisy, compressed "
            "and reduced; inpaint: with transparent holes, which `diffir restore` fills"
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write")],
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same bits")] = 0,
    scale: Annotated[
        int | None,
        typer.Option(min=1, max=8, help="Of sr and real: so much smaller; 4 if not given"),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--degradation", help="Instead of the task's usual: mild, phone, holes-wide-512 …"
        ),
    ] = None,
    length: Annotated[
        float | None, typer.Option(min=0, help="Of deblur: pixels that the camera travels")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there")] = False,
) -> None:
    """Degrade one photo, as training does, to see what a network makes of it."""
    if output.exists() and not overwrite:
        raise fail(f"{output} exists; choose another name or add --overwrite")
    if scale is not None and task not in ("sr", "real"):
        raise fail(f"--scale came with task {task}, which keeps the size; leave it out")
    if length is not None and task != "deblur":
        raise fail(f"--length came with task {task}; it is for deblur, so leave it out")
    from diffir.data import DEGRADATIONS, MotionBlur
    from diffir.data.photo import degraded
    from diffir.images import read

    name = kind or DEFAULTS[task]
    fitting = [known for known in DEGRADATIONS if known.startswith(FITTING[task])]
    if name not in fitting:
        raise fail(f"degradation {name!r} found for task {task}; take one of {', '.join(fitting)}")
    chosen = DEGRADATIONS[name]
    if length is not None and isinstance(chosen, MotionBlur):
        chosen = chosen.model_copy(update={"length": (length, length)})
    factor = (scale or 4) if task in ("sr", "real") else 1
    picture = degraded(read(source), chosen, seed, factor)
    picture.save(output, overwrite=overwrite)
    say(f"{source} → {output}: {name}, {picture.width}×{picture.height}")
