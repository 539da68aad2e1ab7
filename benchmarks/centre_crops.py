"""Centre crops of a folder's pictures as PNG, for benchmarks that want one size.

python benchmarks/centre_crops.py DATA/val/sr/B100/HR -o crops --side 256
"""

import argparse
from pathlib import Path

from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--side", type=int, default=256)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    side = arguments.side
    for path in sorted(arguments.folder.iterdir()):
        picture = Image.open(path).convert("RGB")
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        crop = picture.crop((left, top, left + side, top + side))
        crop.save(arguments.output / f"{path.stem}.png")


if __name__ == "__main__":
    main()
