"""Centre crops of a folder's pictures as PNG, for benchmarks that want one size.

python benchmarks/centre_crops.py DATA/val/sr/B100/HR -o crops --side 256
"""

import argparse
import sys
from pathlib import Path

from small_budget import cropped


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--side", type=int, default=256)
    arguments = parser.parse_args()
    cropped([arguments.folder], arguments.output, sys.maxsize, arguments.side)


if __name__ == "__main__":
    main()
