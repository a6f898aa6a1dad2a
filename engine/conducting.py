"""Conducting a draw: from a campaign as it lies in Redis to the file, and from a file to what is settled.

Pure: a reading comes in. docs/draws.md says what the rules are.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from engine.domain import campaign as documents
from engine.domain import draw, lottery
from engine.domain.definition import PackedOffering
from engine.domain.draw import Draw, DrawnOffering, DrawnPool, Entry, Wish
from engine.domain.enrollment import Record
from engine.domain.lottery import Lottery
from engine.domain.share import NEVER_DRAWN, Cut, History, Share, Summary, Wished, weight
from engine.live import members
from engine.live.inspection import Reading

_draw = msgspec.json.Decoder(Draw)
_offering = msgspec.msgpack.Decoder(PackedOffering)
_record = msgspec.msgpack.Decoder(Record)


def conduct(
    reading: Reading,
    number: int,
    document: documents.Campaign,
    drawn: Lottery,
    histories: Mapping[str, History],
) -> tuple[bytes, Summary, list[Share]]:
    """A draw whose entries do not change any more: the file that is published, and each one's share."""
    offerings = {name: _offering.decode(packed) for name, packed in reading.offerings.items()}
    seed = lottery.seed(drawn.secret, number)
    wishes: dict[str, list[Record]] = {}
    for _, record in _entries(reading, number):
        wishes.setdefault(record.member, []).append(record)
    weights = {member: weight(document.weights, histories.get(member, NEVER_DRAWN)) for member in wishes}
    pseudonyms = {member: lottery.pseudonym(reading.campaign, drawn.commitment, member) for member in wishes}
    entries = (
        Entry(
            pseudonyms[member],
            weights[member],
            _holds(reading, member),
            [
                Wish(record.offering, list(_pools(offerings[record.offering], record.queues, reading.at)))
                for record in sorted(entered, key=lambda record: (record.wish, record.seq))
            ],
        )
        for member, entered in wishes.items()
    )
    names = {pseudonym: member for member, pseudonym in pseudonyms.items()}
    order = lottery.order(seed, {pseudonym: weights[member] for pseudonym, member in names.items()})
    conducted = draw.conduct(
        reading.campaign,
        number,
        seed,
        document.rules.limits,
        [_drawn(name, offering, reading.counts, number) for name, offering in offerings.items()],
        entries,
        order,
    )
    shares = list(_shares(conducted, order, names))
    return msgspec.json.encode(conducted), _summary(conducted, shares), shares


def _shares(drawn: Draw, order: Sequence[str], names: Mapping[str, str]) -> Iterator[Share]:
    """What each member had, in the order of the draw; `names` has the ids by pseudonym."""
    entries = {entry.member: entry for entry in drawn.entries}
    became = {(result.member, result.offering): result for result in drawn.results}
    for place, pseudonym in enumerate(order, start=1):
        entry = entries[pseudonym]
        mine = [became[pseudonym, wish.offering] for wish in entry.wishes]
        yield Share(
            names[pseudonym],
            entry.weight,
            place,
            any(result.status == "confirmed" for result in mine),
            [Wished(result.offering, result.status, result.pool) for result in mine],
        )


def _summary(drawn: Draw, shares: Sequence[Share]) -> Summary:
    """Each offering's entries and seats, and how far in the order the seats went."""
    cuts: dict[str, list[int]] = {}
    for share in shares:
        for wish in share.wishes:
            cut = cuts.setdefault(wish.offering, [0, 0, 0])
            cut[0] += 1
            if wish.status == "confirmed":
                cut[1:] = cut[1] + 1, share.place
    return Summary(len(drawn.entries), {name: Cut(*cut) for name, cut in cuts.items()})


def results(reading: Reading, file: bytes) -> list[tuple[str, str, str]]:
    """A kept draw as it is settled: {enrollment, status, pool} of each result, "" for one that is not entered here."""
    drawn = _draw.decode(file)
    names = {
        (lottery.pseudonym(drawn.campaign, drawn.commitment, record.member), record.offering): name
        for name, record in _entries(reading, drawn.number)
    }
    return [
        (names.get((result.member, result.offering), ""), result.status, result.pool)
        for result in drawn.results
    ]


def _entries(reading: Reading, number: int) -> Iterator[tuple[str, Record]]:
    """The entries of a draw."""
    for name, packed in reading.enrollments.items():
        record = _record.decode(packed)
        if record.status == "entered" and _is_in(record.offering, reading.counts, number):
            yield name, record


def _is_in(offering: str, counts: Mapping[str, int], number: int) -> bool:
    return counts.get(f"draw/{offering}") == number


def _holds(reading: Reading, member: str) -> list[str]:
    """The offerings that a member is live in, in the order of sign-up."""
    entries = members.decode(reading.members[member]) or []
    return [entry.offering for entry in entries if not entry.wish]


def _pools(offering: PackedOffering, queues: Sequence[str], now_ms: int) -> Iterator[str]:
    """The pools whose seats an entry may take, in the document's order."""
    for pool in offering.pools:
        to_all = pool.open or 0 < pool.releases <= now_ms
        if pool.pool in queues or (to_all and "*" in queues):
            yield pool.pool


def _drawn(name: str, offering: PackedOffering, counts: Mapping[str, int], number: int) -> DrawnOffering:
    pools = [
        DrawnPool(pool.pool, max(0, pool.capacity - counts.get(f"taken/{name}/{pool.pool}", 0)))
        for pool in offering.pools
    ]
    places = max(0, offering.waiting_max - counts.get(f"waiting/{name}", 0))
    return DrawnOffering(
        name,
        offering.kind,
        offering.days,
        offering.overlaps,
        places,
        pools if _is_in(name, counts, number) else [],
    )
