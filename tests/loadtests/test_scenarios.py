"""The large scenarios of the benchmark, each small: every invariant holds, and a judge that can say no."""

import pytest

from loadtests.bench import idle, levels, overload, rush_100k, stall, waiting_page
from loadtests.bench.bounds import Bound
from loadtests.bench.verdict import Report, Verdict
from loadtests.exchange import Exchange, Violation
from loadtests.swarm import Swarmed, unanswered

S = 1_000_000_000


def bound(report: Report, name: str) -> Bound:
    return next(each for each in report.bounds if each.name == name)


def test_overload() -> None:
    report = overload.measure(3, connections=400, peak_seconds=1, peak_connections=32, seats=500)
    assert report.verdict.holds, report.verdict.in_words()
    assert report.verdict.answers["sold_out"] > 0
    assert report.verdict.seats_taken >= 500
    assert bound(report, "other campaign: refused").holds
    assert bound(report, "memory of the api, growth").measured < 2


def test_stall() -> None:
    report = stall.measure(connections=500, queue=50, stall_s=1, full_s=1, after_s=2)
    assert report.verdict.holds, report.verdict.in_words()
    assert report.verdict.answers["overloaded"] > 0
    assert bound(report, "recovered after").holds


@pytest.mark.parametrize("door", ["http", "live"])
def test_rush(door: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = rush_100k.measure(1_500, 300, 2, door)
    assert report.holds, report.verdict.in_words()
    assert report.show() == 0
    assert "NOT" not in capsys.readouterr().out


def test_a_rush_that_does_not_finish_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    report = rush_100k.measure(20_000, 100, 1, "http", within_s=0.2)
    assert not report.holds
    assert not bound(report, "members with a definite answer").holds
    assert report.show() == 1
    assert "DOES NOT HOLD" in capsys.readouterr().out


def test_idle() -> None:
    report = idle.measure(300, 1)
    assert report.verdict.holds, report.verdict.in_words()
    assert bound(report, "sign-ups without an answer").holds
    assert report.notes["connections"] == 300


def test_waiting_page() -> None:
    report = waiting_page.measure(200, 1)
    assert report.verdict.holds, report.verdict.in_words()
    assert bound(report, "heard that it is open").holds
    assert bound(report, "members with a definite answer").holds
    assert bound(report, "seats taken").measured == 200


def exchange(member: int, status: int, sent_ns: int = 0, answered_ns: int = S) -> Exchange:
    return Exchange("sign_up", f"m-{member:07}", "", sent_ns, answered_ns, status, b"", "soap", "k")


@pytest.mark.parametrize(
    ("kind", "measured", "holds"),
    [
        ("at least", 1, True), ("at least", 0.9, False),
        ("at most", 1, True), ("at most", 1.1, False),
        ("exactly", 1, True), ("exactly", 2, False), ("at most", float("inf"), False),
    ],
)  # fmt: skip
def test_bounds(kind: str, measured: float, holds: bool) -> None:
    assert Bound("x", measured, kind, 1).holds is holds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("missing", "violations", "agrees"),
    [(1, [], True), (0, [Violation("seat", "twice")], True), (0, [], False)],
)
def test_each_broken_invariant_fails(missing: int, violations: list[Violation], agrees: bool) -> None:
    verdict = Verdict({"201": 1}, missing, 1, violations, "audited", agrees)
    assert not verdict.holds
    assert "NOT every invariant held" in verdict.in_words()
    assert Report([], {}, verdict).holds is False


def test_who_has_no_definite_answer() -> None:
    said = [exchange(1, 0), exchange(1, 201), exchange(2, 503), exchange(3, 409), exchange(4, 0)]
    assert unanswered(said) == [2, 4]


def test_goodput_counts_each_member_once() -> None:
    said = [
        exchange(1, 201),
        exchange(1, 201),
        exchange(2, 503),
        exchange(3, 409),
        exchange(4, 409, 0, 3 * S),
    ]
    assert levels.goodput(Swarmed(0, 2 * S, said, 0, 0, 0, [])) == 1.0


def test_latency_is_of_answers_only() -> None:
    said = [exchange(1, 201, 0, S), exchange(2, 0, 0, 9 * S), exchange(3, 503, 0, 2 * S)]
    assert levels.latency_ms(said, 1) == 2_000
    assert levels.latency_ms([], 1) == float("inf")


def test_recovery_is_the_last_window_that_is_not_normal() -> None:
    steady = [exchange(n, 201, n * S // 20, n * S // 20 + S // 1000) for n in range(80)]
    assert levels.recovery_s(steady, 0, 4, 5) == 0
    slow = [*steady[:20], *(exchange(n, 201, 0, S + n * S // 100) for n in range(20)), *steady[24:]]
    assert levels.recovery_s(slow, 0, 4, 5) == 1.25
    # Nothing answered at all is not normal.
    assert levels.recovery_s([], 0, 4, 5) == 4
    assert levels.recovery_s(steady[:40], 0, 4, 5) == 4


def test_goodput_is_back() -> None:
    said = [exchange(n, 409, 0, 2 * S + n * S // 100) for n in range(200)]
    swarmed = Swarmed(0, 4 * S, said, 0, 0, 0, [])
    assert levels.goodput_is_back_s(swarmed, 0, 90) == 2.0
    assert levels.goodput_is_back_s(swarmed, 0, 200) == float("inf")
