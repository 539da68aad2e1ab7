"""The metadata of an exported file."""

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
    """The metadata of an exported file, sufficient to use it without the original weights."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task: str
    scale: int = Field(ge=1, le=4)
    ipr_dim: int = Field(ge=1)
    """4C', the length of the noise."""
    precision: Precision = "float32"
    preset: str | None = None
    weights_sha256: str
    """Of the exported weights file."""
    licence: str
    """Of the weights."""
    diffir: str = __version__
    """The version that wrote the file."""

    @field_validator("task")
    @classmethod
    def _known(cls, task: str) -> str:
        if task not in TASKS:
            raise ValueError(f"task {task} found, wanted one of {', '.join(TASKS)}")
        return task

    def as_metadata(self) -> dict[str, str]:
        """As strings by name, which every format can hold."""
        facts = {name: str(value) for name, value in self.model_dump(exclude_none=True).items()}
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **facts}

    @classmethod
    def of(cls, metadata: Mapping[str, str], path: Path) -> "Facts":
        """Parse a file's metadata; raises WeightsError for a file of another program."""
        if metadata.get("format") != FORMAT:
            raise WeightsError(
                f"{path} was written by another program; give one that `diffir export` wrote"
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
                f"{path} has invalid metadata ({where}: {first['msg']}); export it again"
            ) from error


FORMAT_FIELDS = ("format", "format_version", *Facts.model_fields)
"""Names in the metadata."""
