"""What `diffir.evaluation` offers: all of it there, and nothing heavy before it is used."""

import subprocess
import sys

import torch

from diffir import evaluation


def test_every_public_name_is_there_and_sorted() -> None:
    constants = [name for name in evaluation.__all__ if name.isupper()]
    assert evaluation.__all__ == sorted(constants) + sorted(
        set(evaluation.__all__) - set(constants)
    )
    assert dir(evaluation) == sorted(evaluation.__all__)
    for name in evaluation.__all__:
        assert getattr(evaluation, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(evaluation, "mse")


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, diffir.evaluation; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"


def test_the_names_work_together() -> None:
    gt = torch.rand(1, 3, 40, 44, generator=torch.Generator().manual_seed(0))
    rounded = evaluation.round_to_8_bit(gt)
    available, unavailable = evaluation.open_metrics(["psnr", "ssim", "ssim_volume"])
    assert not unavailable
    for name, score in available.items():
        restored, inner = (evaluation.without_border(x, 4) for x in (rounded, gt))
        found = score(restored, gt=inner)
        by_hand = getattr(evaluation, name)(restored, inner)
        assert torch.equal(found, by_hand)
    assert set(available) < set(evaluation.METRICS)
