"""Framing over raw sockets: whatever is unclear is refused and ends the connection, and nothing hides in it.

Each row carries a sign-up where a proxy in front might not see it. It must never be carried out, and nobody's answer
may be somebody else's: the marker that follows has its own answer, or there is none because the connection is closed.
"""

import asyncio
import logging
import re
from collections.abc import Iterator
from typing import Final

import pytest

from tests.api.client import CANARY, HERE, Client, person, request
from tests.stand import campaign

SIGN_UP: Final = f"{HERE}/offerings/soap/enrollments"
HIDDEN: Final = request("POST", SIGN_UP, person(CANARY), headers={"Content-Length": "0"})
MARKER: Final = b"GET /v1/campaigns/marker HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""Answered by a 404 with a body of its own, and the last of its connection."""
CHUNKED: Final = b"Transfer-Encoding: chunked"


def post(
    *headers: bytes, body: bytes = b"", target: bytes = b"/v1/campaigns/carrier", version: bytes = b"1.1"
) -> bytes:
    return b"\r\n".join([b"POST " + target + b" HTTP/" + version, b"Host: localhost", *headers, b"", body])


def length(of: bytes) -> bytes:
    return b"Content-Length: %d" % len(of)


def chunk(data: bytes, ending: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), ending, data)


END: Final = b"0\r\n\r\n"
TE_BODY: Final = END + HIDDEN
CL_BODY: Final = chunk(HIDDEN) + END

UNCLEAR: Final[dict[str, bytes]] = {
    "CL.TE": post(length(TE_BODY), CHUNKED, body=TE_BODY),
    "TE.CL": post(CHUNKED, b"Content-Length: 4", body=CL_BODY),
    "CL 0 and TE": post(b"Content-Length: 0", CHUNKED, body=TE_BODY),
    "two lengths": post(b"Content-Length: 0", length(HIDDEN), body=HIDDEN),
    "two equal lengths": post(length(HIDDEN), length(HIDDEN), body=HIDDEN),
    "a list of lengths": post(b"Content-Length: %d, %d" % (len(HIDDEN), len(HIDDEN)), body=HIDDEN),
    "length +": post(b"Content-Length: +%d" % len(HIDDEN), body=HIDDEN),
    "length -": post(b"Content-Length: -%d" % len(HIDDEN), body=HIDDEN),
    "length -0": post(b"Content-Length: -0", body=HIDDEN),
    "length 0x": post(b"Content-Length: 0x10", body=HIDDEN),
    "length _": post(b"Content-Length: 1_0", body=HIDDEN),
    "length with a blank": post(b"Content-Length: 1 0", body=HIDDEN),
    "length empty": post(b"Content-Length:", body=HIDDEN),
    "length a fraction": post(b"Content-Length: 1.0", body=HIDDEN),
    "length in Arabic digits": post("Content-Length: ١".encode(), body=HIDDEN),
    "length beyond 64 bits": post(b"Content-Length: 18446744073709551616", body=HIDDEN),
    "blank ahead of the colon": post(b"Content-Length : 0", body=HIDDEN),
    "blank ahead of the colon of TE": post(b"Transfer-Encoding : chunked", body=TE_BODY),
    "tab ahead of the colon": post(b"Content-Length\t: 0", body=HIDDEN),
    "length folded": post(b"Content-Length:\r\n 0", body=HIDDEN),
    "TE folded": post(b"Transfer-Encoding:\r\n chunked", body=TE_BODY),
    "a folded header": post(b"X: a", b" Content-Length: 0", body=HIDDEN),
    "TE xchunked": post(b"Transfer-Encoding: xchunked", body=TE_BODY),
    "TE chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=TE_BODY),
    "TE identity": post(b"Transfer-Encoding: identity", body=HIDDEN),
    "TE gzip": post(b"Transfer-Encoding: gzip", body=HIDDEN),
    "TE chunked twice": post(CHUNKED, CHUNKED, body=TE_BODY),
    "TE chunked, chunked": post(b"Transfer-Encoding: chunked, chunked", body=TE_BODY),
    "TE quoted": post(b'Transfer-Encoding: "chunked"', body=TE_BODY),
    "TE with a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=TE_BODY),
    "TE with a NUL": post(b"Transfer-Encoding: chunked\x00", body=TE_BODY),
    "TE empty": post(b"Transfer-Encoding:", body=TE_BODY),
    "TE of HTTP/1.0": post(CHUNKED, body=TE_BODY, version=b"1.0"),
    "chunk size 0x": post(CHUNKED, body=b"0x1\r\na\r\n" + TE_BODY),
    "chunk size +": post(CHUNKED, body=b"+1\r\na\r\n" + TE_BODY),
    "chunk size -": post(CHUNKED, body=b"-1\r\na\r\n" + TE_BODY),
    "chunk size empty": post(CHUNKED, body=b"\r\na\r\n" + TE_BODY),
    "chunk size with a blank": post(CHUNKED, body=b" 1\r\na\r\n" + TE_BODY),
    "chunk size beyond 64 bits": post(CHUNKED, body=b"1" + b"0" * 16 + b"\r\na\r\n" + TE_BODY),
    "a length in a trailer": post(CHUNKED, body=b"0\r\nContent-Length: 5\r\n\r\n" + HIDDEN),
    "chunk longer than its size": post(CHUNKED, body=b"1\r\nabc\r\n" + TE_BODY),
    "chunk with a bare LF": post(CHUNKED, body=b"1\na\n0\n\n" + HIDDEN),
    "chunk extension with a bare LF": post(CHUNKED, body=b"1;a\nx\r\na\r\n" + TE_BODY),
    "chunk extension with a bare CR": post(CHUNKED, body=b"1;a\rx\r\na\r\n" + TE_BODY),
    "last chunk with a bare LF": post(CHUNKED, body=b"0\n\n" + HIDDEN),
    "bare LF": post(b"X: a").replace(b"\r\n", b"\n") + HIDDEN,
    "bare LF in a header": post(b"X: a\nContent-Length: 0", body=HIDDEN),
    "bare CR in a header": post(b"X: a\rContent-Length: 0", body=HIDDEN),
    "bare CR ahead of the end": post(b"X: a\r", body=HIDDEN),
    "NUL in a name": post(b"X\x00: a", body=HIDDEN),
    "NUL in a value": post(b"X: a\x00b", body=HIDDEN),
    "NUL in the target": post(target=b"/a\x00b", body=HIDDEN),
    "no name": post(b": a", body=HIDDEN),
    "no colon": post(b"Content-Length", body=HIDDEN),
    "a name with a blank": post(b"Content Length: 0", body=HIDDEN),
    "a name that is not ASCII": post("Ｃontent-Length: 0".encode(), body=HIDDEN),
    "no blank in the request line": b"POST/v1/campaigns/carrier HTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
    "a blank in the target": post(target=b"/v1 /campaigns", body=HIDDEN),
    "a tab in the request line": b"POST\t/v1/campaigns\tHTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
    "a line end in the target": post(target=b"/v1\r\nX: y", body=HIDDEN),
    "no version": b"GET /v1/campaigns\r\n\r\n" + HIDDEN,
    "HTTP/0.9": b"GET /v1/campaigns\r\n" + HIDDEN,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "HTTP/1.2": post(version=b"1.2", body=HIDDEN),
    "HTTP/1.10": post(version=b"1.10", body=HIDDEN),
    "http in small letters": b"POST /v1/campaigns http/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
    "a method in small letters": b"post /v1/campaigns HTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
    "a method of signs": b"G(ET /v1/campaigns HTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
    "no Host": b"GET /v1/campaigns/carrier HTTP/1.1\r\n\r\n" + HIDDEN,
    "two Hosts": post(b"Host: other", body=HIDDEN),
    "a header of 9 KB": post(b"X: " + b"x" * 9_000, body=HIDDEN),
    "a target of 9 KB": post(target=b"/" + b"x" * 9_000, body=HIDDEN),
    "129 headers": post(*(b"X%d: a" % number for number in range(129)), body=HIDDEN),
}

UPGRADE: Final = (
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: " + b"x" * 22 + b"==",
)
CLEAR: Final[dict[str, tuple[bytes, list[int]]]] = {
    "a body": (post(length(HIDDEN), body=HIDDEN), [405]),
    "a body in chunks": (post(CHUNKED, body=CL_BODY), [405]),
    "TE CHUNKED": (post(b"transfer-encoding: CHUNKED", body=CL_BODY), [405]),
    "blanks around the length": (post(b"Content-Length: \t%d \t" % len(HIDDEN), body=HIDDEN), [405]),
    "zeros ahead of the length": (post(b"Content-Length: 000%d" % len(HIDDEN), body=HIDDEN), [405]),
    "zeros ahead of a chunk's size": (post(CHUNKED, body=b"000" + CL_BODY), [405]),
    "chunk extensions": (post(CHUNKED, body=chunk(HIDDEN, b';a=b;c="d;"') + b"0;x\r\n\r\n"), [405]),
    "a trailer": (post(CHUNKED, body=chunk(HIDDEN) + b"0\r\nX: 5\r\n\r\n"), [405]),
    "a chunk of each byte": (post(CHUNKED, body=b"".join(chunk(b"%c" % each) for each in HIDDEN) + END), [405]),
    "a body with GET": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + length(HIDDEN) + b"\r\n\r\n" + HIDDEN, [200]),
    "a body with HEAD": (b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n" + length(HIDDEN) + b"\r\n\r\n" + HIDDEN, [200]),
    "HTTP/1.0 that stays": (post(b"Connection: keep-alive", version=b"1.0"), [405]),
    "empty lines ahead": (b"\r\n\r\n" + post(), [405]),
    "two blanks in the request line": (post(target=b" /v1/campaigns"), [405]),
    "the whole address": (b"GET http://elsewhere/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", [200]),
    "a Host of someone else": (b"GET /healthz HTTP/1.1\r\nHost: elsewhere:1\r\n\r\n", [200]),
    "an empty Host": (b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", [200]),
    "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", [404]),
    "TRACE": (b"TRACE /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", [405]),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", [404]),
    "1,000 at once": (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000, [200] * 1_000),
    "128 headers": (post(*(b"X%d: a" % number for number in range(126))), [405]),
}  # fmt: skip

UPGRADES: Final[dict[str, tuple[bytes, list[int]]]] = {
    "h2c": (
        post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        [405],
    ),
    "a WebSocket where there is none": (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" + b"\r\n".join(UPGRADE) + b"\r\n\r\n",
        [200],
    ),
    "a WebSocket of another version": (
        b"GET /v1/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        + b"\r\n".join(UPGRADE).replace(b"13", b"12") + b"\r\n\r\n",
        [422],
    ),
}  # fmt: skip


@pytest.fixture
def no_fault_in_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What a client does wrong is no fault of the deployment, and its log is not the client's to fill."""
    caplog.set_level(logging.INFO)
    yield
    assert caplog.get_records("call") == []


pytestmark = pytest.mark.usefixtures("no_fault_in_logs", "no_canary_in_logs")


def answers(said: bytes) -> list[tuple[int, bytes]]:
    """The status and the body of each answer; fails where the lengths do not add up."""
    found = []
    while said:
        head, end, rest = said.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
        named = re.search(rb"(?i)\r\nContent-Length: (\d+)", head)
        assert end
        assert status
        assert named
        length = int(named[1])
        if len(rest) < length or rest.startswith(b"HTTP/"):
            length = 0  # of HEAD
        found.append((int(status[1]), rest[:length]))
        said = rest[length:]
    return found


async def test_what_is_unclear_ends_the_connection(client: Client, subtests: pytest.Subtests) -> None:
    await client.stand.publish(campaign())
    for name, sent in UNCLEAR.items():
        with subtests.test(name):
            assert [status for status, _ in answers(await client.send(sent + MARKER))] == [400]
            assert await client.stand.told() == []
            assert [status for status, _ in answers(await client.send(MARKER))] == [404]


async def test_what_is_clear_leaves_the_next_request_its_answer(
    client: Client, subtests: pytest.Subtests
) -> None:
    await client.stand.publish(campaign())
    alone = answers(await client.send(MARKER))
    for name, (sent, statuses) in CLEAR.items():
        with subtests.test(name):
            told = answers(await client.send(sent + MARKER))
            assert [status for status, _ in told[:-1]] == statuses
            assert told[-1:] == alone
            assert await client.stand.told() == []


@pytest.mark.parametrize("name", UPGRADES)
async def test_an_upgrade_that_is_refused_ends_the_connection(client: Client, name: str) -> None:
    """A proxy that keeps it would send it the requests of others, which nobody here would read."""
    sent, statuses = UPGRADES[name]
    assert [status for status, _ in answers(await client.send(sent + MARKER))] == statuses


@pytest.mark.parametrize("size", [1, 3, 7])
async def test_requests_in_small_pieces(client: Client, size: int) -> None:
    await client.stand.publish(campaign())
    sent = post(length(HIDDEN), body=HIDDEN) + post(CHUNKED, body=CL_BODY) + MARKER
    reader, writer = await client.connect()
    for start in range(0, len(sent), size):
        writer.write(sent[start : start + size])
        await asyncio.sleep(0)
    assert [status for status, _ in answers(await reader.read())] == [405, 405, 404]
    writer.close()
    assert await client.stand.told() == []


async def test_a_client_may_wait_for_leave_to_send_its_body(client: Client) -> None:
    await client.stand.publish(campaign())
    head = request("POST", SIGN_UP, person(CANARY), b"{}", {"Expect": "100-continue"}).removesuffix(b"{}")
    reader, writer = await client.connect()
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}" + MARKER)
    assert [status for status, _ in answers(await reader.read())] == [201, 404]
    writer.close()


async def test_no_leave_where_the_answer_is_known(client: Client) -> None:
    announced = {"Expect": "100-continue", "Content-Length": "20000", "Content-Type": "application/json"}
    reader, writer = await client.connect()
    writer.write(request("POST", SIGN_UP, person(CANARY), headers=announced))
    assert b" 413 " in await reader.readline()
    writer.close()
