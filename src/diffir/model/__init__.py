"""The networks of the paper: DIRformer, CPEN, denoiser, diffusion on the IPR, two stages."""

from .blocks import DGFN, DMTA, DynamicTransformerBlock, IPRModulation, LayerNorm2d
from .config import DiffIRConfig
from .cpen import CPEN
from .denoiser import Denoiser
from .diffir import DiffIRS1, DiffIRS2
from .diffusion import IPRDiffusion
from .dirformer import DIRformer

__all__ = [
    "CPEN",
    "DGFN",
    "DMTA",
    "DIRformer",
    "Denoiser",
    "DiffIRConfig",
    "DiffIRS1",
    "DiffIRS2",
    "DynamicTransformerBlock",
    "IPRDiffusion",
    "IPRModulation",
    "LayerNorm2d",
]
