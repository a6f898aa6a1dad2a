"""Sentinel: the server that decides is whichever its sentinels say is the primary, asked at every connect.

After a failover the connections to the old primary break, or say that it is read-only, and those that are made next
lead to the new one. What was sent to the old one and not answered stays unknown; nothing is sent a second time.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from engine.live.server import Server

ASK_TIMEOUT_S: Final = 1.0
"""How long a sentinel may take for its answer before the next one is asked."""
PORT: Final = 26_379


class _SentinelConnection(Connection):
    """A connection to the primary of the moment at which it is made."""

    def __init__(self, *, sentinel: Sentinel, service: str, **options: Any) -> None:
        super().__init__(**options)
        self._sentinel = sentinel
        self._service = service

    async def _connect(self) -> None:
        self.host, self.port = await self._sentinel.discover_master(self._service)
        await super()._connect()  # type: ignore[no-untyped-call]


class _SentinelConnectionOverTls(_SentinelConnection, SSLConnection):
    """Likewise."""


class SentinelServer(Server):
    """The primary of a service, by the URLs of its sentinels.

    User and password in these are the servers'; the sentinels are asked without. `settings` are Server's.
    """

    def __init__(self, urls: Sequence[str], service: str, **settings: Any) -> None:
        split = [urlsplit(url) for url in urls]
        tls = split[0].scheme == "rediss"
        super().__init__(
            urls[0],
            connection_class=_SentinelConnectionOverTls if tls else _SentinelConnection,
            primary=True,
            **settings,
        )
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [(each.hostname, each.port or PORT) for each in split],
            sentinel_kwargs={
                "socket_timeout": ASK_TIMEOUT_S,
                "socket_connect_timeout": ASK_TIMEOUT_S,
                "retry": Retry(NoBackoff(), 0),
                "ssl": tls,
            },
        )
        self._pool.connection_kwargs |= {"sentinel": self._sentinel, "service": service}

    async def close(self) -> None:
        """Close every connection, those to the sentinels too."""
        await super().close()
        await self._sentinel.aclose()
