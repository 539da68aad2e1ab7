"""Load a network by the name of a preset or from a file, whoever wrote it."""

import difflib
from dataclasses import asdict, replace
from numbers import Real
from pathlib import Path
from typing import Any

import torch
import yaml

from diffir.checkpoints import Checkpoint, format, official
from diffir.checkpoints.blend import blended
from diffir.checkpoints.checkpoint import read_head
from diffir.checkpoints.folder import weights_in
from diffir.checkpoints.hub import EXPORTED_SUFFIXES, fetch, hub_name, own_folder
from diffir.errors import WeightsError
from diffir.files import digest_of
from diffir.model import DiffIRS1, DiffIRS2
from diffir.presets import PRESETS, Preset
from diffir.tasks import TASKS

WEIGHTS = Path(__file__).parent / "weights"
SPEED = "seconds_per_megapixel"
"""Per megapixel of input, on one thread of the CPU that the model card names."""
DETAIL = "-detail"
"""Suffix of a network that was fine-tuned with a discriminator."""


def load(
    path_or_name: str | Path,
    *,
    task: str | None = None,
    scale: int | None = None,
    revision: str | None = None,
    detail: float = 0.0,
) -> DiffIRS1 | DiffIRS2:
    """A network ready for use: in eval mode, float32, on the CPU.

    Args:
        path_or_name: a preset's name; or a file: our .safetensors, or the authors' .pth or .ckpt,
            distinguished by content; or a folder of `save_pretrained`; or a repository on the
            Hugging Face Hub, `user/repo[@revision]` or `hf://user/repo[@revision][/file]`.
        task: refuse a network of another task.
        scale: refuse a network of another scale.
        revision: of a repository on the Hub: a branch, a tag or a commit.
        detail: from 0, faithful, to 1, crisp: interpolates between the weights of the network and
            those of its version fine-tuned with a discriminator, whose name ends in `-detail`:
            the preset real-x4-lite-detail, or mine-detail.safetensors beside mine.safetensors.

    Raises:
        WeightsError: when the file is missing, broken or unsafe, or of another task or scale.
    """
    checkpoint = load_checkpoint(
        path_or_name, task=task, scale=scale, revision=revision, detail=detail
    )
    return checkpoint.model


def load_checkpoint(
    path_or_name: str | Path,
    *,
    task: str | None = None,
    scale: int | None = None,
    revision: str | None = None,
    detail: float = 0.0,
) -> Checkpoint:
    """As `load`, with the metadata of the network."""
    detail = as_detail(detail)
    path, *others = weights_files(path_or_name, detail, revision)
    checkpoint = _read(path)
    for other in others:
        checkpoint = blended(checkpoint, _read(other), detail, other)
    facts = {"task": (checkpoint.task, task), "scale": (checkpoint.config.scale, scale)}
    for what, (found, asked) in facts.items():
        if asked is not None and asked != found:
            raise WeightsError(
                f"{what} {found} found in {path}, but {asked} was requested; "
                f"request {found}, or give other weights"
            )
    checkpoint.model.eval()
    return checkpoint


def convert(source: Path, target: Path, *, dtype: torch.dtype = torch.float32) -> Checkpoint:
    """Write the network of an authors' file as a file of ours; raises WeightsError as `load`."""
    checkpoint = load_checkpoint(source)
    format.save(checkpoint, target, dtype)
    return checkpoint


def weights_file(path_or_name: str | Path, revision: str | None = None) -> Path:
    """The file of a name or a path that `load` takes.

    A preset means its bundled file, else `<preset>.safetensors`, `.pth` or `.ckpt` in the folder
    named by DIFFIR_WEIGHTS. An existing path takes precedence over a name on the Hub.

    Raises:
        WeightsError: when there is none, or its sha256 is wrong.
    """
    path = Path(path_or_name)
    name = path_or_name if isinstance(path_or_name, str) else None
    try:
        is_local = name in PRESETS or path.exists()
    except OSError as error:
        raise WeightsError(
            f"{path_or_name} cannot be accessed ({error.strerror}); check path and permissions"
        ) from error
    of_hub = None if name is None or is_local else hub_name(name, revision)
    if of_hub is not None:
        return fetch(of_hub)
    if revision is not None:
        raise WeightsError(
            f"revision {revision} requested, but {path_or_name} is not a repository on the Hub; "
            "omit it, or give hf://user/repo"
        )
    if name in PRESETS:
        return _require_own(PRESETS[name])
    if path.is_dir():
        return weights_in(path)
    if path.is_file():
        return path
    near = difflib.get_close_matches(str(path_or_name), PRESETS, cutoff=0.4) or PRESETS
    raise WeightsError(
        f"no file and no preset {str(path_or_name)!r} found; give the path of a weights file, "
        f"or a preset: {', '.join(near)}"
    )


def weights_files(
    path_or_name: str | Path, detail: float = 0.0, revision: str | None = None
) -> list[Path]:
    """The file of a network, or both files of an interpolated one.

    Raises:
        WeightsError: as `weights_file` and `as_detail`, or when the second file is missing.
    """
    detail = as_detail(detail)
    file = weights_file(path_or_name, revision)
    return [file, detailed_file(path_or_name, file)] if detail else [file]


def as_detail(detail: object) -> float:
    """A detail as a float; raises WeightsError for anything but a number from 0 to 1."""
    number = float(detail) if isinstance(detail, Real) else None
    if number is None or not 0 <= number <= 1:
        found = repr(detail) if number is None else f"{number:g}"
        raise WeightsError(f"detail {found} found; wanted a number from 0 to 1")
    return number


def detailed_file(path_or_name: str | Path, file: Path) -> Path:
    """The weights fine-tuned from `file` with a discriminator; raises WeightsError."""
    wanted: str | Path
    if path_or_name in PRESETS:
        wanted = f"{path_or_name}{DETAIL}"
        preset = PRESETS.get(wanted)
        found = None if preset is None else bundled_file(preset) or own_file(preset)
    else:
        wanted = file.with_name(f"{file.stem}{DETAIL}{file.suffix}")
        found = wanted if wanted.is_file() else None
    if found is not None:
        return found
    able = [name.removesuffix(DETAIL) for name in PRESETS if name.endswith(DETAIL)]
    raise WeightsError(
        f"no weights {wanted} found for more detail; leave it at 0, or use {' or '.join(able)}, "
        "which has such weights"
    )


def weights_digest(path_or_name: str | Path, detail: float = 0.0) -> str:
    """What identifies weights: the sha256 of their file, or of both files and the detail."""
    detail = as_detail(detail)
    digests = [digest_of(file) for file in weights_files(path_or_name, detail)]
    return f"{digests[0]}+{detail!r}*{digests[1]}" if detail else digests[0]


def model_for(task: str) -> str:
    """The name of a network for a task: the first bundled one, else the first with own weights.

    Raises:
        WeightsError: when the task is unknown, or no network for it has weights.
    """
    of_task = [preset for preset in PRESETS.values() if preset.task.name == task]
    if not of_task:
        raise WeightsError(f"task {task} found; wanted one of {', '.join(TASKS)}")
    for file_of in (bundled_file, own_file):
        for preset in of_task:
            if file_of(preset) is not None:
                return preset.name
    raise WeightsError(f"no bundled weights for task {task}; give a weights file as the model")


def bundled_file(preset: Preset) -> Path | None:
    """The bundled weights of a preset, None if there are none."""
    file = WEIGHTS / f"{preset.name}.safetensors"
    return file if file.is_file() else None


def score_of(preset: Preset) -> str | None:
    """The first score on the model card of bundled weights, `27.66 dB on Set14 (…)`, or None."""
    result = _result_on_card(preset)
    if result is None:
        return None
    metric = result["metrics"][0]
    return f"{metric['value']:.2f} dB on {result['dataset']['name']} ({metric['name']})"


def speed_of(preset: Preset) -> str | None:
    """Time per megapixel on the model card of bundled weights, `3.1 s`, or None."""
    result = _result_on_card(preset)
    if result is None:
        return None
    (metric,) = (metric for metric in result["metrics"] if metric["type"] == SPEED)
    return f"{metric['value']:.1f} s"


def _result_on_card(preset: Preset) -> dict[str, Any] | None:
    card = WEIGHTS / f"{preset.name}.md"
    if bundled_file(preset) is None or not card.is_file():
        return None
    head = yaml.safe_load(card.read_text(encoding="utf-8").split("---\n")[1])
    result: dict[str, Any] = head["model-index"][0]["results"][0]
    return result


def describe(path_or_name: str | Path) -> dict[str, str]:
    """The contents of a weights file, as text by topic; raises WeightsError as `load`."""
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
    facts |= {f"training: {key}": str(fact) for key, fact in checkpoint.training.items()}
    return {shown(key): shown(fact) for key, fact in facts.items()}


def shown(text: str) -> str:
    """Text from a foreign file, with control characters escaped."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def own_file(preset: Preset) -> Path | None:
    """The weights of a preset in DIFFIR_WEIGHTS, None if there are none."""
    folder = own_folder()
    names = [f"{preset.name}{suffix}" for suffix in (".safetensors", ".pth", ".ckpt")]
    files = [folder / name for name in names] if folder else []
    return next((file for file in files if file.is_file()), None)


def _require_own(preset: Preset) -> Path:
    file = bundled_file(preset) or own_file(preset)
    if file is not None:
        return file
    bundled = ", ".join(other.name for other in PRESETS.values() if bundled_file(other)) or "none"
    raise WeightsError(
        f"preset {preset.name} has no bundled weights (with weights: {bundled}); "
        "convert the authors' file by `diffir convert official.pth out.safetensors`, "
        f"or put {preset.name}.safetensors into the folder named by DIFFIR_WEIGHTS"
    )


def _read(path: Path) -> Checkpoint:
    if path.suffix.lower() in EXPORTED_SUFFIXES:
        raise WeightsError(
            f"{path} is an exported network, not weights; open it with "
            "diffir.export.ExportedRestorer.from_file, or give it to `diffir restore --model`"
        )
    if read_head(path)[8:] == b"{":  # safetensors: the header's length in 8 bytes, then JSON
        return format.read(path)
    checkpoint = official.read(path)
    presets = [
        preset.name
        for preset in PRESETS.values()
        if (preset.task.name, preset.config) == (checkpoint.task, checkpoint.config)
    ]
    return replace(checkpoint, preset=presets[0] if presets else None)
