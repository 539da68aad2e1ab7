"""spandrel's loader knows our files and the authors', and gives what diffir gives.

Runs where spandrel can be imported (docs/integrations.md says how); elsewhere it says why not.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from official import authors_state, network, toy, write_pth
from torch import Tensor
from torch.library import Library

from diffir import PRESETS, Restorer
from diffir.checkpoints import Checkpoint, format
from diffir.errors import WeightsError
from diffir.integrations.shapes import config_of
from diffir.loading import bundled_file, weights_file
from diffir.model import DiffIRS2
from diffir.presets.preset import GUIDED

BUNDLED = [preset.name for preset in PRESETS.values() if bundled_file(preset)]


def shapes_of(config) -> dict[str, Any]:
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in DiffIRS2(config).state_dict().items()}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_the_numbers_of_every_preset_are_told_by_names_and_shapes(preset):
    assert config_of(shapes_of(preset.config)) == preset.config


@pytest.mark.parametrize(
    "changes",
    [
        {"denoiser_layers": 4},
        {**GUIDED, "denoiser_layers": 2},
        {"norm_bias": False},
        {"num_refinement_blocks": 0},
        {"num_heads": (2, 2, 4, 4)},
        {"unshuffle": 4, "upscale": 4},
        {"unshuffle": 4, "upscale": 4, "cpen_reduction": 2},
        {"upscale": 2},
    ],
)
def test_other_numbers_are_told_by_names_and_shapes(changes):
    config = toy("deblur", **changes)
    assert config_of(shapes_of(config)) == config


@pytest.fixture(scope="module")
def spandrel() -> Any:
    """spandrel with DiffIR in it, beside whatever torchvision there is."""
    for library in ("spandrel", "torchvision"):
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed here, and spandrel wants torchvision")
    try:
        import torchvision  # noqa: F401
    except RuntimeError:  # built for another torch: its operators are declared, without code
        Operators.append(Library("torchvision", "FRAGMENT"))
        for name in ("nms", "qnms"):
            Operators[-1].define(f"{name}(Tensor boxes, Tensor scores, float iou) -> Tensor")
    import spandrel

    from diffir.integrations.spandrel import install

    install()
    install()  # a second time changes nothing
    return spandrel


Operators: list[Library] = []


def loaded(spandrel: Any, path: Path) -> Any:
    return spandrel.ModelLoader().load_from_file(path)


def picture(height: int = 19, width: int = 21) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("preset", "purpose", "scale"),
    [("deblur", "Restoration", 1), ("sr-x1", "Restoration", 1), ("sr-x2", "SR", 2),
     ("sr-x4", "SR", 4)],
)  # fmt: skip
@pytest.mark.parametrize("writer", ["ours", "authors"])
def test_a_network_for_pictures_gives_what_diffir_gives(
    spandrel, tmp_path, preset, purpose, scale, writer
):
    model = network(2, toy(preset))
    path = tmp_path / ("net.safetensors" if writer == "ours" else "net.pth")
    if writer == "ours":
        format.save(Checkpoint(model=model, task="sr"), path)
    else:
        write_pth(path, model)
    descriptor = loaded(spandrel, path)
    assert isinstance(descriptor, spandrel.ImageModelDescriptor)
    assert (descriptor.architecture.id, descriptor.purpose) == ("DiffIR", purpose)
    assert descriptor.scale == scale
    expected = Restorer.from_pretrained(path, device="cpu").restore_batch(picture(), seeds=[0])
    assert torch.equal(descriptor(picture()), expected)


@pytest.mark.parametrize("writer", ["ours", "authors", "lightning"])
def test_inpainting_is_a_masked_model_that_leaves_known_pixels(spandrel, tmp_path, writer):
    model = network(2, toy("inpaint"))
    ours = tmp_path / "net.safetensors"
    format.save(Checkpoint(model=model, task="inpaint"), ours)
    if writer == "lightning":  # spandrel unpickles no .ckpt with settings beside the weights
        state = {f"generator.{name}": tensor for name, tensor in authors_state(model).items()}
        state |= {"generatorS1.x": torch.zeros(1), "loss_resnet_pl.y": torch.zeros(1)}
        descriptor = spandrel.ModelLoader().load_from_state_dict(state)
    else:
        path = ours if writer == "ours" else write_pth(tmp_path / "net.pth", model)
        descriptor = loaded(spandrel, path)
    assert isinstance(descriptor, spandrel.MaskedImageModelDescriptor)
    mask = torch.zeros(1, 1, 19, 21)
    mask[..., 4:9, 5:12] = 1
    filled = descriptor(picture(), mask)
    expected = Restorer.from_pretrained(ours, device="cpu").restore_batch(
        picture(), masks=mask, seeds=[0]
    )
    assert torch.equal(filled, expected)
    known = (mask == 0).expand_as(filled)
    assert torch.equal(filled[known], picture()[known])


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_weights_give_what_diffir_gives(spandrel, name):
    descriptor = loaded(spandrel, weights_file(name))
    expected = Restorer.from_pretrained(name, device="cpu").restore_batch(picture(), seeds=[0])
    assert torch.equal(descriptor(picture()), expected)


def test_networks_of_others_stay_theirs(spandrel):
    from spandrel.architectures.NAFNet import NAFNet

    theirs = NAFNet(width=8, middle_blk_num=1, enc_blk_nums=[1], dec_blk_nums=[1]).state_dict()
    descriptor = spandrel.ModelLoader().load_from_state_dict(theirs)
    assert descriptor.architecture.id == "NAFNet"


@pytest.mark.parametrize("naming", ["ours", "authors"])
def test_the_teacher_is_not_taken_for_a_network_in_use(spandrel, naming):
    model = network(1, toy("deblur"))
    state = model.state_dict() if naming == "ours" else authors_state(model)
    with pytest.raises(spandrel.UnsupportedModelError):
        spandrel.ModelLoader().load_from_state_dict(state)


def test_weights_that_do_not_fit_together_are_refused_in_one_sentence(spandrel):
    state = network(2, toy("deblur")).state_dict()
    state["dirformer.latent.0.norm1.weight"] = torch.ones(3)
    with pytest.raises(WeightsError, match="does not fit its network"):
        spandrel.ModelLoader().load_from_state_dict(state)
    state["dirformer.embed.weight"] = torch.ones(8, 5, 3, 3)
    with pytest.raises(WeightsError, match="5 input channels"):
        spandrel.ModelLoader().load_from_state_dict(state)


def test_half_precision_is_declined(spandrel):
    descriptor = spandrel.ModelLoader().load_from_state_dict(network(2, toy("deblur")).state_dict())
    with pytest.raises(spandrel.UnsupportedDtypeError):
        descriptor.half()
