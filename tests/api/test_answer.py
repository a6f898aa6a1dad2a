"""An answer on the wire."""

import asyncio
import re
from email.utils import parsedate_to_datetime

import pytest

from tests.api.client import HERE, Client, request
from tests.stand import campaign


async def ask(client: Client, sent: bytes) -> tuple[str, dict[str, str], bytes]:
    """The status line, the headers, and all that follows them."""
    head, _, body = (await client.send(sent)).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize(
    ("sent", "connection"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "close"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", "close"),
    ],
)
async def test_the_last_answer_says_so(client: Client, sent: bytes, connection: str) -> None:
    status, headers, body = await ask(client, sent)
    assert (status, body) == ("HTTP/1.1 200 OK", b"ok\n")
    assert headers.pop("Connection") == connection
    assert parsedate_to_datetime(headers.pop("Date")).utcoffset() is not None
    assert headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "3",
        "X-Content-Type-Options": "nosniff",
    }


async def test_an_old_client_is_told_that_the_connection_stays(client: Client) -> None:
    reader, writer = await client.connect()
    for _ in range(2):
        writer.write(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nConnection: keep-alive\r\n" in head
        assert await reader.readexactly(3) == b"ok\n"
    writer.close()


async def test_what_has_no_body_has_no_length(client: Client) -> None:
    await client.stand.publish(campaign())
    tag = (await client.get(HERE)).headers["ETag"]
    sent = request("GET", HERE, headers={"If-None-Match": tag, "Connection": "close"})
    status, headers, body = await ask(client, sent)
    assert (status, body) == ("HTTP/1.1 304 Not Modified", b"")
    assert headers.keys() == {"Date", "ETag", "Cache-Control", "Connection"}


async def test_requests_that_come_at_once_are_answered_in_order(client: Client) -> None:
    await client.stand.publish(campaign())
    paths = ["/healthz", HERE, "/nowhere", f"{HERE}/offerings/soap"] * 20
    sent = b"".join(request("GET", path) for path in paths)
    answers = await client.send(sent + request("GET", "/healthz", headers={"Connection": "close"}))
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", answers)
    assert statuses == [b"200", b"200", b"404", b"200"] * 20 + [b"200"]


async def ask_for_ever(writer: asyncio.StreamWriter, sent: bytes) -> None:
    while True:
        writer.write(sent)
        await writer.drain()


async def test_one_who_does_not_read_is_not_buffered_without_bound(client: Client) -> None:
    """The server stops taking requests when too much of their answers waits."""
    _, writer = await client.connect()
    asked = request("GET", "/openapi.json")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask_for_ever(writer, asked * 1000), 3)
    assert (await client.get("/healthz")).status == 200
    writer.transport.abort()
