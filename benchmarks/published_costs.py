"""What the paper (arXiv 2303.09472) reports and claims about the cost of methods."""

from dataclasses import dataclass
from typing import Literal

from diffir.evaluation.published import OURS


@dataclass(frozen=True, kw_only=True)
class PublishedCost:
    """What a method costs according to the paper, None where it does not say."""

    method: str
    task: str
    parameters: float | None = None
    multiply_adds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The share of a rival's cost that DiffIR takes according to the paper."""

    task: str
    rival: str
    quantity: Literal["multiply-adds", "parameters"]
    share: float


PUBLISHED_COSTS: tuple[PublishedCost, ...] = (
    PublishedCost(method="BebyGAN", task="sr", multiply_adds=1.18e12),
    PublishedCost(method="Real-ESRGAN", task="sr", multiply_adds=1.18e12),
    PublishedCost(method=OURS, task="sr", multiply_adds=0.74e12),
    PublishedCost(method="RePaint", task="inpaint", parameters=607e6),
    PublishedCost(method="ICT", task="inpaint", parameters=150e6),
    PublishedCost(method="LaMa", task="inpaint", parameters=27e6),
    PublishedCost(method="LDM", task="inpaint", parameters=215e6),
    PublishedCost(method=OURS, task="inpaint", parameters=26e6),
)

CLAIMS: tuple[Claim, ...] = (
    Claim(task="deblur", rival="Restormer", quantity="multiply-adds", share=0.78),
    Claim(task="sr", rival="BebyGAN", quantity="multiply-adds", share=0.63),
    Claim(task="sr", rival="LDM", quantity="multiply-adds", share=0.02),
    Claim(task="inpaint", rival="RePaint", quantity="parameters", share=0.043),
    Claim(task="inpaint", rival="RePaint", quantity="multiply-adds", share=0.001),
)
