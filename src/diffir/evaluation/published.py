"""The tables of the paper (arXiv 2303.09472), as data.

Printed next to our own scores, they show how far a network is from the published one. Gaps mean
little if protocols differ: each `Published` states its protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .metrics import METRICS

OURS = "DiffIR_S2"
"""The method's name in its own tables."""

NOT_SAID: Mapping[str, tuple[str, ...]] = {
    "ssim": ("ssim_volume",),
    "lpips": ("lpips_alex", "lpips_vgg"),
}
"""Metrics whose variant the tables do not state; their scores are shown next to any variant."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One score of a table."""

    method: str
    benchmark: str
    metric: str
    value: float
    protocol: str


Table = Mapping[str, tuple[float, ...]]

ON_Y = "PSNR on Y without a border of 4 pixels; LPIPS with AlexNet"
ON_RGB = "RGB, as usual for deblurring; the variant of SSIM is not stated"
AT_512 = "512×512; the network of LPIPS is not stated"
AT_256 = "256×256; the network of LPIPS is not stated"
NO_CHANNELS = "whether PSNR is on Y is not stated"
CANON = (
    "×4 on RealSR's Canon test pictures, as in the authors' code; the table says RealSRSet; "
    f"{NO_CHANNELS}"
)
TRACK_1 = f"×4 on track 1; {NO_CHANNELS}"

SUPER_RESOLUTION: Table = {  # PSNR and LPIPS on each of SR_BENCHMARKS
    "SFTGAN": (26.74, 0.1313, 24.34, 0.1343, 28.17, 0.0716, 29.16, 0.0947, 28.09, 0.1331),
    "SRGAN": (26.84, 0.1327, 24.41, 0.1439, 28.11, 0.0707, 29.33, 0.0964, 28.17, 0.1257),
    "ESRGAN": (26.59, 0.1241, 24.37, 0.1229, 28.41, 0.0649, 29.43, 0.0879, 28.18, 0.1154),
    "USRGAN": (27.41, 0.1347, 24.89, 0.1330, 28.75, 0.0630, 30.00, 0.0937, 28.79, 0.1325),
    "SPSR": (26.86, 0.1207, 24.80, 0.1184, 28.56, 0.0672, 29.42, 0.0862, 28.18, 0.1099),
    "BebyGAN": (27.09, 0.1157, 25.23, 0.1096, 29.19, 0.0529, 29.95, 0.0778, 28.62, 0.1022),
    "LDM": (25.62, 0.2034, 23.36, 0.1816, 25.87, 0.1321, 27.17, 0.1655, 26.66, 0.1939),
    "SRDiff": (27.14, 0.1450, 25.12, 0.1379, 28.67, 0.0665, 29.83, 0.1009, 28.58, 0.1293),
    OURS: (27.73, 0.1117, 26.05, 0.1007, 30.32, 0.0463, 30.58, 0.0717, 29.13, 0.0871),
}
SR_BENCHMARKS = ("set14", "urban100", "manga109", "general100", "div2k100")
SR_METRICS = ("psnr_y", "lpips_alex")

GOPRO: Table = {
    "IPT": (32.52,),
    "MIMO-UNet+": (32.45, 0.957),
    "MPRNet": (32.66, 0.959),
    "Restormer": (32.92, 0.961),
    OURS: (33.20, 0.963),
}
HIDE: Table = {
    "MIMO-UNet+": (29.99, 0.930),
    "MPRNet": (30.96, 0.939),
    "Restormer": (31.22, 0.942),
    OURS: (31.55, 0.947),
}
DEBLURRING_METRICS = ("psnr", "ssim")

PLACES: Table = {  # FID and LPIPS under narrow and under wide masks
    "LaMa": (0.6340, 0.0898, 2.2494, 0.1339),
    OURS: (0.4913, 0.0758, 1.9788, 0.1306),
}
CELEBA_HQ: Table = {
    "LaMa": (5.3889, 0.0806, 5.7023, 0.0951),
    "ICT": (8.4977, 0.0982, 9.8794, 0.1196),
    "RePaint": (4.7395, 0.0890, 5.4881, 0.1094),
    OURS: (4.5967, 0.0769, 5.1440, 0.0918),
}
INPAINTING_METRICS = ("fid", "lpips")

REALSR: Table = {
    "Real-ESRGAN": (0.3629, 0.1609, 26.07),
    "BSRGAN": (0.3648, 0.1676, 26.90),
    OURS: (0.3527, 0.1588, 27.65),
}
NTIRE2020: Table = {
    "Real-ESRGAN": (0.3471, 0.1326, 26.40),
    "BSRGAN": (0.3691, 0.1368, 26.75),
    OURS: (0.3088, 0.1131, 27.31),
}
REAL_WORLD_METRICS = ("lpips", "dists", "psnr_y")


def rows(
    table: Table, benchmarks: tuple[str, ...], metrics: tuple[str, ...], protocol: str
) -> tuple[Published, ...]:
    """The scores of a table whose columns are the benchmarks, each with its metrics."""
    columns = [(benchmark, metric) for benchmark in benchmarks for metric in metrics]
    return tuple(
        Published(method=method, benchmark=benchmark, metric=metric, value=value, protocol=protocol)
        for method, values in table.items()
        for (benchmark, metric), value in zip(columns, values, strict=False)  # IPT has no SSIM
    )


PUBLISHED: tuple[Published, ...] = (
    *rows(SUPER_RESOLUTION, SR_BENCHMARKS, SR_METRICS, ON_Y),
    *rows(GOPRO, ("gopro",), DEBLURRING_METRICS, ON_RGB),
    *rows(HIDE, ("hide",), DEBLURRING_METRICS, ON_RGB),
    *rows(PLACES, ("places-narrow", "places-wide"), INPAINTING_METRICS, AT_512),
    *rows(CELEBA_HQ, ("celeba-hq-narrow", "celeba-hq-wide"), INPAINTING_METRICS, AT_256),
    *rows(REALSR, ("realsr",), REAL_WORLD_METRICS, CANON),
    *rows(NTIRE2020, ("ntire2020",), REAL_WORLD_METRICS, TRACK_1),
)


def beside(benchmark: str, metric: str) -> tuple[Published, ...]:
    """The paper's scores on a benchmark, best last; empty if it has none.

    Args:
        benchmark: `set14`, `gopro`, `places-narrow` …; spaces, dashes and capitals don't matter.
        metric: a key of `METRICS`, or of `NOT_SAID`.
    """
    found = [
        row
        for row in PUBLISHED
        if plain(row.benchmark) == plain(benchmark)
        and plain(metric) in map(plain, (row.metric, *NOT_SAID.get(row.metric, ())))
    ]
    if not found:
        return ()
    kind, *_ = NOT_SAID.get(found[0].metric, (found[0].metric,))
    falling = METRICS[kind].better == "lower"
    return tuple(sorted(found, key=lambda row: row.value, reverse=falling))


def plain(name: str) -> str:
    """A name normalised for spelling: `CelebA-HQ narrow` is `celebahqnarrow`."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
