"""The results of probing a prior, one class per question."""

from dataclasses import dataclass

from .linear_probes import Reading

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, kw_only=True)
class Score:
    """The PSNR of a restorer on all pictures with some Z."""

    restorer: str
    ipr: str
    psnr: float
    """dB, mean over pictures, by the protocol of the task."""
    difference: float
    """From the network with its own Ẑ, in dB."""
    error: float
    """Standard error of the difference over pictures."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How much Z differs between pictures."""

    ipr: str
    relative: float
    """Mean standard deviation over pictures, divided by mean |Z|."""
    quantiles: tuple[float, ...]
    """`QUANTILES` of the same over the 4C' numbers."""
    rank: float
    """Effective rank, less than the number of pictures."""


@dataclass(frozen=True, kw_only=True)
class FactRead:
    """How well a fact about the degradation is predicted from Z."""

    fact: str
    pictures: int
    readings: dict[str, Reading]
    """By the Z used for prediction."""


@dataclass(frozen=True, kw_only=True)
class Modulated:
    """How much a level's scales and shifts differ between pictures, relative to their mean."""

    level: str
    scale: float
    shift: float


@dataclass(frozen=True, kw_only=True)
class Step:
    """The distance of Ẑ from its target after a reverse step."""

    step: int
    distance: float
    """Mean |difference|."""
    relative: float
    """Divided by the mean magnitude of the target."""


@dataclass(frozen=True, kw_only=True)
class ProbeReport:
    """All results."""

    model: str
    stage1: str | None
    data: str
    degradation: str
    seed: int
    pictures: int
    scores: list[Score]
    spreads: list[Spread]
    facts: list[FactRead]
    modulation: list[Modulated]
    steps: list[Step]
    steps_lead_to: str
    other_noise: Step | None
    """The distance of another noise's Ẑ from that of seed 0; None without diffusion."""
    notes: list[str]
