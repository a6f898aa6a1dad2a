"""What clients are told while Redis or the ledger fails: never a guess, and the retry gets the one seat."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.ledger.protocol import Unavailable
from engine.live.decisions import Decisions
from tests import postgres
from tests.api.client import (
    CANARY,
    HERE,
    OFFICER,
    OPS,
    ORGANIZER,
    Answer,
    Client,
    person,
    request,
    served,
    written,
)
from tests.api.redis_proxy import RedisProxy, between
from tests.rebuilds import rebuild
from tests.stand import campaign, offering

SIGN_UP = f"{HERE}/offerings/soap/enrollments"
NEVER_MADE = f"{HERE}/enrollments/{'x' * 16}"
MEMBER = person(CANARY)
ASKING_REDIS = [
    ("GET", "/v1/campaigns", None),
    ("GET", HERE, None),
    ("GET", f"{HERE}/offerings/soap", None),
    ("GET", "/v1/campaigns/unheard-of", None),
    ("PUT", HERE, ORGANIZER),
    ("POST", SIGN_UP, MEMBER),
    ("GET", NEVER_MADE, MEMBER),
    ("DELETE", NEVER_MADE, MEMBER),
    ("POST", f"{NEVER_MADE}/confirm", MEMBER),
    ("POST", f"{NEVER_MADE}/decline", MEMBER),
    ("GET", f"{HERE}/me", MEMBER),
    ("GET", "/v1/ops/status", OPS),
    ("GET", "/readyz", None),
]
ASKING_THE_LEDGER = [
    ("PUT", HERE, ORGANIZER),
    ("GET", "/v1/me/enrollments", MEMBER),
    ("GET", f"{HERE}/offerings/soap/roster", OFFICER),
]

pytestmark = pytest.mark.usefixtures("no_canary_in_logs")


@pytest.fixture
async def proxy(redis_url: str, data_directory: Path) -> AsyncIterator[RedisProxy]:
    async with between(redis_url, data_directory) as standing:
        yield standing


@pytest.fixture
async def client(proxy: RedisProxy, data_directory: Path) -> AsyncIterator[Client]:
    """The api behind the proxy, which waits half a second for a decision, and holds two requests at most."""
    limits: dict[str, Any] = {"batch_entries_max": 1, "batches_in_flight_max": 1, "waiting_entries_max": 1}
    async with served(proxy.url, data_directory, decision_timeout_s=0.5, **limits) as behind:
        await behind.stand.publish(campaign(offering(waitlist={"size_max": 9})))
        yield behind


def is_503(answer: Answer, code: str) -> bool:
    return answer.told == (503, code) and int(answer.headers["Retry-After"]) >= 1


async def test_redis_is_away(client: Client, proxy: RedisProxy) -> None:
    place = await client.enrolled("m1")
    before = await client.stand.log()
    await proxy.down()
    for method, path, who in ASKING_REDIS:
        answer = await client.ask(method, path, who, body=written() if method == "PUT" else None)
        assert is_503(answer, "not_ready"), (method, path, answer)
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/v1/me/enrollments", MEMBER)).status == 200
    await proxy.up()
    assert (await client.get("/readyz")).status == 200
    assert (await client.get(place, person("m1"))).status == 200
    assert await client.stand.log() == before
    assert (await client.sign_up(MEMBER)).status == 201


async def test_a_lost_reply_is_unknown_and_the_retry_gets_the_one_seat(
    client: Client, proxy: RedisProxy
) -> None:
    proxy.lose_replies(2)
    for _ in range(2):
        answer = await client.sign_up(MEMBER, key=CANARY)
        assert is_503(answer, "unknown")
    assert proxy.lost_replies == 2
    again = await client.sign_up(MEMBER, key=CANARY)
    assert (again.status, again.json["seats"], again.json["seq"]) == (201, [1], 3)
    assert await client.stand.told() == [("enrolled", "confirmed")]


async def test_a_lost_reply_to_a_cancel_is_unknown_and_the_retry_says_so(
    client: Client, proxy: RedisProxy
) -> None:
    place = await client.enrolled(CANARY)
    proxy.lose_replies(1)
    assert is_503(await client.ask("DELETE", place, MEMBER), "unknown")
    again = await client.ask("DELETE", place, MEMBER)
    assert (again.status, again.json["status"], again.json["version"]) == (200, "cancelled", 2)
    assert await client.stand.told() == [("enrolled", "confirmed"), ("cancelled", "cancelled")]


async def test_a_lost_reply_to_a_publication_is_unknown_and_the_retry_publishes_nothing_more(
    client: Client, proxy: RedisProxy
) -> None:
    replaced = written(offering("tea"))
    proxy.lose_replies(1)
    assert is_503(await client.ask("PUT", HERE, ORGANIZER, body=replaced), "unknown")
    again = await client.ask("PUT", HERE, ORGANIZER, body=replaced)
    assert (again.status, again.json) == (200, {"campaign": "autumn", "version": 2, "changed": False})


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_a_first_publication_that_was_cut_short_is_mended_by_publishing_again(
    client: Client, proxy: RedisProxy, lost: int
) -> None:
    new = written(name="winter")
    proxy.lose_replies(lost)
    for _ in range(lost):
        assert is_503(await client.ask("PUT", "/v1/campaigns/winter", ORGANIZER, body=new), "unknown")
    again = await client.ask("PUT", "/v1/campaigns/winter", ORGANIZER, body=new)
    assert (again.status, again.json["version"]) == (200, 1)
    assert (await client.sign_up(MEMBER, within="winter")).status == 201


async def test_a_stall_is_unknown_and_beyond_the_bound_overloaded(client: Client, proxy: RedisProxy) -> None:
    """One decision in flight, one that waits for it: the third is refused at once.

    The one that waits is sent when the first is given up, or given back if it has waited as long by then.
    """
    proxy.hold()
    in_flight = asyncio.create_task(client.sign_up("m1", key="k"))
    await proxy.until_held()
    waiting = asyncio.create_task(client.sign_up("m2", key="k"))
    while client.stand.decisions.waiting == 0:  # noqa: ASYNC110  the queue says so to nobody
        await asyncio.sleep(0)
    assert is_503(await client.sign_up("m3", key="k"), "overloaded")
    assert is_503(await in_flight, "unknown")
    assert (await waiting).code in ("unknown", "not_ready", "overloaded")
    proxy.release()
    again = [await client.sign_up(f"m{number}", key="k") for number in (1, 2, 3)]
    assert [each.status for each in again] == [201, 201, 202]
    assert len(await client.stand.told()) == 3


async def test_a_paused_server_is_unknown_or_not_ready_and_the_retry_gets_the_one_seat(
    client: Client, redis_url: str
) -> None:
    await client.stand.administrator.execute_command("CLIENT", "PAUSE", "1200", "ALL")
    first = await client.sign_up(MEMBER, key=CANARY)
    assert is_503(first, "unknown")
    while (again := await client.sign_up(MEMBER, key=CANARY)).status == 503:
        assert again.code in ("unknown", "not_ready", "overloaded")
    assert (again.status, again.json["seats"]) == (201, [1])
    assert await client.stand.told() == [("enrolled", "confirmed")]


async def test_a_client_that_goes_away_does_not_cancel_the_decision(
    client: Client, proxy: RedisProxy
) -> None:
    proxy.hold()
    _reader, writer = await client.connect()
    writer.write(request("POST", SIGN_UP, MEMBER, b"{}"))
    await proxy.until_held()
    writer.close()
    await writer.wait_closed()
    proxy.release()
    await client.stand.decisions.drain()
    assert await client.stand.told() == [("enrolled", "confirmed")]


async def test_the_status_while_the_ledger_is_away(
    one_redis_url: str,
    data_directory: Path,
    postgres_url: str,
    postgres_server: postgres.PostgresServer,
) -> None:
    """It goes on from what the ledger said last, and Redis was told since; also of what it has never spoken of."""
    async with served(one_redis_url, data_directory, database_url=postgres_url) as client:
        await client.stand.publish(campaign())
        await client.enrolled("m1")
        await client.record()
        before = (await client.get("/v1/ops/status", OPS)).json
        await client.stand.publish(campaign(name="unseen"))
        await client.stand.runtime.streams.note_recorded("unseen", 1, 1, 0)
        postgres_server.kill()
        try:
            await client.enrolled("m2")
            after = (await client.get("/v1/ops/status", OPS)).json
        finally:
            postgres_server.start()
        assert (before["ledger_ready"], after["ledger_ready"]) == (True, False)
        pending = [
            {each["campaign"]: each["pending_entries"] for each in told["campaigns"]}
            for told in (before, after)
        ]
        assert pending == [{"autumn": 0}, {"autumn": 1, "unseen": 1}]
        for each in after["campaigns"]:
            assert 0 <= each["lag_s"] < 60


async def test_an_internal_fault_is_a_number_and_no_more(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_down(*_: object, **__: object) -> None:
        raise ValueError(f"member {CANARY} has broken the engine")

    monkeypatch.setattr(Decisions, "sign_up", break_down)
    answer = await client.sign_up(MEMBER, key=CANARY, Accept_Language="en")
    assert answer.told == (500, "internal")
    told = answer.json
    request_id = told.pop("request_id")
    assert told == {
        "type": "urn:seatrush:problem:internal",
        "title": "Internal error",
        "status": 500,
        "detail": f"Something went wrong on our side. Please quote request {request_id}.",
        "code": "internal",
    }
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    line = record.getMessage()
    assert request_id in line
    assert "ValueError" in line
    assert "break_down" in line


async def test_the_ledger_is_away(
    one_redis_url: str,
    data_directory: Path,
    postgres_url: str,
    postgres_server: postgres.PostgresServer,
) -> None:
    """Sales go on, and so does everything that asks Redis alone."""
    async with served(one_redis_url, data_directory, database_url=postgres_url) as client:
        await client.stand.publish(campaign())
        place = await client.enrolled("m1")
        await client.record()
        postgres_server.kill()
        try:
            for method, path, who in ASKING_THE_LEDGER:
                answer = await client.ask(method, path, who, body=written() if method == "PUT" else None)
                assert is_503(answer, "not_ready"), (method, path, answer)
            given = await client.sign_up(MEMBER, key=CANARY)
            assert given.status == 201
            assert (await client.ask("DELETE", place, person("m1"))).status == 200
            assert (await client.get(f"{HERE}/me", MEMBER)).json["enrollments"] == [given.json]
            assert (await client.get(HERE)).json["offerings"][0]["pools"][0]["taken"] == 1
            assert (await client.get("/readyz")).status == 200
            with pytest.raises(Unavailable):
                await client.record()
        finally:
            postgres_server.start()
        await client.record()
        listed = (await client.get("/v1/me/enrollments", MEMBER)).json
        assert listed["enrollments"] == [given.json]


async def test_an_emptied_redis_decides_nothing_until_it_is_rebuilt(client: Client) -> None:
    """The very next sign-up is refused; once the command is through, a process that runs goes on by itself."""
    first = await client.sign_up("m1", key="k")
    await client.record()
    await client.stand.administrator.flushall()
    assert is_503(await client.sign_up(MEMBER, key=CANARY), "not_ready")
    assert is_503(await client.ask("PUT", HERE, ORGANIZER, body=written(offering("tea"))), "not_ready")
    assert is_503(await client.get(HERE), "not_ready")
    (told,) = (await client.get("/v1/ops/status", OPS)).json["campaigns"]
    assert (told["ready"], told["state"], told["remedy"]) == (False, "lost", "seatrush rebuild autumn")
    async with client.another() as late:
        # This one never knew it.
        assert is_503(await late.sign_up(MEMBER, key=CANARY), "not_ready")
        await rebuild(client.stand)
        again = await client.sign_up("m1", key="k")
        assert (again.status, again.body) == (first.status, first.body)
        assert (await client.sign_up(MEMBER, key=CANARY)).json["seats"] == [2]
        await late.stand.runtime.catalog.refresh()
        replayed = await late.sign_up(MEMBER, key=CANARY)
        assert (replayed.status, replayed.json["seats"]) == (201, [2])
    (told,) = (await client.get("/v1/ops/status", OPS)).json["campaigns"]
    assert (told["ready"], told["state"], told["remedy"]) == (True, "open", None)
