"""CPU seconds and peak memory of restoring one picture, in a fresh process for each size.

    python benchmarks/footprint.py sr-x4-lite

Float32, one thread, glibc's allocator with its defaults. Memory is the peak resident size of the
whole process; the first row, one pixel, is what Python, torch and the network take by themselves.
"""

import resource
import subprocess
import sys
import time

import numpy as np
import torch

from diffir import Restorer

SIZES = [(1, 1), (256, 256), (512, 512), (1024, 768)]


def measure(model: str, width: int, height: int) -> None:
    """Print the row of one size; the process is to be fresh."""
    torch.set_num_threads(1)
    restorer = Restorer.from_pretrained(model, device="cpu")
    photo = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    began = time.process_time()
    restorer(photo)
    seconds = time.process_time() - began
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"| {width} × {height} | {seconds:.1f} | {gigabytes:.1f} |", flush=True)


def main() -> None:
    """Print the table, or, given a size, its row."""
    model, *size = sys.argv[1:]
    if size:
        measure(model, int(size[0]), int(size[1]))
        return
    print("| input | CPU s | peak GB |\n| --- | --- | --- |", flush=True)
    for width, height in SIZES:
        subprocess.run([sys.executable, __file__, model, str(width), str(height)], check=True)


if __name__ == "__main__":
    main()
