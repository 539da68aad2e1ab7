"""He's weights keep alive what differs between pictures; the authors' form begins as ever."""

from pathlib import Path

import pytest
import torch
from official import toy
from PIL import Image
from skimage import data
from torch import Tensor

from diffir.loading import load
from diffir.model import DiffIRS1, DiffIRS2
from diffir.presets import RECIPES, choose
from diffir.training.initial import he_initialised
from trainer import train_in

STEPS = (
    "stage1.steps=1",
    "prior.steps=1",
    "joint=null",
    "finetune=null",
    "stage1.lq_size=8",
    "prior.lq_size=8",
)


def pictures() -> Tensor:
    """(4, 3, 32, 32), as different as photos are."""
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None] / 255
    places = (0, 0), (200, 100), (300, 300), (100, 400)
    return torch.cat([photo[..., y : y + 32, x : x + 32] for y, x in places])


def spread(ipr: Tensor) -> float:
    """The standard deviation of Z over pictures, over its size."""
    return float(ipr.std(dim=0).mean() / ipr.abs().mean())


def test_z_differs_between_pictures_before_anything_is_learnt() -> None:
    torch.manual_seed(0)
    config = toy("sr-x2")
    first, second = DiffIRS1(config).requires_grad_(False), DiffIRS2(config).requires_grad_(False)
    lq, gt, noise = pictures()[..., ::2, ::2], pictures(), torch.randn(4, config.ipr_dim)
    iprs = [lambda: first.extract_ipr(lq, gt), lambda: second.estimate_ipr(lq, 0 * noise)]
    before = [spread(ipr()) for ipr in iprs]
    restorer = {name: value.clone() for name, value in first.dirformer.state_dict().items()}
    for model in (first, second):
        he_initialised(model)
    assert all(spread(ipr()) > 3 * old for ipr, old in zip(iprs, before, strict=True))
    now = first.dirformer.state_dict()
    assert all(torch.equal(now[name], value) for name, value in restorer.items())


def test_a_learnt_constant_gets_the_size_of_such_a_z() -> None:
    model = DiffIRS2(toy("sr-x2", constant_ipr=True, timesteps=0))
    he_initialised(model)
    assert 0.7 < float(model.cpen.ipr.detach().square().mean().sqrt()) < 1.4


@pytest.mark.parametrize("kind", ["torch", "he"])
def test_recipes_begin_both_stages_so(tmp_path: Path, kind: str) -> None:
    Image.fromarray(data.astronaut()[:64, 150:214]).save(tmp_path / "photo.png")
    settings = [*STEPS, f"ipr_init={kind}"]
    settings += [f"{phase}.learning_rate=1e-9" for phase in ("stage1", "prior")]
    run = tmp_path / "run"
    second = load(train_in(run, choose(RECIPES, "toy-sr", settings), tmp_path / "photo.png"))
    assert isinstance(second, DiffIRS2)
    for layer in (load(run / "toy-sr-stage1.safetensors").cpen.mlp[0], second.cpen.mlp[0]):
        assert (float(layer.bias.detach().abs().max()) < 1e-6) == (kind == "he")
    assert (float(second.denoiser.layers[0].bias.detach().abs().max()) < 1e-6) == (kind == "he")
