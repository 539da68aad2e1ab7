"""A restorer whose network is an exported file, run by ONNX Runtime or OpenVINO."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

import torch
from torch import Tensor

from diffir.checkpoints import Checkpoint
from diffir.errors import DeviceError, PictureError, StoppedError, WeightsError
from diffir.inference import Precision, Restorer
from diffir.inference.devices import is_out_of_memory
from diffir.inference.restorer import Progress
from diffir.tasks import TASKS, missing_mask, unwanted_mask

from .onnx_file import Inputs
from .runners import Array, Backend, Runner, open_file


class ExportedRestorer(Restorer):
    """A `Restorer` for exported files; pictures, masks, seeds and results are its own.

    The whole picture is one step of the backend, on the CPU, in the precision of the file: nothing
    bounds its memory, `progress` is told the end alone, and `stop` is looked at before. The graph
    ends in [0, 1], and so each picture of an ensemble does before the mean is taken.
    """

    def __init__(self, runner: Runner, *, ensemble: bool = False) -> None:
        """Make the restorer of an opened file; `ensemble` as in `Restorer`."""
        self.runner = runner
        self.task = TASKS[runner.facts.task]
        self.device = torch.device("cpu")
        self.ensemble = ensemble
        self.precision = "float32"  # as in from_file, whatever the file's is
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
        """The restorer of a file that `diffir export` wrote.

        The backend follows from the suffix, if none is asked for. The rest is as in
        `Restorer.from_pretrained`, so that what is asked for in vain is told.

        Raises:
            WeightsError: when the file is missing, broken or not for the backend.
            DeviceError: when the backend is not installed, or what is asked for does not apply.
        """
        in_vain = {
            f"detail {detail:g}": detail != 0,
            f"device {device}": device not in ("auto", "cpu"),
            f"precision {precision}": precision != "float32",
            "memory": memory is not None,
        }
        for what, is_asked in in_vain.items():
            if is_asked:
                raise DeviceError(
                    f"{what} asked for with {path}; an exported file is one network that runs "
                    "whole, on the CPU, in its own precision, so leave that out or give the "
                    "weights themselves"
                )
        return cls(open_file(Path(path), backend), ensemble=ensemble)

    @property
    def scale(self) -> int:
        """How much larger the restored picture is."""
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
            MaskError: when the task wants a mask and there is none, or the reverse.
            WeightsError: for an `ipr_filter`, since the IPR stays inside.
            StoppedError: when `stop` was set before.
        """
        if self.task.wants_mask != (holes is not None):
            raise missing_mask() if holes is None else unwanted_mask(self.task.name)
        if ipr_filter is not None:
            raise WeightsError(
                "an exported file keeps its IPR to itself, and a filter of it was asked for; "
                "give the weights themselves"
            )
        if stop is not None and stop.is_set():
            raise StoppedError("stopped before the picture was begun; start it again")
        inputs = {"image": images.contiguous().numpy(), "noise": noise[0].numpy()}
        if holes is not None:
            inputs["mask"] = holes.contiguous().numpy()
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
