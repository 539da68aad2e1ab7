"""Learner: a stage set up with Fabric, and its optimizer; one call is one step."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from .criteria import Terms
from .sharding import whole

OF_THE_PRIOR = re.compile(r"model\.(cpen|narrow|widen|dirformer\..*\.modulation[12])\..*")
"""Names, in a stage, of the parameters that produce or use the IPR."""


class Learner:
    """Minimises the terms of a stage, step by step.

    Args:
        fabric: devices and processes.
        stage: returns (terms, another value) for the arguments of a part of a batch.
        learning_rate, adam_betas: of Adam.
        clip: largest norm of the gradient.
        bfloat16: whether the stage runs under autocast.
        compiled: whether to use torch.compile.
    """

    def __init__(
        self,
        fabric: Fabric,
        stage: nn.Module,
        *,
        learning_rate: float,
        adam_betas: tuple[float, float],
        clip: float | None = None,
        bfloat16: bool = False,
        compiled: bool = False,
    ) -> None:
        self.fabric, self.stage, self.clip, self.bfloat16 = fabric, stage, clip, bfloat16
        stage.to(fabric.device)
        if compiled:
            stage.compile()
        self.module = fabric.setup_module(stage)
        groups = groups_of(stage)  # after setup, which may shard the parameters
        self.factors = [factor for factor, _ in groups]
        adam = torch.optim.Adam(
            [{"params": parameters} for _, parameters in groups],
            lr=learning_rate,
            betas=adam_betas,
            fused=True,
        )
        optimizer = fabric.setup_optimizers(adam)
        assert not isinstance(optimizer, tuple)
        self.optimizer = optimizer

    def step(self, parts: Sequence[tuple[Any, ...]], rate: float) -> tuple[Terms, list[Any]]:
        """Make one step on a batch in parts, whose gradients are averaged.

        Returns:
            The mean of each term over the parts, with the norm of the `gradient`, and the stage's
            other value for each part.
        """
        for factor, group in zip(self.factors, self.optimizer.param_groups, strict=True):
            group["lr"] = factor * rate
        seen, others = list[Terms](), []
        for number, part in enumerate(parts, start=1):
            with self.fabric.no_backward_sync(self.module, enabled=number < len(parts)):
                terms, other = self.forward(part)
                total = torch.stack([*terms.values()]).sum() / len(parts)
                self.fabric.backward(total, model=self.module)
            seen.append(terms)
            others.append(other)
        norm = self.gradient_norm()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return mean_of(seen) | {"gradient": norm}, others

    def forward(self, part: tuple[Any, ...]) -> tuple[Terms, Any]:
        """The stage's output, in its precision; terms are float32."""
        device = self.fabric.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bfloat16):
            terms, other = self.module(*part)
        return {name: term.float() for name, term in terms.items()}, other

    def gradient_norm(self) -> Tensor:
        """The norm of the gradient before clipping it."""
        if self.clip is None:
            gradients = [p.grad for p in self.stage.parameters() if p.grad is not None]
            return whole(nn.utils.get_total_norm(gradients))
        norm = self.fabric.clip_gradients(
            self.module, self.optimizer, max_norm=self.clip, error_if_nonfinite=False
        )
        assert norm is not None
        return whole(norm.detach())


def groups_of(stage: nn.Module) -> list[tuple[float, list[nn.Parameter]]]:
    """The trainable parameters of a stage by the factor on their learning rate."""
    trainable = {name: p for name, p in stage.named_parameters() if p.requires_grad}
    factor = getattr(stage, "prior_rate", 1.0)
    if factor == 1:
        return [(1.0, [*trainable.values()])]
    others, prior = list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in trainable.items():
        (prior if OF_THE_PRIOR.fullmatch(name) else others).append(parameter)
    return [(1.0, others), (factor, prior)]


def mean_of(parts: Sequence[Terms]) -> Terms:
    """The mean of each term, detached."""
    names = parts[0]
    return {name: torch.stack([part[name].detach() for part in parts]).mean() for name in names}
