"""diffir degrade: degrade a good photo, to try a network on it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .app import Overwrite, Seed, app, explained, fail, require_free, say

DEFAULTS = {"sr": "bicubic", "real": "published", "deblur": "motion", "inpaint": "holes-training"}
FITTING = {
    "sr": ("bicubic", "motion", "phone"),
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
    seed: Seed = 0,
    scale: Annotated[
        int | None,
        typer.Option(min=1, max=8, help="For sr and real: the reduction; default 4"),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--degradation", help="Another than the task's default: mild, phone, holes-wide-512 …"
        ),
    ] = None,
    length: Annotated[
        float | None, typer.Option(min=0, help="Of motion blur: path of the camera in pixels")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Degrade one photo, as training does, to see what a network makes of it."""
    require_free(output, overwrite)
    if scale is not None and task not in ("sr", "real"):
        raise fail(f"--scale found for task {task}, which keeps the size; leave it out")
    from diffir.data import DEGRADATIONS, MotionBlur
    from diffir.data.photo import degraded
    from diffir.images import read

    name = kind or DEFAULTS[task]
    fitting = [known for known in DEGRADATIONS if known.startswith(FITTING[task])]
    if name not in fitting:
        raise fail(f"degradation {name!r} found for task {task}; take one of {', '.join(fitting)}")
    chosen = DEGRADATIONS[name]
    if length is not None:
        if not isinstance(chosen, MotionBlur):
            raise fail(f"--length found for {name}; it is for motion blur only, so leave it out")
        chosen = chosen.model_copy(update={"length": (length, length)})
    factor = (scale or 4) if task in ("sr", "real") else 1
    picture = degraded(read(source), chosen, seed, factor)
    picture.save(output, overwrite=overwrite)
    say(f"{source} → {output}: {name}, {picture.width}×{picture.height}")
