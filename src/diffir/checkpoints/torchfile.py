"""What `torch.save` put into a file, and nothing of it executed.

torch's restricted unpickler reads it, and the classes that Lightning leaves beside the weights are
bound to empty stand-ins. There is no other way in.
"""

import zipfile
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import torch

from diffir.errors import WeightsError

from .checkpoint import read_head, some


class _Inert:
    """Stands in for a class: takes anything, does nothing."""

    def __new__(cls, *_args: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *_args: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        pass


class _PlainDict:
    """Stands in for a kind of dict: the restricted unpickler fills plain ones only."""

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
"""By module: what takes the place of these classes. A file that names any other is refused."""


ONE_AT_A_TIME = Lock()


def read_torch_file(path: Path) -> Any:
    """The stored object, tensors on the CPU, other classes' objects emptied.

    Raises:
        WeightsError: when the file is not of `torch.save`, is broken, or asks for code.
    """
    _require_archive(path)
    stand_ins: list[Any] = [
        (stand_in, f"{module}.{name}")
        for module, (stand_in, names) in STAND_INS.items()
        for name in names
    ]
    # An open file, since torch.load goes by the suffix of a path. The stand-ins are of the whole
    # process, and whichever thread was done first would take them from the others.
    with path.open("rb") as file, ONE_AT_A_TIME, torch.serialization.safe_globals(stand_ins):
        try:
            foreign = torch.serialization.get_unsafe_globals_in_checkpoint(file)
            file.seek(0)
            stored = None if foreign else torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever its unpickler met
            raise WeightsError(
                f"{path} is broken or holds more than data ({type(error).__name__}); get it anew"
            ) from error
    if foreign:
        raise WeightsError(
            f"{path} asks for code ({some(foreign)}), of which nothing was run; "
            "only weights are wanted, so save the state_dict alone"
        )
    return stored


def _require_archive(path: Path) -> None:
    head = read_head(path)
    if not zipfile.is_zipfile(path):
        if head.startswith(b"PK"):
            raise WeightsError(f"{path} is cut short; get it anew")
        if head.startswith(b"\x80"):
            raise WeightsError(
                f"{path} is a bare pickle or from before PyTorch 1.6; "
                "write it anew with a newer torch.save"
            )
        raise WeightsError(f"{path} is no weights file; a .safetensors, .pth or .ckpt is wanted")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise WeightsError(f"{path} is broken ({type(error).__name__}); get it anew") from error
    files = {PurePosixPath(entry.filename).name for entry in entries}
    if "constants.pkl" in files:
        raise WeightsError(f"{path} is a TorchScript program; save its state_dict instead")
    if "data.pkl" not in files:
        raise WeightsError(f"{path} is a zip file without weights; a .pth or .ckpt is wanted")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise WeightsError(
            f"{path} is compressed, which torch.save never does, and may unpack to anything; "
            "get it anew"
        )
