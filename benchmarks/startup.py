"""How long `import diffir` and short commands take, beside `import torch`.

    python benchmarks/startup.py

Medians of fresh processes, interleaved, after one of each that warms the file cache. The restored
picture is so small that its time is that of starting and of loading the network.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROUNDS = 7
DIFFIR = [sys.executable, "-m", "diffir"]


def commands(folder: Path) -> dict[str, list[str]]:
    """What is timed, the measure of it first."""
    picture = folder / "picture.png"
    Image.new("RGB", (8, 8), "gray").save(picture)
    every_name = "import diffir; [getattr(diffir, name) for name in diffir.__all__]"
    restore = ["restore", picture, "-o", folder / "restored.png", "--overwrite", "--task", "deblur"]
    return {
        "import torch": [sys.executable, "-c", "import torch"],
        "import diffir": [sys.executable, "-c", "import diffir"],
        "import diffir, every public name": [sys.executable, "-c", every_name],
        "diffir --help": [*DIFFIR, "--help"],
        "diffir restore of 8×8 pixels": [*DIFFIR, *map(str, restore)],
        "python alone": [sys.executable, "-c", "pass"],
    }


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of one fresh process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        timed = commands(Path(folder))
        rounds = [[seconds(command) for command in timed.values()] for _ in range(ROUNDS + 1)][1:]
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    print("| command | seconds | times import torch |\n| --- | --- | --- |")
    for name, median in zip(timed, medians, strict=True):
        print(f"| {name} | {median:.2f} | {median / medians[0]:.2f} |")


if __name__ == "__main__":
    main()
