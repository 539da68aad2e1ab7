"""Load on `diffir serve`: requests a second, how long they take, and the server's memory.

    python benchmarks/serve.py --clients 1 8 64 --seconds 20

Every client posts the same picture of noise to /v1/restore, again and again; the server is a fresh
process for each row, with its limits on clients and jobs out of the way. Peak memory is the
server's peak resident size.
"""

import argparse
import asyncio
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from PIL import Image


def picture(side: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def server(model: str, threads: int) -> Iterator[tuple[int, str]]:
    """The number of a server's process, and its address."""
    limits = ["--max-jobs", "10000", "--max-client-jobs", "10000"]
    words = ["serve", model, "--port", "0", "--threads", str(threads), *limits]
    process = subprocess.Popen(
        [sys.executable, "-m", "diffir", *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        yield process.pid, process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


async def load(address: str, body: bytes, clients: int, seconds: float) -> tuple[list[float], int]:
    """How long every request took that was begun in time, and how many failed."""
    took: list[float] = []
    errors = 0
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=clients)

    async def client(http: httpx.AsyncClient) -> None:
        nonlocal errors
        while (began := time.monotonic()) < end:
            try:
                answer = await http.post("/v1/restore", files={"picture": body})
                errors += answer.status_code != 200
            except httpx.HTTPError:
                errors += 1
            took.append(time.monotonic() - began)

    async with httpx.AsyncClient(base_url=address, timeout=300, limits=limits) as http:
        await http.post("/v1/restore", files={"picture": body})  # warms up
        await asyncio.gather(*(client(http) for _ in range(clients)))
    return took, errors


def peak_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def row(model: str, threads: int, side: int, clients: int, seconds: float) -> str:
    with server(model, threads) as (pid, address):
        began = time.monotonic()
        took, errors = asyncio.run(load(address, picture(side), clients, seconds))
        rate = len(took) / (time.monotonic() - began)
        p50, p99 = statistics.median(took), float(np.quantile(took, 0.99))
        cells = f"{len(took)} | {rate:.2f} | {p50:.2f} s | {p99:.2f} s | {errors}"
        return f"| {clients} | {cells} | {peak_megabytes(pid):.0f} MB |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="sr-x4-lite")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", type=int, default=32, help="of the square picture, in pixels")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=20, help="for each row")
    given = parser.parse_args()
    print(f"{given.model}, {given.side}×{given.side}, {given.threads} thread(s)\n")
    print("| clients | requests | a second | p50 | p99 | errors | peak memory |")
    print("| --- " * 7 + "|")
    for clients in given.clients:
        print(row(given.model, given.threads, given.side, clients, given.seconds), flush=True)


if __name__ == "__main__":
    main()
