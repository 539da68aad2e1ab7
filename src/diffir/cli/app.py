"""The verbs, and what is common to them: options, errors, consoles."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer
from rich.console import Console

from diffir._version import __version__
from diffir.errors import DiffIRError

P = ParamSpec("P")
R = TypeVar("R")

USER_MISTAKE = 2

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Restore images with DiffIR: enlarge, deblur, fill holes.",
)


def fail(message: str) -> typer.Exit:
    """Print a sentence to standard error and give the exit for a user's mistake."""
    err.print(f"[red]error:[/red] {escaped(message)}", soft_wrap=True)
    return typer.Exit(USER_MISTAKE)


def escaped(text: str) -> str:
    """Text for rich whose brackets are brackets."""
    from rich.markup import escape

    return escape(text)


def explained(verb: Callable[P, R]) -> Callable[P, R]:
    """A verb whose DiffIRError is a sentence and whose interruption leaves without a traceback."""

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except DiffIRError as error:
            raise fail(str(error)) from error
        except KeyboardInterrupt as interrupt:
            err.print("interrupted; whole files stay, nothing half-written is left")
            raise typer.Exit(130) from interrupt

    return run


def print_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        out.print(f"diffir {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Restore images with DiffIR: enlarge, deblur, fill holes."""


Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")]
Weights = Annotated[
    Path, typer.Argument(help="A weights file: ours, or the authors' .pth or .ckpt")
]

from . import convert, info, models, restore, train  # noqa: E402, F401  (each registers its verb)
