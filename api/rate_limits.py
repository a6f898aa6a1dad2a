"""Rate limits: how often a member and an address may ask. What is refused is counted, and costs nothing else.

The meters are this process's own, see docs/design.md. They answer in nanoseconds to wait, 0 for none.
"""

from typing import Final

from aiohttp import web
from msgspec import Struct

from api.client_address import ClientAddresses
from engine import config, metrics
from engine.clock import Clock
from engine.domain.gcra import NS_PER_S, Gcra
from engine.live.catalog import Catalog
from engine.runtime import Runtime

ENTRIES_MAX: Final = 100_000
"""Keys in each of the two generations of a meter: together about 35 MB at most."""


class AddressLimit:
    """Meters requests by where they come from."""

    def __init__(self, meter: Gcra, clock: Clock, addresses: ClientAddresses) -> None:
        self._meter = meter
        self._clock = clock
        self._addresses = addresses
        self._refusals = metrics.RATE_LIMITED.labels("address")

    def wait_ns(self, request: web.BaseRequest) -> int:
        """Meter a request; one on a Unix socket has no address and no limit."""
        client = self._addresses.client(request.remote, request.headers.getall("X-Forwarded-For", ()))
        if client is None:
            return 0
        wait_ns = self._meter.wait_ns(client, _now_ns(self._clock))
        if wait_ns:
            self._refusals.inc()
        return wait_ns


class MemberLimit:
    """Meters requests by who asks; sign-ups for each offering apart, and apart from all else.

    So a sign-up finds its meter as the member's sign-ups for this very offering left it: a first one is admitted
    whatever else the member did. It is a first one again when these are so long ago that the meter has recovered.
    Only offerings that there are have meters of their own, or a member with made-up names would have no limit.
    """

    def __init__(self, meter: Gcra, clock: Clock, catalog: Catalog) -> None:
        self._meter = meter
        self._clock = clock
        self._catalog = catalog
        self._refusals = metrics.RATE_LIMITED.labels("member")

    def wait_ns(self, member: str) -> int:
        """Meter a request that is no sign-up."""
        return self._counted(self._wait_ns(member))

    async def sign_up_wait_ns(self, member: str, campaign: str, offering: str) -> int:
        """Meter a sign-up. Raises NothingRan when Redis has to be asked and cannot be."""
        definition = self._catalog.get(campaign)
        if definition is None:
            if not self._wait_ns(member):
                return 0
            # Before it is refused as made up: another process may have published the campaign a moment ago.
            definition = await self._catalog.find(campaign)
        if definition is None or offering not in definition.offerings:
            return self._counted(self._wait_ns(member))
        # There is no space in a member's id. A text, unlike a tuple, is nothing that the collector walks through.
        return self._counted(self._wait_ns(f"{member} {campaign} {offering}"))

    def _wait_ns(self, key: str) -> int:
        return self._meter.wait_ns(key, _now_ns(self._clock))

    def _counted(self, wait_ns: int) -> int:
        if wait_ns:
            self._refusals.inc()
        return wait_ns


class Limits(Struct, frozen=True):
    """The limits of one process; None for one that is off."""

    address: AddressLimit | None
    member: MemberLimit | None


def configured(runtime: Runtime) -> Limits:
    """The limits that the settings ask for."""
    settings, clock = runtime.settings, runtime.clock
    address = member = None
    if settings.address_rate:
        meter = Gcra(settings.address_rate, settings.address_burst, ENTRIES_MAX)
        trusted = config.networks(settings.trusted_proxies) if settings.trusted_proxies else []
        address = AddressLimit(meter, clock, ClientAddresses(trusted))
    if settings.member_rate:
        meter = Gcra(settings.member_rate, settings.member_burst, ENTRIES_MAX)
        member = MemberLimit(meter, clock, runtime.catalog)
    return Limits(address, member)


def _now_ns(clock: Clock) -> int:
    return int(clock.monotonic_s() * NS_PER_S)
