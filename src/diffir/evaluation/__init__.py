"""How good a restored picture is, by the protocols of the papers."""

from diffir.data.pixels import round_to_8_bit

from .psnr_ssim import psnr

__all__ = ["psnr", "round_to_8_bit"]
