"""Members who sign up without a pause, over connections that they keep until they are told to go."""

import asyncio
from typing import Final, Self

from loadtests.bench import campaigns, sign_ups
from loadtests.deployment import Deployment

REQUESTS_PER_CONNECTION: Final = 20
PATIENCE_S: Final = 20
CAMPAIGN: Final = "bench"


class SignUps:
    """What came of them. A connection that is refused is a failure; so is one that breaks, unless `forgiving`."""

    def __init__(self, deployment: Deployment, clients: int, *, forgiving: bool = False) -> None:
        self._deployment = deployment
        self._clients = clients
        self._forgiving = forgiving
        self._stopping = asyncio.Event()
        self._answers = asyncio.Condition()
        self.sent = 0
        self.answered = 0
        self.broken = 0
        self.told_to_go = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._client()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def until_answered(self, more: int) -> None:
        """Wait for so many more answers, or for a failure."""
        wanted = self.answered + more
        async with self._answers, asyncio.timeout(PATIENCE_S):
            await self._answers.wait_for(
                lambda: self.answered >= wanted or any(task.done() for task in self._tasks)
            )

    async def _client(self) -> None:
        request = self._request()
        while not self._stopping.is_set():
            reader, writer = await asyncio.open_connection(self._deployment.host, self._deployment.port)
            try:
                for _ in range(REQUESTS_PER_CONNECTION):
                    told_to_go = await self._ask(reader, writer, request)
                    request = self._request()
                    if told_to_go or self._stopping.is_set():
                        self.told_to_go += told_to_go
                        break
            except (ConnectionError, asyncio.IncompleteReadError):
                if not self._forgiving:
                    raise
                # The same request again, with the same key.
                self.broken += 1
            finally:
                writer.close()
                async with self._answers:
                    self._answers.notify_all()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
        """Send a request, and return whether its answer is the last one of the connection."""
        self.sent += 1
        writer.write(request)
        async with asyncio.timeout(PATIENCE_S):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
        assert head.startswith(b"http/1.1 201 "), head + body
        self.answered += 1
        return b"connection: close" in head

    def _request(self) -> bytes:
        [request] = sign_ups.over_http(self._deployment.secret, CAMPAIGN, campaigns.SEATS, 1)
        return request
