"""Networks that restore in one pass, from spandrel and spandrel_extra_arches."""

import torch
from torch import Tensor, nn

from . import torchvision_shim  # noqa: F401  (before spandrel, which imports torchvision)
from .part import Part, Peer

PICTURE = (1, 3, 256, 256)
MASK = (1, 1, 256, 256)


def restormer() -> nn.Module:
    from spandrel_extra_arches.architectures.Restormer import Restormer

    return Restormer(
        dim=48,
        num_blocks=[4, 6, 6, 8],
        num_refinement_blocks=4,
        heads=[1, 2, 4, 8],
        ffn_expansion_factor=2.66,
        LayerNorm_type="WithBias",
    )


def mprnet() -> nn.Module:
    from spandrel_extra_arches.architectures.MPRNet import MPRNet

    return MPRNet(n_feat=96, scale_unetfeats=48, scale_orsnetfeats=32, num_cab=8)


class CutIPT(nn.Module):
    """IPT takes 48×48 pixels; a picture goes through it in overlapping crops, as published."""

    def __init__(self) -> None:
        from spandrel.architectures.IPT import IPT, Model

        super().__init__()
        torch.backends.mha.set_fastpath_enabled(False)  # a fused operation, which isn't counted
        self.network = IPT()
        self.cut = Model(self.network)

    def forward(self, picture: Tensor) -> Tensor:
        """(1, 3, H, W) to the same shape."""
        return self.cut.forward(picture, 0)


def nafnet() -> nn.Module:
    from spandrel.architectures.NAFNet import NAFNet

    return NAFNet(width=64, middle_blk_num=1, enc_blk_nums=[1, 1, 1, 28], dec_blk_nums=[1] * 4)


def rrdb() -> nn.Module:
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(scale=4, num_filters=64, num_blocks=23)


def swinir() -> nn.Module:
    from spandrel.architectures.SwinIR import SwinIR

    return SwinIR(
        upscale=4,
        img_size=64,
        window_size=8,
        depths=[6] * 6,
        embed_dim=180,
        num_heads=[6] * 6,
        mlp_ratio=2,
        upsampler="pixelshuffle",
    )


def lama(blocks: int) -> nn.Module:
    from spandrel.architectures.LaMa import LaMa

    big = LaMa(in_nc=4, out_nc=3).model
    return type(big)(4, 3, n_blocks=blocks)


DEBLURRING = (
    Peer(
        method="Restormer",
        source="spandrel_extra_arches, Restormer",
        parts=(Part(build=restormer, shapes=(PICTURE,)),),
    ),
    Peer(
        method="MPRNet",
        source="spandrel_extra_arches, MPRNet",
        parts=(Part(build=mprnet, shapes=(PICTURE,)),),
    ),
    Peer(
        method="IPT",
        source="spandrel, IPT, in its crops of 48×48",
        parts=(Part(build=CutIPT, shapes=(PICTURE,), build_on="cpu"),),
    ),
    Peer(
        method="NAFNet-64, not in the paper",
        source="spandrel, NAFNet",
        parts=(Part(build=nafnet, shapes=(PICTURE,)),),
    ),
)


def super_resolution(side: int) -> tuple[Peer, ...]:
    """Those that enlarge an LQ of this side."""
    lq = (1, 3, side, side)
    return (
        Peer(
            method="ESRGAN, BebyGAN, Real-ESRGAN, BSRGAN (RRDB)",
            source="spandrel, ESRGAN",
            parts=(Part(build=rrdb, shapes=(lq,)),),
        ),
        Peer(
            method="SwinIR, not in the paper",
            source="spandrel, SwinIR",
            parts=(Part(build=swinir, shapes=(lq,), build_on="cpu"),),
        ),
    )


INPAINTING = (
    Peer(
        method="LaMa",
        source="spandrel, LaMa with 9 blocks; its Fourier transforms are not counted",
        parts=(Part(build=lambda: lama(9), shapes=(PICTURE, MASK)),),
    ),
    Peer(
        method="Big-LaMa, not in the paper",
        source="spandrel, LaMa; its Fourier transforms are not counted",
        parts=(Part(build=lambda: lama(18), shapes=(PICTURE, MASK)),),
    ),
)
