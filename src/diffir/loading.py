"""From a preset's name or a file, whoever wrote it, to the network in it."""

import difflib
from dataclasses import asdict, replace
from pathlib import Path

import torch

from diffir.checkpoints import Checkpoint, format, official
from diffir.checkpoints.checkpoint import read_head
from diffir.errors import WeightsError
from diffir.model import DiffIRS1, DiffIRS2
from diffir.presets import PRESETS, Preset

WEIGHTS = Path(__file__).parent / "weights"


def load(
    path_or_name: str | Path, *, task: str | None = None, scale: int | None = None
) -> DiffIRS1 | DiffIRS2:
    """A network ready for use: in eval mode, float32, on the CPU.

    Args:
        path_or_name: a preset's name (its bundled weights), or a file: our .safetensors, or the
            authors' .pth or .ckpt, told apart by content.
        task: refuse a network of another task.
        scale: refuse a network of another scale.

    Raises:
        WeightsError: when there is no such file, it is broken or unsafe, or is not what was asked.
    """
    return load_checkpoint(path_or_name, task=task, scale=scale).model


def load_checkpoint(
    path_or_name: str | Path, *, task: str | None = None, scale: int | None = None
) -> Checkpoint:
    """As `load`, with the facts that travel with the network."""
    path = weights_file(path_or_name)
    checkpoint = _read(path)
    facts = {"task": (checkpoint.task, task), "scale": (checkpoint.config.scale, scale)}
    for what, (found, asked) in facts.items():
        if asked is not None and asked != found:
            raise WeightsError(
                f"{what} {found} found in {path}, {asked} was asked for; "
                f"ask for {found}, or give other weights"
            )
    checkpoint.model.eval()
    return checkpoint


def convert(source: Path, target: Path, *, dtype: torch.dtype = torch.float32) -> Checkpoint:
    """Write the network of an authors' file as a file of ours; raises WeightsError as `load`."""
    checkpoint = load_checkpoint(source)
    format.save(checkpoint, target, dtype)
    return checkpoint


def weights_file(path_or_name: str | Path) -> Path:
    """The file that a preset's name or a path stands for; raises WeightsError where none is."""
    if isinstance(path_or_name, str) and path_or_name in PRESETS:
        return _require_bundled(PRESETS[path_or_name])
    path = Path(path_or_name)
    if path.is_file():
        return path
    near = difflib.get_close_matches(str(path_or_name), PRESETS, cutoff=0.4) or PRESETS
    raise WeightsError(
        f"no file and no preset {str(path_or_name)!r} found; give the path of a weights file, "
        f"or a preset: {', '.join(near)}"
    )


def bundled_file(preset: Preset) -> Path | None:
    """The weights that ship with the package, None where there are none for this preset."""
    file = WEIGHTS / f"{preset.name}.safetensors"
    return file if file.is_file() else None


def describe(path_or_name: str | Path) -> dict[str, str]:
    """What a weights file holds, in words, by topic; raises WeightsError as `load`."""
    path = weights_file(path_or_name)
    checkpoint = _read(path)
    config = checkpoint.config
    parameters = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    purpose = "restores from LQ alone" if checkpoint.stage == 2 else "sees the ground truth"
    facts = {
        "file": f"{path} ({path.stat().st_size / 1e6:.1f} MB)",
        "stage": f"{checkpoint.stage}, {purpose}",
        "task": f"{checkpoint.task} ×{config.scale}",
        "preset": checkpoint.preset or "none with these sizes",
        "parameters": f"{parameters:,}",
        **{name: str(value) for name, value in asdict(config).items()},
    }
    return facts | {f"training: {key}": str(fact) for key, fact in checkpoint.training.items()}


def _require_bundled(preset: Preset) -> Path:
    file = bundled_file(preset)
    if file is not None:
        return file
    bundled = ", ".join(other.name for other in PRESETS.values() if bundled_file(other)) or "none"
    raise WeightsError(
        f"preset {preset.name} has no bundled weights (with weights: {bundled}); "
        "`diffir convert official.pth out.safetensors` makes a file from the authors'"
    )


def _read(path: Path) -> Checkpoint:
    if read_head(path)[8:] == b"{":  # safetensors: the header's length in 8 bytes, then JSON
        return format.read(path)
    checkpoint = official.read(path)
    presets = [
        preset.name
        for preset in PRESETS.values()
        if (preset.task.name, preset.config) == (checkpoint.task, checkpoint.config)
    ]
    return replace(checkpoint, preset=presets[0] if presets else None)
