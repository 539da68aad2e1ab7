"""Requests and responses, as FastAPI validates and OpenAPI describes them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Format = Literal["png", "jpeg", "webp", "tiff", "bmp"]
State = Literal["waiting", "running", "done", "failed"]


class Order(BaseModel):
    """A picture and how to restore it; in JSON, bytes are base64."""

    model_config = ConfigDict(frozen=True, extra="forbid", val_json_bytes="base64")

    picture: bytes = Field(min_length=1, repr=False)
    mask: bytes | None = Field(default=None, min_length=1, repr=False)
    model: str | None = Field(default=None, max_length=200)
    task: Literal["deblur", "inpaint", "sr"] | None = None
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    format: Format | None = None


class JobView(BaseModel):
    """A job as its client sees it."""

    id: str
    model: str
    state: State
    progress: float = Field(ge=0, le=1, description="Share of the network's work that is done")
    place: int | None = Field(description="Position in the queue, from 1; null once the job runs")
    detail: str | None = Field(description="Why it failed")


class ModelView(BaseModel):
    """An available network."""

    name: str
    task: str
    scale: int = Field(description="Factor by which width and height grow")
    takes_mask: bool


class Health(BaseModel):
    """The state of the server."""

    status: Literal["ok", "ready"]


class Problem(BaseModel):
    """What went wrong: what was found, what was wanted, what to do."""

    detail: str = Field(examples=["seed: Input should be greater than or equal to 0"])


def sentence(error: ValidationError) -> str:
    """The first error of an order; the client's input is not repeated."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    return f"{where}: {first['msg']}; see /openapi.json for the fields"


def media_type(format_: str) -> str:
    """The value of the Content-Type header."""
    return f"image/{format_}"


FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp", "tiff", "bmp")
DOT = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
FILES = ("picture", "mask")
BINARY = {"type": "string", "format": "binary"}
BASE64 = {"type": "string", "contentEncoding": "base64", "minLength": 1}
WORDS = {
    "picture": "PNG, JPEG, WebP, TIFF or BMP, by content",
    "mask": "For inpainting, of the picture's size: white (or transparent) = hole; without it, "
    "transparent pixels are filled",
    "model": "A name from /v1/models",
    "task": "Instead of a model: the first model served for this task",
    "seed": "Same seed, same bits",
    "format": "Of the response; default: that of the picture",
}


def _form(file: dict[str, Any]) -> dict[str, Any]:
    """The schema of an order; `file` describes its files."""
    fields: dict[str, dict[str, Any]] = Order.model_json_schema()["properties"]
    described = {
        name: {**(file if name in FILES else field), "description": WORDS[name]}
        for name, field in fields.items()
    }
    return {
        "type": "object",
        "properties": described,
        "required": ["picture"],
        "additionalProperties": False,
    }


REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": _form(BINARY),
                "example": {"picture": "(the file)", "model": "sr-x4-lite", "seed": 0},
            },
            "application/json": {
                "schema": _form(BASE64),
                "example": {"picture": DOT, "model": "sr-x4-lite", "format": "png"},
            },
        },
    }
}
"""OpenAPI's description of the bodies that /v1/restore and /v1/jobs accept."""

PICTURE: dict[str, Any] = {
    "description": "The restored picture",
    "content": {media_type(name): {"schema": BINARY} for name in FORMATS},
}

_PROBLEMS = {
    401: "The API key is missing or wrong",
    404: "No job has this id, or it has expired",
    408: "The request did not arrive in time",
    409: "The job has no result yet: it is waiting or running",
    413: "Too many bytes or too many pixels",
    415: "Neither a form nor JSON, or not a picture in a supported format",
    422: "Invalid fields, picture or mask",
    429: "Too many concurrent requests from this client; see Retry-After",
    500: "Internal error; the server's log has the traceback",
    503: "Busy, stopping, or out of memory or time; see Retry-After",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of errors."""
    return {
        status: {"model": Problem, "description": _PROBLEMS[status]} for status in sorted(statuses)
    }


# Without it, FastAPI would document its own 422 for every route with a parameter.
OTHERS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "Any other error of the request"}
}
