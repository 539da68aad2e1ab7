"""From a request to an order, its files kept in memory only."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

from fastapi import HTTPException, Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from .limits import counted
from .schema import Order, sentence
from .settings import Settings


async def read_order(request: Request, settings: Settings) -> Order:
    """The order in a multipart or JSON body; raises 408, 413, 415 or 422."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    readers = {"multipart/form-data": from_form, "application/json": from_json}
    if kind not in readers:
        raise HTTPException(
            415, "the body is neither multipart/form-data nor application/json; send one of them"
        )
    stream = cast(AsyncGenerator[bytes, None], counted(request.stream(), settings.max_bytes))
    try:
        return await asyncio.wait_for(readers[kind](request, stream, settings), settings.seconds)
    except asyncio.TimeoutError:
        raise HTTPException(
            408,
            f"the request body did not arrive within {settings.seconds:g} s; send it faster",
            {"Connection": "close"},
        ) from None
    except ValidationError as error:
        raise HTTPException(422, sentence(error)) from None


async def from_json(
    request: Request, stream: AsyncGenerator[bytes, None], settings: Settings
) -> Order:
    """By Pydantic's parser: safe for deeply nested brackets, and strict about base64."""
    body = b"".join([chunk async for chunk in stream])
    return Order.model_validate_json(body, strict=True)


async def from_form(
    request: Request, stream: AsyncGenerator[bytes, None], settings: Settings
) -> Order:
    """By Starlette's parser, which never writes to disk here."""
    parser = MultiPartParser(
        request.headers, stream, max_files=2, max_fields=len(Order.model_fields), max_part_size=1000
    )
    parser.spool_max_size = settings.max_bytes + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(422, f"the form cannot be read: {error.message}") from None
    except UnicodeError:  # in the charset that the client declares
        raise HTTPException(
            422, "the form cannot be decoded in the charset its header declares; send UTF-8"
        ) from None
    fields: dict[str, bytes | str] = {}
    for name, value in form.multi_items():
        if name in fields:
            raise HTTPException(422, "a field was sent twice; send each field once")
        fields[name] = await value.read() if isinstance(value, UploadFile) else value
    await form.close()
    for name in ("picture", "mask"):
        if isinstance(fields.get(name), str):
            raise HTTPException(422, f"{name}: text found; send a file, with a filename")
    return Order.model_validate(fields)
