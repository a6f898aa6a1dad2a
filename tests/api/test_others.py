"""Another's enrollment is as none: the same bytes, in the same time, by every call and through both doors."""

import random
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

import pytest

from engine.domain.person import Person
from tests.api.client import HERE, Answer, Client, person, token
from tests.api.live.page import opened
from tests.stand import campaign, offering

NEVER_MADE: Final = f"{HERE}/enrollments/{'x' * 16}"
CALLS: Final = (
    ("GET", ""),
    ("HEAD", ""),
    ("GET", "/why"),
    ("GET", "/receipt"),
    ("DELETE", ""),
    ("POST", "/confirm"),
    ("POST", "/decline"),
)
OFFICER_ELSEWHERE: Final = person("o", "officer", unit="xicheng.sports")
BOTH_ELSEWHERE: Final = person("o", "officer", "member", unit="")
BESIDE: Final = {
    "cmdstat_config|resetstat",
    "cmdstat_info",
    "cmdstat_xread",
    "cmdstat_hgetall",
    "cmdstat_ping",
}
"""What the test asks itself, and what goes on without any request."""
ROUNDS: Final = 200
TRIES: Final = 3
FAST: Final = 20
"""The fastest twentieth is compared: the slow ones tell of the machine."""
APART_MAX: Final = 0.15
"""How far these may be apart, as a share: one PING more to Redis is a quarter."""


async def victims(client: Client) -> list[str]:
    """The addresses of another's enrollments, in each state that an enrollment can be in without a draw."""
    await client.stand.publish(
        campaign(
            offering("held", hold_ttl_s=600),
            offering("tea"),
            offering("full", pools=[{"pool": "open", "capacity": 1}], waitlist={"size_max": 9}),
            offering("gone"),
        )
    )
    await client.enrolled("first", "full")
    places = [await client.enrolled("victim", name) for name in ("held", "tea", "full", "gone")]
    assert (await client.ask("DELETE", places[-1], person("victim"))).status == 200
    await client.record()
    return places


def seen(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """All of an answer but when it was given."""
    return answer.status, {name: text for name, text in answer.headers.items() if name != "Date"}, answer.body


@pytest.mark.parametrize(
    "who", [person("m1"), OFFICER_ELSEWHERE, BOTH_ELSEWHERE], ids=["member", "officer", "both"]
)
@pytest.mark.parametrize(("method", "ending"), CALLS)
async def test_another_s_is_as_none_over_http(client: Client, method: str, ending: str, who: Person) -> None:
    places = await victims(client)
    before = await client.stand.log()
    for sent in ({"Accept-Language": "en"}, {"Accept-Language": "zh-CN", "Idempotency-Key": "k"}):
        none = await client.ask(method, NEVER_MADE + ending, who, headers=sent)
        # Who only is an officer may not take or leave a seat at all.
        assert none.status == (
            403 if ending in ("/confirm", "/decline") and "member" not in who.roles else 404
        )
        for place in places:
            assert seen(await client.ask(method, place + ending, who, headers=sent)) == seen(none)
    assert await client.stand.log() == before


@pytest.mark.parametrize("op", ["cancel", "confirm", "decline"])
async def test_another_s_is_as_none_over_the_websocket(client: Client, op: str) -> None:
    places = await victims(client)
    before = await client.stand.log()
    async with opened(client, "m1") as page:
        none = await page.ask(op, "k", enrollment="x" * 16)
        assert none[0] == 404
        for place in places:
            assert await page.ask(op, "k", enrollment=place.rpartition("/")[2]) == none
    assert await client.stand.log() == before


@pytest.mark.parametrize(("method", "ending"), CALLS)
async def test_it_asks_redis_for_as_much(client: Client, method: str, ending: str) -> None:
    """Also within the script: another's is not counted, placed or shown before it is refused."""
    places = await victims(client)

    async def calls(path: str) -> Any:
        await client.stand.administrator.config_resetstat()
        await client.ask(method, path, person("m1"))
        found = await client.stand.administrator.info("commandstats")
        return {name: found[name]["calls"] for name in found if name not in BESIDE}

    await calls(NEVER_MADE + ending)  # the first has to load its script
    none = await calls(NEVER_MADE + ending)
    assert none["cmdstat_evalsha"] == 1
    assert [await calls(place + ending) for place in places] == [none] * len(places)


@pytest.mark.parametrize(("method", "ending"), [("GET", ""), ("GET", "/why"), ("DELETE", "")])
async def test_it_takes_as_long(client: Client, method: str, ending: str) -> None:
    """A difference that is the code's shows every time; one that is the machine's does not show three times."""
    _held, _confirmed, waiting, gone = await victims(client)
    async with client.another(member_rate=0) as unlimited:
        apart = [await times_apart(unlimited, method, ending, (waiting, gone))]
        while apart[-1] > APART_MAX and len(apart) < TRIES:
            apart.append(await times_apart(unlimited, method, ending, (waiting, gone)))
    assert apart[-1] <= APART_MAX, apart


async def times_apart(client: Client, method: str, ending: str, places: Sequence[str]) -> float:
    """How far the answers of others' are from that of none, as a share of it.

    They are asked for in turn and in an order of chance, so that what else the machine does falls on all.
    """
    took: dict[str, list[float]] = {path: [] for path in (NEVER_MADE, *places)}
    who = token(person("m1"))
    for _ in range(ROUNDS):
        for path in random.sample([*took], len(took)):
            began = time.perf_counter()
            assert (await client.ask(method, path + ending, who)).status == 404
            took[path].append(time.perf_counter() - began)
    none, *others = (statistics.quantiles(times, n=FAST)[0] for times in took.values())
    return max(abs(each - none) for each in others) / none
