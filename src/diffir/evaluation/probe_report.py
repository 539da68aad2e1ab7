"""What a probe of the prior found, as values: a class a question."""

from dataclasses import dataclass

from .linear_probes import Reading

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a restorer makes of all pictures with some Z."""

    restorer: str
    ipr: str
    psnr: float
    """dB, mean over pictures, by the protocol of the task."""
    difference: float
    """To the network as it is, in dB."""
    error: float
    """Standard error of the difference over pictures."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far Z differs between pictures."""

    ipr: str
    relative: float
    """Mean standard deviation over pictures, over mean |Z|."""
    quantiles: tuple[float, ...]
    """Of the same for each of the 4C' numbers, at `QUANTILES`."""
    rank: float
    """Effective rank, at most one less than there are pictures."""


@dataclass(frozen=True, kw_only=True)
class FactRead:
    """What is read off Z of a fact about how LQ was made."""

    fact: str
    pictures: int
    readings: dict[str, Reading]
    """By which Z it is read off."""


@dataclass(frozen=True, kw_only=True)
class Modulated:
    """How far a level's scales and shifts differ between pictures, over their mean size."""

    level: str
    scale: float
    shift: float


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far Ẑ is from where it should come to, after a reverse step."""

    step: int
    distance: float
    """Mean |difference|."""
    relative: float
    """Over the mean |Z| that it should come to."""


@dataclass(frozen=True, kw_only=True)
class ProbeReport:
    """All answers."""

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
    """How far the Ẑ of another noise is from that of seed 0; None without diffusion."""
    notes: list[str]
