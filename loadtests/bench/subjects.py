"""What a comparison measures: one load on one party, again in every round."""

import secrets
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from msgspec import Struct, structs

from loadtests import http_load, ws_load
from loadtests.bench import campaigns, sample, sign_ups
from loadtests.bench.party import Party
from loadtests.bench.sample import Sample

CONNECTIONS: Final = 256
MEMBERS_EACH: Final = 20
"""Members who follow one another on one WebSocket: their messages are within the burst that a connection may send."""

SALE_PER_SECOND: Final = 500.0
"""Sign-ups that go on beside those who look."""

PAGE_PATH: Final = "/v1/campaigns/page"


class Round(Struct, frozen=True):
    """What a round brings: sign-ups for a seat over HTTP, the same bytes for each party, and what signs more tokens."""

    secret: bytes
    seats: list[bytes]

    @property
    def requests(self) -> int:
        """How many requests each load has."""
        return len(self.seats)


class Subject(Struct, frozen=True):
    """A row of the report to be; `name` begins with the party's letter."""

    name: str
    label: str
    durability: str
    take: Callable[[Round], Sample]


def seats(name: str, label: str, durability: str, party: Party, share: int = 1) -> Subject:
    """Sign-ups over HTTP that get a seat, one in `share` of the round's."""

    def take(this: Round) -> Sample:
        return over_http(party, this.seats[: max(this.requests // share, 2)], 201)

    return Subject(name, label, durability, take)


def sold_out(name: str, label: str, durability: str, party: Party) -> Subject:
    """Sign-ups over HTTP for an offering without a seat left."""

    def take(this: Round) -> Sample:
        return over_http(party, sign_ups.over_http(this.secret, "sale", campaigns.FULL, this.requests), 409)

    return Subject(name, label, durability, take)


def looks(name: str, label: str, party: Party) -> Subject:
    """Looks at a definition with its counts, at rest."""

    def take(this: Round) -> Sample:
        return over_http(party, [http_load.request("GET", PAGE_PATH)] * this.requests, 200)

    return Subject(name, label, "", take)


def looks_again(name: str, label: str, party: Party) -> Subject:
    """Looks by clients that have the newest definition already."""

    def take(this: Round) -> Sample:
        _, etag = definition(party)
        asked = http_load.request("GET", PAGE_PATH, headers={"If-None-Match": etag})
        return over_http(party, [asked] * this.requests, 304)

    return Subject(name, label, "", take)


def looks_during_sale(name: str, label: str, party: Party) -> Subject:
    """Looks at the definition of a campaign whose seats go meanwhile; the CPU is not told apart, and left out."""

    def take(this: Round) -> Sample:
        sale = http_load.Pace(_sale(this.secret), SALE_PER_SECOND)
        found = over_http(party, [http_load.request("GET", PAGE_PATH)] * this.requests, 200, sale)
        return structs.replace(found, cpu_us={})

    return Subject(name, label, "", take)


def _sale(secret: bytes) -> Iterator[bytes]:
    while True:
        yield from sign_ups.over_http(secret, "page", secrets.choice(campaigns.OFFERINGS), 1)


def over_websocket(name: str, label: str, durability: str, party: Party) -> Subject:
    """Sign-ups of members who were authenticated when their connection was opened, for a few offerings each.

    All connections are open from the start, as on a page that waits; so many as over HTTP have a sign-up under way.
    """

    def take(this: Round) -> Sample:
        members = max(this.requests // len(campaigns.OFFERINGS), 1)
        return _over_websocket(
            party, sign_ups.over_websocket(this.secret, "sale", campaigns.OFFERINGS, members)
        )

    return Subject(name, label, durability, take)


def over_shared_websocket(name: str, label: str, durability: str, party: Party) -> Subject:
    """Sign-ups that each come after the `auth` of a new member."""

    def take(this: Round) -> Sample:
        connections = max(this.requests // MEMBERS_EACH, 1)
        return _over_websocket(
            party,
            sign_ups.over_shared_websockets(this.secret, "sale", campaigns.SEATS, connections, MEMBERS_EACH),
        )

    return Subject(name, label, durability, take)


def definition(party: Party) -> tuple[bytes, str]:
    """The definition that is looked at as the party answers it now, with its entity tag."""
    with urllib.request.urlopen(f"http://{party.host}:{party.port}{PAGE_PATH}") as answer:
        return answer.read(), answer.headers["ETag"]


def fill(party: Party, secret: bytes) -> None:
    """Take the one seat of the offering that shall have none left."""
    (request,) = sign_ups.over_http(secret, "sale", campaigns.FULL, 1)
    filled = http_load.run(party.host, party.port, [request], 1)
    if filled.statuses != {201: 1}:
        raise RuntimeError(f"the offering is not filled: {filled.statuses}")


def over_http(
    party: Party,
    requests: list[bytes],
    status: int,
    beside: http_load.Pace | None = None,
    connections: int = CONNECTIONS,
) -> Sample:
    """Requests that must all be answered with this status. Raises RuntimeError."""
    load = partial(http_load.run, party.host, party.port, requests, connections, beside=beside)
    return sample.take(lambda cpu: load(clocked=cpu), party, {status: len(requests)})


def _over_websocket(party: Party, talks: list[ws_load.Conversation]) -> Sample:
    load = partial(ws_load.run, party.host, party.port, talks, CONNECTIONS)
    messages = sum(len(talk.messages) for talk in talks)
    return sample.take(lambda cpu: load(clocked=cpu), party, {201: messages})
