"""What ops and machines ask: liveness, readiness, metrics, status."""

import asyncio
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

import engine
from tests.api.client import HERE, OPS, Client, person
from tests.stand import campaign, offering


async def status(client: Client) -> Any:
    answer = await client.get("/v1/ops/status", OPS)
    assert answer.status == 200
    return answer.json


async def decisions(client: Client, name: str) -> dict[tuple[str, str], float]:
    """The decisions of a campaign as /metrics counts them, by verb and outcome."""
    answer = await client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.labels["verb"], sample.labels["outcome"]): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
        if sample.name == "seatrush_decisions_total" and sample.labels["campaign"] == name
    }


async def test_alive_and_ready(client: Client) -> None:
    for path, text in (("/healthz", b"ok\n"), ("/readyz", b"ready\n")):
        answer = await client.get(path)
        assert (answer.status, answer.body) == (200, text)
        assert answer.headers["Content-Type"].startswith("text/plain")


async def test_ready_with_what_was_published_before(client: Client) -> None:
    await client.stand.publish(campaign())
    async with client.another() as other:
        assert (await other.get("/readyz")).status == 200
        assert other.stand.runtime.catalog.names() == ["autumn"]


async def test_metrics_count_what_is_decided(client: Client) -> None:
    name = "counted-by-metrics"
    await client.stand.publish(campaign(name=name))
    for member in ("m1", "m2", "m3", "m1"):
        await client.sign_up(member, within=name)
    assert await decisions(client, name) == {
        ("sign_up", "confirmed"): 2,
        ("sign_up", "sold_out"): 1,
        ("sign_up", "already_in"): 1,
    }


async def test_metrics_hold_nothing_that_a_stranger_names(client: Client) -> None:
    never = f"/v1/campaigns/named-by-a-stranger/enrollments/{'x' * 16}"
    for method, ending in [("GET", ""), ("DELETE", ""), ("POST", "/confirm"), ("POST", "/decline")]:
        assert (await client.ask(method, never + ending, person())).status == 404
    assert (await client.sign_up("canary-7f3a", within="named-by-a-stranger")).status == 404
    body = (await client.get("/metrics")).body
    assert b"named-by-a-stranger" not in body
    assert b"canary-7f3a" not in body


async def test_status_of_nothing(client: Client) -> None:
    told = await status(client)
    # What other tests have counted in this process is in it.
    assert told.pop("batches").keys() <= {"sign_up", "cancel", "confirm", "decline"}
    (redis,) = told.pop("redis").items()
    assert redis[0] == "unix"
    assert redis[1].keys() == {"memory_share", "aof_bytes", "persists", "up_s"}
    assert told.pop("disk_free_bytes") > 0
    assert told == {
        "campaigns": [],
        "queue_entries": 0,
        "fsync_s": None,
        "durability": "fsync",
        "replicas": None,
        "ledger_ready": True,
        "disk_free_min_bytes": 268_435_456,
        "build": engine.__version__,
    }


async def test_status_follows_the_campaign(client: Client) -> None:
    name = "status"
    await client.stand.publish(campaign(offering(waitlist={"size_max": 1}), offering("tea"), name=name))
    for member in ("m1", "m2", "m3", "m4"):
        await client.sign_up(member, within=name)
    (told,) = (await status(client))["campaigns"]
    assert 0 <= told.pop("lag_s") < 60
    # One for the publication, two for the windows that opened, three for the enrollments.
    assert told == {
        "campaign": name,
        "ready": True,
        "state": "open",
        "remedy": None,
        "version": 1,
        "seq": 6,
        "decisions": {"confirmed": 2, "waitlisted": 1, "sold_out": 1},
        "taken": 2,
        "waiting": 1,
        "stream_entries": 6,
        "pending_entries": 6,
        "backlog_share": 0.0,
        "dead_letters": 0,
    }
    await client.record(name)
    (told,) = (await status(client))["campaigns"]
    assert (told["pending_entries"], told["stream_entries"], told["lag_s"]) == (0, 6, 0)


async def test_status_names_a_campaign_that_is_lost(client: Client) -> None:
    await client.stand.publish(campaign())
    await client.stand.publish(campaign(name="spring"))
    await client.stand.administrator.delete("seatrush:{autumn}:meta")
    told = {each["campaign"]: each for each in (await status(client))["campaigns"]}
    assert {name: each["ready"] for name, each in told.items()} == {"autumn": False, "spring": True}
    assert (await client.get(HERE)).told == (503, "not_ready")


async def test_lag_grows_while_nobody_records(client: Client) -> None:
    await client.stand.publish(campaign())
    await client.record()
    await client.sign_up("m1")
    # The event as it would lie there if it had been decided a minute ago, with a later one behind it.
    (*_, event) = await client.stand.log()
    header = msgspec.structs.replace(event.header, at=event.header.at - 60_000)
    redis, stream = client.stand.administrator, "seatrush:{autumn}:events"
    await redis.delete(stream)
    fields = {name.decode(): value for name, value in event.fields.items()}
    await redis.xadd(stream, fields | {"h": msgspec.msgpack.encode(header)}, id=f"1-{event.seq}")
    await client.sign_up("m2")
    (told,) = (await status(client))["campaigns"]
    assert told["pending_entries"] == 2
    assert 60 <= told["lag_s"] < 120


async def test_the_share_of_the_backlog_and_what_stops_at_it(client: Client) -> None:
    await client.stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 9}])))
    place = await client.enrolled("m1")
    client.stand.runtime.backlog._entries_max = 4
    await client.enrolled("m2")
    assert (await status(client))["campaigns"][0]["backlog_share"] == 1.0
    assert (await client.sign_up("m3")).told == (503, "not_ready")
    assert (await client.ask("DELETE", place, person("m1"))).status == 200


async def test_lag_is_not_known_where_the_event_is_lost(client: Client) -> None:
    await client.stand.publish(campaign())
    await client.sign_up("m1")
    await client.stand.administrator.delete("seatrush:{autumn}:events")
    (told,) = (await status(client))["campaigns"]
    assert (told["pending_entries"], told["lag_s"], told["stream_entries"]) == (3, None, 0)


async def test_status_of_many_campaigns(client: Client) -> None:
    names = [f"c{number:02}" for number in range(40)]
    for name in names:
        await client.stand.publish(campaign(name=name))
    await client.stand.administrator.delete("seatrush:{c17}:meta")
    told = (await status(client))["campaigns"]
    assert [each["campaign"] for each in told] == names
    assert [each["campaign"] for each in told if not each["ready"]] == ["c17"]


async def test_batches_and_waits_are_measured(client: Client) -> None:
    await client.stand.publish(campaign())
    before = (await status(client))["batches"].get("sign_up", {"calls": 0, "entries": 0})
    waits = (
        await counted(client, "seatrush_queue_wait_seconds_count"),
        await counted(client, "seatrush_decision_duration_seconds_count"),
    )
    await asyncio.gather(*(client.sign_up(f"m{number}") for number in range(9)))
    batches = (await status(client))["batches"]["sign_up"]
    assert batches["entries"] == before["entries"] + 9
    assert before["calls"] < batches["calls"] <= before["calls"] + 9
    assert batches["entries_mean"] == pytest.approx(batches["entries"] / batches["calls"], abs=0.06)
    assert waits == (
        await counted(client, "seatrush_queue_wait_seconds_count") - 9,
        await counted(client, "seatrush_decision_duration_seconds_count") - 9,
    )


async def test_answers_503_are_counted_by_their_code(client: Client) -> None:
    await client.stand.publish(campaign())
    before = await counted(client, "seatrush_unavailable_total", code="not_ready")
    await client.stand.administrator.delete("seatrush:{autumn}:meta")
    assert (await client.sign_up()).told == (503, "not_ready")
    assert (await client.sign_up(offering="nothing")).told == (404, "not_found")
    assert await counted(client, "seatrush_unavailable_total", code="not_ready") == before + 1


async def counted(client: Client, name: str, **labels: str) -> float:
    """The sum of a metric's samples."""
    body = (await client.get("/metrics")).body.decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def test_fsync_is_shown_once_it_was_measured(client: Client) -> None:
    probe = client.stand.runtime.fsync
    for _ in range(2):
        assert 0 <= await probe.measure() < 5
    async with client.another() as other:
        shown = (await status(other))["fsync_s"]
    assert 0 <= shown < 5
    async with client.another(durability="memory") as other:
        told = await status(other)
    assert (told["durability"], told["fsync_s"]) == ("memory", None)
