"""diffir info: what a weights file holds."""

from .app import Weights, app, escaped, explained, out


@app.command()
@explained
def info(file: Weights) -> None:
    """Tell what a weights file holds: stage, task, scale, sizes, how it was trained."""
    from diffir.loading import describe

    for key, value in describe(file).items():
        out.print(f"{key:<22} {escaped(str(value))}", soft_wrap=True)
