"""The luma that super-resolution papers measure PSNR and SSIM on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BT601 = np.array([65.481, 128.553, 24.966])


def rgb_to_y(rgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """Luma as MATLAB's `rgb2ycbcr` defines it (ITU-R BT.601, studio swing), not rounded.

    `rgb` is (..., 3) in [0, 1]; the result is (...) in [16, 235], on the scale of 0 to 255.
    """
    luma: NDArray[np.float64] = 16.0 + rgb.astype(np.float64) @ _BT601
    return luma
