"""Recipe: how a network is trained, validated on reading."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Phase(_Values):
    """One run of the training loop: the rate rises linearly, then falls along a cosine."""

    steps: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    final_learning_rate: float = Field(default=1e-6, ge=0)
    warmup_steps: int = Field(default=0, ge=0)
    batch_size: int = Field(gt=0)
    lq_size: int = Field(gt=0, description="side of the square LQ crops, in pixels")


class Recipe(_Values):
    """The method from nothing to a stage-2 network; seeds and settings of all three phases."""

    seed: int = 0
    stage1: Phase
    """CPEN_S1 and DIRformer together, seeing the ground truth."""
    prior: Phase
    """Stage 2, CPEN_S2 and denoiser alone, on L_diff."""
    joint: Phase
    """Stage 2, everything."""
    adam_betas: tuple[float, float] = (0.9, 0.99)
    gradient_clip: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient, larger ones are scaled down; None leaves all as they are."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is autocast: weights, optimizer and losses stay in float32."""
