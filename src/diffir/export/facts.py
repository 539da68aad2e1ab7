"""What an exported file says about itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from diffir._version import __version__
from diffir.errors import WeightsError
from diffir.tasks import TASKS

Precision: TypeAlias = Literal["float32", "float16", "int8"]
FORMAT = "diffir-export"
FORMAT_VERSION = "1"


class Facts(BaseModel):
    """The metadata of an exported file, enough to use it without the weights it came from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task: str
    scale: int = Field(ge=1, le=4)
    ipr_dim: int = Field(ge=1)
    """4C', the length of the noise."""
    precision: Precision = "float32"
    preset: str | None = None
    weights_sha256: str
    """Of the file of weights that was exported."""
    licence: str
    """Of the weights."""
    diffir: str = __version__
    """The version that wrote the file."""

    @field_validator("task")
    @classmethod
    def _known(cls, task: str) -> str:
        if task not in TASKS:
            raise ValueError(f"task {task} found, one of {', '.join(TASKS)} wanted")
        return task

    def as_metadata(self) -> dict[str, str]:
        """Strings by name, for every format."""
        facts = {name: str(value) for name, value in self.model_dump(exclude_none=True).items()}
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **facts}

    @classmethod
    def of(cls, metadata: Mapping[str, str], path: Path) -> "Facts":
        """The facts in a file's metadata; raises WeightsError for a file of another program."""
        if metadata.get("format") != FORMAT:
            raise WeightsError(
                f"{path} is of another program; one that `diffir export` wrote is wanted"
            )
        version = metadata.get("format_version")
        if version != FORMAT_VERSION:
            raise WeightsError(
                f"format version {version} found in {path}; diffir {__version__} reads version "
                f"{FORMAT_VERSION}, so update diffir"
            )
        try:
            return cls.model_validate(dict(metadata))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise WeightsError(
                f"{path} has metadata that describes no network ({where}: {first['msg']}); "
                "export it anew"
            ) from error


FORMAT_FIELDS = ("format", "format_version", *Facts.model_fields)
"""The names in the metadata."""
