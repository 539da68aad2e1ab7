"""How good a restored picture is, by the protocols of the papers."""

from .psnr_ssim import psnr, round_to_8_bit

__all__ = ["psnr", "round_to_8_bit"]
