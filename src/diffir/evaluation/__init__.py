"""The quality of restored pictures, by the protocols of the papers.

Names are imported when first used, since importing torch takes a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffir.data.pixels import round_to_8_bit

    from .metrics import METRICS, open_metrics
    from .psnr_ssim import psnr, ssim, ssim_volume, without_border

_HOMES = {
    "METRICS": ".metrics",
    "open_metrics": ".metrics",
    "psnr": ".psnr_ssim",
    "round_to_8_bit": "diffir.data.pixels",
    "ssim": ".psnr_ssim",
    "ssim_volume": ".psnr_ssim",
    "without_border": ".psnr_ssim",
}

__all__ = [
    "METRICS",
    "open_metrics",
    "psnr",
    "round_to_8_bit",
    "ssim",
    "ssim_volume",
    "without_border",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'diffir.evaluation' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
