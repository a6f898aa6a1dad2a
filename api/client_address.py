"""Where a request comes from: the peer's address, or behind trusted proxies the one that X-Forwarded-For names."""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from msgspec import Struct

from engine.config import Network

REMEMBERED_MAX: Final = 4_096
ENTRY_CHARACTERS_MAX: Final = 64
"""More than any address has, so that what is remembered of strangers' texts is bounded too."""
IPV6_PREFIX_BYTES: Final = 8
"""A /64 is the least that one customer gets; whoever has it has all addresses in it."""

_WITH_PORT: Final = re.compile(r"\[([^\]]+)\](?::\d{1,5})?|([\d.]+):\d{1,5}")


class _Hop(Struct, frozen=True):
    key: bytes
    trusted: bool


class ClientAddresses:
    """Finds the client of a request behind any number of trusted proxies.

    RFC 7239's `Forwarded` is not read: a proxy that writes one of the two headers passes on the other as the client
    sent it, and who believes both believes the client.
    """

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        self._hop = lru_cache(REMEMBERED_MAX)(self._parse)

    def client(self, peer: str | None, forwarded_for: Sequence[str]) -> bytes | None:
        """The client's IPv4 address, or the /64 of its IPv6 address, as packed bytes; None for a peer without one.

        Each proxy appends whom it heard, and the lines of the header are one list. So from the right the list is true
        for as long as proxies are trusted: the first that is not is the client, whatever stands before it. Where the
        list ends, or says something else than an address, the last trusted one counts.
        """
        hop = self._hop(peer) if peer else None
        if hop is None:
            return None
        rest = ",".join(forwarded_for) if hop.trusted else ""
        while rest:
            rest, _, entry = rest.rpartition(",")
            named = self._hop(entry.strip()) if len(entry) <= ENTRY_CHARACTERS_MAX else None
            if named is None:
                break
            hop = named
            if not hop.trusted:
                break
        return hop.key

    def _parse(self, text: str) -> _Hop | None:
        with_port = _WITH_PORT.fullmatch(text)
        try:
            address = ip_address(with_port[1] or with_port[2] if with_port else text)
        except ValueError:
            return None
        address = getattr(address, "ipv4_mapped", None) or address
        key = address.packed if address.version == 4 else address.packed[:IPV6_PREFIX_BYTES]
        return _Hop(key, any(address in network for network in self._trusted))
