"""diffir serve: pictures over HTTP."""

import math
import os
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

KEY = "DIFFIR_API_KEY"


@app.command()
@explained
def serve(
    models: Served = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    no_key: Annotated[
        bool, typer.Option("--no-key", help="Accept other computers without an API key")
    ] = False,
    device: Device = "auto",
    precision: Precision = "float32",
    memory: Memory = None,
    threads: Threads = None,
    max_bytes: Annotated[str, typer.Option(help="Largest request")] = "32MiB",
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest picture")] = 4_000_000,
    max_jobs: Annotated[int, typer.Option(min=1, help="Jobs waiting or running, in all")] = 32,
    max_client_jobs: Annotated[int, typer.Option(min=1, help="The same per client address")] = 8,
    max_batch: Annotated[
        int,
        typer.Option(min=1, help="Pictures of one size per batch; pays on GPUs, and for tiny ones"),
    ] = 1,
    seconds: Annotated[
        float,
        typer.Option(min=0.001, help="Time limit of an upload, of restoring, and of a wait, each"),
    ] = 300,
    keep_seconds: Annotated[float, typer.Option(min=0, help="How long results are kept")] = 600,
    keep_bytes: Annotated[
        str, typer.Option(help="Of all kept results; the oldest are dropped")
    ] = "512MiB",
    stop_seconds: Annotated[
        float, typer.Option(min=0, help="Grace period for running jobs at shutdown")
    ] = 60,
) -> None:
    """Serve networks over HTTP (docs/serving.md); an API key is read from DIFFIR_API_KEY."""
    with needed("serve", "serving"):
        from diffir.serving import Settings, build_app
        from diffir.serving.server import in_url, is_loopback, listen, loaded
        from diffir.serving.server import serve as answer
    from diffir.inference.engine import bytes_of

    if not math.isfinite(stop_seconds):
        raise fail(f"--stop-seconds {stop_seconds} found; give a number of seconds, such as 3600")

    settings = Settings(
        key=os.environ.get(KEY, "").strip() or None,
        max_bytes=bytes_of(max_bytes, "--max-bytes"),
        max_pixels=max_pixels,
        max_jobs=max_jobs,
        max_client_jobs=max_client_jobs,
        max_batch=max_batch,
        seconds=seconds,
        keep_seconds=keep_seconds,
        keep_bytes=bytes_of(keep_bytes, "--keep-bytes"),
        stop_seconds=stop_seconds,
    )
    if not (settings.key or no_key or is_loopback(host)):
        raise fail(f"--host {host} lets other computers in; set {KEY} to a secret, or add --no-key")
    restorers = loaded(models, device=device, precision=precision, memory=memory, threads=threads)
    try:
        socket = listen(host, port)
    except OSError as error:
        raise cannot_listen(host, port, error) from error
    news = f"serving {', '.join(restorers)} on http://{in_url(host)}:{socket.getsockname()[1]}"
    answer(build_app(restorers, settings), socket, lambda: say(news))
