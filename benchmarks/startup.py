"""How long `import diffir` and `diffir --help` take, beside `import torch`.

    python benchmarks/startup.py

Medians of fresh processes, interleaved, after one of each that warms the file cache.
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 7
COMMANDS = {
    "import torch": [sys.executable, "-c", "import torch"],
    "import diffir": [sys.executable, "-c", "import diffir"],
    "import diffir, every public name": [
        sys.executable,
        "-c",
        "import diffir; [getattr(diffir, name) for name in diffir.__all__]",
    ],
    "diffir --help": [sys.executable, "-m", "diffir", "--help"],
    "python alone": [sys.executable, "-c", "pass"],
}


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of one fresh process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    rounds = [[seconds(command) for command in COMMANDS.values()] for _ in range(ROUNDS + 1)][1:]
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    print("| command | seconds | times import torch |\n| --- | --- | --- |")
    for name, median in zip(COMMANDS, medians, strict=True):
        print(f"| {name} | {median:.2f} | {median / medians[0]:.2f} |")


if __name__ == "__main__":
    main()
