"""An answer: a status, headers and a body that is ready, so that all of it goes out in one write."""

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from aiohttp import HttpVersion10, web
from aiohttp.abc import AbstractStreamWriter

JSON: Final = "application/json"
NOT_SENT_BYTES_MAX: Final = 64 * 1024
"""What may wait for a client that reads slowly before its next request is taken."""

_NO_GUESS: Final = "X-Content-Type-Options: nosniff"
"""No browser may take a body for something else than it says."""
_BODILESS: Final = frozenset({204, 304})


class Answer(web.StreamResponse):
    """A response of known length. aiohttp's own is made for bodies and headers that change until they are sent."""

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        media_type: str = JSON,
    ) -> None:
        super().__init__(status=status, headers=headers)
        self.body: Final = body
        self.media_type: Final = media_type

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it. Raises ConnectionResetError when the client has gone."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        head = self._head(request.version == HttpVersion10)
        transport.write(head if request.method == "HEAD" else head + self.body)
        if transport.get_write_buffer_size() > NOT_SENT_BYTES_MAX:
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to send."""

    def _head(self, old: bool) -> bytes:
        """`old`: for a client of HTTP/1.0, which has to be told that the connection stays."""
        lines = [f"HTTP/1.1 {self._status} {self._reason}"]
        if self._status not in _BODILESS:
            lines.append(
                f"Content-Type: {self.media_type}\r\nContent-Length: {len(self.body)}\r\n{_NO_GUESS}"
            )
        lines.append(_date(int(time.time())))
        if self._headers:
            lines += [f"{name}: {value}" for name, value in self._headers.items()]
        if not self._keep_alive:
            lines.append("Connection: close")
        elif old:
            lines.append("Connection: keep-alive")
        return "\r\n".join([*lines, "\r\n"]).encode()


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    return f"Date: {formatdate(seconds, usegmt=True)}"
