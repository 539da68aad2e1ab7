"""A restorer whose network is an exported file, run by ONNX Runtime or OpenVINO."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor

from diffir.checkpoints import Checkpoint
from diffir.errors import DeviceError, PictureError, StoppedError, WeightsError
from diffir.inference import Precision, Restorer
from diffir.inference.devices import is_out_of_memory, pick_device
from diffir.inference.network import noise_of
from diffir.inference.restorer import Progress
from diffir.loading import as_detail
from diffir.tasks import TASKS, missing_mask, unwanted_mask
from diffir.text import one_line

from .onnx_file import Inputs
from .runners import Array, Backend, Runner, open_file


class ExportedRestorer(Restorer):
    """A `Restorer` for exported files, with the same pictures, masks, seeds and results.

    The backend runs the whole picture at once, on the CPU, in the precision of the file: memory is
    not limited, `progress` is called only at the end, and `stop` is checked only at the start. The
    graph clamps to [0, 1], so an ensemble is a mean of clamped pictures.
    """

    def __init__(self, runner: Runner, *, ensemble: bool = False) -> None:
        """Wrap an opened file; `ensemble` as in `Restorer`."""
        self.runner = runner
        self.preset = runner.facts.preset
        self.training = {}
        self.task = TASKS[runner.facts.task]
        self.device = torch.device("cpu")
        self.ensemble = ensemble
        self.precision = "float32"  # as `from_file` takes it, whatever that of the file
        self.memory = None

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        backend: Backend | None = None,
        *,
        detail: float = 0.0,
        device: str = "auto",
        precision: Precision = "float32",
        memory: int | None = None,
        ensemble: bool = False,
    ) -> "ExportedRestorer":
        """Open a file that `diffir export` wrote.

        The backend is by default the usual one for the suffix. The other arguments are those of
        `Restorer.from_pretrained`; values that do not apply are refused.

        Raises:
            WeightsError: when the file is missing, broken or not for the backend.
            DeviceError: when the backend is not installed, or an argument does not apply.
        """
        unsupported = {
            f"detail {detail}": as_detail(detail) != 0,
            f"device {device}": device != "auto" and pick_device(device).type != "cpu",
            f"precision {precision}": precision != "float32",
            "memory": memory is not None,
        }
        for what, is_given in unsupported.items():
            if is_given:
                raise DeviceError(
                    f"{what} given with {path}, but an exported file is one network that runs "
                    "whole, on the CPU, in its own precision; leave that out, or give weights"
                )
        return cls(open_file(Path(path), backend), ensemble=ensemble)

    @classmethod
    def from_pretrained(cls, name: str | Path, **_options: Any) -> "ExportedRestorer":
        """Raise WeightsError: weights are opened by `Restorer`, exported files by `from_file`."""
        raise WeightsError(
            f"ExportedRestorer.from_pretrained({str(name)!r}) called; open exported files with "
            "ExportedRestorer.from_file, and weights with Restorer.from_pretrained"
        )

    @property
    def scale(self) -> int:
        """The factor by which the restored picture is larger."""
        return self.runner.facts.scale

    def run_padded(
        self,
        images: Tensor,
        holes: Tensor | None,
        progress: Progress | None,
        *,
        noise: Tensor,
        stop: Event | None,
        ipr_filter: Callable[[Tensor], Tensor] | None,
    ) -> Tensor:
        """The backend's output for pictures of any size, (B, 3, H·scale, W·scale).

        Raises:
            MaskError: when a required mask is missing, or the task takes none.
            WeightsError: for an `ipr_filter`, or when the backend fails.
            DeviceError: when memory does not suffice.
            StoppedError: when `stop` was already set.
        """
        if self.task.wants_mask != (holes is not None):
            raise missing_mask() if holes is None else unwanted_mask(self.task.name)
        if ipr_filter is not None:
            raise WeightsError(
                "an exported file does not expose its IPR, but ipr_filter was given; "
                "give weights instead"
            )
        if stop is not None and stop.is_set():
            raise StoppedError("stopped before the picture was started; start it again")
        inputs = {"image": images.contiguous().numpy(), "noise": noise[0].numpy()}
        if holes is not None:
            inputs["mask"] = holes.contiguous().numpy()
        restored = torch.from_numpy(self.answer(inputs))
        batch, _, height, width = images.shape
        expected = (batch, 3, height * self.scale, width * self.scale)
        if restored.shape != expected:
            raise WeightsError(
                f"the exported network gave shape {tuple(restored.shape)} instead of {expected}; "
                "export it again"
            )
        if not restored.isfinite().all():
            raise PictureError("the network gave NaN or infinity; its weights are likely broken")
        if progress is not None:
            progress(1.0)
        return restored

    def _checkpoint(self) -> Checkpoint:
        raise WeightsError("an exported file has no weights to save; save those it was made from")

    def noise(self, seed: int) -> Tensor:
        """All random numbers of one picture, (1, 4C')."""
        return noise_of(seed, self.runner.facts.ipr_dim)

    def answer(self, inputs: Inputs) -> Array:
        """The backend's output; raises DeviceError or WeightsError if it fails."""
        try:
            return self.runner.run(inputs)
        except Exception as error:  # each library has its own classes
            batch, _, height, width = inputs["image"].shape
            pictures = f"{batch} picture(s) of {width}×{height}"
            if is_out_of_memory(error) or "allocate" in str(error):
                raise DeviceError(
                    f"{self.runner.backend} has not enough memory for {pictures}; give smaller "
                    "pictures, or weights, which are run in stripes"
                ) from error
            raise WeightsError(
                f"{self.runner.backend} failed on {pictures} ({one_line(error)}); "
                "export the network again"
            ) from error
