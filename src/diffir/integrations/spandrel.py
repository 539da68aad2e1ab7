"""DiffIR for spandrel, and so for the programs that load models with it.

    import diffir.integrations.spandrel
    diffir.integrations.spandrel.install()

Then spandrel's ModelLoader recognises our files and the authors' by their parameter names.
"""

from pathlib import Path
from typing import Any

from spandrel import (
    MAIN_REGISTRY,
    Architecture,
    ArchSupport,
    ImageModelDescriptor,
    MaskedImageModelDescriptor,
    ModelTiling,
)
from torch import Tensor

from diffir.checkpoints import official
from diffir.checkpoints.checkpoint import filled
from diffir.errors import WeightsError
from diffir.inference import Restorer
from diffir.model import DiffIRS2
from diffir.tasks import Deblurring, Inpainting

from .shapes import config_of

SOURCE = Path("state_dict")
"""The name in errors: spandrel passes the content of a file without its path."""
OURS = ("dirformer.embed.weight", "cpen.embed.0.weight", "denoiser.layers.0.weight")
AUTHORS = ("G.patch_embed.proj.weight", "condition.E.0.weight", "denoise.resmlp.0.weight")


def install() -> None:
    """Register DiffIR with spandrel in this process; calling it again has no effect."""
    MAIN_REGISTRY.add(ArchSupport.from_architecture(DiffIRArchitecture()), ignore_duplicates=True)


class DiffIRArchitecture(Architecture):  # type: ignore[misc]  # spandrel isn't there to be typed
    """How spandrel recognises and loads a DiffIR network of stage 2."""

    def __init__(self) -> None:
        super().__init__(id="DiffIR", detect=is_diffir)

    def load(self, state_dict: dict[str, Any]) -> Any:
        """The descriptor of the network, a masked one for inpainting.

        Raises:
            WeightsError: when these are not the weights of a network.
        """
        model = network_of(state_dict)
        common = {
            "model": model,
            "state_dict": model.state_dict(),
            "architecture": self,
            "tags": [f"{model.config.dim}dim"],
            "supports_half": False,
            "supports_bfloat16": False,
            "input_channels": 3,
            "output_channels": 3,
            # The prior needs the whole picture; large pictures are computed in exact stripes
            "tiling": ModelTiling.INTERNAL,
            "call_fn": restored,
        }
        if model.config.in_channels == 4:
            return MaskedImageModelDescriptor(purpose="Inpainting", **common)
        scale = model.config.scale
        purpose = "SR" if scale > 1 else "Restoration"
        return ImageModelDescriptor(purpose=purpose, scale=scale, **common)


def is_diffir(state_dict: dict[str, Any]) -> bool:
    """Whether the names are those of a stage-2 network, ours or the authors'."""
    return any(
        all(f"{prefix}{name}" in state_dict for name in names)
        for names, prefixes in ((OURS, ("",)), (AUTHORS, ("", "generator.")))
        for prefix in prefixes
    )


def network_of(state_dict: dict[str, Any]) -> DiffIRS2:
    """The network with these parameters, float32 on the CPU; raises WeightsError."""
    if OURS[0] not in state_dict:
        model = official.from_stored(state_dict, SOURCE).model
    else:
        try:
            config = config_of({name: tensor.shape for name, tensor in state_dict.items()})
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            reason = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
            raise WeightsError(
                f"{SOURCE} does not hold a network of stage 2 ({reason}); get another file"
            ) from error
        model = filled(2, config, state_dict, SOURCE)
    assert isinstance(model, DiffIRS2)
    return model.eval()


def restored(model: DiffIRS2, image: Tensor, mask: Tensor | None = None) -> Tensor:
    """Restore pictures (B, 3, H, W) with masks (B, 1, H, W), as `Restorer` does with seed 0."""
    task = Deblurring() if mask is None else Inpainting()
    restorer = Restorer(model, task, device=str(image.device))
    pictures = restorer.restore_batch(image.clamp(0, 1), masks=mask, seeds=[0] * len(image))
    return pictures.to(image).clone()  # a normal tensor, since spandrel clamps in place
