"""A way to Redis that fails when it is told to: it stands on a Unix socket between the api and a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_DECISION = b"EVAL"


class RedisProxy:
    """Passes everything on until it is told otherwise. A decision is a request that calls a script."""

    def __init__(self, upstream: Path, path: Path) -> None:
        self.url = f"unix://{path}"
        self.lost_replies = 0
        """How many replies to decisions were lost so far."""
        self._upstream = upstream
        self._path = path
        self._passing = asyncio.Event()
        self._passing.set()
        self._losing = 0
        self._held: asyncio.Queue[None] = asyncio.Queue()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def up(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def down(self) -> None:
        """Close every connection and take none."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def hold(self) -> None:
        """Let no request through until released."""
        self._passing.clear()

    async def until_held(self, decisions: int = 1) -> None:
        """Wait until so many decisions were held back."""
        for _ in range(decisions):
            await self._held.get()

    def release(self) -> None:
        """Let through what was held back, and what comes."""
        self._passing.set()

    def lose_replies(self, number: int) -> None:
        """Let the next decisions through, and cut the connection when the server has answered."""
        self._losing = number

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(self._upstream)
            try:
                await self._connect(reader, writer, server_reader, server_writer)
            finally:
                server_writer.close()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._connections.discard(task)

    async def _connect(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        """Pass on one request and its reply at a time, as the client waits for each."""
        asked = asyncio.ensure_future(reader.read(1 << 20))
        answered = asyncio.ensure_future(server_reader.read(1 << 20))
        losing = False
        try:
            while True:
                done, _ = await asyncio.wait({asked, answered}, return_when=asyncio.FIRST_COMPLETED)
                if asked in done:
                    request = asked.result()
                    losing = await self._pass_request(request, server_writer)
                    if not request:
                        return
                    asked = asyncio.ensure_future(reader.read(1 << 20))
                if answered in done:
                    reply = answered.result()
                    if losing:
                        self.lost_replies += 1
                    if losing or not reply:
                        return
                    writer.write(reply)
                    answered = asyncio.ensure_future(server_reader.read(1 << 20))
        finally:
            asked.cancel()
            answered.cancel()

    async def _pass_request(self, request: bytes, server_writer: asyncio.StreamWriter) -> bool:
        """Whether its reply shall be lost."""
        decides = _DECISION in request
        if decides and not self._passing.is_set():
            self._held.put_nowait(None)
        await self._passing.wait()
        server_writer.write(request)
        if not (decides and self._losing):
            return False
        self._losing -= 1
        return True


@asynccontextmanager
async def between(redis_url: str, directory: Path) -> AsyncIterator[RedisProxy]:
    """A proxy in front of the server of a URL."""
    proxy = RedisProxy(Path(redis_url.removeprefix("unix://")), directory / "proxy.sock")
    await proxy.up()
    try:
        yield proxy
    finally:
        proxy.release()
        await proxy.down()
