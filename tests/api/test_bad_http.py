"""Bad requests: sizes, encodings, bodies that do not arrive, and what is no HTTP at all."""

import asyncio
import gzip
import logging
import re
from collections.abc import AsyncIterator

import pytest

from api import bodies
from api.answer import Answer
from api.call import Call
from tests.api.client import CANARY, HERE, ORGANIZER, Client, person, request
from tests.stand import campaign

SIGN_UP = f"{HERE}/offerings/soap/enrollments"
NEVER_MADE = f"{HERE}/enrollments/{'x' * 16}"
MEMBER = person(CANARY)
KIB = 1024

pytestmark = pytest.mark.usefixtures("no_canary_in_logs")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "",
     "application/json-patch+json", "application/vnd.api+json", "application/yaml", "json", CANARY, "*/*"],
)  # fmt: skip
async def test_content_types(client: Client, content_type: str) -> None:
    told = await client.refused("POST", SIGN_UP, b"{}", Content_Type=content_type)
    assert told == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "encoding", ["gzip", "GZIP", "br", "deflate", "zstd", "x-gzip", "identity, gzip", CANARY]
)
async def test_content_encodings(client: Client, encoding: str) -> None:
    for body in (gzip.compress(b"{}"), b"{}"):
        told = await client.refused("POST", SIGN_UP, body, Content_Encoding=encoding)
        assert told == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "application/json;charset=gbk"},
        {"Content-Type": "APPLICATION/JSON"},
        {"Content-Encoding": "identity"},
        {"Content-Encoding": "Identity"},
    ],
)
async def test_headers_that_change_nothing(client: Client, headers: dict[str, str]) -> None:
    """JSON is UTF-8, whatever charset is named beside it (RFC 8259, 8.1 and 11)."""
    await client.stand.publish(campaign())
    answer = await client.ask("POST", SIGN_UP, MEMBER, body=b'{"pool":"open"}', headers=headers)
    assert answer.status == 201


async def chunks(size: int, chunk: int = 4 * KIB) -> AsyncIterator[bytes]:
    for start in range(0, size, chunk):
        yield b" " * min(chunk, size - start)


@pytest.mark.parametrize("size", [16 * KIB + 1, 1_000_000, 3_000_000])
async def test_bodies_that_are_too_large(client: Client, size: int) -> None:
    for method, path in [("POST", SIGN_UP), ("DELETE", NEVER_MADE), ("POST", f"{NEVER_MADE}/confirm")]:
        assert await client.refused(method, path, b" " * size) == (413, "too_large")
        assert await client.refused(method, path, chunks(size)) == (413, "too_large")


async def test_documents_that_are_too_large(client: Client) -> None:
    for body in (b" " * (KIB * KIB + 1), chunks(KIB * KIB + 1, 64 * KIB)):
        answer = await client.ask("PUT", HERE, ORGANIZER, body=body)
        assert answer.told == (413, "too_large")


async def test_a_size_that_is_only_announced_is_refused_at_once(client: Client) -> None:
    announced = {"Content-Length": "999999999999", "Content-Type": "application/json"}
    reader, writer = await client.connect()
    writer.write(request("POST", SIGN_UP, MEMBER, headers=announced))
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_does_not_arrive(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_TIMEOUT_S", 0.05)
    await client.stand.publish(campaign())
    reader, writer = await client.connect()
    writer.write(request("POST", SIGN_UP, MEMBER, b"{}" + b" " * 100)[:-100])
    assert b" 408 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert await client.stand.told() == []


async def test_a_client_that_leaves_in_the_middle_of_its_body(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await client.stand.publish(campaign())
    reading, left = asyncio.Event(), asyncio.Event()
    read = bodies.read

    async def observed(call: Call, bytes_max: int) -> bytes | Answer:
        reading.set()
        try:
            return await read(call, bytes_max)
        finally:
            left.set()

    monkeypatch.setattr(bodies, "read", observed)
    _reader, writer = await client.connect()
    writer.write(request("POST", SIGN_UP, MEMBER, b'{"pool":"canary-7f3a"}')[:-4])
    await reading.wait()
    writer.close()
    await left.wait()
    assert (await client.get("/healthz")).status == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert await client.stand.told() == []


@pytest.mark.parametrize(
    "sent",
    [
        b"canary-7f3a\r\n\r\n",
        b"GET /canary-7f3a HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01canary-7f3a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary-7f3a\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer canary-7f3a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nIdempotency-Key: canary-7f3a\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"canary-7f3a" * 2_000 + b"\r\n\r\n",
        b"GET /" + b"canary-7f3a" * 2_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: canary-7f3a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\ncanary-7f3a\r\n{}\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: canary-7f3a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: canary-7f3a\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_and_not_logged(client: Client, sent: bytes) -> None:
    answer = await client.send(sent)
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer)
