"""The verdict on a swarm: every answer against the ledger's log, every member answered, the audit, the bounds."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from engine.domain.events import Event
from loadtests import checker, rush, swarm
from loadtests.bench import bounds
from loadtests.bench.bounds import Bound
from loadtests.deployment import Deployment, audit, embedded_ledger
from loadtests.exchange import Exchange, Violation

VIOLATIONS_SHOWN = 3


class Verdict(Struct, frozen=True):
    """Whether it all was as promised."""

    answers: dict[str, int]
    """Exchanges by outcome."""
    unanswered: int
    """Members without a definite answer, in spite of all."""
    seats_taken: int
    violations: list[Violation]
    audited: str
    audit_agrees: bool

    @property
    def holds(self) -> bool:
        """Whether every invariant held."""
        return not self.unanswered and not self.violations and self.audit_agrees

    def in_words(self) -> str:
        """The verdict for a person."""
        lines = [
            f"answers: {', '.join(f'{number:,} {outcome}' for outcome, number in self.answers.items())}",
            f"seats taken: {self.seats_taken:,}; members without an answer: {self.unanswered:,}",
        ]
        for rule, number in Counter(violation.rule for violation in self.violations).items():
            examples = [each.what for each in self.violations if each.rule == rule][:VIOLATIONS_SHOWN]
            lines += [f"VIOLATED {rule}, {number} times", *(f"  {what}" for what in examples)]
        lines += [self.audited, "every invariant held" if self.holds else "NOT every invariant held"]
        return "\n".join(lines)


class Report(Struct, frozen=True):
    """What was measured."""

    bounds: list[Bound]
    notes: dict[str, object]
    verdict: Verdict

    @property
    def holds(self) -> bool:
        """Whether every bound and every invariant holds."""
        return self.verdict.holds and all(bound.holds for bound in self.bounds)

    def show(self) -> int:
        """Print it, and return the exit code."""
        print(json.dumps({**self.notes, "bounds": bounds.as_json(self.bounds)}, indent=2), file=sys.stderr)
        print(bounds.table(self.bounds))
        print(self.verdict.in_words())
        return int(not self.holds)


def document(campaign: str, offerings: Sequence[str], capacity: int, opens: str = "-1m") -> dict[str, Any]:
    """A campaign of offerings with so many seats each, for whoever comes first."""
    return {
        "campaign": campaign,
        "title": {"zh": "压力测试", "en": "Load test"},
        "unit": "bench",
        "offerings": [
            {
                "offering": name,
                "kind": "workshop",
                "title": {"zh": name, "en": name},
                "sessions": [{"starts": f"+{10 + number}d", "ends": f"+{11 + number}d"}],
                "opens": opens,
                "closes": "+9d",
                "pools": [{"pool": "open", "capacity": capacity}],
            }
            for number, name in enumerate(offerings)
        ],
    }


def reach(deployment: Deployment, said: Mapping[str, Sequence[Exchange]]) -> Verdict:
    """Stop the deployment, and check what was said in each campaign against the log and by the audit."""
    exit_code = deployment.stop()
    audited = audit(deployment.data)
    violations = [] if exit_code == 0 else [Violation("stop", f"it ended with exit code {exit_code}")]
    answers, taken, unanswered = Counter[str](), 0, 0
    for name, exchanges in said.items():
        answers += outcomes(exchanges)
        unanswered += len(swarm.unanswered(exchanges))
        campaign, log = asyncio.run(rush.read_ledger(embedded_ledger(deployment.data), name))
        violations += checker.check(campaign, log, exchanges, interrupted=True)
        taken += _taken(log)
    return Verdict(
        dict(answers.most_common()),
        unanswered,
        taken,
        violations,
        audited.stdout.strip(),
        audited.returncode == 0,
    )


def outcomes(exchanges: Iterable[Exchange]) -> Counter[str]:
    """How many exchanges had which outcome."""
    return Counter(_outcome(each) for each in exchanges)


def _outcome(exchange: Exchange) -> str:
    return checker.refusal_of(exchange).code or str(exchange.status or "no answer")


def _taken(log: Sequence[Event]) -> int:
    newest = {event.header.enrollment: event.record for event in log if event.record}
    return sum(record.seat > 0 for record in newest.values())
