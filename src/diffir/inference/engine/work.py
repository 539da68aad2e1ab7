"""Multiply-adds of a picture, as counted for progress."""

from torch import nn

from diffir.model import CPEN, DiffIRS2, DIRformer, DynamicTransformerBlock


def layer_work(layer: nn.Module) -> float:
    """Of a convolution, per position."""
    assert isinstance(layer, nn.Conv2d)
    return float(layer.weight.numel())


def correlation_work(block: DynamicTransformerBlock) -> float:
    """Of a block's first pass, per position: Q, K and their product."""
    attention = block.attention
    dim = attention.project_out.weight.shape[0]
    of_qk = layer_work(attention.qkv) + layer_work(attention.depthwise)
    return of_qk * 2 / 3 + dim * dim / attention.num_heads


def rest_work(block: DynamicTransformerBlock) -> float:
    """Of a block's second pass, per position: V, M V and the feed-forward network."""
    attention, ffn = block.attention, block.ffn
    of_v = (layer_work(attention.qkv) + layer_work(attention.depthwise)) / 3
    layers = attention.project_out, ffn.project_in, ffn.depthwise, ffn.project_out
    return of_v + sum(layer_work(layer) for layer in layers)


def tail_work(layers: list[nn.Conv2d]) -> float:
    """Of the output layers, per position of level 1; each but the last enlarges by 2."""
    return sum(layer_work(layer) * 4**index for index, layer in enumerate(layers))


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    """The convolutions of a module, in order."""
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def picture_work(model: DiffIRS2, height: int, width: int) -> float:
    """Of CPEN and DIRformer, for a picture (C, height, width)."""
    config = model.config
    of_cpen = cpen_work(model.cpen) / config.cpen_unshuffle**2
    return height * width * (of_cpen + dirformer_work(model.dirformer) / config.unshuffle**2)


def cpen_work(cpen: CPEN) -> float:
    """Of CPEN, per position."""
    return sum(layer_work(layer) for layer in convolutions(cpen))


def dirformer_work(network: DIRformer) -> float:
    """Of DIRformer, per position of level 1."""
    down = [*network.encoders, network.latent]
    total = layer_work(network.embed) + tail_work(convolutions(network.output))
    for level, blocks in enumerate(down):
        total += blocks_work(blocks) / 4**level
    for level, layer in enumerate(network.downs):
        total += sum(map(layer_work, convolutions(layer))) / 4**level
    for index, layer in enumerate(network.ups):
        total += sum(map(layer_work, convolutions(layer))) / 4 ** (3 - index)
    for index, blocks in enumerate(network.decoders):
        total += blocks_work(blocks) / 4 ** (2 - index)
    return total + blocks_work(network.refinement)


def blocks_work(blocks: nn.Module) -> float:
    """Of all blocks of a level, per position."""
    total = 0.0
    for block in blocks.children():
        assert isinstance(block, DynamicTransformerBlock)
        total += correlation_work(block) + rest_work(block)
    return total
