"""A network as a folder for the Hugging Face Hub: weights, configuration, model card.

The folder holds model.safetensors (a self-contained file of ours), config.json (the architecture,
and the sha256 of the weights) and README.md (the model card).
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from diffir._version import __version__
from diffir.errors import WeightsError
from diffir.files import digest_of

from . import format
from .checkpoint import Checkpoint, store
from .format import Info

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"

PURPOSES = {
    "deblur": ("image-deblurring", "Removes motion blur"),
    "inpaint": ("image-inpainting", "Fills holes"),
    "sr": ("super-resolution", "Makes pictures larger or cleaner"),
}
"""By task: its tag on the Hub, and a description."""


def save_folder(
    checkpoint: Checkpoint, folder: Path, *, license: str = "unknown", repo: str = "USER/REPOSITORY"
) -> None:
    """Write the folder of a network; an existing model card is kept.

    Args:
        checkpoint: as `format.save` takes it.
        folder: created if missing.
        license: of the weights, as the Hub spells it (`apache-2.0`).
        repo: the repository's name on the card.

    Raises:
        WeightsError: as `format.save`.
    """
    file = folder / WEIGHTS_FILE
    format.save(checkpoint, file)
    info = format.read_info(file)
    store(_config(info, digest_of(file)).encode(), folder / CONFIG_FILE)
    if not (folder / CARD_FILE).exists():
        store(model_card(info, license, repo).encode(), folder / CARD_FILE)


def weights_in(folder: Path) -> Path:
    """The weights of a folder that `save_folder` made, after checking their sha256.

    Raises:
        WeightsError: when there are none, or their sha256 differs from that in config.json.
    """
    file = folder / WEIGHTS_FILE
    if not file.is_file():
        raise WeightsError(
            f"no file {WEIGHTS_FILE} found in the folder {folder}; give a weights file, "
            "or a folder that save_pretrained made"
        )
    require_sha256(file, recorded_sha256(file))
    return file


def recorded_sha256(file: Path) -> str | None:
    """The sha256 of a weights file according to the config.json beside it, None without one."""
    try:
        config = json.loads((file.parent / CONFIG_FILE).read_text(encoding="utf-8"))
        digest = config["sha256"][file.name]
    except (OSError, ValueError, LookupError, TypeError):  # missing, or another program's
        return None
    return digest if isinstance(digest, str) else None


def require_sha256(file: Path, expected: str | None) -> None:
    """Raise WeightsError if the sha256 of a file differs from the expected one."""
    if expected is None:
        return
    try:
        found = digest_of(file)
    except OSError as error:
        raise WeightsError(f"{file} cannot be read ({error.strerror}); check the path") from error
    if found != expected:
        raise WeightsError(
            f"{file} has the sha256 {found[:12]}… instead of {expected[:12]}…; "
            "it is broken or another file, so get another copy"
        )


def model_card(info: Info, license: str, repo: str) -> str:
    """The README of a repository, in the Hub's form, from the metadata of a weights file."""
    tag, purpose = PURPOSES[info.task]
    head = {
        "library_name": "diffir",
        "license": license,
        "pipeline_tag": "image-to-image",
        "tags": ["diffir", "diffusion", "image-restoration", tag],
    }
    name = info.preset or f"DiffIR {info.task} ×{info.scale}"
    kind = "stage 2, for inference" if info.stage == 2 else "stage 1, which sees the ground truth"
    facts = {
        "task": f"{info.task} ×{info.scale}",
        "stage": kind,
        "parameters": f"{info.parameters:,}",
        "written by": f"diffir {info.diffir}",
    }
    training = "The weights file has no record of it."
    if info.training:
        facts_as_json = json.dumps(info.training, indent=2)
        training = f"As recorded in the weights file:\n\n```json\n{facts_as_json}\n```"
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(head)}---\n",
            f"# {name}\n",
            f"{purpose}. A DiffIR network: {info.config.timesteps} steps of diffusion on a prior "
            f"of {info.config.ipr_dim} numbers, then one pass of a transformer.\n",
            _use(info, repo),
            f"## Overview\n\n{_table(facts)}\n",
            f"## Network\n\n{_table(asdict(info.config))}\n",
            f"## Training\n\n{training}\n",
        ]
    )


def _use(info: Info, repo: str) -> str:
    if info.stage == 1:
        return "It is the teacher of a stage-2 network and needs the ground truth to restore.\n"
    mask = ', mask="mask.png"' if info.task == "inpaint" else ""
    return (
        "```python\nimport diffir\n\n"
        f'restorer = diffir.Restorer.from_pretrained("{repo}")\n'
        f'restorer("photo.png"{mask}).save("restored.png")\n```\n'
    )


def _table(rows: dict[str, Any]) -> str:
    return "\n".join(
        ["| | |", "| --- | --- |", *(f"| {key} | {row} |" for key, row in rows.items())]
    )


def _config(info: Info, digest: str) -> str:
    config = {
        "library_name": "diffir",
        "diffir_version": __version__,
        "stage": info.stage,
        "task": info.task,
        "scale": info.scale,
        "preset": info.preset,
        "network": asdict(info.config),
        "sha256": {WEIGHTS_FILE: digest},
    }
    return json.dumps(config, indent=2) + "\n"
