"""What goes over the wire, for FastAPI to check and for OpenAPI to describe."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Format = Literal["png", "jpeg", "webp", "tiff", "bmp"]
State = Literal["waiting", "running", "done", "failed"]


class Order(BaseModel):
    """A picture and what shall be made of it; in JSON, bytes are base64."""

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
    place: int | None = Field(description="In the queue, from 1; null once the job runs")
    detail: str | None = Field(description="Why it failed")


class ModelView(BaseModel):
    """A network that can be asked for."""

    name: str
    task: str
    scale: int = Field(description="How much larger the restored picture is")
    takes_mask: bool


class Health(BaseModel):
    """A word on the server."""

    status: Literal["ok", "ready"]


class Problem(BaseModel):
    """What went wrong: what was found, what was wanted, what to do."""

    detail: str = Field(examples=["seed: Input should be greater than or equal to 0"])


def sentence(error: ValidationError) -> str:
    """The first thing wrong with an order; what the client sent is not repeated."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the body"
    return f"{where}: {first['msg']}; /openapi.json says what is wanted"


def media_type(format_: str) -> str:
    """As in the header Content-Type."""
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
    "what is transparent is filled",
    "model": "A name from /v1/models",
    "task": "Instead of a model: the first one served for it",
    "seed": "Same seed, same bits",
    "format": "Of the answer; that of the picture if not given",
}


def _form(file: dict[str, Any]) -> dict[str, Any]:
    """The schema of an order whose files are described so."""
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
"""OpenAPI's description of the bodies that /v1/restore and /v1/jobs take."""

PICTURE: dict[str, Any] = {
    "description": "The restored picture",
    "content": {media_type(name): {"schema": BINARY} for name in FORMATS},
}

_PROBLEMS = {
    401: "The API key is missing or wrong",
    404: "There is no such job, or it has expired",
    408: "The request did not come in in time",
    409: "The job has no result yet: it waits or runs",
    413: "Too many bytes or too many pixels",
    415: "Neither a form nor JSON, or no picture of a known kind",
    422: "Something in the order does not fit",
    429: "Too many of the client's requests at once; Retry-After says when to come back",
    500: "A mistake of the server; its log has the traceback",
    503: "Busy, stopping, or without the memory or time for it; Retry-After says when to come back",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of errors."""
    return {
        status: {"model": Problem, "description": _PROBLEMS[status]} for status in sorted(statuses)
    }


# Without it, FastAPI would promise a 422 of its own for every route with a parameter.
OTHERS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "Any other refusal"}
}
