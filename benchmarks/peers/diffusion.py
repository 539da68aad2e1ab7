"""Networks that denoise step by step, from diffusers, at their published sizes."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from .part import Part, Peer

TIME = (500,)
SOURCE = "diffusers, UNet2DModel and VQModel"


def unet(
    *, channels: tuple[int, ...], attention_levels: int, residual: bool = False, **sizes: object
) -> nn.Module:
    """A U-Net with attention at its lowest levels, `residual` where blocks change the size."""
    from diffusers import UNet2DModel

    down, up = ("ResnetDownsample", "ResnetUpsample") if residual else ("Down", "Up")
    plain_levels = len(channels) - attention_levels
    return UNet2DModel(
        block_out_channels=channels,
        down_block_types=[f"{down}Block2D"] * plain_levels + ["AttnDownBlock2D"] * attention_levels,
        up_block_types=["AttnUpBlock2D"] * attention_levels + [f"{up}Block2D"] * plain_levels,
        downsample_type="resnet" if residual else "conv",
        upsample_type="resnet" if residual else "conv",
        layers_per_block=2,
        **sizes,
    )


def ldm_sr() -> nn.Module:
    """LDM-4's ×4 (latent-diffusion, models/ldm/bsr_sr), 114 M."""
    return unet(
        channels=(160, 320, 320, 640),
        attention_levels=1,
        in_channels=6,
        out_channels=3,
        attention_head_dim=32,
    )


def ldm_inpaint() -> nn.Module:
    """LDM-4's inpainting network of 215 M: 128 channels times 1, 4, 8."""
    return unet(
        channels=(128, 512, 1024),
        attention_levels=0,
        in_channels=7,
        out_channels=3,
        attention_head_dim=None,
    )


def ldm_inpaint_big() -> nn.Module:
    """The one that was released (latent-diffusion, models/ldm/inpainting_big), 387 M."""
    return unet(
        channels=(256, 512, 768, 1024),
        attention_levels=3,
        residual=True,
        in_channels=7,
        out_channels=3,
    )


def adm() -> nn.Module:
    """RePaint's 256×256 network (guided-diffusion; RePaint, confs/test_c256_*), 553 M."""
    return unet(
        channels=(256, 256, 512, 512, 1024, 1024),
        attention_levels=3,
        residual=True,
        in_channels=3,
        out_channels=6,
        attention_head_dim=64,
        resnet_time_scale_shift="scale_shift",
    )


class FirstStage(nn.Module):
    """VQ-f4: between pictures and latents of a quarter of their sides."""

    def __init__(self, direction: str, attention: bool) -> None:
        from diffusers import VQModel

        super().__init__()
        self.direction = direction
        self.network = VQModel(
            block_out_channels=(128, 256, 512),
            down_block_types=["DownEncoderBlock2D"] * 3,
            up_block_types=["UpDecoderBlock2D"] * 3,
            layers_per_block=2,
            latent_channels=3,
            num_vq_embeddings=8192,
            mid_block_add_attention=attention,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(1, 3, H, W) there, (1, 3, H / 4, W / 4) here, or the other way."""
        if self.direction == "encode":
            return self.network.encode(x).latents
        return self.network.decode(x, force_not_quantize=True).sample


def repaint_runs(samples: int) -> int:
    """How often RePaint runs its network: 250 steps, every 10 of them so many times."""
    from diffusers import RePaintScheduler

    scheduler = RePaintScheduler()
    scheduler.set_timesteps(250, jump_length=10, jump_n_sample=samples)
    times = scheduler.timesteps.tolist()
    # on the way back to more noise it is only added
    return 1 + sum(later < earlier for earlier, later in itertools.pairwise(times))


def super_resolution(side: int, steps: Sequence[int]) -> tuple[Peer, ...]:
    """LDM on an LQ of this side, which is its latents' side as well."""
    latent, latent_and_lq = ((1, channels, side, side) for channels in (3, 6))
    decoder = Part(build=lambda: FirstStage("decode", attention=True), shapes=(latent,))
    return tuple(
        Peer(
            method=f"LDM, {count} steps",
            source=SOURCE,
            parts=(
                Part(build=ldm_sr, shapes=(latent_and_lq,), more=TIME, runs=count),
                decoder,
            ),
        )
        for count in steps
    )


def inpainting(steps: Sequence[int]) -> tuple[Peer, ...]:
    """LDM and RePaint on 256×256."""
    encoder = Part(build=lambda: FirstStage("encode", attention=False), shapes=((1, 3, 256, 256),))
    decoder = Part(
        build=lambda: FirstStage("decode", attention=False),
        shapes=((1, 3, 64, 64),),
        counts_parameters=False,
    )
    latent = ((1, 7, 64, 64),)
    ldms = [
        Peer(
            method=f"{name}, {count} steps",
            source=SOURCE,
            parts=(Part(build=build, shapes=latent, more=TIME, runs=count), encoder, decoder),
        )
        for name, build in {"LDM": ldm_inpaint, "LDM, big": ldm_inpaint_big}.items()
        for count in steps
    ]
    repaints = [
        Peer(
            method=f"RePaint, {name}",
            source="diffusers, UNet2DModel and RePaintScheduler; no classifier",
            parts=(Part(build=adm, shapes=((1, 3, 256, 256),), more=TIME, runs=repaint_runs(n)),),
        )
        for name, n in {"250 steps, not resampled": 1, "250 steps, resampled 10 times": 10}.items()
    ]
    return (*ldms, *repaints)
