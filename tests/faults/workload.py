"""The workload of a trial: members who sign up, change their minds and ask again, while something breaks.

Who does what follows from the seed: member after member, each with choices of its own. What is not determined is how
far each gets, since choices follow from answers, and answers from who was first.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import aiohttp
import msgspec

from api.views import Enrollment
from engine.domain.person import Person
from loadtests.client import Client
from loadtests.exchange import Exchange

OFFERINGS: Final = ("pools", "held", "offered", "full")
UNITS: Final = ("xicheng.health.fuxing", "xicheng.sanitation", "")
SHOPPERS: Final = 20
"""Members of the sale who are at it at the same time."""
ENTRANTS: Final = 4
"""Those of the ballot."""
PATIENCE_S: Final = 60.0
"""Until a member gives up for whom there is no definite answer: then the deployment has not come back."""
ANSWER_S: Final = 3.0
"""How long a client waits for an answer before it hangs up and asks again."""
TOKEN_TTL_S: Final = 6 * 3600
"""Longer than clocks jump."""

_enrollment = msgspec.json.Decoder(Enrollment)


class Workload:
    """Members of a sale and of a ballot, against the deployment at `url`."""

    def __init__(self, url: str, secret: bytes, sale: str, ballot: str, seed: int) -> None:
        self.sale: list[Exchange] = []
        """What the members of the sale were answered."""
        self.ballot: list[Exchange] = []
        self._secret = secret
        self._names = sale, ballot
        self._seed = seed
        self._over = asyncio.Event()
        # No limit: a request that waits for a connection would be noted as sent long before it is.
        self._session = aiohttp.ClientSession(
            url, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=ANSWER_S)
        )
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin in the background."""
        self._tasks = [
            *(asyncio.create_task(self._in_turn(self._shop, first, SHOPPERS)) for first in range(SHOPPERS)),
            *(asyncio.create_task(self._in_turn(self._enter, first, ENTRANTS)) for first in range(ENTRANTS)),
        ]

    async def stop(self) -> None:
        """Let each member come to an end. Raises RuntimeError when one is left without a definite answer."""
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Leave nobody at it, and no connection behind."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    @property
    def answers(self) -> int:
        """How many requests were answered, definitely or not."""
        return len(self.sale) + len(self.ballot)

    def member(self, name: str, unit: str = "") -> Client:
        """Another member of the sale."""
        return self._client(self._names[0], Person(name, unit), self.sale)

    async def ask_again(self) -> None:
        """Send everything that succeeded once more: sign-ups with a key and changes."""
        for name, exchanges in zip(self._names, (self.sale, self.ballot), strict=True):
            firsts = {
                (each.kind, each.member, each.key, each.enrollment): each
                for each in list(exchanges)
                if (each.kind == "sign_up" and each.key and each.status in (201, 202))
                or (each.kind in ("cancel", "decline") and each.status == 200)
            }
            waiting = iter(firsts.values())
            await asyncio.gather(*(self._ask_again(name, exchanges, waiting) for _ in range(SHOPPERS)))

    async def _ask_again(self, name: str, exchanges: list[Exchange], waiting: Iterator[Exchange]) -> None:
        for first in waiting:
            client = self._client(name, Person(first.member, first.unit), exchanges)
            await client.send(
                first.kind,
                offering=first.offering,
                key=first.key,
                wanted=first.wanted,
                enrollment=first.enrollment,
            )

    async def _in_turn(self, visit: Callable[[int], Awaitable[None]], first: int, step: int) -> None:
        """One member after the other, until it is over."""
        for number in itertools.count(first, step):
            if self._over.is_set():
                return
            await visit(number)

    def _client(self, campaign: str, person: Person, exchanges: list[Exchange]) -> Client:
        return Client(
            self._session,
            self._secret,
            campaign,
            person,
            exchanges,
            patience_s=PATIENCE_S,
            token_ttl_s=TOKEN_TTL_S,
        )

    async def _shop(self, number: int) -> None:
        person = Person(f"m-{number}", UNITS[number % len(UNITS)])
        chance = random.Random(f"{self._seed}/sale/{number}")
        await _Shopper(self._client(self._names[0], person, self.sale), chance, self._others).visit()

    def _others(self, member: str) -> str:
        """An enrollment that another member was told of lately; "" when there is none."""
        for exchange in reversed(self.sale[-100:]):
            if exchange.member != member and exchange.status in (201, 202):
                return _enrollment.decode(exchange.body).enrollment
        return ""

    async def _enter(self, number: int) -> None:
        """Enter the ballot, ask again, and perhaps leave it."""
        chance = random.Random(f"{self._seed}/ballot/{number}")
        member = f"b-{number}"
        client = self._client(self._names[1], Person(member), self.ballot)
        key = f"{member}/0" if chance.random() < 0.8 else ""
        said = await client.send("sign_up", offering="drawn", key=key)
        if said.status != 202:
            # It is closed for good: others would only be told the same.
            await self._over.wait()
            return
        if chance.random() < 0.3:
            await client.send("sign_up", offering="drawn", key=key)
        if chance.random() < 0.3:
            await client.send("cancel", enrollment=_enrollment.decode(said.body).enrollment)
            if chance.random() < 0.5:
                await client.send("sign_up", offering="drawn", key=f"{member}/1")


class _Shopper:
    """One member of the sale."""

    def __init__(self, client: Client, chance: random.Random, others: Callable[[str], str]) -> None:
        self._client = client
        self._chance = chance
        self._others = others
        self._member = client.person.sub
        self._keys = (f"{self._member}/{turn}" for turn in itertools.count())

    async def visit(self) -> None:
        """Ask for one to four offerings, and change one's mind."""
        for offering in self._chance.sample(OFFERINGS, self._chance.randint(1, len(OFFERINGS))):
            key = next(self._keys) if self._happens(0.85) else ""
            wanted = (
                self._chance.choice(("own", "open")) if offering == "pools" and self._happens(0.2) else ""
            )
            tries = 2 if self._happens(0.2) else 1
            first, *_ = await asyncio.gather(*(self._sign_up(offering, key, wanted) for _ in range(tries)))
            if first.status in (200, 201, 202):
                await self._have(first)
            if self._happens(0.1):
                await self._client.send(self._chance.choice(("mine", "campaign")))

    async def _have(self, asked: Exchange) -> None:
        """What a member does who got something."""
        enrollment = _enrollment.decode(asked.body)
        name = enrollment.enrollment
        if asked.key and self._happens(0.3):
            await self._sign_up(asked.offering, asked.key, asked.wanted)
        if asked.key and self._happens(0.1):
            await self._sign_up("held" if asked.offering == "full" else "full", asked.key, "")
        if self._happens(0.1) and (others := self._others(self._member)):
            await self._client.send(self._chance.choice(("cancel", "find")), enrollment=others)
        if enrollment.status == "waitlisted":
            seen = await self._client.send("find", enrollment=name)
            enrollment = _enrollment.decode(seen.body) if seen.status == 200 else enrollment
        if enrollment.status in ("held", "offered") or self._happens(0.1):
            if self._happens(0.2):
                return
            await self._client.send(self._chance.choice(("confirm", "decline")), enrollment=name)
        if self._happens(0.8):
            at_once = 2 if self._happens(0.3) else 1
            await asyncio.gather(*(self._client.send("cancel", enrollment=name) for _ in range(at_once)))
            if asked.key and self._happens(0.3):
                await self._sign_up(asked.offering, asked.key, asked.wanted)
            if self._happens(0.3):
                await self._sign_up(asked.offering, next(self._keys), asked.wanted)

    async def _sign_up(self, offering: str, key: str, wanted: str) -> Exchange:
        return await self._client.send("sign_up", offering=offering, key=key, wanted=wanted)

    def _happens(self, chance: float) -> bool:
        return self._chance.random() < chance
