"""Sign-up: every outcome in the order of the guards, and what a success leaves behind."""

import asyncio
from typing import Any

import pytest

from engine.domain.person import Person
from tests.stand import CAMPAIGN, Stand, at, campaign, offering


async def test_gives_the_lowest_free_number_of_the_first_pool_that_has_one(stand: Stand) -> None:
    pools = [{"pool": "own", "capacity": 1, "eligible": {"units": ["a.b"]}}, {"pool": "open", "capacity": 2}]
    await stand.publish(campaign(offering(pools=pools)))
    given = [await stand.sign_up(f"m{number}", unit="a.b.c") for number in range(3)]
    assert [(each.outcome, each.record.pool, each.record.seat) for each in given if each.record] == [
        ("confirmed", "own", 1),
        ("confirmed", "open", 1),
        ("confirmed", "open", 2),
    ]
    await stand.cancel(given[1].enrollment)
    again = await stand.sign_up("m9")
    assert again.record is not None
    assert (again.record.pool, again.record.seat) == ("open", 1)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"opens": at(hours=-2), "closes": at(hours=-1)}, "closed"),
        ({"opens": at(hours=1)}, "not_open"),
        ({"pools": [{"pool": "own", "capacity": 9, "eligible": {"units": ["a"]}}]}, "not_eligible"),
        ({"pools": [{"pool": "none", "capacity": 0}]}, "sold_out"),
    ],
)
async def test_refuses(stand: Stand, changed: dict[str, Any], expected: str) -> None:
    await stand.publish(campaign(offering(**changed)))
    before = await stand.log()
    refused = await stand.sign_up("m1", key="k")
    assert refused.outcome == expected
    assert refused.as_of_seq == len(before)
    assert await stand.log() == before


async def test_guards_come_in_their_order(stand: Stand) -> None:
    """A member who breaks every rule is told the first; each rule that is mended uncovers the next."""
    other = offering("paper")
    own = [{"pool": "own", "capacity": 0, "eligible": {"units": ["a"]}}]
    rules = {"limits": [{"max": 1, "per": "campaign"}], "overlaps_allowed": False}
    shut = {"opens": at(hours=-2), "closes": at(hours=-1)}
    told = []

    async def ask(member: str = "m1", unit: str = "", **changed: Any) -> None:
        await stand.publish(campaign(other, offering(pools=own) | changed, rules=rules))
        told.append((await stand.sign_up(member, key="k", unit=unit)).outcome)

    await stand.publish(campaign(other, offering(pools=own), rules=rules))
    assert (await stand.sign_up("m1", "paper", key="k")).outcome == "confirmed"
    assert (await stand.sign_up("m1", "nothing", key="k")).outcome == "not_found"
    await ask(**shut)
    rules_key_free = {"member": "m2"}
    await stand.sign_up("m2", "paper")
    await ask(**rules_key_free, **shut)
    await ask(**rules_key_free, opens=at(hours=1))
    await ask(**rules_key_free)
    await ask(**rules_key_free, unit="a")
    rules = {"limits": [], "overlaps_allowed": False}
    await ask(**rules_key_free, unit="a")
    rules = {"limits": [], "overlaps_allowed": True}
    await ask(**rules_key_free, unit="a")
    assert told == [
        "key_reused",
        "closed",
        "not_open",
        "not_eligible",
        "limit_reached",
        "overlap",
        "sold_out",
    ]


async def test_names_the_offering_that_overlaps(stand: Stand) -> None:
    await stand.publish(campaign(offering("a"), offering("b"), rules={"overlaps_allowed": False}))
    await stand.sign_up("m1", "a")
    refused = await stand.sign_up("m1", "b")
    assert (refused.outcome, refused.fact) == ("overlap", "a")


async def test_sessions_that_only_touch_do_not_overlap(stand: Stand) -> None:
    noon = at(days=10)
    before = [{"starts": at(days=9), "ends": noon}]
    after = [{"starts": noon, "ends": at(days=10, hours=1)}]
    await stand.publish(
        campaign(
            offering("a", sessions=before), offering("b", sessions=after), rules={"overlaps_allowed": False}
        )
    )
    await stand.sign_up("m1", "a")
    assert (await stand.sign_up("m1", "b")).outcome == "confirmed"


async def test_says_when_it_opens(stand: Stand) -> None:
    opens = "2100-01-01T08:00:00+08:00"
    later: dict[str, Any] = {"sessions": [{"starts": "2100-02-01T00:00:00Z", "ends": "2100-02-01T01:00:00Z"}]}
    await stand.publish(campaign(offering(opens=opens, closes="2100-01-02T00:00:00Z", **later)))
    refused = await stand.sign_up("m1")
    assert (refused.outcome, refused.fact) == ("not_open", 4_102_444_800_000)


async def test_limit_counts_only_its_kinds(stand: Stand) -> None:
    rules = {"limits": [{"max": 1, "per": "campaign", "kinds": ["pack"]}]}
    packs = [offering("p1", kind="pack"), offering("p2", kind="pack")]
    await stand.publish(campaign(*packs, offering("w1"), offering("w2"), rules=rules))
    asked = [await stand.sign_up("m1", name) for name in ("w1", "p1", "w2", "p2")]
    assert [each.outcome for each in asked] == ["confirmed", "confirmed", "confirmed", "limit_reached"]
    assert asked[-1].fact == "campaign"


async def test_limit_per_day_counts_the_local_day_of_sessions(stand: Stand) -> None:
    rules = {"limits": [{"max": 1, "per": "day"}]}

    def on(*starts: str) -> list[dict[str, str]]:
        return [{"starts": each, "ends": each.replace(":00:00+", ":30:00+")} for each in starts]

    # 23:00 and 01:00 of the next day in Beijing are one day in UTC.
    late, early = "2100-03-01T23:00:00+08:00", "2100-03-02T01:00:00+08:00"
    await stand.publish(
        campaign(
            offering("late", sessions=on(late)),
            offering("early", sessions=on(early)),
            offering("both", sessions=on("2100-03-05T09:00:00+08:00", early)),
            rules=rules,
        )
    )
    asked = [await stand.sign_up("m1", name) for name in ("late", "early", "both")]
    assert [(each.outcome, each.fact) for each in asked] == [
        ("confirmed", ""),
        ("confirmed", ""),
        ("limit_reached", "day"),
    ]


async def test_waiting_counts_for_limits(stand: Stand) -> None:
    waiting = offering("a", pools=[{"pool": "open", "capacity": 0}], waitlist={"size_max": 1})
    await stand.publish(campaign(waiting, offering("b"), rules={"limits": [{"max": 1, "per": "campaign"}]}))
    assert (await stand.sign_up("m1", "a")).outcome == "waitlisted"
    assert (await stand.sign_up("m1", "b")).outcome == "limit_reached"


async def test_waits_in_order_and_says_the_position(stand: Stand) -> None:
    await stand.publish(campaign(offering(waitlist={"size_max": 2})))
    asked = [await stand.sign_up(f"m{number}") for number in range(5)]
    assert [(each.outcome, each.position) for each in asked] == [
        ("confirmed", 0),
        ("confirmed", 0),
        ("waitlisted", 1),
        ("waitlisted", 2),
        ("sold_out", 0),
    ]


async def test_wanted_pool_is_the_only_one_that_will_do(stand: Stand) -> None:
    pools = [{"pool": "a", "capacity": 1}, {"pool": "b", "capacity": 1}]
    await stand.publish(campaign(offering(pools=pools)))
    first, second = [await stand.sign_up(member, wanted="b") for member in ("m1", "m2")]
    assert first.record is not None
    assert first.record.pool == "b"
    assert second.outcome == "sold_out"
    assert (await stand.sign_up("m2", wanted="c")).outcome == "not_found"


async def test_replay_gives_the_first_answer_whatever_came_later(stand: Stand) -> None:
    await stand.publish(campaign(offering(waitlist={"size_max": 5})))
    first = [await stand.sign_up(f"m{number}", key="k") for number in range(5)]
    assert [each.outcome for each in first] == ["confirmed"] * 2 + ["waitlisted"] * 3
    await stand.cancel(first[0].enrollment)
    await stand.cancel(first[3].enrollment)
    await stand.publish(campaign(offering(opens=at(hours=-3), closes=at(hours=-2), waitlist={"size_max": 5})))
    again = [await stand.sign_up(f"m{number}", key="k") for number in range(5)]
    for before, after in zip(first, again, strict=True):
        assert before.record is not None
        assert after.record is not None
        seen = [field for field in before.record.__struct_fields__ if field != "queues"]
        assert [getattr(before.record, f) for f in seen] == [getattr(after.record, f) for f in seen]
        assert (before.outcome, before.position, before.enrollment) == (
            after.outcome,
            after.position,
            after.enrollment,
        )


async def test_each_key_of_a_member_has_its_own_answer(stand: Stand) -> None:
    await stand.publish(campaign(offering("a"), offering("b")))
    asked = [("a", "k1"), ("b", "k2"), ("a", "k3")]
    first = []
    for name, key in asked:
        first.append(await stand.sign_up("m1", name, key=key))
        if key == "k1":
            await stand.cancel(first[0].enrollment)
    again = [await stand.sign_up("m1", name, key=key) for name, key in asked]
    assert [each.outcome for each in again] == ["confirmed"] * 3
    assert [each.record for each in again] == [each.record for each in first]
    assert len({each.enrollment for each in again}) == 3


async def test_replay_of_what_lapses_in_the_same_call(stand: Stand) -> None:
    await stand.publish(campaign(offering(hold_ttl_s=1)))
    first = await stand.sign_up("m1", key="k")
    assert first.record is not None
    await asyncio.sleep(first.record.expires_at / 1000 - stand.runtime.clock.now_ms() / 1000 + 0.002)
    again = await stand.sign_up("m1", key="k")
    assert (again.outcome, again.record) == ("held", first.record)
    assert await stand.told() == [("enrolled", "held"), ("lapsed", "lapsed")]


async def test_replay_at_the_same_moment_is_one_sign_up(stand: Stand) -> None:
    await stand.publish(campaign())
    same = await asyncio.gather(*(stand.sign_up("m1", key="k") for _ in range(50)))
    assert len({each.enrollment for each in same}) == 1
    assert await stand.told() == [("enrolled", "confirmed")]


async def test_key_covers_offering_and_pool(stand: Stand) -> None:
    await stand.publish(campaign(offering("a"), offering("b")))
    assert (await stand.sign_up("m1", "a", key="k")).outcome == "confirmed"
    assert (await stand.sign_up("m1", "b", key="k")).outcome == "key_reused"
    assert (await stand.sign_up("m1", "a", key="k", wanted="open")).outcome == "key_reused"
    assert (await stand.sign_up("m2", "b", key="k")).outcome == "confirmed"


async def test_refusal_is_decided_anew(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 1}])))
    first = await stand.sign_up("m1")
    assert (await stand.sign_up("m2", key="k")).outcome == "sold_out"
    await stand.cancel(first.enrollment)
    assert (await stand.sign_up("m2", key="k")).outcome == "confirmed"


async def test_already_in_shows_the_current_state_until_cancelled(stand: Stand) -> None:
    await stand.publish(campaign())
    first = await stand.sign_up("m1", key="k1")
    for key in ("", "k2"):
        again = await stand.sign_up("m1", key=key)
        assert (again.outcome, again.record) == ("already_in", first.record)
    await stand.cancel(first.enrollment)
    anew = await stand.sign_up("m1", key="k2")
    assert anew.outcome == "confirmed"
    assert anew.enrollment != first.enrollment


async def test_released_pool_is_open_to_those_eligible_for_another(stand: Stand) -> None:
    pools = [
        {"pool": "own", "capacity": 1, "eligible": {"units": ["a"]}, "releases": at(minutes=-1)},
        {"pool": "other", "capacity": 0, "eligible": {"units": ["b"]}},
    ]
    await stand.publish(campaign(offering(pools=pools)))
    assert (await stand.sign_up("m1", unit="c")).outcome == "not_eligible"
    given = await stand.sign_up("m2", unit="b")
    assert given.record is not None
    assert (given.record.pool, given.record.seat) == ("own", 1)


async def test_seq_has_no_gaps_and_each_event_says_who_did_it(stand: Stand) -> None:
    await stand.publish(campaign(offering(waitlist={"size_max": 5})))
    asked = await asyncio.gather(*(stand.sign_up(f"m{number}", key=f"k{number}") for number in range(8)))
    log = await stand.log()
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    enrolled = {event.header.enrollment: event for event in log if event.header.type == "enrolled"}
    for each in asked:
        if each.record is not None:
            event = enrolled[each.enrollment]
            assert event.record == each.record
            assert event.header.actor == each.record.member
            assert event.header.key == each.record.member.replace("m", "k")
            assert event.header.position == each.position


async def test_campaign_that_is_not_there(stand: Stand) -> None:
    person = Person("m1")
    assert (await stand.decisions.sign_up("nothing", "soap", person, "", "", "http")).outcome == "not_found"


async def test_lost_state_is_never_made_anew(stand: Stand) -> None:
    await stand.publish(campaign())
    await stand.administrator.flushall()
    assert (await stand.sign_up("m1")).outcome == "not_ready"
    assert await stand.try_publish(campaign()) == "not_ready"
    assert (await stand.decisions.find(CAMPAIGN, "x" * 16)).outcome == "not_ready"


async def test_script_that_the_server_has_forgotten_is_loaded_again(stand: Stand) -> None:
    await stand.publish(campaign())
    await stand.administrator.script_flush()
    assert (await stand.sign_up("m1")).outcome == "confirmed"


async def test_stale_definition_is_read_again_unseen(stand: Stand, redis_url: str) -> None:
    await stand.publish(campaign())
    known = stand.runtime.catalog.get(CAMPAIGN)
    assert known is not None
    await stand.publish(campaign(offering(title={"zh": "新", "en": "New"})))
    stand.runtime.catalog._definitions[CAMPAIGN] = known
    assert (await stand.sign_up("m1")).outcome == "confirmed"
    newest = stand.runtime.catalog.get(CAMPAIGN)
    assert newest is not None
    assert newest.version == 2


async def test_a_rush_shares_its_calls(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 1_000}])))
    client = stand.administrator
    await client.config_resetstat()
    asked = await asyncio.gather(*(stand.sign_up(f"m{number}") for number in range(1_000)))
    assert {each.outcome for each in asked} == {"confirmed"}
    calls = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert calls <= 1_000 / 64 + 2
