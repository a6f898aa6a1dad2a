"""Request bodies: read within their bounds, decoded strictly, converted to a Struct."""

import asyncio
from collections.abc import Collection
from typing import Final, TypeVar

from msgspec import Struct

from api import problems
from api.answer import JSON, Answer
from api.call import Call
from engine.domain import shapes, strict_json
from engine.domain.faults import Fault

SMALL_BYTES_MAX: Final = 16 * 1024
READ_TIMEOUT_S: Final = 10
_NOTHING: Final = (b"", b"{}")
"""What nearly every sign-up brings."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

T = TypeVar("T", bound=Struct)


async def read(call: Call, bytes_max: int, media_types: Collection[str] = (JSON,)) -> bytes | Answer:
    """The body, or the refusal of it: too_large, timeout or unsupported_media_type; an empty one is of no type."""
    request = call.request
    if not request.body_exists:
        return b""
    if (call.header("Content-Encoding") or "identity").lower() != "identity":
        return problems.response("unsupported_media_type", call.language)
    if (request.content_length or 0) > bytes_max:
        return problems.response("too_large", call.language)
    content = request.content
    # Most bodies came with their headers, and need no clock.
    body = content.read_nowait() if content.is_eof() else b""
    try:
        if not content.at_eof():
            _let_send(call)
            async with asyncio.timeout(READ_TIMEOUT_S):
                while len(body) <= bytes_max and not content.at_eof():
                    body += await content.readany()
    except (TimeoutError, ConnectionError):
        # Nobody may be left to read this.
        return problems.response("timeout", call.language)
    if len(body) > bytes_max:
        return problems.response("too_large", call.language)
    if body and request.content_type not in media_types:
        return problems.response("unsupported_media_type", call.language)
    return body


def _let_send(call: Call) -> None:
    """Tell a client that waits for it to send its body (RFC 9110, 10.1.1)."""
    transport = call.request.transport
    if transport is not None and (call.header("Expect") or "").lower() == "100-continue":
        transport.write(_CONTINUE)


async def read_json(call: Call, bytes_max: int) -> object | Answer:
    """The decoded body, or the refusal of it; an empty body is an empty object."""
    body = await read(call, bytes_max)
    if isinstance(body, Answer):
        return body
    if len(body) > SMALL_BYTES_MAX:
        # It takes a while: the loop stays free for sign-ups.
        raw = await asyncio.to_thread(strict_json.loads, body)
    else:
        raw = strict_json.loads(body) if body not in _NOTHING else {}
    return problems.invalid([raw], call.language) if isinstance(raw, Fault) else raw


async def read_struct(call: Call, cls: type[T]) -> T | Answer:
    """A small body as a Struct, or the refusal of it."""
    raw = await read_json(call, SMALL_BYTES_MAX)
    if isinstance(raw, Answer):
        return raw
    value = shapes.convert(cls, raw)
    return problems.invalid(value, call.language) if isinstance(value, list) else value
