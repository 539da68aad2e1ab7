"""Read files of `torch.save` without executing any code in them.

torch's restricted unpickler reads them, with the classes that Lightning stores beside the weights
bound to empty stand-ins. There is no fallback.
"""

import zipfile
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import torch

from diffir.errors import WeightsError
from diffir.text import few

from .checkpoint import read_head


class _Inert:
    """Stands in for a class: accepts anything, does nothing."""

    def __new__(cls, *_args: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *_args: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        pass


class _PlainDict:
    """Stands in for a kind of dict: the restricted unpickler fills only plain ones."""

    def __new__(cls, *_args: Any) -> Any:
        return {}


STAND_INS: dict[str, tuple[type, tuple[str, ...]]] = {
    "omegaconf.base": (_Inert, ("ContainerMetadata", "Metadata", "UnionNode")),
    "omegaconf.dictconfig": (_Inert, ("DictConfig",)),
    "omegaconf.listconfig": (_Inert, ("ListConfig",)),
    "omegaconf.nodes": (
        _Inert,
        (
            *("AnyNode", "BooleanNode", "BytesNode", "EnumNode", "FloatNode", "IntegerNode"),
            *("InterpolationResultNode", "PathNode", "StringNode"),
        ),
    ),
    "pytorch_lightning.callbacks.early_stopping": (_Inert, ("EarlyStopping",)),
    "pytorch_lightning.callbacks.lr_monitor": (_Inert, ("LearningRateMonitor",)),
    "pytorch_lightning.callbacks.model_checkpoint": (_Inert, ("ModelCheckpoint",)),
    "pytorch_lightning.utilities.parsing": (_PlainDict, ("AttributeDict",)),
    "typing": (_Inert, ("Any",)),
    "builtins": (_Inert, ("bool", "bytes", "dict", "float", "int", "list", "str", "tuple")),
    "collections": (_PlainDict, ("defaultdict",)),
    "pathlib": (_Inert, ("PosixPath", "WindowsPath")),
    "numpy": (_Inert, ("dtype",)),
    "numpy.core.multiarray": (_Inert, ("scalar",)),
    "numpy._core.multiarray": (_Inert, ("scalar",)),
}
"""The stand-in for these classes, by module. A file that names any other class is refused."""


ONE_AT_A_TIME = Lock()


def read_torch_file(path: Path) -> Any:
    """The stored object, tensors on the CPU, objects of other classes emptied.

    Raises:
        WeightsError: when the file is not of `torch.save`, is broken, or requires code.
    """
    _require_archive(path)
    stand_ins: list[Any] = [
        (stand_in, f"{module}.{name}")
        for module, (stand_in, names) in STAND_INS.items()
        for name in names
    ]
    # An open file, since torch.load depends on the suffix of a path. The stand-ins are global:
    # without the lock, the first thread to finish would remove them for the others.
    with path.open("rb") as file, ONE_AT_A_TIME, torch.serialization.safe_globals(stand_ins):
        try:
            foreign = torch.serialization.get_unsafe_globals_in_checkpoint(file)
            file.seek(0)
            stored = None if foreign else torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises errors of any kind
            raise WeightsError(
                f"{path} is broken or holds more than data ({type(error).__name__}); "
                "get another copy"
            ) from error
    if foreign:
        raise WeightsError(
            f"{path} requires code ({few(foreign)}), none of which was run; "
            "only weights are wanted, so save the state_dict alone"
        )
    return stored


def _require_archive(path: Path) -> None:
    head = read_head(path)
    if not zipfile.is_zipfile(path):
        if head.startswith(b"PK"):
            raise WeightsError(f"{path} is cut short; get another copy")
        if head.startswith(b"\x80"):
            raise WeightsError(
                f"{path} is a bare pickle or from before PyTorch 1.6; "
                "save it again with a newer PyTorch"
            )
        raise WeightsError(f"{path} is not a weights file; a .safetensors, .pth or .ckpt is wanted")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise WeightsError(
            f"{path} is broken ({type(error).__name__}); get another copy"
        ) from error
    files = {PurePosixPath(entry.filename).name for entry in entries}
    if "constants.pkl" in files:
        raise WeightsError(f"{path} is a TorchScript program; save its state_dict instead")
    if "data.pkl" not in files:
        raise WeightsError(f"{path} is a zip file without weights; a .pth or .ckpt is wanted")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise WeightsError(
            f"{path} is compressed, which torch.save never does, and may unpack to any size; "
            "get another copy"
        )
