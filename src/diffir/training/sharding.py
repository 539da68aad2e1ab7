"""Weights, moments and averages in shares: each process holds its own, of every tensor some rows.

Networks are sharded in place by torch (FSDP2); states on disk are whole, as those of other runs.
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
from diffir.inference.devices import place
from diffir.model.blocks import DynamicTransformerBlock

if TYPE_CHECKING:
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
    from torch.distributed.device_mesh import DeviceMesh

Network = TypeVar("Network", bound=nn.Module)


def sharded_parallel(processes: int) -> "ModelParallelStrategy":
    """Fabric's strategy for so many processes; raises RecipeError where torch is too old."""
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

    if "ignored_params" not in signature(fully_shard).parameters:
        raise RecipeError(f"--shard needs a newer torch than {torch.__version__}; update it")
    return ModelParallelStrategy(sharded, data_parallel_size=processes, tensor_parallel_size=1)


def sharded(stage: Network, mesh: "DeviceMesh") -> Network:
    """A stage whose `model` is shared out, in place; all else of it rests whole in each process.

    A block of DIRformer is whole while it runs, what is no block while the stage does.
    """
    stage.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # FSDP2's wish
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
    """An average, so far a copy of the network, in the shares that the network has now."""
    average.load_state_dict(copy.deepcopy(network.state_dict()), assign=True)
    return average


def whole(tensor: Tensor) -> Tensor:
    """A tensor with the shares of all processes, each of which has to ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_network(network: Network) -> Network:
    """A network that holds shares as a plain one; all processes have to ask for it."""
    parameters = [*network.parameters()]
    if not any(isinstance(parameter, DTensor) for parameter in parameters):
        return network
    plain = copy.deepcopy(network)
    state = tree_map_only(Tensor, whole, network.state_dict())
    plain.load_state_dict(state, assign=True)
    return place(plain, parameters[0].device)


def full_state(part: nn.Module | Optimizer) -> dict[str, Any]:
    """The state of a network or optimizer, whole on the CPU; all processes have to ask for it."""
    state: dict[str, Any] = tree_map_only(Tensor, lambda x: whole(x).cpu(), part.state_dict())
    return state


def load_full_state(part: nn.Module | Optimizer, state: dict[str, Any]) -> None:
    """Fill a network or optimizer, sharded or not, with a whole state that each process has."""
    if isinstance(part, Optimizer):
        learning = [parameter for group in part.param_groups for parameter in group["params"]]
        moments = {
            number: {name: shared_as(value, learning[number]) for name, value in of_one.items()}
            for number, of_one in state["state"].items()
        }
        part.load_state_dict({**state, "state": moments})
    else:
        ours = part.state_dict()
        part.load_state_dict({name: shared_as(x, ours.get(name)) for name, x in state.items()})


def shared_as(tensor: Tensor, like: Tensor | None) -> Tensor:
    """A whole tensor in the shares, and in the memory format, of one of its shape."""
    if like is None or like.shape != tensor.shape:
        return tensor
    if isinstance(like, DTensor):
        tensor = distribute_tensor(tensor, like.device_mesh, like.placements)
    return torch.empty_like(like).copy_(tensor)  # fused Adam mixes formats up without a word
