"""A restorer whose network is an exported file, run by ONNX Runtime, OpenVINO or torch."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event

import torch
from torch import Tensor

from diffir.checkpoints import Checkpoint
from diffir.errors import DeviceError, PictureError, StoppedError, WeightsError
from diffir.inference.devices import is_out_of_memory
from diffir.inference.restorer import Precision, Progress, Restorer, require_batch
from diffir.tasks import TASKS, missing_mask, unwanted_mask

from .onnx_file import Inputs
from .runners import Array, Backend, Runner, open_file


class ExportedRestorer(Restorer):
    """A `Restorer` for exported files; pictures, masks, seeds and results are its own.

    The whole picture is one step of the backend, on the CPU, in the precision of the file: nothing
    bounds its memory, `progress` is told the end alone, and `stop` is looked at before.
    """

    def __init__(self, runner: Runner) -> None:
        """Make the restorer of an opened file."""
        self.runner = runner
        self.task = TASKS[runner.facts.task]
        self.device = torch.device("cpu")
        self.preset = runner.facts.preset

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        backend: Backend | None = None,
        *,
        device: str = "auto",
        precision: Precision = "float32",
        memory: int | None = None,
    ) -> "ExportedRestorer":
        """The restorer of a file that `diffir export` wrote.

        The backend follows from the suffix, if none is asked for. The rest is as in
        `Restorer.from_pretrained`, so that what is asked for in vain is told.

        Raises:
            WeightsError: when the file is missing, broken or not for the backend.
            DeviceError: when the backend is not installed, or what is asked for does not apply.
        """
        in_vain = {
            f"device {device}": device not in ("auto", "cpu"),
            f"precision {precision}": precision != "float32",
            "memory": memory is not None,
        }
        for what, is_asked in in_vain.items():
            if is_asked:
                raise DeviceError(
                    f"{what} asked for with {path}; an exported file runs whole, on the CPU, in "
                    "its own precision, so leave that out or give the weights themselves"
                )
        return cls(open_file(Path(path), backend))

    @property
    def scale(self) -> int:
        """How much larger the restored picture is."""
        return self.runner.facts.scale

    @torch.inference_mode()
    def restore_batch(
        self,
        images: Tensor,
        *,
        masks: Tensor | None = None,
        seeds: Sequence[int],
        progress: Progress | None = None,
        stop: Event | None = None,
    ) -> Tensor:
        """Restore pictures of equal size, as `Restorer.restore_batch` has it.

        Raises:
            PictureError, MaskError: for other shapes or ranges.
            DeviceError: when memory does not suffice.
            StoppedError: when `stop` was set before.
        """
        require_batch(images, masks, seeds)
        if self.task.wants_mask != (masks is not None):
            raise unwanted_mask(self.task.name) if masks is not None else missing_mask()
        if stop is not None and stop.is_set():
            raise StoppedError("stopped before the picture was begun; start it again")
        inputs = {
            "image": images.float().contiguous().numpy(),
            "noise": torch.cat([self.noise(seed) for seed in seeds]).numpy(),
        }
        if masks is not None:
            inputs["mask"] = (masks != 0).float().contiguous().numpy()
        restored = torch.from_numpy(self.answer(inputs))
        if not restored.isfinite().all():
            raise PictureError("the network gave NaN or infinity; its weights are likely broken")
        if progress is not None:
            progress(1.0)
        return restored

    def _checkpoint(self) -> Checkpoint:
        raise WeightsError(
            "an exported file holds no weights that can be saved; save those it was made from"
        )

    def noise(self, seed: int) -> Tensor:
        """All random numbers of one picture, (1, 4C'), those of `Restorer`."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(1, self.runner.facts.ipr_dim, generator=generator)

    def answer(self, inputs: Inputs) -> Array:
        """The backend's answer; raises DeviceError when its memory does not suffice."""
        try:
            return self.runner.run(inputs)
        except Exception as error:  # each library has classes of its own
            batch, _, height, width = inputs["image"].shape
            if not is_out_of_memory(error) and "allocate" not in str(error):
                raise
            raise DeviceError(
                f"memory does not suffice for {batch} picture(s) of {width}×{height} by "
                f"{self.runner.backend}; give smaller pictures, or the weights themselves, which "
                "are run in stripes"
            ) from error
