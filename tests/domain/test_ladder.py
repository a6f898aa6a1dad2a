"""Results and who goes on: every bad row named, ranking by the rule, quotas kept whatever the results are."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain import ladder
from engine.domain.campaign import Medals, Offering, ResultsRule, Tie
from engine.domain.faults import Fault, Found, fault
from engine.domain.ladder import Advance, Cut, Entry, Line, Mark, Row, Seat
from tests import ladders
from tests.stand import campaign

RULE = ResultsRule("highest", [Tie("time", "lowest")])


def table(*rows: list[str | Fault]) -> list[Row]:
    return [Row(number, cells) for number, cells in enumerate(rows, start=1)]


def read(*rows: list[str | Fault]) -> tuple[list[Mark], list[tuple[str, str]]]:
    """The marks and the faults, as path and code."""
    found = Found()
    marks = ladder.read(RULE, table(*rows), found)
    return marks, [(each.path, each.code) for each in found.faults()]


HEADER: list[str | Fault] = ["member", "score", "time"]


# Reading


def test_columns_come_in_any_order_and_blank_rows_count() -> None:
    marks, found = read(
        ["", ""], [" time ", "member", "score", ""], [], ["1.50", "m1", "-07"], ["", " "], ["2", "m2", "+3"]
    )
    assert found == []
    assert marks == [Mark(4, "m1", [-7.0, 1.5]), Mark(6, "m2", [3.0, 2.0])]


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        ([], [("", "no_rows")]),
        ([HEADER], [("", "no_rows")]),
        ([HEADER, ["", "", ""]], [("", "no_rows")]),
        ([["member", "score"], ["m1", "1"]], [("/1/time", "missing")]),
        ([["member", "score", "time", "name"], ["m1", "1", "1", "x"]], [("/1/4", "unknown_field")]),
        ([["member", "score", "time", "score"], ["m1", "1", "1", "2"]], [("/1/score", "duplicate_key")]),
        ([["member", "score", "time", fault("formula")], ["m1", "1", "1"]], [("/1/4", "formula")]),
        ([HEADER, ["m1", "1", "1", "x"]], [("/2/4", "no_header")]),
        ([HEADER, ["m1", "1", "1", fault("formula")]], [("/2/4", "no_header")]),
        ([HEADER, ["", "1", "1"]], [("/2/member", "missing")]),
        ([HEADER, ["m 1", "1", "1"]], [("/2/member", "not_a_member_id")]),
        ([HEADER, ["m" * 65, "1", "1"]], [("/2/member", "not_a_member_id")]),
        ([HEADER, ["职工", "1", "1"]], [("/2/member", "not_a_member_id")]),
        ([HEADER, [fault("formula"), "1", "1"]], [("/2/member", "formula")]),
        ([HEADER, ["m1", "1", "1"], ["m2", "1", "1"], ["m1", "2", "1"]], [("/4/member", "duplicate")]),
        ([HEADER, ["m1"]], [("/2/score", "missing"), ("/2/time", "missing")]),
        ([HEADER, ["m1", "1e3", "12:30"]], [("/2/score", "not_a_number"), ("/2/time", "not_a_number")]),
        ([HEADER, ["m1", "1,5", "1."]], [("/2/score", "not_a_number"), ("/2/time", "not_a_number")]),
        ([HEADER, ["m1", "nan", "-Infinity"]], [("/2/score", "not_finite"), ("/2/time", "not_finite")]),
        ([HEADER, ["m1", "+inf", "NAN"]], [("/2/score", "not_finite"), ("/2/time", "not_finite")]),
        ([HEADER, ["m1", "٣", fault("formula")]], [("/2/score", "not_a_number"), ("/2/time", "formula")]),
        ([HEADER, ["m1", "1234567890123456", "0.12345678901234567"]],
         [("/2/score", "number_too_long"), ("/2/time", "number_too_long")]),
    ],
)  # fmt: skip
def test_every_bad_row_is_named(rows: list[list[str | Fault]], faults: list[tuple[str, str]]) -> None:
    assert read(*rows)[1] == faults


def test_zeros_are_no_digits() -> None:
    (mark,), found = read(HEADER, ["m1", "0000000123456789012345", "0.100000000000000000"])
    assert (mark.values, found) == ([123456789012345.0, 0.1], [])


def test_too_many_rows() -> None:
    rows = [[f"m{number}", "1", "1"] for number in range(ladder.ROWS_MAX + 1)]
    assert len(read(HEADER, *rows[:-1])[0]) == ladder.ROWS_MAX  # type: ignore[arg-type]
    assert read(HEADER, *rows) == ([], [("", "too_many")])  # type: ignore[arg-type]


def test_who_has_no_seat_is_named() -> None:
    found = Found()
    marks = [Mark(2, "m1", [1.0]), Mark(9, "m2", [2.0])]
    assert ladder.seated(marks, {"m1": Seat("e1", "a")}, found) == [Entry("m1", "e1", "a", [1.0])]
    assert found.faults() == [Fault("/9/member", "no_seat")]


# Ranking


def entry(member: str, *values: float, pool: str = "a") -> Entry:
    return Entry(member, f"e-{member}", pool, list(values))


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        (ResultsRule("highest", [Tie("time", "lowest")]), "badc"),
        (ResultsRule("highest", [Tie("time", "highest")]), "abdc"),
        (ResultsRule("lowest", [Tie("time", "lowest")]), "cdba"),
    ],
)
def test_the_rule_decides(rule: ResultsRule, order: str) -> None:
    entries = [entry("a", 9, 3), entry("b", 9, 2), entry("c", 7, 1), entry("d", 8, 1)]
    ranking = ladder.rank(rule, entries)
    assert "".join(line.member for line in ranking) == order
    assert [line.place for line in ranking] == [1, 2, 3, 4]
    assert not any(line.by_lot for line in ranking)


def test_places_in_a_pool_follow_those_in_all() -> None:
    entries = [entry("a", 3), entry("b", 2, pool="b"), entry("c", 1), entry("d", 0, pool="b")]
    ranking = ladder.rank(ResultsRule(), entries)
    assert [(line.pool, line.pool_place) for line in ranking] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_lots_as_the_documentation_has_them() -> None:
    """Anybody can repeat them: docs/ladder.md has this example."""
    lots = ladder.draw_lots(["k3J9-Zq0aB7_xYt2", "Ab3dEf6hIj9lMn2p"])
    assert lots == {
        "Ab3dEf6hIj9lMn2p": "acfa7a90115434b8098d080ea7ffab6e03bcfcf147726b0922f9a8f4c1cac1aa",
        "k3J9-Zq0aB7_xYt2": "d3e433bda9fdd2730d8794b7ff473414f786501951a56a3f248684f1c9c8a51f",
    }


def test_lots_do_not_follow_the_rows_and_are_told() -> None:
    entries = [entry(str(number), 5, 5) for number in range(9)] + [entry("first", 6, 0)]
    ranking = ladder.rank(RULE, entries)
    assert ladder.rank(RULE, entries[::-1]) == ranking
    assert [line.by_lot for line in ranking] == [False] + [True] * 9
    assert [line.member for line in ranking[1:]] != [str(number) for number in range(9)]
    # Another in the lot changes all of it, so that no id is good or bad by itself.
    more = ladder.rank(RULE, [*entries, entry("9", 5, 5)])
    assert [line.member for line in more if line.member != "9"] != [line.member for line in ranking]


# Going on


def rounds(
    crews: int = 2, best: int = 2, substitutes: int = 1, capacity: int | None = None
) -> list[Offering]:
    units = [f"xicheng.red.c{crew}" for crew in range(crews)]
    policy = {"name": "advancement", "from": "heats", "best": best, "substitutes": substitutes}
    final = ladders.following(
        policy=policy,
        pools=[{"pool": "all", "capacity": crews * best if capacity is None else capacity}],
        waitlist={"size_max": crews * substitutes},
    )
    return list(campaign(ladders.heats(pools=ladders.pools(units, 50)), final).offerings)


def ranking(*pools: str) -> list[Line]:
    """A ranking whose places are of these pools in turn."""
    places = Counter[str]()
    lines = []
    for place, pool in enumerate(pools, start=1):
        places[pool] += 1
        lines.append(Line(place, f"m{place}", f"e{place}", pool, places[pool], False, [float(-place)]))
    return lines


@pytest.mark.parametrize(
    ("pools", "seats", "substitutes"),
    [
        (["c0", "c0", "c0", "c1", "c1", "c1"], [1, 2, 4, 5], [3, 6]),
        (["c0", "c0", "c0", "c0"], [1, 2, 3], []),  # What c1 leaves goes to the substitute, and no further.
        (["c0", "c0", "c0", "c1"], [1, 2, 3, 4], []),
        (["c1", "c0", "c0", "c0", "c0", "c1", "c1"], [1, 2, 3, 6], [4, 7]),
        ([], [], []),
    ],
)
def test_the_best_of_each_pool_go_on(pools: list[str], seats: list[int], substitutes: list[int]) -> None:
    before, following = rounds()
    going = ladder.advance(ranking(*pools), before, following)
    assert going == [Advance(place, "seat", "all") for place in seats] + [
        Advance(place, "substitute", "all") for place in substitutes
    ]


def test_a_pool_with_more_seats_takes_substitutes_by_place() -> None:
    before, following = rounds(capacity=5)
    going = ladder.advance(ranking("c0", "c1", "c1", "c1", "c0", "c0"), before, following)
    assert [(each.place, each.going) for each in going] == [
        *((place, "seat") for place in (1, 2, 3, 4, 5)),
        (6, "substitute"),
    ]


def test_who_is_not_in_any_more_is_passed_over() -> None:
    before, following = rounds()
    lines = ranking("c0", "c0", "c0", "c0", "c0", "c1", "c1")
    seats = {line.member: Seat(line.enrollment, line.pool) for line in lines if line.place != 1}
    seats["m3"] = Seat("signed-up-anew", "c0")
    still_in = ladder.still_in(lines, seats)
    assert [line.place for line in still_in] == [2, 4, 5, 6, 7]
    going = ladder.advance(still_in, before, following)
    assert [(each.place, each.going) for each in going] == [
        *((place, "seat") for place in (2, 4, 6, 7)),
        (5, "substitute"),
    ]
    assert ladder.cuts(lines, going)["c0"] == Cut(2, 1, 4, [-4.0])


def test_who_was_in_a_pool_that_is_gone_stays() -> None:
    before, following = rounds()
    assert ladder.advance(ranking("gone"), before, following) == []


def test_how_far_the_seats_went() -> None:
    before, following = rounds()
    lines = ranking("c0", "c0", "c0", "c1")
    going = ladder.advance(lines[:3], before, following)
    assert ladder.cuts(lines, going) == {"c0": Cut(3, 0, 3, [-3.0]), "c1": Cut(0, 0, 0, [])}
    going = ladder.advance(ranking("c0", "c0", "c0", "c1", "c1"), before, following)
    assert ladder.cuts(lines, going)["c0"] == Cut(2, 1, 2, [-2.0])


@given(st.data())
def test_quotas_hold_whatever_the_results_are(data: st.DataObject) -> None:
    crews, best, substitutes = (data.draw(st.integers(1, 4)) for _ in range(3))
    before, following = rounds(crews, best, substitutes)
    pools = data.draw(st.lists(st.sampled_from([f"c{crew}" for crew in range(crews)]), max_size=40))
    lines = ranking(*pools)
    going = ladder.advance(lines, before, following)
    seated = [lines[each.place - 1] for each in going if each.going == "seat"]
    waiting = [lines[each.place - 1] for each in going if each.going == "substitute"]
    assert len({each.place for each in going}) == len(going)
    assert len(seated) <= crews * best
    for pool, number in Counter(pools).items():
        mine = [line.pool_place for line in seated if line.pool == pool]
        assert set(range(1, min(best, number) + 1)) <= set(mine)
        assert len([line for line in (*seated, *waiting) if line.pool == pool]) == min(
            number, best + substitutes
        )
    if waiting:
        assert len(seated) == crews * best
        extra = [line.place for line in seated if line.pool_place > best]
        assert max(extra, default=0) < waiting[0].place
    assert [line.place for line in waiting] == sorted(line.place for line in waiting)


def test_medals_go_by_place() -> None:
    lines = ranking("a", "a", "a")
    assert [(medal, line.place) for medal, line in ladder.nominate(Medals(1, 0, 5), lines)] == [
        ("gold", 1),
        ("bronze", 2),
        ("bronze", 3),
    ]


def test_the_next_round() -> None:
    before, following = rounds()
    assert ladder.next_round([before, following], "heats") is following
    assert ladder.next_round([before, following], "final") is None
