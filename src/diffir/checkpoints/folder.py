"""A network as a folder that the Hugging Face Hub shows: its weights, its numbers, its model card.

The folder holds model.safetensors (a file of ours, which alone rebuilds the network), config.json
(what it is, and the sha256 of the weights) and README.md (the model card).
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from diffir._version import __version__
from diffir.errors import WeightsError
from diffir.files import digest_of, write_whole

from . import format
from .checkpoint import Checkpoint
from .format import Info

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"

PURPOSES = {
    "deblur": ("image-deblurring", "Removes motion blur"),
    "inpaint": ("image-inpainting", "Fills holes"),
    "sr": ("super-resolution", "Makes pictures larger or cleaner"),
}
"""By task: its tag on the Hub, and what it does."""


def save_folder(
    checkpoint: Checkpoint, folder: Path, *, license: str = "unknown", repo: str = "USER/REPOSITORY"
) -> None:
    """Write the folder of a network; a model card that is there stays.

    Args:
        checkpoint: as `format.save` takes it.
        folder: made where it is missing.
        license: of the weights, as the Hub spells it (`apache-2.0`); the file does not tell it.
        repo: what the card calls the repository.

    Raises:
        WeightsError: when values are not finite, or the folder can't be written.
    """
    format.save(checkpoint, folder / WEIGHTS_FILE)
    info = format.read_info(folder / WEIGHTS_FILE)
    try:
        digest = digest_of(folder / WEIGHTS_FILE)
        write_whole(_config(info, digest).encode(), folder / CONFIG_FILE)
        if not (folder / CARD_FILE).exists():
            write_whole(model_card(info, license, repo).encode(), folder / CARD_FILE)
    except OSError as error:
        raise WeightsError(
            f"{folder} cannot be written ({error.strerror}); check path, rights and space"
        ) from error


def weights_in(folder: Path) -> Path:
    """The weights of a folder that `save_folder` made, their sha256 checked.

    Raises:
        WeightsError: when there are none, or they are not those that config.json tells of.
    """
    file = folder / WEIGHTS_FILE
    if not file.is_file():
        raise WeightsError(
            f"no file {WEIGHTS_FILE} found in the folder {folder}; give a weights file, "
            "or a folder that save_pretrained made"
        )
    require_sha256(file, told_sha256(file))
    return file


def told_sha256(file: Path) -> str | None:
    """What the config.json beside a weights file says that its sha256 is, None where it doesn't."""
    try:
        told = json.loads((file.parent / CONFIG_FILE).read_text(encoding="utf-8"))
        digest = told["sha256"][file.name]
    except (OSError, ValueError, LookupError, TypeError):  # another program's, or none
        return None
    return digest if isinstance(digest, str) else None


def require_sha256(file: Path, expected: str | None) -> None:
    """Refuse a file whose content is not what was told of it; raises WeightsError."""
    if expected is None:
        return
    try:
        found = digest_of(file)
    except OSError as error:
        raise WeightsError(f"{file} cannot be read ({error.strerror}); check the path") from error
    if found != expected:
        raise WeightsError(
            f"{file} has the sha256 {found[:12]}… instead of {expected[:12]}…; "
            "it is broken or another file, so get it anew"
        )


def model_card(info: Info, license: str, repo: str) -> str:
    """The README of a repository, in the Hub's form, from what a weights file says of itself."""
    tag, purpose = PURPOSES[info.task]
    head = {
        "library_name": "diffir",
        "license": license,
        "pipeline_tag": "image-to-image",
        "tags": ["diffir", "diffusion", "image-restoration", tag],
    }
    name = info.preset or f"DiffIR {info.task} ×{info.scale}"
    kind = "stage 2, for use" if info.stage == 2 else "stage 1, which sees the ground truth"
    facts = {
        "task": f"{info.task} ×{info.scale}",
        "stage": kind,
        "parameters": f"{info.parameters:,}",
        "written by": f"diffir {info.diffir}",
    }
    training = "The weights' file tells nothing of it."
    if info.training:
        told = json.dumps(info.training, indent=2)
        training = f"As the weights' file tells it:\n\n```json\n{told}\n```"
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(head)}---\n",
            f"# {name}\n",
            f"{purpose}. A DiffIR network: {info.config.timesteps} steps of diffusion on a prior "
            f"of {info.config.ipr_dim} numbers, then one pass of a transformer.\n",
            _use(info, repo),
            f"## What it is\n\n{_table(facts)}\n",
            f"## Network\n\n{_table(asdict(info.config))}\n",
            f"## Training\n\n{training}\n",
        ]
    )


def _use(info: Info, repo: str) -> str:
    if info.stage == 1:
        return (
            "It is the teacher of a stage-2 network, and restores nothing without ground truth.\n"
        )
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
    told = {
        "library_name": "diffir",
        "diffir_version": __version__,
        "stage": info.stage,
        "task": info.task,
        "scale": info.scale,
        "preset": info.preset,
        "network": asdict(info.config),
        "sha256": {WEIGHTS_FILE: digest},
    }
    return json.dumps(told, indent=2) + "\n"
