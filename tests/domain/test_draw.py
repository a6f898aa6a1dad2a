"""The draw against an oracle that follows the words, and every way in which a published one can be wrong."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain import draw, lottery, shapes, strict_json
from engine.domain.campaign import Limit
from engine.domain.draw import Draw, DrawnOffering, DrawnPool, Entry, Mismatch, Result, Wish

SEED: Final = bytes(range(32))
COMMITMENT: Final = lottery.commitment(SEED, 1)
PAGE: Final = (Path(__file__).parents[2] / "docs" / "draws.md").read_text()


def named(number: int) -> str:
    return lottery.pseudonym("autumn", COMMITMENT, f"m-{number}")


def offering(name: str, free: int, waitlist: int = 0, **changed: Any) -> DrawnOffering:
    fields: dict[str, Any] = {
        "offering": name,
        "kind": "workshop",
        "days": [1],
        "overlaps": [],
        "waitlist": waitlist,
        "pools": [DrawnPool("open", free)],
    }
    return DrawnOffering(**fields | changed)


def entry(number: int, *wishes: str, holds: Sequence[str] = (), pools: Sequence[str] = ("open",)) -> Entry:
    return Entry(named(number), 1000, list(holds), [Wish(wish, list(pools)) for wish in wishes])


def drawn(entries: Sequence[Entry]) -> list[str]:
    """The members in the order of the lottery."""
    return lottery.order(SEED, {each.member: each.weight for each in entries})


# Single rules


def test_everybody_gets_a_first_seat_before_anybody_a_second() -> None:
    entries = [entry(number, "a", "b") for number in range(4)]
    first, second, third, fourth = drawn(entries)
    assert draw.decide(SEED, [], [offering("a", 3), offering("b", 2, waitlist=1)], entries) == [
        Result(first, "a", "confirmed", "open"),
        Result(second, "a", "confirmed", "open"),
        Result(third, "a", "confirmed", "open"),
        Result(fourth, "b", "confirmed", "open"),
        Result(first, "b", "confirmed", "open"),
        Result(second, "b", "waitlisted", ""),
        Result(third, "b", "not_drawn", ""),
        Result(fourth, "a", "not_drawn", ""),
    ]


def test_pools_are_tried_in_the_order_of_the_entry() -> None:
    entries = [entry(number, "a", pools=["own", "open"]) for number in range(3)]
    pools = [DrawnPool("own", 1), DrawnPool("open", 1), DrawnPool("other", 1)]
    results = draw.decide(SEED, [], [offering("a", 0, pools=pools)], entries)
    assert [result.pool for result in results] == ["own", "open", ""]


@pytest.mark.parametrize(
    ("limits", "changed", "holds", "got"),
    [
        ([], {}, [], "ab"),
        ([], {}, ["a"], "b"),
        ([Limit(1, "campaign")], {}, [], "a"),
        ([Limit(1, "campaign")], {}, ["c"], ""),
        ([Limit(2, "campaign")], {}, ["c"], "a"),
        ([Limit(1, "campaign", ["workshop"])], {}, ["c"], "a"),
        ([Limit(1, "campaign", ["course"])], {}, ["c"], "ab"),
        ([Limit(1, "day")], {}, [], "a"),
        ([Limit(1, "day")], {"days": [2]}, [], "ab"),
        ([Limit(1, "day")], {"days": [2]}, ["c"], "a"),
        ([Limit(1, "day", ["workshop"])], {"days": [2]}, ["c"], "ab"),
        ([Limit(2, "day"), Limit(2, "campaign")], {"days": [2, 3]}, ["c"], "a"),
        ([], {"overlaps": ["a"]}, [], "a"),
        ([], {"overlaps": ["c"]}, ["c"], "a"),
    ],
)
@pytest.mark.parametrize(("free", "waitlist", "status"), [(9, 0, "confirmed"), (0, 9, "waitlisted")])
def test_limits_and_overlaps_hold_for_seats_and_waiting_places(
    limits: list[Limit],
    changed: dict[str, Any],
    holds: list[str],
    got: str,
    free: int,
    waitlist: int,
    status: str,
) -> None:
    offerings = [
        offering("a", free, waitlist),
        offering("b", free, waitlist, **changed),
        offering("c", 0, kind="course", days=[2], pools=[]),
    ]
    results = draw.decide(SEED, limits, offerings, [entry(1, "a", "b", holds=holds)])
    assert "".join(result.offering for result in results if result.status == status) == got
    assert Counter(result.offering for result in results) == {"a": 1, "b": 1}


def test_a_waiting_place_goes_to_nobody_to_whom_no_seat_may_come() -> None:
    results = draw.decide(SEED, [], [offering("a", 1, waitlist=1)], [entry(1, "a", pools=[])])
    assert [result.status for result in results] == ["not_drawn"]


def test_a_draw_without_entries() -> None:
    held = draw.conduct("autumn", 1, SEED, [], [offering("a", 1)], [])
    assert (held.results, draw.verify(held)) == ([], [])


# Any small draw

DAYS: Final = st.lists(st.integers(1, 3), min_size=1, max_size=2, unique=True)
KINDS: Final = st.sampled_from(["workshop", "course"])


class Case(msgspec.Struct, frozen=True):
    limits: list[Limit]
    offerings: list[DrawnOffering]
    entries: list[Entry]


@st.composite
def cases(choose: st.DrawFn) -> Case:
    names = ["a", "b", "c", "d"][: choose(st.integers(1, 4))]
    pairs = choose(st.sets(st.sampled_from(list(itertools.product(names, names))), max_size=3))
    crossing = {one: {b for a, b in (*pairs, *((b, a) for a, b in pairs)) if a == one != b} for one in names}
    offerings = [
        offering(
            name,
            0,
            waitlist=choose(st.integers(0, 2)),
            kind=choose(KINDS),
            days=choose(DAYS),
            overlaps=sorted(crossing[name]),
            pools=[DrawnPool(pool, choose(st.integers(0, 2))) for pool in ("own", "open")],
        )
        for name in names
    ]
    limits = st.builds(
        Limit,
        max=st.integers(1, 2),
        per=st.sampled_from(["campaign", "day"]),
        kinds=st.none() | st.lists(KINDS, min_size=1, max_size=1),
    )
    entries = []
    for number in range(choose(st.integers(1, 6))):
        ranked = choose(st.permutations(names))
        cut = choose(st.integers(1, len(names)))
        pools = st.sampled_from([["own", "open"], ["own"], ["open"]])
        wishes = [Wish(name, choose(pools)) for name in ranked[:cut]]
        holds = [name for name in ranked[cut:] if choose(st.booleans())]
        weight = choose(st.sampled_from([500, 1000, 3000]))
        entries.append(Entry(named(number), weight, holds, wishes))
    return Case(choose(st.lists(limits, max_size=2)), offerings, entries)


def breaks_a_rule(case: Case, having: Sequence[str]) -> bool:
    """Whether one who is in these offerings has more than a limit allows, or two that overlap."""
    by_name = {each.offering: each for each in case.offerings}
    if any(two in by_name[one].overlaps for one, two in itertools.permutations(having, 2)):
        return True
    for limit in case.limits:
        counting = [
            by_name[name] for name in having if by_name[name].kind in (limit.kinds or ["workshop", "course"])
        ]
        days = Counter(day for each in counting for day in each.days)
        if max([len(counting)] if limit.per == "campaign" else days.values(), default=0) > limit.max:
            return True
    return False


def relevant(case: Case, having: Sequence[str], wanted: str) -> Case:
    """The case with only what concerns one more offering: what was broken before stays as it was."""
    by_name = {each.offering: each for each in case.offerings}
    kind, days = by_name[wanted].kind, by_name[wanted].days
    limits = [limit for limit in case.limits if limit.kinds is None or kind in limit.kinds]
    offerings = [
        msgspec.structs.replace(
            each,
            days=[day for day in each.days if day in days],
            overlaps=[name for name in each.overlaps if wanted in (name, each.offering)],
        )
        for each in case.offerings
    ]
    return Case(limits, offerings, case.entries)


def by_the_words(case: Case) -> list[Result]:
    """The decision as docs/draws.md tells it, with no thought of time: each round looks at every wish anew."""
    entries = {each.member: each for each in case.entries}
    order = lottery.order(SEED, {each.member: each.weight for each in case.entries})
    free = {(each.offering, pool.pool): pool.free for each in case.offerings for pool in each.pools}
    places = {each.offering: each.waitlist for each in case.offerings}
    results: list[Result] = []

    def chance(member: str, wish: Wish, status: str) -> Result | None:
        got = [result.offering for result in results if result.member == member]
        having = [*entries[member].holds, *got]
        if wish.offering in having:
            return None
        if breaks_a_rule(relevant(case, having, wish.offering), [*having, wish.offering]):
            return None
        if status == "waitlisted":
            taken = sum((each.offering, each.status) == (wish.offering, status) for each in results)
            return Result(member, wish.offering, "waitlisted", "") if taken < places[wish.offering] else None
        for pool in wish.pools:
            taken = sum((each.offering, each.pool) == (wish.offering, pool) for each in results)
            if taken < free[wish.offering, pool]:
                return Result(member, wish.offering, "confirmed", pool)
        return None

    for status in ("confirmed", "waitlisted"):
        before = -1
        while before < len(results):
            before = len(results)
            for member in order:
                chances = (chance(member, wish, status) for wish in entries[member].wishes)
                results += [result for result in chances if result][:1]
    decided = {(result.member, result.offering) for result in results}
    return results + [
        Result(member, wish.offering, "not_drawn", "")
        for member in order
        for wish in entries[member].wishes
        if (member, wish.offering) not in decided
    ]


@settings(deadline=None, max_examples=300)
@given(cases())
def test_any_draw_is_decided_as_the_words_say(case: Case) -> None:
    assert draw.decide(SEED, case.limits, case.offerings, case.entries) == by_the_words(case)


@settings(deadline=None, max_examples=300)
@given(cases())
def test_no_draw_breaks_a_rule(case: Case) -> None:
    results = draw.decide(SEED, case.limits, case.offerings, case.entries)
    wishes = Counter((each.member, wish.offering) for each in case.entries for wish in each.wishes)
    assert Counter((result.member, result.offering) for result in results) == wishes
    given_out = Counter((result.offering, result.pool or result.status) for result in results)
    for each in case.offerings:
        assert given_out[each.offering, "waitlisted"] <= each.waitlist
        assert all(given_out[each.offering, pool.pool] <= pool.free for pool in each.pools)
    for member in case.entries:
        allowed = {wish.offering: ["", *wish.pools] for wish in member.wishes}
        own = [result for result in results if result.member == member.member]
        assert all(result.pool in allowed[result.offering] for result in own)
        having = [*member.holds, *(result.offering for result in own if result.status != "not_drawn")]
        assert breaks_a_rule(case, member.holds) or not breaks_a_rule(case, having)


@settings(deadline=None)
@given(cases())
def test_seats_and_places_go_round_by_round_in_the_order_of_the_lottery(case: Case) -> None:
    place = {member: index for index, member in enumerate(drawn(case.entries))}
    results = draw.decide(SEED, case.limits, case.offerings, case.entries)
    statuses = [result.status for result in results]
    assert statuses == sorted(statuses, key=["confirmed", "waitlisted", "not_drawn"].index)
    for status in ("confirmed", "waitlisted"):
        had = Counter[str]()
        turns = []
        for result in results:
            if result.status == status:
                had[result.member] += 1
                turns.append((had[result.member], place[result.member]))
        assert turns == sorted(turns)


@settings(deadline=None)
@given(cases())
def test_what_is_published_can_be_read_and_verified(case: Case) -> None:
    held = draw.conduct("autumn", 1, SEED, case.limits, case.offerings, list(reversed(case.entries)))
    assert draw.verify(held) == []
    assert shapes.convert(Draw, strict_json.loads(msgspec.json.encode(held))) == held


# What can be wrong with a published draw


def published() -> Any:
    """A right one, as raw data to spoil: eight members, three offerings, one of them outside the draw.

    The first two hold what is outside.
    """
    entries = [entry(number, "a", "b") for number in range(6)]
    entries += [entry(6, "b"), entry(7, "b", "a")]
    first = drawn(entries)[:2]
    entries = [
        msgspec.structs.replace(each, holds=["c"]) if each.member in first else each for each in entries
    ]
    outside = offering("c", 0, pools=[])
    offerings = [offering("a", 2, waitlist=1), offering("b", 2), outside]
    return msgspec.to_builtins(draw.conduct("autumn", 1, SEED, [Limit(1, "campaign")], offerings, entries))


def redigested(raw: Any) -> None:
    """As one who changes entries would do."""
    raw["entries_digest"] = draw.entries_digest(msgspec.convert(raw["entries"], list[Entry]))


def verified(raw: Any) -> list[str]:
    return [mismatch.code for mismatch in draw.verify(msgspec.convert(raw, Draw))]


def add_an_entry(raw: Any) -> None:
    raw["entries"].append(msgspec.to_builtins(entry(99, "a")))
    raw["entries"].sort(key=lambda each: each["member"])


def remove_an_entry(raw: Any) -> None:
    del raw["entries"][3]


def change_wishes(raw: Any) -> None:
    by_member = {each["member"]: each for each in raw["entries"]}
    by_member[raw["results"][0]["member"]]["wishes"].reverse()


def change_holds(raw: Any) -> None:
    by_member = {each["member"]: each for each in raw["entries"]}
    by_member[raw["results"][0]["member"]]["holds"] = ["c"]


def change_a_weight(raw: Any) -> None:
    by_member = {each["member"]: each for each in raw["entries"]}
    by_member[raw["results"][-1]["member"]]["weight"] = 1_000_000


def change_a_member(raw: Any) -> None:
    raw["entries"][0]["member"] = "0" * 32


@pytest.mark.parametrize(
    "change",
    [add_an_entry, remove_an_entry, change_wishes, change_holds, change_a_weight, change_a_member],
)
def test_other_entries_are_found(change: Callable[[Any], None]) -> None:
    raw = published()
    assert verified(raw) == []
    change(raw)
    assert verified(raw) == ["entries_digest", "results"]
    redigested(raw)
    assert verified(raw) == ["results"]


@pytest.mark.parametrize(
    ("field", "value", "codes"),
    [
        ("commitment", "0" * 64, ["commitment"]),
        ("number", 2, ["commitment"]),
        ("entries_digest", "0" * 64, ["entries_digest"]),
        ("seed", bytes(32).hex(), ["commitment", "results"]),
        ("limits", [], ["results"]),
        ("results", [], ["results"]),
    ],
)
def test_another_value_of_a_field_is_found(field: str, value: object, codes: list[str]) -> None:
    raw = published()
    raw[field] = value
    assert verified(raw) == codes


def test_another_seed_with_all_that_follows_from_it_is_found_by_the_commitment_alone() -> None:
    """Therefore one must know the commitment from before."""
    raw = published()
    other = msgspec.convert(raw, Draw)
    other = draw.conduct("autumn", 1, bytes(32), other.limits, other.offerings, other.entries)
    assert draw.verify(other) == []
    assert other.commitment != raw["commitment"]


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 4), (-2, -1)])
def test_two_results_that_changed_places_are_found(first: int, second: int) -> None:
    raw = published()
    results = raw["results"]
    results[first], results[second] = results[second], results[first]
    assert verified(raw) == ["results"]


@pytest.mark.parametrize("field", ["free", "waitlist", "days", "overlaps", "kind"])
def test_other_offerings_are_found(field: str) -> None:
    raw = published()
    raw["limits"] = [{"max": 1, "per": "day", "kinds": ["workshop"]}]
    draw_of = msgspec.convert(raw, Draw)
    raw = msgspec.to_builtins(
        draw.conduct("autumn", 1, SEED, draw_of.limits, draw_of.offerings, draw_of.entries)
    )
    a, _, c = raw["offerings"]
    match field:
        case "free":
            a["pools"][0]["free"] = 1
        case "waitlist":
            a["waitlist"] = 0
        case "days":
            c["days"] = [7]
        case "overlaps":
            c["days"] = a["days"] = [9]
            a["overlaps"] = ["b"]
        case "kind":
            c["kind"] = "course"
    assert verified(raw) == ["results"]


def test_the_facts_of_results_that_differ() -> None:
    raw = published()
    removed = raw["results"].pop()
    line = f"{removed['member']} {removed['offering']} {removed['status']}"
    assert draw.verify(msgspec.convert(raw, Draw)) == [
        Mismatch("results", {"count": 1, "place": len(raw["results"]) + 1, "expected": line, "given": "-"})
    ]


def test_entries_out_of_order_are_found() -> None:
    raw = published()
    raw["entries"][2:4] = reversed(raw["entries"][2:4])
    assert verified(raw) == ["entries_unsorted"]


def twice(entries: list[Any]) -> None:
    entries.insert(1, entries[0])


@pytest.mark.parametrize(
    ("spoil", "mismatch"),
    [
        (lambda raw: twice(raw["entries"]), Mismatch("member_twice", {"member": min(map(named, range(8)))})),
        (lambda raw: twice(raw["offerings"]), Mismatch("offering_twice", {"offering": "a"})),
        (lambda raw: twice(raw["offerings"][0]["pools"]), Mismatch("pool_twice", {"offering": "a", "pool": "open"})),
        (lambda raw: raw["offerings"].pop(), Mismatch("unknown_offering", {"member": "", "offering": "c"})),
        (lambda raw: raw["offerings"].pop(1), Mismatch("unknown_offering", {"member": "", "offering": "b"})),
        (
            lambda raw: raw["offerings"][1]["pools"].clear(),
            Mismatch("unknown_pool", {"member": "", "offering": "b", "pool": "open"}),
        ),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_or_in_none_is_named(
    spoil: Callable[[Any], None], mismatch: Mismatch
) -> None:
    raw = published()
    spoil(raw)
    redigested(raw)
    found = draw.verify(msgspec.convert(raw, Draw))
    assert {each.code for each in found} == {mismatch.code}
    assert {**found[0].facts, "member": ""} == {**mismatch.facts, "member": ""}


def test_a_wish_that_is_there_twice_is_named() -> None:
    raw = published()
    twice(raw["entries"][0]["wishes"])
    redigested(raw)
    member, name = raw["entries"][0]["member"], raw["entries"][0]["wishes"][0]["offering"]
    assert draw.verify(msgspec.convert(raw, Draw)) == [
        Mismatch("wish_twice", {"member": member, "offering": name})
    ]


# The example of docs/draws.md


def example() -> Draw:
    (block,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    held = shapes.convert(Draw, strict_json.loads(block.encode()))
    assert isinstance(held, Draw), held
    return held


def test_the_example_of_the_page_is_right() -> None:
    held = example()
    assert draw.verify(held) == []
    assert bytes.fromhex(held.seed) == SEED
    remade = draw.conduct(held.campaign, held.number, SEED, held.limits, held.offerings, held.entries)
    assert msgspec.json.encode(remade) == msgspec.json.encode(held)


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    held = example()
    weights = {each.member: each.weight for each in held.entries}
    names = {
        lottery.pseudonym(held.campaign, held.commitment, f"m-{n}"): f"m-{n}" for n in (1001, 1002, 1003)
    }
    rows = []
    for place, member in enumerate(lottery.order(SEED, weights), 1):
        number = lottery.number(SEED, member)
        key = lottery.key(number, weights[member])
        rows.append(
            f"| {place} | `{names[member]}` | `{member}` | `{number - 1:032x}` | {weights[member]} | {key} |"
        )
    assert "\n".join(rows) in PAGE
    assert msgspec.json.encode(held.entries).decode() in PAGE
