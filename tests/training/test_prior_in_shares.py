"""What is said of a batch of IPRs is said of the whole batch, however processes share it."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data

SCRIPT = Path(__file__).with_name("prior_shares.py")
found_in = runpy.run_path(str(SCRIPT))["found_in"]
SETTINGS = (
    *("stage1.steps=2", "stage1.lq_size=8", "prior.steps=1", "prior.lq_size=8", "joint=null"),
    *("finetune=null", "network.ipr_norm=batch", "network.identity_modulation=true"),
    *("teacher_noise=0.5", "ipr_variance_weight=2", "ipr_covariance_weight=3"),
    *("modulation_rate=4", "network.cpen_pooling=mean_std", "network.teacher_blur=1"),
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forks")
def test_two_processes_find_what_one_finds_in_the_whole_batch(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, tmp_path], check=True)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for norm in (False, True):
        whole, shared = found_in(slice(None), norm), [part[str(norm)] for part in parts]
        assert ("moment model.norm.mean" in whole) == norm
        for name, wanted in whole.items():
            mine = [part[name] for part in shared]
            if name.startswith(("moment", "term ipr")):  # known of the whole batch in each
                found = mine[1]
                torch.testing.assert_close(mine[0], mine[1], rtol=1e-5, atol=1e-7, msg=name)
            elif name == "restored":
                found = torch.cat(mine)
            else:  # gradients are averaged, as the pixels' loss is
                found = (mine[0] + mine[1]) / 2
            # 1e-4: other order of sums; a gradient that the norm makes 0 has the errors of all
            largest = max(float(x.abs().max()) for key, x in whole.items() if "model." in key)
            atol = (1e-4 if name.startswith("model.cpen.mlp.2.bias") else 0) * largest
            atol += 1e-4 * float(wanted.abs().max())
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=atol, msg=name)


def test_a_network_in_shares_may_depart_too(tmp_path: Path) -> None:
    """That it learns what one process learns, tests/training/test_sharding.py holds."""
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(data.astronaut()[:48, 150:214]).save(photos / "a.png")
    command = [
        *(sys.executable, "-m", "diffir", "train", "toy-sr", "--data", photos, "--shard"),
        *("-o", tmp_path / "run", "--device", "cpu", "--threads", "1", "--devices", "2"),
        *(word for setting in SETTINGS for word in ("--set", setting)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    state = torch.load(tmp_path / "run/states/stage1-00000002.pt", weights_only=True)
    for what in ("model", "average"):
        assert not torch.equal(state[what]["norm.mean"], torch.zeros(64))
