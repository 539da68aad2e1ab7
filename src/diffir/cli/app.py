"""What all commands share: options, errors, consoles."""

import functools
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from diffir._version import __version__
from diffir.errors import DiffIRError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

USER_MISTAKE = 2
INTERRUPTED = 130

# File names may hold what rich takes for markup or emoji: [red].png, :dog:.png
out = Console(highlight=False, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Restore images with DiffIR: enlarge, deblur, fill holes.",
)


def say(message: str) -> None:
    """Print one line to standard output, however narrow that is."""
    out.print(message, soft_wrap=True)


def complain(what: str, message: str) -> None:
    """Print one line to standard error, its first words in red."""
    err.print(Text(what, style="red"), message, soft_wrap=True)


def fail(message: str) -> typer.Exit:
    """Print a sentence to standard error and give the exit for a user's mistake."""
    complain("error:", message)
    return typer.Exit(USER_MISTAKE)


def cannot_listen(host: str, port: int, error: OSError) -> typer.Exit:
    """Say why nobody can be served there; give the exit for a user's mistake."""
    reason = str(error.strerror).partition(" (while")[0]  # Python repeats the address there
    return fail(f"cannot listen on {host}:{port} ({reason}); choose another --host or --port")


def require_free(path: Path, overwrite: bool) -> None:
    """Refuse a file that exists, unless it may be replaced."""
    if path.exists() and not overwrite:
        raise fail(f"{path} exists; choose another name or add --overwrite")


def counted(number: int, thing: str) -> str:
    """`1 pair`, `2 pairs`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def watched(items: Iterable[T], what: str, total: int) -> Iterable[T]:
    """The items, with a progress bar on a terminal."""
    from rich.progress import track

    return track(items, what, total=total, console=err, transient=True, disable=not err.is_terminal)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, which ends services and jobs of clusters, do what Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def explained(verb: Callable[P, R]) -> Callable[P, R]:
    """A command that reports mistakes and interruptions in one sentence, without a traceback."""

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except DiffIRError as error:
            raise fail(str(error)) from error
        except BrokenPipeError:  # the reader of our output left, which is no mistake
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""  # a full disk names no file
            raise fail(
                f"{where}{error.strerror or error}; "
                "check the path, its permissions and the free space"
            ) from error
        except KeyboardInterrupt as interrupt:
            err.print("interrupted; finished files are kept, nothing half-written is left")
            raise typer.Exit(INTERRUPTED) from interrupt

    return run


def print_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        say(f"diffir {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print the version"),
    ] = False,
) -> None:
    """Restore images with DiffIR: enlarge, deblur, fill holes."""


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the recipe: stage1.steps=100, degradation=mild …"
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")]
Precision = Annotated[
    Literal["float32", "bfloat16"],
    typer.Option(help="bfloat16 is faster on some machines, and less accurate"),
]
Detail = Annotated[
    float,
    typer.Option(help="0 is most faithful, 1 is crispest; for real-x4-lite"),
]
Memory = Annotated[
    str | None,
    typer.Option(help="Limit per picture, such as 2GB; default: what is free. Same result"),
]
Served = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL...",
        help="Names from `diffir models`, or weights files; default: all bundled ones",
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free port")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads of the networks; default: all")
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same bits")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files")]

from . import (  # noqa: E402, F401  (each registers its verb)
    compare,
    convert,
    cost,
    degrade,
    evaluate,
    export,
    find_rate,
    info,
    models,
    probe,
    recipe,
    restore,
    runs,
    serve,
    train,
    video,
    web,
)
from .data import data  # noqa: E402

app.add_typer(data, name="data")
