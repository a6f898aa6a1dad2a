"""The scripts that forget: each of their guards, and what is theirs alone."""

from typing import Any, Final

import msgspec
import pytest

from engine.domain import chain, events
from engine.live import keys
from engine.live.members import decode
from tests.stand import CAMPAIGN, Stand, at, campaign, offering

STAND_IN: Final = chain.stand_in(CAMPAIGN, "mia")
EVENTS: Final = keys.of(CAMPAIGN, "EVENTS")
META: Final = keys.of(CAMPAIGN, "META")
pack = msgspec.msgpack.encode


async def seq(stand: Stand) -> int:
    return int(await stand.administrator.hget(META, "seq"))


async def forget(
    stand: Stand,
    known: int | None = None,
    enrollments: tuple[str, ...] = (),
    requests: tuple[str, ...] = (),
    codes: tuple[str, ...] = (),
    ends: dict[str, int] | None = None,
) -> list[Any]:
    members = [("mia", STAND_IN, enrollments, requests)]
    until = await seq(stand) if known is None else known
    bound = [(code, STAND_IN) for code in codes]
    over = pack({"soap": 2**52} if ends is None else ends)
    status, *facts = await stand.runtime.server.call(
        "forget", CAMPAIGN, [pack(members), pack(bound), until, over, "cli:tester", "cli"]
    )
    return [status.decode(), *facts]


async def shorten(stand: Stand, first: int, epoch: int = 1) -> str:
    (status,) = await stand.runtime.server.call("shorten", CAMPAIGN, [epoch, first])
    return str(status.decode())


async def ids(stand: Stand) -> list[int]:
    entries = await stand.administrator.xrange(EVENTS)
    return [events.parse_id(entry_id)[1] for entry_id, _ in entries]


async def test_members_requests_and_codes_are_under_the_stand_in(stand: Stand) -> None:
    pools = [{"pool": "open", "capacity": 5, "codes": True, "eligible": {"units": ["no"]}}]
    await stand.publish(campaign(offering(pools=pools), offering("clay", hold_ttl_s=60)))
    (code,) = await stand.issue("open", member="mia")
    kept = await stand.sign_up("mia", code=code, key="k1")
    held = await stand.sign_up("mia", "clay", key="k2")
    await stand.confirm(held.enrollment, "mia")
    gone = await stand.sign_up("mia", "clay", key="k3")
    before = await seq(stand)
    status, last, cancelled = await forget(
        stand, None, (held.enrollment, gone.enrollment), ("k2",), (code,), {"soap": 1, "clay": 2**52}
    )
    assert (status, last, cancelled) == ("decided", before + 2, 1)
    client = stand.administrator
    assert await client.hgetall(keys.of(CAMPAIGN, "REQUESTS")) == {}
    (field,) = (await client.hgetall(keys.of(CAMPAIGN, "MEMBERS"))).items()
    assert field[0].decode() == STAND_IN
    listed = decode(field[1])
    assert listed is not None
    assert [(entry.enrollment, entry.key) for entry in listed] == [(kept.enrollment, "")]
    assert await stand.used() == [1]
    assert (await stand.sign_up("mia", code=code)).fact == "code_unknown"
    told = (await stand.log())[-2:]
    assert [(each.header.type, each.record and each.record.member) for each in told] == [
        ("cancelled", STAND_IN),
        ("forgotten", None),
    ]


async def test_only_what_is_the_members_own(stand: Stand) -> None:
    await stand.publish(campaign())
    other = await stand.sign_up("bob")
    assert (await forget(stand, None, (other.enrollment, "unknown")))[0] == "decided"
    found = await stand.decisions.find(CAMPAIGN, other.enrollment)
    assert found.record is not None
    assert found.record.member == "bob"
    members = await stand.administrator.hkeys(keys.of(CAMPAIGN, "MEMBERS"))
    assert members == [b"bob"]


@pytest.mark.parametrize("gate", ["closed", "new"])
async def test_a_gate_that_is_not_open(stand: Stand, gate: str) -> None:
    await stand.publish(campaign())
    await stand.administrator.hset(META, "gate", gate)
    assert await forget(stand) == ["not_ready"]


async def test_what_time_brings_about_comes_first(stand: Stand) -> None:
    """Its events may name the member."""
    await stand.publish(campaign(offering(hold_ttl_s=60)))
    made = await stand.sign_up("mia")
    await stand.administrator.zadd(keys.of(CAMPAIGN, "TIMERS"), {f"expires/{made.enrollment}": 1})
    assert await forget(stand) == ["stale"]
    assert (await stand.told())[-1] == ("lapsed", "lapsed")
    assert (await forget(stand))[0] == "decided"


async def test_more_is_due_than_one_call_may_do(stand: Stand) -> None:
    pools = [{"pool": "open", "capacity": 300}]
    await stand.publish(campaign(offering(hold_ttl_s=60, pools=pools)))
    timers = {}
    for number in range(201):
        timers[f"expires/{(await stand.sign_up(f'm{number}')).enrollment}"] = 1
    await stand.administrator.zadd(keys.of(CAMPAIGN, "TIMERS"), timers)
    assert await forget(stand) == ["behind"]
    assert len(await stand.told()) == 401


@pytest.mark.parametrize("about", ["enrollment", "actor", "code", "unreadable"])
async def test_later_events_about_the_member(stand: Stand, about: str) -> None:
    pools = [{"pool": "open", "capacity": 5, "codes": True}, {"pool": "all", "capacity": 5}]
    await stand.publish(campaign(offering(pools=pools)))
    other = await stand.sign_up("bob")
    before = await seq(stand)
    match about:
        case "enrollment":
            await stand.sign_up("mia")
        case "actor":
            await stand.runtime.decisions.command(
                "cancel", CAMPAIGN, pack([(other.enrollment, "", "mia", "http")])
            )
        case "code":
            await stand.issue("open", member="mia")
        case _:
            await stand.administrator.hincrby(META, "seq", 1)
            await stand.administrator.xadd(EVENTS, {"h": b"\xc1"}, id=f"1-{before + 1}")
    assert await forget(stand, before) == ["stale"]
    assert (await forget(stand, before + 1))[0] == "decided"


async def test_later_events_about_others(stand: Stand) -> None:
    await stand.publish(campaign())
    before = await seq(stand)
    await stand.sign_up("miau", key="mia")
    assert (await forget(stand, before))[0] == "decided"


@pytest.mark.parametrize(("number", "status"), [(2_000, "decided"), (2_001, "stale")])
async def test_too_many_later_events(stand: Stand, number: int, status: str) -> None:
    await stand.publish(campaign())
    before = await seq(stand)
    async with stand.administrator.pipeline(transaction=False) as pipeline:
        header = pack((1, "opened", 1, "system", "engine"))
        for each in range(number):
            pipeline.xadd(EVENTS, {"h": header}, id=f"1-{before + 1 + each}")
        pipeline.hset(META, "seq", before + number)
        await pipeline.execute()
    assert (await forget(stand, before))[0] == status
    assert await shorten(stand, before + number - 1_999) == ("decided" if status == "stale" else "stale")
    assert await shorten(stand, before + number - 1_998) == "decided"


async def test_while_a_draw_is_settled(stand: Stand) -> None:
    await stand.publish(campaign(offering(policy={"name": "ballot"}, closes=at(days=1))))
    await stand.sign_up("mia")
    await stand.administrator.hset(META, "drawing", 1)
    assert await forget(stand) == ["wrong_state"]
    await stand.administrator.hdel(META, "drawing")
    assert (await forget(stand))[0] == "decided"


@pytest.mark.parametrize(
    ("ends", "waits", "became"),
    [(1, False, "confirmed"), (2**52, False, "cancelled"), (1, True, "cancelled")],
)
async def test_a_seat_of_what_is_over_stays(stand: Stand, ends: int, waits: bool, became: str) -> None:
    await stand.publish(campaign(offering(waitlist={"size_max": 5})))
    for number in range(2 if waits else 0):
        await stand.sign_up(f"m{number}")
    made = await stand.sign_up("mia")
    status, _, cancelled = await forget(stand, ends={"soap": ends})
    found = await stand.decisions.find(CAMPAIGN, made.enrollment)
    assert found.record is not None
    assert (status, cancelled, found.record.status) == ("decided", int(became == "cancelled"), became)
    assert found.record.member == STAND_IN


async def test_the_stream_is_cut_off_for_good(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 20}])))
    for number in range(9):
        await stand.sign_up(f"mia-{number}")
    last, before = await seq(stand), await stand.log()
    client = stand.administrator
    assert await shorten(stand, last - 1, epoch=2) == "not_ready"
    assert await ids(stand) == [event.seq for event in before]
    assert await shorten(stand, last - 1) == "decided"
    assert await stand.log() == before[-2:]
    await client.config_set("rdbcompression", "no")
    dumped = await client.dump(EVENTS)
    assert b"mia-8" in dumped
    assert b"mia-1" not in dumped
    # Others go on reading, and writing, where they were.
    await stand.sign_up("next")
    assert await ids(stand) == [last - 1, last, last + 1]
    await client.delete(META)
    assert await shorten(stand, last) == "not_ready"
