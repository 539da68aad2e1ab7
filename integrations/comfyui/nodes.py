"""Three nodes: load a network, restore pictures, fill holes.

ComfyUI's IMAGE is (B, H, W, 3) and its MASK (B, H, W), 1 = hole; both float32 in [0, 1].
"""

from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy import model_management
from comfy.utils import ProgressBar
from torch import Tensor

from diffir import PRESETS, Restorer
from diffir.errors import MaskError
from diffir.loading import bundled_file

FOLDER = "diffir"
"""Below ComfyUI's models: weights files of diffir or of the authors."""
SUFFIXES = {".safetensors", ".pth", ".ckpt"}
SEED = ("INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True})
CATEGORY = "image/DiffIR"

place = Path(folder_paths.models_dir) / FOLDER
folder_paths.folder_names_and_paths.setdefault(FOLDER, ([str(place)], SUFFIXES))


def names() -> list[str]:
    """The networks to choose from: the bundled ones, then the files in the folder."""
    bundled = [preset.name for preset in PRESETS.values() if bundled_file(preset)]
    return [*bundled, *folder_paths.get_filename_list(FOLDER)]


class Load:
    """A network by name."""

    CATEGORY = CATEGORY
    FUNCTION = "load"
    RETURN_TYPES = ("DIFFIR",)
    RETURN_NAMES = ("network",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """What the node asks for."""
        return {"required": {"name": (names(),)}}

    def load(self, name: str) -> tuple[Restorer]:
        """The network, on the CPU until it is used."""
        found = None if name in PRESETS else folder_paths.get_full_path(FOLDER, name)
        return (Restorer.from_pretrained(found or name, device="cpu"),)


class Restore:
    """Deblurred or enlarged pictures."""

    CATEGORY = CATEGORY
    FUNCTION = "restore"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """What the node asks for."""
        return {"required": {"network": ("DIFFIR",), "image": ("IMAGE",), "seed": SEED}}

    def restore(self, network: Restorer, image: Tensor, seed: int) -> tuple[Tensor]:
        """(B, H · scale, W · scale, 3); raises PictureError or MaskError."""
        return (run(network, image, None, seed),)


class Inpaint:
    """Pictures whose holes are filled; what is known stays, bit for bit."""

    CATEGORY = CATEGORY
    FUNCTION = "inpaint"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """What the node asks for."""
        inputs = {"network": ("DIFFIR",), "image": ("IMAGE",), "mask": ("MASK",), "seed": SEED}
        return {"required": inputs}

    def inpaint(self, network: Restorer, image: Tensor, mask: Tensor, seed: int) -> tuple[Tensor]:
        """(B, H, W, 3); raises MaskError."""
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
        if len(mask) not in (1, len(image)):
            raise MaskError(
                f"{len(mask)} masks found for {len(image)} images; give one for all, or as many"
            )
        mask = mask.expand(len(image), -1, -1, -1)
        return (run(network, image, (mask >= 0.5).float(), seed),)


def run(network: Restorer, image: Tensor, mask: Tensor | None, seed: int) -> Tensor:
    """Pictures one after another on ComfyUI's device, which is told how far they are."""
    device = model_management.get_torch_device()
    bar = ProgressBar(100 * len(image))
    restorer = Restorer(network.model, network.task, device=str(device))
    try:
        restored = []
        for index, picture in enumerate(image[..., :3].clamp(0, 1).movedim(-1, 1)):

            def progress(share: float, done: int = index) -> None:
                model_management.throw_exception_if_processing_interrupted()
                bar.update_absolute(round(100 * (done + share)))

            progress(0)
            holes = None if mask is None else mask[index, None]
            restored.append(
                restorer.restore_batch(picture[None], masks=holes, seeds=[seed], progress=progress)
            )
            bar.update_absolute(100 * (index + 1))  # a GPU tells nothing in between
    finally:
        network.model.to("cpu")
    return torch.cat(restored).movedim(1, -1).contiguous()


NODE_CLASS_MAPPINGS = {"DiffIRLoad": Load, "DiffIRRestore": Restore, "DiffIRInpaint": Inpaint}
NODE_DISPLAY_NAME_MAPPINGS = {
    "DiffIRLoad": "Load DiffIR",
    "DiffIRRestore": "Restore (DiffIR)",
    "DiffIRInpaint": "Inpaint (DiffIR)",
}
