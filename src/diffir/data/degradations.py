"""How LQ is made from GT: bicubic, second order, motion, holes; recipes contain their settings.

Each has `batch(gt, scale, draws)`, which makes pairs of whole batches on any device, and `margin`,
the GT pixels it needs around a crop, so that the crop's border is degraded like its middle.
"""

from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeAlias

from pydantic import BeforeValidator, Field
from torch import Tensor

from .batch import Batch, cut
from .draws import Draws
from .masks import MASKS, Holes
from .motion import PHONE, SHAKE, UNIFORM, MotionBlur
from .pixels import round_to_8_bit
from .resize import CUBIC_MARGIN, imresize
from .second_order import MILD, PUBLISHED, SecondOrder
from .settings import Values, named


class MakesPairs(Protocol):
    """The interface of all degradations."""

    on_device: ClassVar[bool]
    """Whether a GPU is faster than the workers that read the pictures."""

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        """Its settings; `json`: as written to files."""

    def margin(self, scale: int) -> int:
        """GT pixels needed around the crop, a multiple of the scale."""

    def batch(self, gt: Tensor, scale: int, draws: Draws) -> Batch:
        """Pairs of GT (B, 3, H + 2 · margin, W + 2 · margin) in [0, 1], the margin cut off."""


class Bicubic(Values):
    """MATLAB's bicubic reduction, rounded to 8 bits, as in super-resolution benchmarks."""

    on_device: ClassVar = False

    kind: Literal["bicubic"] = "bicubic"

    def margin(self, scale: int) -> int:
        """The reach of the widened kernel, so that crops equal those of the reduced picture."""
        return CUBIC_MARGIN * scale

    def batch(self, gt: Tensor, scale: int, draws: Draws) -> Batch:
        """Nothing is drawn."""
        lq = round_to_8_bit(imresize(gt, 1 / scale))
        margin = self.margin(scale)
        return Batch(lq=cut(lq, margin // scale), gt=cut(gt, margin))


DEGRADATIONS: dict[str, MakesPairs] = {
    "bicubic": Bicubic(),
    "published": PUBLISHED,
    "mild": MILD,
    "motion": SHAKE,
    "motion-uniform": UNIFORM,
    "phone": PHONE,
    **{f"holes-{name}": Holes(masks=masks) for name, masks in MASKS.items()},
}
"""By the names that recipes may use instead of settings."""

Degradation: TypeAlias = Annotated[
    Annotated[Bicubic | SecondOrder | MotionBlur | Holes, Field(discriminator="kind")],
    BeforeValidator(named(DEGRADATIONS)),
]
"""Settings, or their name in `DEGRADATIONS`."""


def unfit(degradation: Any, task: str, scale: int) -> str | None:
    """Why a network of this task and scale can't learn from a degradation; None if it can."""
    makes_holes = isinstance(degradation, Holes)
    if makes_holes != (task == "inpaint"):
        wanted = "holes" if task == "inpaint" else "bicubic, second-order or motion"
        return f"degradation {degradation.kind} found for task {task}; {wanted} is wanted"
    if isinstance(degradation, Holes) and scale != 1:
        return f"degradation {degradation.kind} keeps the size; a network of scale {scale} found"
    if isinstance(degradation, Bicubic) and scale == 1:
        return "degradation bicubic at scale 1 leaves nothing to learn; take second-order or motion"
    return None
