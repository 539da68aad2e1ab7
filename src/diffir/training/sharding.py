"""Weights, moments and averages sharded over processes: each holds some rows of every tensor.

Networks are sharded in place by torch (FSDP2); states on disk are unsharded, as in other runs.
"""

import copy
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from diffir.errors import RecipeError
from diffir.inference.devices import to_device
from diffir.model.blocks import DynamicTransformerBlock

if TYPE_CHECKING:
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
    from torch.distributed.device_mesh import DeviceMesh

Network = TypeVar("Network", bound=nn.Module)


def sharded_parallel(processes: int) -> "ModelParallelStrategy":
    """Fabric's strategy for sharding; raises RecipeError where torch is too old."""
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

    if "ignored_params" not in signature(fully_shard).parameters:
        raise RecipeError(f"--shard needs a newer torch than {torch.__version__}; update it")
    return ModelParallelStrategy(sharded, data_parallel_size=processes, tensor_parallel_size=1)


def sharded(stage: Network, mesh: "DeviceMesh") -> Network:
    """Shard the `model` of a stage in place; its other, frozen parts stay whole in each process.

    Blocks of DIRformer are gathered while they run, everything else while the stage runs.
    """
    stage.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # for FSDP2
    model = stage.get_submodule("model")
    options: dict[str, Any] = {
        "mesh": mesh["data_parallel"],
        "reshard_after_forward": True,
        "ignored_params": {*stage.parameters()} - {*model.parameters()},
    }
    for block in model.modules():
        if isinstance(block, DynamicTransformerBlock):
            fully_shard(block, **options)
    fully_shard(stage, **options)
    return stage


def average_like(average: Network, network: nn.Module) -> Network:
    """An average, so far a copy of the network, sharded as the network is now."""
    average.load_state_dict(copy.deepcopy(network.state_dict()), assign=True)
    return average


def whole(tensor: Tensor) -> Tensor:
    """A tensor gathered from all processes, each of which has to call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_network(network: Network) -> Network:
    """A sharded network as an unsharded one; all processes have to call this."""
    parameters = [*network.parameters()]
    if not any(isinstance(parameter, DTensor) for parameter in parameters):
        return network
    plain = copy.deepcopy(network)
    state = tree_map_only(Tensor, whole, network.state_dict())
    plain.load_state_dict(state, assign=True)
    return to_device(plain, parameters[0].device)


def full_state(part: nn.Module | Optimizer) -> dict[str, Any]:
    """The unsharded state of a network or optimizer, on the CPU; to be called by all processes."""
    state: dict[str, Any] = tree_map_only(Tensor, lambda x: whole(x).cpu(), part.state_dict())
    return state


def load_full_state(part: nn.Module | Optimizer, state: dict[str, Any]) -> None:
    """Load an unsharded state into a network or optimizer, sharded or not."""
    if isinstance(part, Optimizer):
        parameters = [parameter for group in part.param_groups for parameter in group["params"]]
        moments = {
            number: {name: sharded_like(value, parameters[number]) for name, value in own.items()}
            for number, own in state["state"].items()
        }
        part.load_state_dict({**state, "state": moments})
    else:
        ours = part.state_dict()
        part.load_state_dict({name: sharded_like(x, ours.get(name)) for name, x in state.items()})


def sharded_like(tensor: Tensor, like: Tensor | None) -> Tensor:
    """An unsharded tensor in the sharding and memory format of another of its shape."""
    if like is None or like.shape != tensor.shape:
        return tensor
    if isinstance(like, DTensor):
        tensor = distribute_tensor(tensor, like.device_mesh, like.placements)
    return torch.empty_like(like).copy_(tensor)  # fused Adam silently mixes up formats
