"""What ops and machines ask: liveness, readiness, metrics, status."""

from typing import Any

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
    assert await status(client) == {
        "campaigns": [],
        "queue_entries": 0,
        "durability": "fsync",
        "build": engine.__version__,
    }


async def test_status_follows_the_campaign(client: Client) -> None:
    name = "status"
    await client.stand.publish(campaign(offering(waitlist={"size_max": 1}), offering("tea"), name=name))
    for member in ("m1", "m2", "m3", "m4"):
        await client.sign_up(member, within=name)
    (told,) = (await status(client))["campaigns"]
    # One for the publication, two for the windows that opened, three for the enrollments.
    assert told == {
        "campaign": name,
        "ready": True,
        "version": 1,
        "seq": 6,
        "decisions": {"confirmed": 2, "waitlisted": 1, "sold_out": 1},
        "taken": 2,
        "waiting": 1,
        "stream_entries": 6,
        "pending_entries": 6,
        "dead_letters": 0,
    }
    await client.record(name)
    (told,) = (await status(client))["campaigns"]
    assert (told["pending_entries"], told["stream_entries"]) == (0, 6)


async def test_status_names_a_campaign_that_is_lost(client: Client) -> None:
    await client.stand.publish(campaign())
    await client.stand.publish(campaign(name="spring"))
    await client.stand.runtime.server.client.delete("seatrush:{autumn}:meta")
    told = {each["campaign"]: each for each in (await status(client))["campaigns"]}
    assert {name: each["ready"] for name, each in told.items()} == {"autumn": False, "spring": True}
    assert (await client.get(HERE)).told == (503, "not_ready")


@pytest.mark.parametrize("durability", ["memory"])
async def test_status_says_that_nothing_is_on_disk(client: Client, durability: str) -> None:
    async with client.another(durability=durability) as other:
        assert (await status(other))["durability"] == durability
