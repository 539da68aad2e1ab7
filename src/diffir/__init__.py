"""DiffIR: restore images by diffusion on a 256-number prior and one pass of a transformer.

    diffir.restore("photo.jpg", task="deblur").save("sharper.png")
    restorer = diffir.Restorer.from_pretrained("sr-x4-lite")
    restorer("photo.jpg", seed=0).save("restored.png")

Names are imported when first used, so that `import diffir` and the command line's help are instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .errors import DiffIRError
    from .images import Picture
    from .inference import Pipeline, Restorer, restore
    from .loading import load
    from .model import DiffIRConfig, DiffIRS1, DiffIRS2
    from .presets import PRESETS

_HOMES = {
    "PRESETS": "presets",
    "DiffIRConfig": "model",
    "DiffIRError": "errors",
    "DiffIRS1": "model",
    "DiffIRS2": "model",
    "Picture": "images",
    "Pipeline": "inference",
    "Restorer": "inference",
    "load": "loading",
    "restore": "inference",
}

__all__ = [
    "PRESETS",
    "DiffIRConfig",
    "DiffIRError",
    "DiffIRS1",
    "DiffIRS2",
    "Picture",
    "Pipeline",
    "Restorer",
    "__version__",
    "load",
    "restore",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the part it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'diffir' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
