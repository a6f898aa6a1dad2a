"""Conducting a draw: from a campaign as it lies in Redis to the file, and from a file to what is settled.

Pure: a reading comes in. docs/draws.md says what the rules are.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from engine.domain import campaign as documents
from engine.domain import draw, lottery
from engine.domain.definition import PackedOffering
from engine.domain.draw import Draw, DrawnOffering, DrawnPool, Entry, Order, Wish
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
    offerings = {
        each.offering: _offering.decode(reading.offerings[each.offering]) for each in document.offerings
    }
    seed = lottery.seed(drawn.secret, number)
    order = _order(offerings, reading.counts, number)
    wishes: dict[str, list[Record]] = {}
    for _, record in _entries(reading, number):
        wishes.setdefault(record.member, []).append(record)
    entries = [
        Entry(
            lottery.pseudonym(reading.campaign, drawn.commitment, member),
            weight(document.weights if order == "lottery" else None, histories.get(member, NEVER_DRAWN)),
            _holds(reading, member),
            [
                Wish(record.offering, list(_pools(offerings[record.offering], record.queues, reading.at)))
                for record in sorted(entered, key=lambda record: (record.wish, record.seq))
            ],
            min(record.seq for record in entered) if order == "votes" else 0,
        )
        for member, entered in wishes.items()
    ]
    names = {entry.member: member for entry, member in zip(entries, wishes, strict=True)}
    ordered = draw.in_order(order, seed, entries)
    blocked: set[tuple[str, str]] = set()
    conducted = draw.conduct(
        reading.campaign,
        number,
        seed,
        document.rules.limits,
        [_drawn(name, offering, reading.counts, number) for name, offering in offerings.items()],
        entries,
        order,
        ordered,
        blocked,
    )
    shares = list(_shares(conducted, ordered, names, blocked))
    return msgspec.json.encode(conducted), _summary(conducted, shares), shares


def _order(offerings: Mapping[str, PackedOffering], counts: Mapping[str, int], number: int) -> Order:
    """That of a draw's offerings, which have one; by votes also where none is needed, since a poll failed."""
    drawn = [name for name in offerings if _is_in(name, counts, number)]
    by_votes = any(offerings[name].by_votes or _has_failed(name, offerings[name], counts) for name in drawn)
    return "votes" if by_votes else "lottery"


def _has_failed(name: str, offering: PackedOffering, counts: Mapping[str, int]) -> bool:
    """Whether too few have voted."""
    return offering.threshold > 0 and not counts.get(f"met/{name}")


def _shares(
    drawn: Draw, ordered: Sequence[str], names: Mapping[str, str], blocked: AbstractSet[tuple[str, str]]
) -> Iterator[Share]:
    """What each member had, in order; `names` has the ids by pseudonym, `blocked` is as for `draw.decide`."""
    entries = {entry.member: entry for entry in drawn.entries}
    became = {(result.member, result.offering): result for result in drawn.results}
    for place, pseudonym in enumerate(ordered, start=1):
        entry = entries[pseudonym]
        mine = [
            Wished(
                result.offering,
                result.status,
                result.pool,
                result.status != "confirmed" and (pseudonym, result.offering) in blocked,
            )
            for result in (became[pseudonym, wish.offering] for wish in entry.wishes)
        ]
        by_lot = drawn.order == "lottery"
        yield Share(
            member=names[pseudonym],
            weight=entry.weight if by_lot else 0,
            place=place,
            won=any(wished.status == "confirmed" for wished in mine),
            wishes=mine,
            counted=by_lot and not all(wished.blocked for wished in mine),
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
    free = {each.offering: sum(pool.free for pool in each.pools) for each in drawn.offerings}
    return Summary(
        len(drawn.entries), {name: Cut(cut[0], cut[1], cut[2], free[name]) for name, cut in cuts.items()}
    )


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
        wanted = [pool.pool]
        wanted += [f"{pool.pool}@{stage}" for stage, at in enumerate(pool.merges, 1) if at <= now_ms]
        if pool.open or 0 < pool.releases <= now_ms:
            wanted.append("*")
        if not set(wanted).isdisjoint(queues):
            yield pool.pool


def _drawn(name: str, offering: PackedOffering, counts: Mapping[str, int], number: int) -> DrawnOffering:
    gives = not _has_failed(name, offering, counts)
    pools = [
        DrawnPool(
            pool.pool, max(0, pool.capacity - counts.get(f"taken/{name}/{pool.pool}", 0)) if gives else 0
        )
        for pool in offering.pools
    ]
    places = max(0, offering.waiting_max - counts.get(f"waiting/{name}", 0)) if gives else 0
    return DrawnOffering(
        name,
        offering.kind,
        offering.days,
        offering.overlaps,
        places,
        pools if _is_in(name, counts, number) else [],
    )
