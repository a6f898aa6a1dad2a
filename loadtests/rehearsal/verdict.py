"""The verdict on a rehearsal: the checker over every exchange and each campaign's log, and the audit."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from engine.domain.campaign import Campaign
from engine.domain.events import Event
from engine.domain.faults import Language
from loadtests import checker, rush
from loadtests.exchange import UNDECIDED, Exchange, Violation
from loadtests.rehearsal import answers, records
from loadtests.rehearsal.plan import Plan
from loadtests.rehearsal.target import Target
from loadtests.rehearsal.words import say

MEMBERS_SHOWN_MAX: Final = 200
"""Members with a seat who are asked at the end what they are shown."""
HELD, BROKEN, NOT_JUDGED = 0, 1, 2
"""Exit codes."""


class Verdict(Struct, frozen=True):
    """What came of it, in words, and as an exit code."""

    code: int
    words: list[str]


def judge(plan: Plan, place: Target, directory: Path, language: Language) -> Verdict:
    """Check what was written down. The deployment has to run still. Raises ledger.protocol.Unavailable."""
    by_campaign: dict[str, dict[str, list[Exchange]]] = defaultdict(lambda: defaultdict(list))
    for chunk in records.read(directory):
        for exchange in chunk.exchanges:
            by_campaign[exchange.campaign][chunk.machine].append(exchange)
    everything = [each for machines in by_campaign.values() for part in machines.values() for each in part]
    words = [say("rehearsed", language, scenario=plan.scenario, members=f"{plan.members:,}", seed=plan.seed)]
    if all(exchange.status in UNDECIDED for exchange in everything):
        return Verdict(NOT_JUDGED, [*words, say("nothing", language)])
    words += _in_numbers(everything, language)
    violations: list[Violation] = []
    for name in plan.names():
        campaign, log, found = _examine(plan, place, name, by_campaign[name])
        words.append(_seats(campaign, log, language))
        violations += found
    machines = {machine for each in by_campaign.values() for machine in each}
    if len(machines) > 1:
        words.append(say("machines", language, number=len(machines)))
    audited = place.audit(plan.names())
    differs = audited.returncode != 0
    said = "; ".join((audited.stdout + audited.stderr).strip().splitlines())
    words.append(say("audit_differs" if differs else "audit_agrees", language, said=said))
    words += _broken(violations, language)
    broken = bool(violations) or differs
    words.append(say("not_held" if broken else "held", language))
    return Verdict(BROKEN if broken else HELD, words)


def _examine(
    plan: Plan, place: Target, name: str, by_machine: dict[str, list[Exchange]]
) -> tuple[Campaign, list[Event], list[Violation]]:
    """Check one campaign. What is shown at the end is looked at where time changes nothing any more."""
    exchanges = [each for part in by_machine.values() for each in part]
    seated = sorted({each.member for each in exchanges if each.status == 201})[:MEMBERS_SHOWN_MAX]
    seen = asyncio.run(rush.look_at(name, place.url, place.secret, seated))
    campaign, log = asyncio.run(rush.read_ledger(place.database_url, name))
    violations = checker.check(
        campaign,
        log,
        exchanges,
        interrupted=True,
        by_clock=list(by_machine.values()),
        look_age_s=place.look_age_s,
    )
    if not plan.churns(name):
        violations += checker.shown(campaign, log, seen)
    return campaign, log, violations


def _in_numbers(exchanges: Sequence[Exchange], language: Language) -> Iterator[str]:
    seconds = (max(each.answered_ns for each in exchanges) - min(each.sent_ns for each in exchanges)) / 1e9
    outcomes = Counter(_outcome(each) for each in exchanges if each.kind == "sign_up")
    shown = ", ".join(f"{number:,} {outcome}" for outcome, number in outcomes.most_common())
    yield say(
        "requests", language, requests=f"{len(exchanges):,}", seconds=f"{seconds:.1f}", answers=shown or "-"
    )
    waits, unanswered = waits_s(exchanges)
    if waits:
        half, most = (f"{1000 * waits[int(part * (len(waits) - 1))]:,.0f}" for part in (0.5, 0.99))
        yield say("latency", language, half=half, most=most)
    yield say("unanswered" if unanswered else "all_answered", language, number=f"{unanswered:,}")


def waits_s(exchanges: Iterable[Exchange]) -> tuple[list[float], int]:
    """How long each sign-up took from its first try to its definite answer, in order; and how many got none.

    A try before the opening is none: its answer says when to come.
    """
    tries: dict[tuple[str, str], list[Exchange]] = defaultdict(list)
    for each in exchanges:
        if each.kind == "sign_up" and answers.code_of(each.status, each.body) != "not_open":
            tries[each.member, each.key].append(each)
    waits, unanswered = [], 0
    for said in tries.values():
        first = min((each.answered_ns for each in said if each.status not in UNDECIDED), default=0)
        if first:
            waits.append((first - min(each.sent_ns for each in said)) / 1e9)
        else:
            unanswered += 1
    return sorted(waits), unanswered


def _outcome(exchange: Exchange) -> str:
    success = {0: "no_answer", 200: "already_in", 201: "confirmed", 202: "held_or_waitlisted"}
    return answers.code_of(exchange.status, exchange.body) or success.get(
        exchange.status, str(exchange.status)
    )


def _seats(campaign: Campaign, log: Sequence[Event], language: Language) -> str:
    newest = {event.header.enrollment: event.record for event in log if event.record}.values()
    return say(
        "seats", language,
        campaign=campaign.campaign,
        seats=sum(pool.capacity for offering in campaign.offerings for pool in offering.pools),
        taken=sum(record.seat > 0 for record in newest),
        waiting=sum(record.status == "waitlisted" for record in newest),
    )  # fmt: skip


def _broken(violations: Sequence[Violation], language: Language) -> Iterator[str]:
    for rule, number in Counter(violation.rule for violation in violations).items():
        example = next(violation.what for violation in violations if violation.rule == rule)
        yield say("broken", language, rule=rule, number=number, example=example)
