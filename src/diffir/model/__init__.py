"""The paper and nothing else: DIRformer, CPEN, denoiser, diffusion on the IPR, and the two stages."""

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
    "Denoiser",
    "DiffIRConfig",
    "DiffIRS1",
    "DiffIRS2",
    "DIRformer",
    "DynamicTransformerBlock",
    "IPRDiffusion",
    "IPRModulation",
    "LayerNorm2d",
]
