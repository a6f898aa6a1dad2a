"""A client process of a rush: its members do what the seed says, and every exchange is written down."""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine, Iterable
from multiprocessing.synchronize import Barrier, Semaphore
from typing import Any, Final

import aiohttp
import msgspec
import uvloop
from msgspec import Struct

from api.views import Enrollment
from engine.domain.person import Person
from loadtests.client import Client
from loadtests.exchange import Exchange

CAMPAIGN: Final = "workshops"
OFFERINGS: Final = (
    "paper-cutting", "leather-wallet", "soap", "flower-arranging", "noodle-dim-sum", "fitness-dance",
)  # fmt: skip
UNITS: Final = (
    "xicheng.finance.bank", "xicheng.health.fuxing", "xicheng.sanitation",
    "xicheng.finance.insurance", "xicheng.health.xuanwu", "",
)  # fmt: skip
CONCURRENCY: Final = 32
"""Members of one client process who are at it at the same time."""
LATE: Final = 5
"""One member in so many comes late, and cancels nothing: what others gave back is taken again."""

_enrollment = msgspec.json.Decoder(Enrollment)


class Part(Struct, frozen=True):
    """What one client process does."""

    url: str
    secret: bytes
    members: range
    seed: int


class SignUp(Struct, frozen=True):
    """What a member asks for: the same again is a retry when there is a key."""

    offering: str
    key: str = ""
    wanted: str = ""


class Together:
    """What the processes of a rush share: they begin together, and say when something was answered."""

    barrier: Barrier
    answered: Semaphore


def prepare(barrier: Barrier, answered: Semaphore) -> None:
    """Make a process ready for `work`."""
    Together.barrier, Together.answered = barrier, answered


def work(part: Part) -> bytes:
    """The exchanges of one client process, msgpack."""
    try:
        return msgspec.msgpack.encode(uvloop.run(_rush(part)))
    except BaseException:
        Together.barrier.abort()
        raise


async def _rush(part: Part) -> list[Exchange]:
    exchanges: list[Exchange] = []
    async with _session(part.url) as session:
        members = [Member(session, part, number, exchanges, Together.answered) for number in part.members]
        late = len(members) // LATE
        await asyncio.to_thread(Together.barrier.wait)
        await _in_turn(member.rush for member in members[late:])
        await asyncio.to_thread(Together.barrier.wait)
        await _in_turn(member.come_late for member in members[:late])
    return exchanges


def ask_again(part: Part, exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Send every sign-up with a key, and every cancellation, that succeeded once more; what was answered."""
    succeeded = {
        (each.kind, each.member, each.key, each.enrollment): each
        for each in exchanges
        if (each.kind == "sign_up" and each.key and each.status in (201, 202))
        or (each.kind == "cancel" and each.status == 200)
    }
    return uvloop.run(_ask_again(part, list(succeeded.values())))


async def _ask_again(part: Part, succeeded: list[Exchange]) -> list[Exchange]:
    exchanges: list[Exchange] = []
    async with _session(part.url) as session:

        async def once_more(first: Exchange) -> None:
            member = Member(session, part, int(first.member.rpartition("-")[2]), exchanges)
            if first.kind == "cancel":
                await member.send("cancel", enrollment=first.enrollment)
            else:
                await member.sign_up(SignUp(first.offering, first.key, first.wanted))

        await _in_turn((lambda first=first: once_more(first)) for first in succeeded)  # type: ignore[misc]
    return exchanges


def _session(url: str) -> aiohttp.ClientSession:
    # No limit: a request that waits for a connection would be noted as sent long before it is.
    return aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0))


async def _in_turn(tasks: Iterable[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run all, CONCURRENCY at a time."""
    waiting = iter(tasks)

    async def run() -> None:
        for task in waiting:
            await task()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(run())


class Member(Client):
    """One member, who does what the seed says."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        part: Part,
        number: int,
        exchanges: list[Exchange],
        answered: Semaphore | None = None,
    ) -> None:
        person = Person(f"m-{part.seed}-{number}", UNITS[number % len(UNITS)])
        super().__init__(session, part.secret, CAMPAIGN, person, exchanges, answered=answered)
        self._random = random.Random(f"{part.seed}/{number}")
        self._keys = (f"{person.sub}/{turn}" for turn in itertools.count())

    async def rush(self) -> None:
        """Ask for one to three offerings, and change one's mind."""
        for offering in self._random.sample(OFFERINGS, self._random.randint(1, 3)):
            key = next(self._keys) if self._happens(0.8) else ""
            wanted = self._random.choice(("own", "open")) if self._happens(0.15) else ""
            asked = SignUp(offering, key, wanted)
            if self._happens(0.2):
                first, _ = await asyncio.gather(self.sign_up(asked), self.sign_up(asked))
            else:
                first = await self.sign_up(asked)
            if first.status in (201, 202):
                await self._have(asked, _enrollment.decode(first.body).enrollment)
            elif self._happens(0.1):
                await self.sign_up(asked)
            if self._happens(0.05):
                await self.send(self._random.choice(("mine", "campaign")))

    async def come_late(self) -> None:
        """Ask for three offerings, and keep what there is."""
        for offering in self._random.sample(OFFERINGS, 3):
            await self.sign_up(SignUp(offering, next(self._keys)))

    async def _have(self, asked: SignUp, enrollment: str) -> None:
        """What a member does who got something."""
        if self._happens(0.3):
            await self.sign_up(asked)
        if asked.key and self._happens(0.1):
            other = self._random.choice([name for name in OFFERINGS if name != asked.offering])
            await self.sign_up(SignUp(other, asked.key, asked.wanted))
        if asked.key and self._happens(0.1):
            await self.sign_up(SignUp(asked.offering, asked.key, "" if asked.wanted else "open"))
        if self._happens(0.2):
            await self.send("find", enrollment=enrollment)
        if self._happens(0.2):
            await self.send("mine")
        if self._happens(0.2) and (others := self._enrollment_of_another()):
            await self.send(self._random.choice(("cancel", "find")), enrollment=others)
        if self._happens(0.6):
            await self._cancel(asked, enrollment)

    async def _cancel(self, asked: SignUp, enrollment: str) -> None:
        at_once = 2 if self._happens(0.3) else 1
        await asyncio.gather(*(self.send("cancel", enrollment=enrollment) for _ in range(at_once)))
        if self._happens(0.3):
            await self.send("cancel", enrollment=enrollment)
        if self._happens(0.2):
            await self.send(self._random.choice(("find", "mine")), enrollment=enrollment)
        if asked.key and self._happens(0.5):
            await self.sign_up(asked)
        if self._happens(0.4):
            await self.sign_up(SignUp(asked.offering, next(self._keys), asked.wanted))

    def _happens(self, chance: float) -> bool:
        return self._random.random() < chance

    def _enrollment_of_another(self) -> str:
        """One that another member of this process was told of; "" when there is none at hand."""
        for exchange in reversed(self._exchanges[-200:]):
            if exchange.member != self.person.sub and exchange.status in (201, 202):
                return _enrollment.decode(exchange.body).enrollment
        return ""

    async def sign_up(self, asked: SignUp) -> Exchange:
        """Ask for a seat."""
        return await self.send("sign_up", offering=asked.offering, key=asked.key, wanted=asked.wanted)
