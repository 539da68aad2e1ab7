"""The commands of `diffir data`."""

import typer

data = typer.Typer(
    no_args_is_help=True, help="Make, check and look at training data.", add_completion=False
)
