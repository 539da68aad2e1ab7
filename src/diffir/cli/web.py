"""diffir app: a page in the browser for restoring photos."""

from typing import Annotated

import typer

from diffir.libraries import needed

from .app import (
    Device,
    Host,
    Memory,
    Port,
    Precision,
    Served,
    Threads,
    app,
    cannot_listen,
    explained,
    fail,
    say,
)


@app.command("app")
@explained
def web(
    models: Served = None,
    host: Host = "127.0.0.1",
    port: Port = 7860,
    no_key: Annotated[
        bool,
        typer.Option("--no-key", help="Accept other computers, although the page asks for no key"),
    ] = False,
    device: Device = "auto",
    precision: Precision = "float32",
    memory: Memory = None,
    threads: Threads = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest photo")] = 50_000_000,
) -> None:
    """Serve a web page for restoring photos in the browser (docs/app.md)."""
    with needed("app", "the page"):
        from diffir.app.launch import opened, until_told_to_stop
        from diffir.serving import Settings
        from diffir.serving.server import is_loopback, loaded

    if not (no_key or is_loopback(host)):
        raise fail(
            f"--host {host} lets other computers in, and the page asks for no key; "
            "add --no-key if that is intended"
        )
    restorers = loaded(models, device=device, precision=precision, memory=memory, threads=threads)
    settings = Settings(
        max_bytes=512 * 2**20, max_pixels=max_pixels, seconds=24 * 3600, keep_seconds=3600
    )
    try:
        with opened(restorers, settings, host=host, port=port) as address:
            until_told_to_stop(lambda: say(f"open {address} in a browser; Ctrl-C ends it"))
    except OSError as error:
        raise cannot_listen(host, port, error) from error
