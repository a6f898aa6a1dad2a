"""Rate limits over HTTP: bursts, when to come again, recovery, proxies, and what is never refused."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from api import routes
from api.rate_limits import MemberLimit
from engine.clock import SystemClock
from engine.domain.gcra import NS_PER_S, Gcra
from tests.api.client import CANARY, HERE, SECRET, Client, person, serving_on, token
from tests.api.live.page import opened
from tests.api.test_openapi import OPERATIONS, resolve, validator
from tests.stand import CAMPAIGN, Stand, campaign, offering, open_stand

ME: Final = f"{HERE}/me"
REFUSED: Final = (429, "rate_limited")
SEATS: Final = [{"pool": "open", "capacity": 9}]


class TurnedClock(SystemClock):
    """A clock whose monotonic seconds pass when a test turns them."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic_s(self) -> float:
        return self.seconds


class Limited(Client):
    """A client of an api with limits, and with a clock to turn."""

    def __init__(self, stand: Stand, url: URL, session: aiohttp.ClientSession, clock: TurnedClock) -> None:
        super().__init__(stand, url, session)
        self.clock = clock

    async def look(self, number: int, who: str = "m1") -> list[int]:
        """The statuses of a member's looks at the own enrollments."""
        return [(await self.get(ME, person(who))).status for _ in range(number)]

    async def refusals(self) -> dict[str, float]:
        """How many were refused by each limit since the tests began."""
        body = (await self.get("/metrics")).body.decode()
        return {
            sample.labels["limit"]: sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
            if sample.name == "seatrush_rate_limited_total"
        }


Serve = Callable[..., AbstractAsyncContextManager[Limited]]


@pytest.fixture
def limited(one_redis_url: str, data_directory: Path) -> Serve:
    """Serves a campaign of two offerings under the settings that it is given."""

    @asynccontextmanager
    async def serve(**settings: Any) -> AsyncIterator[Limited]:
        clock, settings = TurnedClock(), {"token_secret": SECRET} | settings
        ledger = f"sqlite:///{data_directory}/ledger.db"
        async with open_stand(one_redis_url, ledger, data_directory, **settings) as stand:
            stand.runtime = structs.replace(stand.runtime, clock=clock)
            await stand.publish(campaign(offering(pools=SEATS), offering("tea", pools=SEATS)))
            async with serving_on(stand) as url, aiohttp.ClientSession() as session:
                yield Limited(stand, url, session, clock)

    return serve


async def test_a_member_has_a_burst_and_then_the_rate(limited: Serve) -> None:
    async with limited(member_rate=2, member_burst=3) as client:
        assert await client.look(5) == [200, 200, 200, 429, 429]
        assert await client.look(1, "m2") == [200]
        client.clock.seconds += 0.5
        assert await client.look(2) == [200, 429]
        client.clock.seconds += 1.5
        assert await client.look(4) == [200, 200, 200, 429]


@pytest.mark.parametrize(("language", "title"), [("zh-CN", "请求过于频繁"), ("en", "Too many requests")])
async def test_a_refusal_is_a_problem_that_says_when_to_come_again(
    limited: Serve, language: str, title: str
) -> None:
    async with limited(member_rate=1, member_burst=1) as client:
        await client.look(1)
        answer = await client.get(ME, person(), Accept_Language=language)
        assert (answer.told, answer.json["title"]) == (REFUSED, title)
        assert answer.headers["Retry-After"] == "1"
        described = resolve(OPERATIONS["GET", f"{routes.CAMPAIGN}/me"]["responses"]["429"])
        validator(described["content"]["application/problem+json"]["schema"]).validate(answer.json)
        assert set(described["headers"]) <= set(answer.headers)
        client.clock.seconds += 1
        assert await client.look(1) == [200]


async def test_the_limit_comes_after_who_and_before_whether_they_may(limited: Serve) -> None:
    async with limited(member_rate=1, member_burst=1) as client:
        assert [(await client.get(ME, "no token")).status for _ in range(3)] == [401] * 3
        roster = f"{HERE}/offerings/soap/roster"
        assert (await client.get(roster, person())).told == (403, "forbidden")
        assert (await client.get(roster, person())).told == REFUSED
        assert (await client.ask("HEAD", ME, person())).status == 429
        # Without a token nobody is known, and everybody is let in.
        assert [(await client.get(HERE)).status for _ in range(3)] == [200] * 3


async def test_a_first_sign_up_is_never_refused(limited: Serve) -> None:
    async with limited(member_rate=1, member_burst=2) as client:
        assert await client.look(3) == [200, 200, 429]
        assert [(await client.sign_up()).status for _ in range(3)] == [201, 200, 429]
        assert (await client.sign_up(offering="tea")).status == 201
        # Sign-ups are no looks either.
        client.clock.seconds += 2
        assert await client.look(3) == [200, 200, 429]
        assert [(await client.sign_up()).status for _ in range(3)] == [200, 200, 429]


async def test_each_of_many_offerings_has_a_first_sign_up(limited: Serve) -> None:
    names = [f"craft-{number}" for number in range(20)]
    async with limited(member_rate=1, member_burst=1) as client:
        await client.stand.publish(campaign(*(offering(name) for name in names), name="crafts"))
        asked = [await client.sign_up(offering=name, within="crafts") for name in names for _ in range(2)]
        assert [answer.status for answer in asked] == [201, 429] * len(names)


@pytest.mark.parametrize(
    ("within", "name", "status"),
    [(CAMPAIGN, "made-up-{}", 404), ("made-up-{}", "soap", 404), (CAMPAIGN, "NO-ID-{}", 422)],
)
async def test_names_that_are_made_up_share_one_limit(
    limited: Serve, within: str, name: str, status: int
) -> None:
    async with limited(member_rate=1, member_burst=2) as client:
        asked = [
            await client.sign_up(offering=name.format(number), within=within.format(number))
            for number in range(4)
        ]
        assert [answer.status for answer in asked] == [status, status, 429, 429]


async def test_a_first_sign_up_may_be_for_what_another_process_has_published(
    one_redis_url: str, data_directory: Path
) -> None:
    ledger = f"sqlite:///{data_directory}/ledger.db"
    async with (
        open_stand(one_redis_url, ledger, data_directory) as other,
        open_stand(one_redis_url, ledger, data_directory) as stand,
    ):
        await other.publish(campaign())
        limit = MemberLimit(Gcra(1, 1, 100), TurnedClock(), stand.runtime.catalog)
        assert [limit.wait_ns("m1") for _ in range(2)] == [0, NS_PER_S]
        assert stand.runtime.catalog.get(CAMPAIGN) is None
        assert await limit.sign_up_wait_ns("m1", CAMPAIGN, "soap") == 0
        assert await limit.sign_up_wait_ns("m1", CAMPAIGN, "soap") == NS_PER_S
        assert await limit.sign_up_wait_ns("m1", "nothing", "soap") == NS_PER_S


async def test_the_default_lets_a_member_hurry_and_any_number_share_an_address(limited: Serve) -> None:
    async with limited(address_burst=1) as client:
        assert await client.look(101) == [200] * 100 + [429]
        assert await client.look(50, "m2") == [200] * 50


async def test_no_limit_per_member(limited: Serve) -> None:
    async with limited(member_rate=0, member_burst=1) as client:
        assert await client.look(120) == [200] * 120


async def test_both_doors_share_the_limit(limited: Serve) -> None:
    async with limited(member_rate=1, member_burst=5) as client, opened(client, "m1") as page:
        await page.say("watch", campaign=CAMPAIGN)
        await page.hear("counts")
        assert await client.look(4) == [200, 200, 200, 429]
        await page.say("watch", campaign=CAMPAIGN)
        assert (await page.hear("error"))["code"] == "rate_limited"
        for offering_ in ("soap", "tea"):
            told = [
                await page.sign_up(offering=offering_, name=f"{offering_}-{number}") for number in range(4)
            ]
            assert [status for status, _ in told] == [201, 200, 200, 200]
            assert [(await client.sign_up(offering=offering_)).status for _ in range(2)] == [200, 429]
        for asked in ({"op": "sign_up", "offering": "soap"}, {"op": "cancel", "enrollment": "x" * 16}):
            await page.say(**asked, id="late", campaign=CAMPAIGN)
            result = await page.hear("result")
            assert (result["status"], result["body"]["code"], result["retry_after"]) == (*REFUSED, 1)
        client.clock.seconds += 1
        assert (await page.sign_up())[0] == 200


async def test_to_come_with_a_token_counts_too(limited: Serve) -> None:
    async with limited(member_rate=1, member_burst=2) as client:
        assert await client.look(2) == [200, 200]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await opened(client, "m1").__aenter__()
        assert refused.value.status == 429
        async with opened(client, None) as page:
            await page.say("auth", token=token(person("m1")))
            assert (await page.hear("error"))["code"] == "rate_limited"
            assert await page.ended() == 4429
        async with opened(client, "m2") as page:
            # Who they are stays as it is when a newer token comes too fast.
            for _ in range(2):
                await page.say("auth", token=token(person("m2")))
            assert (await page.hear("error"))["code"] == "rate_limited"
            assert (await page.sign_up())[0] == 201


async def test_an_address_is_limited_before_its_token_is_looked_at(limited: Serve) -> None:
    async with limited(address_rate=2, address_burst=3) as client:
        guesses = [await client.get(ME, f"guess-{number}") for number in range(5)]
        assert [answer.status for answer in guesses] == [401, 401, 401, 429, 429]
        assert await client.look(1) == [429]
        assert (await client.get(HERE)).told == REFUSED
        assert (await client.sign_up()).headers["Retry-After"] == "1"
        client.clock.seconds += 0.5
        assert await client.look(2) == [200, 429]


@pytest.mark.parametrize(
    ("trusted", "first", "second", "same"),
    [
        (None, "192.0.2.1", "192.0.2.2", True),
        ("10.0.0.0/8", "192.0.2.1", "192.0.2.2", True),
        ("127.0.0.0/8", "192.0.2.1", "192.0.2.2", False),
        ("127.0.0.0/8", "192.0.2.1", "192.0.2.1", True),
        ("127.0.0.0/8", "198.51.100.1, 192.0.2.1", "198.51.100.2, 192.0.2.1", True),
        ("127.0.0.0/8,10.0.0.0/8", "192.0.2.1, 10.0.0.1", "192.0.2.2, 10.0.0.1", False),
        ("127.0.0.0/8", "2001:db8::1", "2001:db8::2", True),
        ("127.0.0.0/8", "2001:db8::1", "2001:db8:0:1::1", False),
        ("127.0.0.0/8", "192.0.2.1", "::ffff:192.0.2.1", True),
        ("127.0.0.0/8", "unknown", "hidden", True),
        ("127.0.0.0/8", "192.0.2.1", "unknown", False),
    ],
)
async def test_behind_trusted_proxies_the_client_is_limited(
    limited: Serve, trusted: str | None, first: str, second: str, same: bool
) -> None:
    async with limited(address_rate=1, address_burst=1, trusted_proxies=trusted) as client:
        told = [(await client.get(HERE, X_Forwarded_For=header)).status for header in (first, second)]
        assert told == [200, 429 if same else 200]


async def test_several_lines_of_the_header_are_one_list(limited: Serve) -> None:
    async with limited(address_rate=1, address_burst=1, trusted_proxies="127.0.0.1") as client:
        for said, status in (("198.51.100.1", 200), ("198.51.100.2", 429)):
            lines = [("X-Forwarded-For", said), ("X-Forwarded-For", "192.0.2.1")]
            assert (await client.ask("GET", HERE, headers=lines)).status == status


async def test_what_machines_ask_is_not_limited(limited: Serve) -> None:
    async with limited(address_rate=1, address_burst=1, member_rate=1, member_burst=1) as client:
        assert [(await client.get(HERE)).status for _ in range(2)] == [200, 429]
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
            assert [(await client.get(path)).status for _ in range(3)] == [200] * 3


async def test_refusals_are_counted_and_name_nobody(limited: Serve) -> None:
    async with limited(
        address_rate=1, address_burst=4, member_rate=1, member_burst=1, trusted_proxies="127.0.0.1"
    ) as client:
        before = await client.refusals()
        for _ in range(6):
            await client.get(ME, person(CANARY), X_Forwarded_For="192.0.2.77")
        after = await client.refusals()
        assert {limit: after[limit] - before[limit] for limit in after} == {"member": 3, "address": 2}
        body = (await client.get("/metrics")).body
        assert CANARY.encode() not in body
        assert b"192.0.2.77" not in body


@pytest.mark.parametrize(
    "name",
    ["X-Forwarded-For", "x-forwarded-for", "X-FORWARDED-FOR", "Forwarded", "X-Real-IP", "True-Client-IP", "X-Client-IP",
     "CF-Connecting-IP", "X-Forwarded", "X-Cluster-Client-IP", "X_Forwarded_For", "Via"],
)  # fmt: skip
async def test_an_address_is_not_what_a_client_says(limited: Serve, name: str) -> None:
    async with limited(address_rate=1, address_burst=2) as client:
        told = [
            (await client.ask("GET", HERE, headers={name: f"198.51.100.{number}"})).status
            for number in range(4)
        ]
        assert told == [200, 200, 429, 429]


@pytest.mark.parametrize("step", [1, 2**32, 2**63 // 7])
async def test_an_address_does_not_hop_within_its_network(limited: Serve, step: int) -> None:
    async with limited(address_rate=1, address_burst=2, trusted_proxies="127.0.0.1") as client:
        hops = [str(ip_address(0x20010DB8_00000000 << 64 | number * step)) for number in range(4)]
        told = [(await client.get(HERE, X_Forwarded_For=hop)).status for hop in hops]
        assert told == [200, 200, 429, 429]


async def test_a_path_that_is_written_otherwise_has_no_limit_of_its_own(limited: Serve) -> None:
    async with limited(address_rate=1, address_burst=2) as client:
        written = [HERE, HERE.replace("autumn", "%61utumn"), f"{HERE}?x=1", f"{HERE}?"]
        told = [(await client.get(path)).status for path in written]
        assert told == [200, 200, 429, 429]


async def test_a_member_with_many_tokens_and_pages_has_one_limit(limited: Serve) -> None:
    async with (
        limited(member_rate=1, member_burst=6) as client,
        opened(client, "m1") as one,
        opened(client, "m1") as two,
    ):
        tokens = [token(person("m1", *roles, unit=unit), ttl_s=ttl_s) for roles, unit, ttl_s in (
            (("member",), "xicheng", 60), (("member", "officer"), "xicheng.health", 600), (("member",), "", 6_000),
        )]  # fmt: skip
        told = [(await client.get(ME, each)).status for each in tokens]
        for page in (one, two):
            await page.say("watch", campaign=CAMPAIGN)
        told.append((await client.get(ME, tokens[0], Cookie="x=1", X_Member="m2")).status)
        # Two came with their handshakes; three looked; of the two pages and the last look one was let through.
        refused = told.count(429)
        for page in (one, two):
            refused += (await page.hear_any("counts", "error"))["op"] == "error"
        assert refused == 2
