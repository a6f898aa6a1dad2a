"""The audit: clean where both sides agree, each kind of difference named, and none seen while sales go on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from msgspec import structs

from engine import audit
from engine.audit import Audit, Result
from engine.domain.campaign import Campaign
from engine.domain.enrollment import Record
from engine.ledger import batch
from engine.live import codes, keys
from engine.live.members import Entry
from engine.workers.recorder import Recorder
from engine.workers.worker import Worker
from tests.stand import CAMPAIGN, Stand, at, campaign, offering, open_stand

WAIT_S: Final = 10.0
LOST: Final = "has no state in Redis: it is lost until `seatrush rebuild autumn`"
MEMBERS: Final = ["anna", "bert", "cleo", "dora", "emil", "fred", "gina"]

Tamper = Callable[[Stand, dict[str, str]], Awaitable[Any]]
"""Spoils what is there; it is given the enrollments by member and offering, as in `anna/soap`."""


@pytest.fixture
async def stand(redis_url: str, data_directory: Path) -> AsyncIterator[Stand]:
    async with open_stand(redis_url, f"sqlite:///{data_directory}/ledger.db", data_directory) as opened:
        yield opened


def recorder(stand: Stand) -> Recorder:
    opened = stand.runtime
    return Recorder(opened.server, opened.streams, opened.ledger, opened.clock, 10_000)


@asynccontextmanager
async def recording(stand: Stand) -> AsyncIterator[None]:
    worker = Worker(recorder(stand))
    worker.start()
    yield
    await worker.stop()


async def audited(stand: Stand, wait_s: float = 0, name: str = CAMPAIGN) -> Result:
    opened = stand.runtime
    return await Audit(opened.server, opened.ledger, opened.clock, name, wait_s).run()


def document(*more: dict[str, Any], capacity: int = 3) -> Campaign:
    own = {"pool": "own", "capacity": 1, "eligible": {"units": ["mine"]}, "releases": "2099-01-01T00:00:00Z"}
    pools = [own, {"pool": "open", "capacity": capacity}]
    offered = {"size_max": 9, "promotion": "offer", "offer_ttl_s": 600}
    return campaign(
        offering("soap", pools=pools, waitlist={"size_max": 9}),
        offering("clay", hold_ttl_s=600, waitlist=offered),
        offering("tea"),
        *more,
    )


async def sell(stand: Stand) -> dict[str, str]:
    """Seats confirmed, held, offered, left and free, and members who wait, in two versions of a campaign."""
    await stand.publish(document())
    given = {}
    for member in MEMBERS:
        for name in ("soap", "clay") if member < "dora" else ("soap",):
            decision = await stand.sign_up(member, name, key=name, unit="mine" if member < "cleo" else "")
            given[f"{member}/{name}"] = decision.enrollment
    await stand.cancel(given["bert/clay"])
    await stand.cancel(given["fred/soap"])
    await stand.publish(document(offering("clock", opens=at(hours=1))))
    for member in ("anna", "bert"):
        given[f"{member}/tea"] = (await stand.sign_up(member, "tea")).enrollment
    await stand.cancel(given["anna/tea"])
    return given


async def test_both_sides_agree(stand: Stand) -> None:
    given = await sell(stand)
    async with recording(stand):
        result = await audited(stand, WAIT_S)
    state = await stand.runtime.streams.state(CAMPAIGN)
    assert state is not None
    assert result == Result(CAMPAIGN, state.seq, state.seq, len(given))


async def test_both_sides_agree_in_postgres(redis_url: str, postgres_url: str, data_directory: Path) -> None:
    async with open_stand(redis_url, postgres_url, data_directory) as stand:
        given = await sell(stand)
        await recorder(stand).close()
        result = await audited(stand)
        assert (result.differences, result.notes, result.enrollments) == ([], [], len(given))
        await in_records("anna/soap", seat=3)(stand, given)
        assert (given["anna/soap"], "seat is 3 in Redis, 1 in the ledger") in lines(await audited(stand))


async def test_a_released_pool_and_what_is_due_agree(stand: Stand) -> None:
    await sell(stand)
    client = stand.administrator
    # As if nobody had asked since these moments came.
    await client.zadd(keys.of(CAMPAIGN, "TIMERS"), {"promote/soap": 1})
    await recorder(stand).close()
    assert (await audited(stand)).differences == []


def lines(result: Result) -> list[tuple[str, str]]:
    return [(each.subject, each.what) for each in result.differences]


# Ways to spoil Redis


def in_redis(command: str, part: str, *arguments: Any) -> Tamper:
    async def tamper(stand: Stand, given: dict[str, str]) -> None:
        filled = [_filled(argument, given) for argument in arguments]
        await stand.administrator.execute_command(command, keys.of(CAMPAIGN, part), *filled)

    return tamper


def _filled(argument: Any, given: dict[str, str]) -> Any:
    """Text with the ids of enrollments in it, as in `expires/<bert/clay>`."""
    if isinstance(argument, str):
        for name, enrollment in given.items():
            argument = argument.replace(f"<{name}>", enrollment)
    return argument


def in_records(name: str, **changed: Any) -> Tamper:
    """A record in Redis that was changed; `changed` may be a function of what it was."""

    async def tamper(stand: Stand, given: dict[str, str]) -> None:
        client, key = stand.administrator, keys.of(CAMPAIGN, "ENROLLMENTS")
        record = msgspec.msgpack.decode(await client.hget(key, given[name]), type=Record)
        await client.hset(key, given[name], msgspec.msgpack.encode(structs.replace(record, **changed)))

    return tamper


def both(*tampers: Tamper) -> Tamper:
    async def tamper(stand: Stand, given: dict[str, str]) -> None:
        for each in tampers:
            await each(stand, given)

    return tamper


def packed(*values: Any) -> bytes:
    return msgspec.msgpack.encode(values)


async def reverse_member(stand: Stand, given: dict[str, str]) -> None:
    """Of anna, who has signed up for soap first."""
    listed = packed(("clay", given["anna/clay"], "clay", "", 0), ("soap", given["anna/soap"], "soap", "", 0))
    await stand.administrator.hset(keys.of(CAMPAIGN, "MEMBERS"), "anna", listed)


async def remember(stand: Stand, given: dict[str, str]) -> None:
    """A request of anna's that was never answered."""
    first = packed(given["anna/soap"], "", "confirmed", "open", 1, 0, 0)
    await stand.administrator.hset(keys.of(CAMPAIGN, "REQUESTS"), "anna other", first)


async def answer_otherwise(stand: Stand, given: dict[str, str]) -> None:
    """Of fred's, who has cancelled since."""
    first = packed(given["fred/soap"], "", "waitlisted", "", 0, 0, 9)
    await stand.administrator.hset(keys.of(CAMPAIGN, "REQUESTS"), "fred soap", first)


def listed(**changed: Any) -> Tamper:
    """Emil's one entry in MEMBERS, changed; he waits as the first."""

    async def tamper(stand: Stand, given: dict[str, str]) -> None:
        entry = structs.replace(Entry("soap", given["emil/soap"], "soap", "", 1), **changed)
        await stand.administrator.hset(keys.of(CAMPAIGN, "MEMBERS"), "emil", packed(entry))

    return tamper


async def enlarge(stand: Stand, given: dict[str, str]) -> None:
    """More seats than the document gives."""
    client, key = stand.administrator, keys.of(CAMPAIGN, "OFFERINGS")
    clay = msgspec.msgpack.decode(await client.hget(key, "clay"))
    clay["pools"][0]["capacity"] = 9
    await client.hset(key, "clay", msgspec.msgpack.encode(clay))


async def shrink(stand: Stand, given: dict[str, str]) -> None:
    """Fewer seats than are taken."""
    client, key = stand.administrator, keys.of(CAMPAIGN, "OFFERINGS")
    soap = msgspec.msgpack.decode(await client.hget(key, "soap"))
    soap["pools"][1]["capacity"] = 2
    await client.hset(key, "soap", msgspec.msgpack.encode(soap))


# Ways to spoil the ledger


def in_ledger(statement: str) -> Tamper:
    async def tamper(stand: Stand, given: dict[str, str]) -> None:
        opened: Any = stand.runtime.ledger
        await opened._write(lambda connection: connection.execute(_filled(statement, given)))

    return tamper


OF_ANNA: Final = "WHERE enrollment = '<anna/soap>'"
SPOILED: Final[list[tuple[str, Tamper, list[tuple[str, str]]]]] = [
    ("lost", in_redis("DEL", "META"), [("", LOST)]),
    ("half lost", in_redis("HDEL", "META", "epoch"), [("", LOST)]),
    ("closed", in_redis("HSET", "META", "gate", "closed"), [("", "its gate is closed")]),
    (
        "epoch",
        in_ledger("UPDATE campaigns SET epoch = 2"),
        [("", "epoch is 1 in Redis, 2 in the ledger")],
    ),
    (
        "not created",
        in_ledger("UPDATE campaigns SET created = 0"),
        [("", "has a state in Redis that the ledger does not know of")],
    ),
    ("unknown", in_ledger("DELETE FROM campaigns"), [("", "is in Redis, and unknown to the ledger")]),
    ("behind", in_redis("HSET", "META", "seq", 7), [("", "seq is 7 in Redis, SEQ in the ledger")]),
    (
        "the stream is ahead",
        in_redis("XADD", "EVENTS", "1-99", "h", "x"),
        [("", "seq is SEQ, and the stream ends with event 99")],
    ),
    ("a hole", in_redis("XDEL", "EVENTS", "1-5"), [("", "the stream has REST of the events 1 to SEQ")]),
    (
        "another event",
        in_ledger("UPDATE events SET fields = (SELECT fields FROM events WHERE seq = 4) WHERE seq = 6"),
        [("event 6", "in the stream and in the ledger's log differ")],
    ),
    (
        "gaps",
        in_ledger("DELETE FROM events WHERE seq IN (4, 5, 8)"),
        [("events 4 to 5", "missing in the ledger's log"), ("event 8", "missing in the ledger's log")],
    ),
    (
        "unreadable event",
        in_ledger("UPDATE events SET fields = x'c1' WHERE seq = 6"),
        [("", "an event after 0 cannot be read")],
    ),
    (
        "dead letter",
        in_ledger(
            "INSERT INTO dead_letters SELECT campaign, seq, epoch, fields, 'no reason' FROM events WHERE seq = 6"
        ),
        [("event 6", "is a dead letter: no reason")],
    ),
    (
        "version",
        in_redis("HSET", "META", "version", 9),
        [("", "the definition is version 9 in Redis, 2 in the ledger")],
    ),
    (
        "newer version",
        in_redis("HSET", "META", "version", 1),
        [("", "the definition is version 1 in Redis, 2 in the ledger")],
    ),
    (
        "document",
        in_ledger("UPDATE definitions SET document = CAST(document || ' ' AS BLOB) WHERE version = 2"),
        [("", "the documents of version 2 differ")],
    ),
    (
        "unreadable document",
        in_redis("HSET", "META", "document", "{"),
        [("", "the document in Redis cannot be read")],
    ),
    (
        "limits",
        in_redis("HSET", "META", "rules", "x"),
        [("", "its limits in Redis are not those of its document")],
    ),
    ("more seats", enlarge, [("clay", "its entry in OFFERINGS is not what the document says")]),
    (
        "fewer seats",
        shrink,
        [
            ("soap/open", "3 seats are taken in Redis, its capacity is 2"),
            ("soap/open", "3 seats are taken in the ledger, its capacity is 2"),
            ("soap/open", "mark is 3, at least 3 by the records, at most 2 by its capacity"),
        ],
    ),
    (
        "unreadable offering",
        in_redis("HSET", "OFFERINGS", "clay", "x"),
        [("clay", "its entry in OFFERINGS is not what the document says")],
    ),
    (
        "another offering",
        in_redis("HSET", "OFFERINGS", "wood", "x"),
        [("wood", "is in OFFERINGS and not in the document")],
    ),
    (
        "gone in Redis",
        in_redis("HDEL", "ENROLLMENTS", "<anna/soap>"),
        [
            ("anna/soap", "is in the ledger, missing in Redis"),
            ("anna/soap", "is in MEMBERS where it should not be"),
        ],
    ),
    (
        "gone in the ledger",
        in_ledger(f"DELETE FROM enrollments {OF_ANNA}"),
        [("anna/soap", "is in Redis, missing in the ledger")],
    ),
    (
        "unreadable record",
        in_redis("HSET", "ENROLLMENTS", "<anna/soap>", "x"),
        [("anna/soap", "its record in Redis cannot be read")],
    ),
    *(
        (
            f"{field} in the ledger",
            in_ledger(f"UPDATE enrollments SET {field} = {value} {OF_ANNA}"),
            [("anna/soap", what)],
        )
        for field, value, what in (
            ("offering", "'clock'", "offering is soap in Redis, clock in the ledger"),
            ("member", "'someone'", "is one member's in Redis, another's in the ledger"),
            ("pool", "''", "pool is own in Redis, none in the ledger"),
            ("status", "'cancelled'", "status is confirmed in Redis, cancelled in the ledger"),
            ("seat", "9", "seat is 1 in Redis, 9 in the ledger"),
            ("seq", "10000", "seq is 5 in Redis, 10000 in the ledger"),
            ("version", "4", "version is 1 in Redis, 4 in the ledger"),
            ("expires_at", "5", "expires_at is 0 in Redis, 5 in the ledger"),
            ("queues", "'* own'", "queues is none in Redis, * own in the ledger"),
        )
    ),
    (
        "decided_at",
        in_records("anna/soap", decided_at=5),
        [("anna/soap", "decided_at is 5 in Redis, DECIDED in the ledger")],
    ),
    (
        "a seat held twice in Redis",
        in_records("cleo/soap", pool="open", seat=1),
        [("cleo/soap", "holds seat 1 of soap/open in Redis, which <bert/soap> holds too")],
    ),
    (
        "a seat held twice in the ledger",
        in_ledger("UPDATE enrollments SET seat = 1 WHERE enrollment = '<cleo/soap>'"),
        [("cleo/soap", "holds seat 1 of soap/open in the ledger, which <bert/soap> holds too")],
    ),
    (
        "a seat that is not there",
        in_records("anna/soap", seat=9),
        [("anna/soap", "holds seat 9 of soap/own in Redis, whose seats are 1 to 1")],
    ),
    (
        "a pool that is not there",
        in_records("anna/soap", pool="gone"),
        [("anna/soap", "holds seat 1 of soap/gone in Redis, whose seats are 1 to 0")],
    ),
    (
        "table of seats",
        in_ledger("DELETE FROM seats WHERE offering = 'soap' AND pool = 'own'"),
        [("soap/own", "the ledger's table of seats has 0, its enrollments hold 1")],
    ),
    (
        "taken",
        in_redis("HSET", "COUNTS", "taken/soap/open", 2),
        [("soap/open", "taken is 2, 3 by the records")],
    ),
    ("waiting", in_redis("HSET", "COUNTS", "waiting/soap", 5), [("soap", "waiting is 5, 2 by the records")]),
    (
        "mark below",
        in_redis("HSET", "COUNTS", "mark/soap/open", 2),
        [("soap/open", "mark is 2, at least 3 by the records, at most 3 by its capacity")],
    ),
    (
        "a count of nothing",
        in_redis("HSET", "COUNTS", "waiting/wood", 1),
        [("wood", "has the count waiting, 1, and is not in the document")],
    ),
    (
        "a free number lost",
        in_redis("ZREM", "FREE", "tea/open/00000001"),
        [("tea/open", "tea/open/00000001 is not in FREE")],
    ),
    (
        "a taken number free",
        in_redis("ZADD", "FREE", 0, "soap/open/00000002"),
        [("soap/open", "soap/open/00000002 is in FREE and should not be")],
    ),
    (
        "a free number out of order",
        in_redis("ZADD", "FREE", 1, "tea/open/00000001"),
        [("tea/open", "tea/open/00000001 is in FREE at 1, not at 0")],
    ),
    ("unindexed", in_redis("HDEL", "MEMBERS", "emil"), [("emil/soap", "is live and not in MEMBERS")]),
    (
        "indexed and not live",
        in_redis("HSET", "MEMBERS", "fred", packed(("soap", "nothing", "", "", 0))),
        [("nothing", "is in MEMBERS where it should not be")],
    ),
    (
        "unreadable index",
        in_redis("HSET", "MEMBERS", "emil", "x"),
        [("", "an entry of MEMBERS cannot be read")],
    ),
    ("index out of order", reverse_member, [("anna/soap", "is in MEMBERS out of order")]),
    (
        "nobody waits",
        in_redis("DEL", "WAITING"),
        [("emil/soap", "soap/0000000000000012/<emil/soap> is not in WAITING")],
    ),
    (
        "one waits who does not",
        in_redis("ZADD", "WAITING", 0, "soap/0000000000000005/<anna/soap>"),
        [("anna/soap", "soap/0000000000000005/<anna/soap> is in WAITING and should not be")],
    ),
    (
        "a queue",
        in_redis("ZREM", "QUEUES", "soap/*/0000000000000012/<emil/soap>"),
        [("emil/soap", "soap/*/0000000000000012/<emil/soap> is not in QUEUES")],
    ),
    (
        "a hold that never lapses",
        in_redis("ZREM", "TIMERS", "expires/<anna/clay>"),
        [("anna/clay", "expires/<anna/clay> is not in TIMERS")],
    ),
    (
        "a release that never comes",
        in_redis("ZREM", "TIMERS", "releases/soap/own"),
        [("soap/own", "releases/soap/own is not in TIMERS")],
    ),
    (
        "an opening of nothing",
        in_redis("ZADD", "TIMERS", 5, "opens/wood"),
        [("wood", "opens/wood is in TIMERS and should not be")],
    ),
    ("a request forgotten", listed(key=""), [("emil/soap", "Redis does not remember its request")]),
    (
        "a request forgotten, of a member who has left",
        in_redis("HDEL", "REQUESTS", "fred soap"),
        [("fred/soap", "Redis does not remember its request")],
    ),
    (
        "a request that is not looked for",
        in_redis("HDEL", "MEMBERS", "fred"),
        [("fred/soap", "Redis does not remember its request")],
    ),
    *(
        (
            f"a request answered otherwise: {case}",
            tamper,
            [(subject, "Redis remembers another answer to its request than the ledger's log")],
        )
        for case, tamper, subject in (
            ("a member who has left", answer_otherwise, "fred/soap"),
            ("the pool asked for", listed(wanted="open"), "emil/soap"),
            ("the position", listed(position=2), "emil/soap"),
        )
    ),
    (
        "another key",
        listed(key="other"),
        [
            ("emil/soap", "Redis does not remember its request"),
            ("emil/soap", "Redis remembers a request for it that is not in the ledger's log"),
        ],
    ),
    (
        "a request never made",
        remember,
        [("anna/soap", "Redis remembers a request for it that is not in the ledger's log")],
    ),
    (
        "a request for nothing",
        in_redis("HSET", "REQUESTS", "zoe key", packed("nothing", "", "confirmed", "open", 1, 0, 0)),
        [("nothing", "Redis remembers a request for it, and it does not exist")],
    ),
]


# What is read does not depend on the line of Redis.
@pytest.mark.parametrize("redis_url", ["redis"], indirect=True)
@pytest.mark.parametrize(("tamper", "named"), [row[1:] for row in SPOILED], ids=[row[0] for row in SPOILED])
async def test_each_difference_is_named(stand: Stand, tamper: Tamper, named: list[tuple[str, str]]) -> None:
    given = await sell(stand)
    await recorder(stand).close()
    assert (await audited(stand)).differences == []
    before = await stand.runtime.streams.state(CAMPAIGN)
    assert before is not None
    decided = (await stand.decisions.find(CAMPAIGN, given["anna/soap"])).record
    assert decided is not None
    await tamper(stand, given)
    found = lines(await audited(stand))
    for subject, what in named:
        text = _filled(what, given).replace("SEQ", str(before.seq)).replace("REST", str(before.seq - 1))
        assert (given.get(subject, subject), text.replace("DECIDED", str(decided.decided_at))) in found
    assert not any(member in f"{subject} {what}" for member in MEMBERS for subject, what in found)


async def test_what_is_no_more_in_the_stream_is_held_by_the_chain(stand: Stand) -> None:
    """Somebody backdates a sign-up in the log, of which Redis has nothing any more."""
    await sell(stand)
    await recorder(stand).close()
    await stand.administrator.xtrim(keys.of(CAMPAIGN, "EVENTS"), maxlen=1)
    assert (await audited(stand)).differences == []
    event = next(each for each in await stand.runtime.ledger.events(CAMPAIGN, 0, 9) if each.record)
    header = msgspec.structs.replace(event.header, at=event.header.at - 60_000)
    fields = batch.pack({**event.fields, b"h": batch.pack(header)})
    await in_ledger(f"UPDATE events SET fields = x'{fields.hex()}' WHERE seq = {event.seq}")(stand, {})
    ((named, what),) = lines(await audited(stand))
    assert named.startswith("events 1 to ")
    assert what == "not as linked when recorded: added, left out or changed"


async def test_what_is_not_recorded_in_time_is_one_difference(stand: Stand) -> None:
    given = await sell(stand)
    await recorder(stand).close()
    await stand.sign_up("hugo", "clay", key="clay")
    await stand.cancel(given["cleo/soap"])
    await stand.publish(document(capacity=9))
    state = await stand.runtime.streams.state(CAMPAIGN)
    registration = (await stand.runtime.ledger.campaigns())[0]
    assert state is not None
    late = state.seq - registration.recorded_seq
    what = f"{late} events are not in the ledger, which has recorded {registration.recorded_seq}"
    assert lines(await audited(stand, 0.1)) == [("", what)]
    await in_records("anna/soap", status="held")(stand, given)
    found = lines(await audited(stand, 0.1))
    assert (given["anna/soap"], "status is held in Redis, confirmed in the ledger") in found


async def test_events_that_the_ledger_needs_are_gone(stand: Stand) -> None:
    await sell(stand)
    await stand.administrator.xtrim(keys.of(CAMPAIGN, "EVENTS"), minid="1-5", approximate=False)
    assert ("", "the stream begins with event 5: the ledger needs those before") in lines(
        await audited(stand)
    )


async def test_a_campaign_that_was_never_published_agrees(stand: Stand) -> None:
    await stand.runtime.ledger.register(CAMPAIGN, "xicheng", "organizer", "cli", 1)
    assert await audited(stand) == Result(CAMPAIGN, notes=["registered, not published"])


async def test_a_publication_is_waited_for(stand: Stand) -> None:
    await stand.publish(document())
    client, gate = stand.administrator, keys.of(CAMPAIGN, "META")
    await client.hset(gate, "gate", "new")
    async with recording(stand):
        waiting = asyncio.create_task(audited(stand, WAIT_S))
        await client.hset(gate, "gate", "open")
        assert (await waiting).differences == []


async def test_every_campaign_is_known(stand: Stand) -> None:
    for name in ("b", "a"):
        await stand.publish(campaign(name=name))
    await in_ledger("DELETE FROM campaigns WHERE campaign = 'b'")(stand, {})
    await stand.runtime.ledger.register("c", "xicheng", "organizer", "cli", 1)
    assert await audit.known(stand.runtime.server, stand.runtime.ledger) == ["a", "b", "c"]


@asynccontextmanager
async def selling(stand: Stand) -> AsyncIterator[None]:
    """Members who sign up and cancel without a pause."""
    going = True

    async def sell_on(seller: int) -> None:
        turn = 0
        while going:
            decision = await stand.sign_up(f"seller-{seller}-{turn % 9}", key=str(turn))
            if decision.enrollment:
                await stand.cancel(decision.enrollment)
            turn += 1

    async with asyncio.TaskGroup() as sellers:
        for seller in range(3):
            sellers.create_task(sell_on(seller))
        yield
        going = False


async def test_no_difference_is_seen_while_sales_go_on(stand: Stand) -> None:
    await stand.publish(
        campaign(offering(pools=[{"pool": "open", "capacity": 5}], waitlist={"size_max": 20}))
    )
    moved = 0
    async with recording(stand):
        async with selling(stand):
            for _ in range(20):
                result = await audited(stand, WAIT_S)
                assert result.differences == []
                moved += audit.MOVING in result.notes
        result = await audited(stand, WAIT_S)
    assert moved > 0
    assert (result.differences, result.notes) == ([], [])


async def test_a_difference_is_named_while_sales_go_on(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 5}], waitlist={"size_max": 9})))
    given = {f"{member}/soap": (await stand.sign_up(member)).enrollment for member in MEMBERS[:4]}
    async with recording(stand), selling(stand):
        assert (await audited(stand, WAIT_S)).differences == []
        await in_records("anna/soap", status="held")(stand, given)
        await in_redis("HDEL", "ENROLLMENTS", "<bert/soap>")(stand, given)
        await in_ledger("DELETE FROM enrollments WHERE enrollment = '<cleo/soap>'")(stand, given)
        found = lines(await audited(stand, WAIT_S))
    assert sorted(found) == sorted(
        [
            (given["anna/soap"], "status is held in Redis, confirmed in the ledger"),
            (given["bert/soap"], "is in the ledger, missing in Redis"),
            (given["cleo/soap"], "is in Redis, missing in the ledger"),
        ]
    )


# Invitation codes


async def invite(stand: Stand) -> dict[str, str]:
    """A code that one has a seat by, one waits by and one has left; another that is revoked."""
    guests = {"pool": "guests", "capacity": 1, "codes": True}
    await stand.publish(campaign(offering(pools=[guests], waitlist={"size_max": 9})))
    code, *_ = await stand.issue("guests", codes=2, uses=3)
    [other] = await stand.issue("guests", member="gina")
    given = {"code": code, "other": other}
    for member in ("anna", "bert", "cleo"):
        given[member] = (await stand.sign_up(member, code=code)).enrollment
    await stand.cancel(given["cleo"])
    await stand.revoke(other)
    return given


async def test_codes_agree(stand: Stand) -> None:
    await invite(stand)
    async with recording(stand):
        result = await audited(stand, WAIT_S)
    assert (result.differences, result.notes) == ([], [])


def coded(name: str, **changed: Any) -> Tamper:
    async def tamper(stand: Stand, given: dict[str, str]) -> None:
        client, key = stand.administrator, keys.of(CAMPAIGN, "CODES")
        entry = msgspec.msgpack.decode(await client.hget(key, given[name]), type=codes.Entry)
        await client.hset(key, given[name], packed(*structs.astuple(structs.replace(entry, **changed))))

    return tamper


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (coded("code", used=1), [("code", "used is 1, 2 by the records")]),
        (
            coded("code", used=4),
            [
                ("code", "used is 4, 2 by the records"),
                ("code", "used is 4, more than its 3 uses"),
            ],
        ),
        (coded("code", uses=9), [("code", "is another in Redis than in the ledger's log")]),
        (coded("code", revoked=1), [("code", "is another in Redis than in the ledger's log")]),
        (coded("other", revoked=0), [("other", "is another in Redis than in the ledger's log")]),
        (coded("other", member=""), [("other", "is another in Redis than in the ledger's log")]),
        (in_redis("HDEL", "CODES", "<code>"), [("code", "is not in Redis")]),
        (in_redis("HSET", "CODES", "<code>", "x"), [("code", "cannot be read in Redis")]),
        (
            in_redis("HSET", "CODES", "f" * 32, packed("soap", "guests", 1, 0, "", 0, 0)),
            [("f" * 32, "is in Redis and was never issued by the ledger's log")],
        ),
        (
            in_redis("HSET", "CODES", "#soap", 2),
            [("", "its list of codes in Redis is not that of the log at #soap")],
        ),
        (
            in_redis("HDEL", "CODES", "#soap/3"),
            [("", "its list of codes in Redis is not that of the log at #soap/3")],
        ),
        (
            in_records("anna", code=""),
            [
                ("anna", "came in by another code in Redis than in the ledger's log"),
                ("code", "used is 2, 1 by the records"),
            ],
        ),
        (
            in_ledger("UPDATE events SET fields = (SELECT fields FROM events WHERE seq = 3) WHERE seq = 4"),
            [
                ("event 4", "in the stream and in the ledger's log differ"),
                ("other", "is in Redis and was never issued by the ledger's log"),
            ],
        ),
    ],
)
async def test_differences_of_codes(stand: Stand, tamper: Tamper, expected: list[tuple[str, str]]) -> None:
    given = await invite(stand)
    await recorder(stand).close()
    await tamper(stand, given)
    found = lines(await audited(stand))
    for subject, text in expected:
        name = given.get(subject, subject)
        about = {"": "soap"}.get(subject) or (f"code {name}" if len(name) == 32 else name)
        assert (about, text) in found
    assert not any(member in f"{subject} {what}" for member in MEMBERS for subject, what in found)


async def test_codes_that_are_not_recorded_in_time_are_no_differences(stand: Stand) -> None:
    await invite(stand)
    await recorder(stand).close()
    await stand.issue("guests")
    found = lines(await audited(stand, 0.1))
    assert [subject for subject, _ in found] == [""]
