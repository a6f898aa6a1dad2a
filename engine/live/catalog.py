"""The catalog: every published definition, compiled, as this process knows it."""

import asyncio
from typing import Final

import msgspec

from engine.domain import campaign as documents
from engine.domain.definition import Definition, compile_definition
from engine.domain.lottery import Lottery
from engine.live import keys
from engine.live.server import Server

REFRESH_S: Final = 0.5

_document = msgspec.json.Decoder(documents.Campaign)
_lottery = msgspec.msgpack.Decoder(Lottery)


class Catalog:
    """Definitions by campaign, read from Redis.

    A process hears of another's publication by the directory, which it reads every `REFRESH_S`, or at once by a
    decision that is answered as stale. What reads raises NothingRan when Redis cannot be asked.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._definitions: dict[str, Definition] = {}
        self._lost: set[str] = set()
        self._loading: dict[str, asyncio.Task[Definition | None]] = {}
        self._heard: dict[str, int] = {}
        """The versions in the directory as it was last read."""

    def get(self, campaign: str) -> Definition | None:
        """The definition as last read."""
        return self._definitions.get(campaign)

    def is_lost(self, campaign: str) -> bool:
        """Whether the ledger knows the campaign but Redis has no state of it."""
        return campaign in self._lost

    def names(self) -> list[str]:
        """The campaigns with a definition, in order."""
        return sorted(self._definitions)

    async def find(self, campaign: str) -> Definition | None:
        """The definition, looked up in Redis when this process has not heard of it yet."""
        known = self._definitions.get(campaign)
        if known is not None or campaign in self._lost:
            return known
        heard = await self._server.ask(
            keys.DIRECTORY, lambda client: client.hexists(keys.DIRECTORY, campaign)
        )
        return await self.load(campaign) if heard else None

    async def load(self, campaign: str) -> Definition | None:
        """Read the newest definition; several who ask at once share one reading."""
        task = self._loading.get(campaign)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._load(campaign))
            self._loading[campaign] = task
            task.add_done_callback(lambda _: self._loading.pop(campaign, None))
        return await asyncio.shield(task)

    async def _load(self, campaign: str) -> Definition | None:
        meta = keys.of(campaign, "META")
        epoch, version, document, lottery = await self._server.ask(
            meta, lambda client: client.hmget(meta, ["epoch", "version", "document", "lottery"])
        )
        if epoch is None or version is None or document is None:
            self._definitions.pop(campaign, None)
            self._lost.add(campaign)
            return None
        definition = compile_definition(
            _document.decode(document),
            int(version),
            _lottery.decode(lottery) if lottery else None,
            int(epoch),
        )
        self._definitions[campaign] = definition
        self._lost.discard(campaign)
        return definition

    async def refresh(self) -> None:
        """Read every definition whose version in the directory is news. After a rebuild it may be an earlier one."""
        versions = await self._server.ask(keys.DIRECTORY, lambda client: client.hgetall(keys.DIRECTORY))
        for name, version in versions.items():
            campaign = name.decode()
            known, told = self._definitions.get(campaign), int(version)
            if known is None or (known.version != told and self._heard.get(campaign) != told):
                await self.load(campaign)
            self._heard[campaign] = told

    async def announce(self, campaign: str, version: int) -> None:
        """Tell every process of a definition's version."""
        await self._server.ask(
            keys.DIRECTORY, lambda client: client.hset(keys.DIRECTORY, campaign, str(version))
        )
