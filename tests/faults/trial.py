"""A trial: one seed of one kind of fault, brought upon a stand under load, and what the checker says of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec
from msgspec import Struct

from api import tokens
from api.views import Enrollment
from engine.audit import MOVING, Audit
from engine.domain import events
from engine.domain.campaign import Campaign
from engine.domain.draw import Draw, verify
from engine.domain.events import Event, Header
from engine.domain.person import Person, Role
from engine.ledger.protocol import Unavailable
from engine.live.server import NothingRan
from engine.runtime import Runtime
from loadtests import ballots, checker
from loadtests.ballots import Ballots
from loadtests.exchange import CHANGES, Exchange, Violation
from loadtests.losses import Loss
from loadtests.order import LOOK_AGE_S_MAX
from tests.faults import documents
from tests.faults.stand import Stand
from tests.faults.workload import Workload

if TYPE_CHECKING:
    from tests.faults.kind import Kind

BACK_WITHIN_S: Final = 60.0
"""After the fault: until a deployment answers, has recorded and has drawn."""
WARM_ANSWERS: Final = 50
LOOK_S: Final = 0.02
LOST: Final = frozenset({"acknowledged", "stale", "audit", "gapless"})
TWICE: Final = frozenset({"seat", "once", "replay", "key", "version"})
OVERSOLD: Final = frozenset({"capacity", "waitlist"})

_enrollment = msgspec.json.Decoder(Enrollment)


class Result(Struct, frozen=True):
    """What came of a trial."""

    kind: str
    seed: int
    seconds: float
    requests: int
    acknowledged: int
    """Answers of success."""
    undecided: int
    """Requests without an answer, or answered that one has to ask again."""
    violations: list[Violation]
    measured: dict[str, float]
    """What the fault has measured, by name and unit."""

    def count(self, rules: frozenset[str]) -> int:
        """How many violations are of these rules."""
        return sum(violation.rule in rules for violation in self.violations)

    def in_words(self) -> str:
        """For a person, in some lines."""
        rules = Counter(violation.rule for violation in self.violations)
        lines = [
            (
                f"{self.kind} seed {self.seed}: {self.requests} requests, {self.acknowledged} acknowledged, "
                f"{self.undecided} undecided"
            )
        ]
        for rule, number in rules.items():
            first = next(each.what for each in self.violations if each.rule == rule)
            lines.append(f"  VIOLATED {rule}, {number} times: {first}")
        return "\n".join(lines)


class Trial:
    """One seed of one kind, on a stand."""

    def __init__(self, stand: Stand, kind: "Kind", seed: int, seconds: float) -> None:
        self.stand = stand
        self.seconds = seconds
        self.sale = f"{kind.name}-{seed}"
        """The campaign that is sold."""
        self.ballot = f"{self.sale}-drawn"
        """The one that is drawn meanwhile."""
        self.measured: dict[str, float] = {}
        self.poisoned: set[int] = set()
        """Where the sale's stream has what is no event."""
        self.workload = Workload(stand.url, stand.deployment.secret, self.sale, self.ballot, seed)
        self._kind = kind
        self._seed = seed
        self._chance = Random(f"{kind.name}/{seed}")
        self._ends_s = 0.0
        self._loss = Loss(0, 0)

    def may_lose(self, from_ns: int, until_ns: int) -> None:
        """Answers of this time may be lost, by CLOCK_MONOTONIC; of any other they must stand."""
        self._loss = Loss(from_ns, until_ns)

    @property
    def left_s(self) -> float:
        """How much of its seconds is left."""
        return self._ends_s - time.monotonic()

    async def run(self) -> Result:
        """Publish, load, break, wait until all is back, and check."""
        try:
            await self._publish(documents.sale(self.sale))
            await self._publish(documents.ballot(self.ballot, 0.6 * self.seconds))
            self.workload.start()
            await self.until(lambda: self.workload.answers >= WARM_ANSWERS)
            self._ends_s = time.monotonic() + self.seconds
            found = await self._break()
            found += await self._end()
            try:
                found += await self._check()
            except (TimeoutError, NothingRan, Unavailable) as away:
                found.append(Violation("back", f"{type(away).__name__} while all was looked at: {away}"))
        finally:
            await self.workload.close()
        exchanges = [*self.workload.sale, *self.workload.ballot]
        return Result(
            self._kind.name,
            self._seed,
            self.seconds,
            len(exchanges),
            sum(each.status in (200, 201, 202) for each in exchanges),
            sum(each.status in (0, 429, 503) for each in exchanges),
            found,
            self.measured,
        )

    def enrollment(self, answer: Exchange) -> str:
        """The enrollment that an answer shows."""
        return _enrollment.decode(answer.body).enrollment

    async def pause(self, chance: Random, least_s: float, most_s: float) -> None:
        """Let the load go on for a while, not beyond the end."""
        await asyncio.sleep(max(0.0, min(chance.uniform(least_s, most_s), self.left_s)))

    async def until(self, holds: Callable[[], bool], within_s: float = BACK_WITHIN_S) -> None:
        """Wait until something holds that no event tells. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not holds():  # noqa: ASYNC110  another process has no event for it
                await asyncio.sleep(LOOK_S)

    async def _break(self) -> list[Violation]:
        try:
            async with asyncio.timeout(self.seconds + BACK_WITHIN_S):
                await self._kind.inject(self, self._chance)
        except (AssertionError, TimeoutError) as broken:
            return [Violation("fault", f"{type(broken).__name__}: {broken}")]
        await asyncio.sleep(max(0.0, self.left_s))
        return []

    async def _end(self) -> list[Violation]:
        """Have every member come to an end, and ask again for all that succeeded."""
        try:
            await self.workload.stop()
            await self.workload.ask_again()
        except RuntimeError as silent:
            return [Violation("back", str(silent))]
        return []

    async def _publish(self, document: dict[str, Any]) -> None:
        path = f"/v1/campaigns/{document['campaign']}"
        status, body = await self._ask("PUT", path, "organizer", document)
        assert status == 201, body

    async def _ask(self, method: str, path: str, role: Role, body: Any = None) -> tuple[int, bytes]:
        token = tokens.sign(
            self.stand.deployment.secret,
            Person("harness", documents.UNIT, roles=frozenset({role})),
            time.time() + 6 * 3600,
        )
        async with (
            aiohttp.ClientSession(self.stand.deployment.url) as session,
            session.request(
                method, path, json=body, headers={"Authorization": f"Bearer {token}"}
            ) as response,
        ):
            return response.status, await response.read()

    async def _check(self) -> list[Violation]:
        found: list[Violation] = []
        look_age_s = LOOK_AGE_S_MAX if self.stand.needs.processes > 1 else 0
        async with self.stand.runtime() as opened:
            for name in (self.sale, self.ballot):
                found += await self._audit(opened, name)
            log = await self._log(opened, self.sale)
            sale = await self._document(opened, self.sale)
            said = self._standing(log, self.workload.sale)
            found += checker.check(sale, log, said, interrupted=True, look_age_s=look_age_s)
            log = await self._log(opened, self.ballot)
            ballot = await self._document(opened, self.ballot)
        found += Ballots(ballot).run(log)
        said = self._standing(log, self.workload.ballot)
        found += checker.told(
            ballot, log, said, interrupted=True, look_age_s=look_age_s, also=ballots.ALSO_EXPECTED
        )
        return found + await self._drawn(log)

    def _standing(self, log: list[Event], exchanges: list[Exchange]) -> list[Exchange]:
        """What must stand; where something may be lost, it is counted how much was."""
        stands, lost = self._loss.part(log, exchanges)
        if self._kind.promise == "names":
            told = sum(each.kind in CHANGES | {"sign_up"} and each.status < 300 for each in lost)
            self.measured["lost, answers"] = self.measured.get("lost, answers", 0) + told
        return stands

    async def _document(self, opened: Runtime, name: str) -> Campaign:
        definition = await opened.ledger.definition(name)
        assert definition is not None, f"the ledger does not know {name}"
        return msgspec.json.decode(definition.document, type=Campaign)

    async def _audit(self, opened: Runtime, name: str) -> list[Violation]:
        """What Redis and the ledger say against each other, once both stand still and the draw is over."""
        async with asyncio.timeout(BACK_WITHIN_S):
            while True:
                audit = Audit(opened.server, opened.ledger, opened.clock, name, BACK_WITHIN_S)
                result = await audit.run()
                log = await self._log(opened, name)
                drawn = name != self.ballot or any(event.header.type == "draw_ended" for event in log)
                if result.differences or (MOVING not in result.notes and drawn):
                    break
                await asyncio.sleep(LOOK_S)
        known = {f"event {seq}" for seq in self.poisoned} if name == self.sale else set()
        return [
            Violation("audit", " ".join(filter(None, (name, each.subject, each.what))))
            for each in result.differences
            if each.subject not in known
        ]

    async def _log(self, opened: Runtime, name: str) -> list[Event]:
        """What was decided: also what the ledger has refused, which is a finding of the audit."""
        log: list[Event] = []
        while page := await opened.ledger.events(name, log[-1].seq if log else 0, 10_000):
            log += page
        for letter in await opened.ledger.dead_letters(name):
            if name == self.sale and letter.seq in self.poisoned:
                no_event = Header(1, "published", 0, "harness", "engine")
                log.append(Event(name, letter.epoch, letter.seq, no_event, None, letter.fields))
            else:
                log.append(events.decode(name, b"%d-%d" % (letter.epoch, letter.seq), letter.fields))
        return sorted(log, key=lambda event: event.seq)

    async def _drawn(self, log: list[Event]) -> list[Violation]:
        """Whether the published draw is the one that follows from its seed, and the one in the log."""
        status, file = await self._ask("GET", f"/v1/campaigns/{self.ballot}/offerings/drawn/draw", "member")
        if status != 200:
            return [Violation("drawn", f"the draw is answered {status}: {file!r}")]
        published = msgspec.json.decode(file, type=Draw)
        results = sum(event.header.type == "drawn" for event in log)
        found = [Violation("drawn", f"{mismatch.code} {mismatch.facts}") for mismatch in verify(published)]
        if len(published.results) != results:
            found.append(Violation("drawn", f"{len(published.results)} are drawn, {results} are in the log"))
        return found


def keep(stand: Stand, trial: Trial, result: Result, directory: Path) -> None:
    """Leave what a person needs to look into a trial."""
    stand.keep(directory)
    exchanges: list[Exchange] = [*trial.workload.sale, *trial.workload.ballot]
    (directory / "exchanges.json").write_bytes(b"\n".join(map(msgspec.json.encode, exchanges)))
    (directory / "violations.txt").write_text(
        "\n".join(f"{each.rule}: {each.what}" for each in result.violations)
    )
