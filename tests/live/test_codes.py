"""Invitation codes: what each opens, how its uses are counted, and that nobody gets in on one too many."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.domain.events import Event, Issue
from engine.domain.faults import Fault
from engine.domain.invitation import PER_OFFERING_MAX
from engine.invitations import Issued, Listed
from engine.live.codes import Entry
from engine.live.decisions import Decision
from tests.stand import CAMPAIGN, Stand, at, campaign, offering, open_stand

GUESTS: dict[str, Any] = {"pool": "guests", "capacity": 5, "codes": True}
OWN: dict[str, Any] = {"pool": "own", "capacity": 1, "eligible": {"units": ["a"]}}
OPEN: dict[str, Any] = {"pool": "open", "capacity": 1}


def seated(decision: Decision) -> tuple[str, str, int, str]:
    assert decision.record, decision
    return decision.outcome, decision.record.pool, decision.record.seat, decision.record.code


def faulty(path: str, code: str, **parameters: str | float) -> Issued:
    return Issued(faults=[Fault(path, code, parameters)])


def refused(decision: Decision) -> tuple[str, int | str]:
    return decision.outcome, decision.fact


async def test_a_pool_without_eligible_is_for_holders_of_codes_alone(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS])))
    [code] = await stand.issue("guests")
    assert refused(await stand.sign_up("m1", unit="a")) == ("not_eligible", "")
    assert seated(await stand.sign_up("m1", code=code)) == ("confirmed", "guests", 1, code)
    assert refused(await stand.sign_up("m2", code=code)) == ("not_eligible", "code_used_up")


async def test_a_code_opens_its_pool_beside_those_one_is_eligible_for(stand: Stand) -> None:
    pools = [OPEN, GUESTS | {"capacity": 1}, OWN]
    await stand.publish(campaign(offering(pools=pools)))
    [code] = await stand.issue("guests", uses=9)
    given = [await stand.sign_up(member, unit="a", code=code) for member in ("m1", "m2", "m3")]
    assert [seated(each)[1:] for each in given] == [("open", 1, ""), ("guests", 1, code), ("own", 1, "")]
    assert await stand.used() == [1]
    assert (await stand.sign_up("m4", unit="a", code=code)).outcome == "sold_out"
    assert await stand.used() == [1]


async def test_those_who_are_eligible_anyhow_use_no_code_up(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS | {"eligible": {"units": ["a"]}}])))
    [code] = await stand.issue("guests")
    assert seated(await stand.sign_up("m1", unit="a", code=code)) == ("confirmed", "guests", 1, "")
    assert seated(await stand.sign_up("m2", code=code)) == ("confirmed", "guests", 2, code)
    assert seated(await stand.sign_up("m3", unit="a.b", code=code)) == ("confirmed", "guests", 3, "")
    assert refused(await stand.sign_up("m4", code=code)) == ("not_eligible", "code_used_up")


async def test_whoever_is_in_by_the_last_use_is_in_already(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS])))
    [code] = await stand.issue("guests")
    first = await stand.sign_up("m1", key="k1", code=code)
    again = await stand.sign_up("m1", key="k2", code=code)
    assert (again.outcome, again.record) == ("already_in", first.record)
    replay = await stand.sign_up("m1", key="k1")
    assert (replay.outcome, replay.record) == ("confirmed", first.record)
    await stand.cancel(first.enrollment)
    replay = await stand.sign_up("m1", key="k1", code=code)
    assert (replay.outcome, replay.record) == ("confirmed", first.record)
    assert await stand.used() == [0]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"code": "0" * 32}, "code_unknown"),
        ({"name": "tea"}, "code_unknown"),
        ({"wanted": "own"}, "code_unknown"),
        ({"member": "m2"}, "code_unknown"),
        ({"wanted": "guests"}, ""),
        ({}, ""),
    ],
)
async def test_a_code_is_for_its_offering_pool_and_member(
    stand: Stand, asked: dict[str, Any], reason: str
) -> None:
    pools = [GUESTS, OWN]
    await stand.publish(campaign(offering(pools=pools), offering("tea", pools=pools)))
    [code] = await stand.issue("guests", member="m1")
    before = await stand.log()
    decision = await stand.sign_up(**({"member": "m1", "code": code} | asked))
    if reason:
        assert refused(decision) == ("not_eligible", reason)
        assert decision.as_of_seq == len(before)
        assert await stand.log() == before
    else:
        assert seated(decision) == ("confirmed", "guests", 1, code)


async def test_a_revoked_code_lets_nobody_in_and_nobody_out(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS], hold_ttl_s=600)))
    [code] = await stand.issue("guests", uses=2)
    first = await stand.sign_up("m1", code=code)
    shown = Entry("soap", "guests", 2, 1, "", 0, 1)
    assert await stand.revoke(code) == Listed(code, shown)
    before = await stand.log()
    assert await stand.revoke(code) == Listed(code, shown)
    assert await stand.revoke(code, "tea") == "not_found"
    for other in ("0" * 32, "#soap", "#soap 1", ""):
        assert await stand.revoke(other) == "not_found"
    assert await stand.log() == before
    assert refused(await stand.sign_up("m2", code=code)) == ("not_eligible", "code_revoked")
    assert (await stand.confirm(first.enrollment, "m1")).outcome == "changed"
    assert await stand.used() == [1]


async def test_a_code_that_is_over(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS])))
    moment = datetime.now(UTC) + timedelta(milliseconds=300)
    [code] = await stand.issue("guests", uses=2, expires=moment)
    assert (await stand.sign_up("m1", code=code)).outcome == "confirmed"
    await asyncio.sleep((moment - datetime.now(UTC)).total_seconds() + 0.002)
    assert refused(await stand.sign_up("m2", code=code)) == ("not_eligible", "code_expired")
    assert await stand.try_issue("guests", expires=moment) == faulty("/expires", "not_to_come")


async def test_why_comes_after_the_window_and_before_all_else(stand: Stand) -> None:
    rules = {"limits": [{"max": 1, "per": "campaign"}]}
    told = []

    async def ask(**changed: Any) -> None:
        pools = [GUESTS | {"capacity": 0}]
        await stand.publish(campaign(offering(pools=pools) | changed, offering("tea"), rules=rules))
        told.append(refused(await stand.sign_up("m1", code=code)))

    await stand.publish(campaign(offering(pools=[GUESTS]), offering("tea"), rules=rules))
    [code] = await stand.issue("guests")
    await stand.sign_up("m1", "tea")
    await ask(opens=at(hours=-2), closes=at(hours=-1))
    await ask(opens=at(hours=1))
    await stand.revoke(code)
    await ask()
    [code] = await stand.issue("guests")
    await ask()
    rules = {"limits": []}
    await ask()
    assert [each[0] if each[0] == "not_open" else each for each in told] == [
        ("closed", ""),
        "not_open",
        ("not_eligible", "code_revoked"),
        ("limit_reached", "campaign"),
        ("sold_out", ""),
    ]


# Uses


async def test_a_use_comes_back_when_the_enrollment_is_over(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS | {"capacity": 1}], waitlist={"size_max": 9})))
    [code] = await stand.issue("guests", uses=2)
    seat, waiting = await stand.sign_up("m1", code=code), await stand.sign_up("m2", code=code)
    assert [each.outcome for each in (seat, waiting)] == ["confirmed", "waitlisted"]
    assert refused(await stand.sign_up("m3", code=code)) == ("not_eligible", "code_used_up")
    await stand.cancel(waiting.enrollment)
    third = await stand.sign_up("m3", code=code)
    assert (third.outcome, third.position) == ("waitlisted", 1)
    await stand.cancel(seat.enrollment)
    promoted = await stand.decisions.find(CAMPAIGN, third.enrollment)
    assert seated(promoted) == ("changed", "guests", 1, code)
    assert await stand.used() == [1]
    await stand.cancel(third.enrollment)
    assert await stand.used() == [0]


async def test_a_use_comes_back_when_a_hold_is_declined_or_over(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS], hold_ttl_s=1)))
    [code] = await stand.issue("guests", uses=2)
    declined, lapsing = await stand.sign_up("m1", code=code), await stand.sign_up("m2", code=code)
    await stand.decline(declined.enrollment, "m1")
    assert await stand.used() == [1]
    assert lapsing.record
    await asyncio.sleep(lapsing.record.expires_at / 1000 - stand.runtime.clock.now_ms() / 1000 + 0.002)
    assert await stand.used() == [0]
    assert (await stand.sign_up("m3", code=code)).outcome == "held"


async def test_one_call_counts_all_of_its_sign_ups(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS | {"capacity": 100}])))
    [code] = await stand.issue("guests", uses=3)
    asked = await asyncio.gather(*(stand.sign_up(f"m{number}", code=code) for number in range(10)))
    assert [refused(each) for each in asked] == [("confirmed", "")] * 3 + [
        ("not_eligible", "code_used_up")
    ] * 7
    assert await stand.used() == [3]


@pytest.mark.parametrize("uses", [1, 250])
async def test_a_rush_on_one_code_lets_exactly_its_uses_in(
    stand: Stand, uses: int, redis_url: str, data_directory: Path
) -> None:
    """1,000 members over four processes, as it were: runtimes of their own on the same Redis."""
    await stand.publish(campaign(offering(pools=[GUESTS | {"capacity": 2_000}])))
    [code] = await stand.issue("guests", uses=uses)
    database = f"sqlite:///{data_directory}/ledger.db"
    async with AsyncExitStack() as stack:
        stands = [
            await stack.enter_async_context(open_stand(redis_url, database, data_directory)) for _ in range(4)
        ]
        asked = await asyncio.gather(
            *(stands[number % 4].sign_up(f"m{number}", key="k", code=code) for number in range(1_000))
        )
    confirmed = [each.record for each in asked if each.record]
    assert sorted(record.seat for record in confirmed) == list(range(1, uses + 1))
    assert {record.code for record in confirmed} == {code}
    assert {refused(each) for each in asked if not each.record} == {("not_eligible", "code_used_up")}
    assert await stand.used() == [uses]


# Waiting and draws


async def test_a_code_alone_waits_for_no_other_pool(stand: Stand) -> None:
    """A pool that is released is open to all who are eligible for some pool: a code makes nobody so."""
    own = OWN | {"releases": at(minutes=-1)}
    pools = [own, GUESTS | {"capacity": 0}]
    await stand.publish(campaign(offering(pools=pools, waitlist={"size_max": 9})))
    [code] = await stand.issue("guests", uses=9)
    waiting = await stand.sign_up("m1", code=code)
    assert waiting.outcome == "waitlisted"
    seat = await stand.sign_up("m2", unit="a")
    assert seated(seat) == ("confirmed", "own", 1, "")
    await stand.cancel(seat.enrollment)
    found = await stand.decisions.find(CAMPAIGN, waiting.enrollment)
    assert seated(found) == ("changed", "", 0, code)
    await stand.publish(campaign(offering(pools=[own, GUESTS | {"capacity": 1}], waitlist={"size_max": 9})))
    found = await stand.decisions.find(CAMPAIGN, waiting.enrollment)
    assert seated(found) == ("changed", "guests", 1, code)


async def test_a_code_stays_used_wherever_its_seat_comes_to_be(stand: Stand) -> None:
    pools = [OPEN, GUESTS | {"capacity": 0}]
    await stand.publish(campaign(offering(pools=pools, waitlist={"size_max": 9})))
    [code] = await stand.issue("guests")
    first = await stand.sign_up("m1")
    waiting = await stand.sign_up("m2", code=code)
    assert waiting.outcome == "waitlisted"
    await stand.cancel(first.enrollment)
    assert seated(await stand.decisions.find(CAMPAIGN, waiting.enrollment)) == ("changed", "open", 1, code)
    assert await stand.used() == [1]


async def test_a_draw_gives_back_the_codes_of_those_who_are_not_drawn(stand: Stand) -> None:
    def drawn(**window: str) -> Any:
        pools = [GUESTS | {"capacity": 1}]
        return campaign(offering(pools=pools, policy={"name": "ballot"}, waitlist={"size_max": 1}, **window))

    await stand.publish(drawn())
    [code] = await stand.issue("guests", uses=4)
    entries = [await stand.sign_up(f"m{number}", code=code) for number in range(5)]
    assert [refused(each) for each in entries] == [("entered", "")] * 4 + [("not_eligible", "code_used_up")]
    await stand.cancel(entries[0].enrollment)
    assert await stand.used() == [3]
    await stand.publish(drawn(opens=at(hours=-2), closes=at(hours=-1)))
    assert await stand.runtime.drawing.draw_if_due(CAMPAIGN)
    assert await stand.used() == [2]
    statuses = [
        each.record.status
        for entry in entries[1:4]
        if (each := await stand.decisions.find(CAMPAIGN, entry.enrollment)).record
    ]
    assert sorted(statuses) == ["confirmed", "not_drawn", "waitlisted"]


async def test_a_released_pool_is_for_those_eligible_for_another(stand: Stand) -> None:
    pools = [GUESTS | {"releases": at(minutes=-1)}, OWN | {"capacity": 0}]
    await stand.publish(campaign(offering(pools=pools)))
    [code] = await stand.issue("guests", uses=9)
    assert seated(await stand.sign_up("m1", unit="a", code=code)) == ("confirmed", "guests", 1, "")
    assert refused(await stand.sign_up("m2", unit="b")) == ("not_eligible", "")
    assert seated(await stand.sign_up("m3", unit="b", code=code)) == ("confirmed", "guests", 2, code)


# Issuing


async def test_codes_are_listed_in_the_order_of_issue(stand: Stand) -> None:
    both = [GUESTS, OWN | {"codes": True}]
    await stand.publish(campaign(offering(pools=both), offering("tea", pools=both)))
    expires = datetime(2100, 1, 1, tzinfo=UTC)
    ids = await stand.issue("guests", codes=3) + await stand.issue(
        "own", uses=7, member="m1", expires=expires
    )
    [other] = await stand.issue("own", "tea")
    listed = [Listed(name, Entry("soap", "guests", 1, 0, "", 0, 0)) for name in ids[:3]]
    listed.append(Listed(ids[3], Entry("soap", "own", 7, 0, "m1", 4_102_444_800_000, 0)))
    page = stand.runtime.invitations.page
    assert await page(CAMPAIGN, "soap", 200) == listed
    assert await page(CAMPAIGN, "soap", 2, 1) == listed[1:3]
    assert await page(CAMPAIGN, "soap", 2, 4) == []
    assert await page(CAMPAIGN, "tea", 200) == [Listed(other, Entry("tea", "own", 1, 0, "", 0, 0))]
    assert await page(CAMPAIGN, "clay", 200) == []
    assert len(set(ids)) == 4


async def test_what_cannot_be_issued(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS, OWN])))
    assert await stand.try_issue("guests", "tea") == "not_found"
    for pool in ("own", "none"):
        assert await stand.try_issue(pool) == faulty("/pool", "takes_no_codes")
    client = stand.administrator
    await client.hset(f"seatrush:{{{CAMPAIGN}}}:codes", "#soap", PER_OFFERING_MAX - 1)
    too_many = faulty("/codes", "too_many_codes", max=PER_OFFERING_MAX)
    assert await stand.try_issue("guests", codes=2) == too_many
    assert len(await stand.issue("guests")) == 1
    assert await stand.try_issue("guests") == too_many


async def test_a_thousand_at_once(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS])))
    ids = await stand.issue("guests", codes=1_000)
    page = await stand.runtime.invitations.page(CAMPAIGN, "soap", 1_000)
    assert isinstance(page, list)
    assert [each.id for each in page] == ids


async def test_what_happens_to_codes_is_in_the_log_and_the_codes_are_not(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS])))
    issued = await stand.try_issue("guests", codes=2, uses=3, member="m1")
    assert not isinstance(issued, str)
    ids = [secret.id for secret in issued.secrets]
    await stand.revoke(ids[1])
    log = await stand.log()
    first, second = (each for each in log if each.header.type in ("codes_issued", "code_revoked"))
    assert (told(first), first.issue) == (("codes_issued", "organizer", "cli"), Issue(3, "m1", 0, ids))
    assert (told(second), second.revoked) == (("code_revoked", "organizer", "cli"), ids[1])
    assert [each.seq for each in log] == list(range(1, len(log) + 1))
    client = stand.administrator
    dumped = [await client.dump(key) for key in await client.keys()]
    for secret in issued.secrets:
        for written in (secret.code, secret.code.replace("-", "")):
            assert all(written.encode() not in each for each in dumped)


def told(event: Event) -> tuple[str, str, str]:
    assert (event.header.offering, event.header.pool) == ("soap", "guests")
    return event.header.type, event.header.actor, event.header.channel


async def test_a_lost_state_issues_nothing(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS])))
    [code] = await stand.issue("guests")
    await stand.administrator.flushall()
    assert await stand.try_issue("guests") == "not_ready"
    assert await stand.revoke(code) == "not_ready"
    assert await stand.runtime.invitations.page(CAMPAIGN, "soap", 9) == "not_ready"


async def test_no_codes_are_issued_when_the_ledger_is_too_far_behind(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[GUESTS])))
    [code] = await stand.issue("guests")
    stand.runtime.backlog._entries_max = 3
    assert await stand.try_issue("guests") == "not_ready"
    assert isinstance(await stand.revoke(code), Listed)


# Publishing


async def test_codes_of_a_pool_that_is_gone_or_takes_none_open_nothing(stand: Stand) -> None:
    pools = [GUESTS, OPEN | {"capacity": 0}]
    await stand.publish(campaign(offering(pools=pools)))
    [code] = await stand.issue("guests", uses=9)
    given = await stand.sign_up("m1", code=code)
    await stand.publish(campaign(offering(pools=[GUESTS | {"codes": False, "eligible": {"units": ["a"]}}])))
    assert refused(await stand.sign_up("m2", code=code)) == ("not_eligible", "code_unknown")
    await stand.publish(campaign(offering(pools=[GUESTS])))
    asked = await stand.sign_up("m2", code=code)
    assert seated(asked) == ("confirmed", "guests", 2, code)
    await stand.cancel(given.enrollment)
    await stand.cancel(asked.enrollment)
    await stand.publish(campaign(offering(pools=pools[1:])))
    assert refused(await stand.sign_up("m3", code=code)) == ("not_eligible", "code_unknown")
    assert await stand.used() == [0]
    await stand.publish(campaign(offering(pools=pools)))
    assert seated(await stand.sign_up("m3", code=code)) == ("confirmed", "guests", 1, code)
