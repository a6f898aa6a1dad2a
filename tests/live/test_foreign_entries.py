"""Something else writes into a campaign's stream: what cannot be logged is not decided."""

import redis

from engine.live import keys
from tests.stand import CAMPAIGN, Stand, campaign, offering


def add(redis_url: str, entry_id: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.xadd(keys.of(CAMPAIGN, "EVENTS"), {"x": "garbage"}, id=entry_id)


async def test_what_cannot_be_logged_is_not_decided(stand: Stand, redis_url: str) -> None:
    await stand.publish(campaign(offering(waitlist={"size_max": 5})))
    given = await stand.sign_up("m-1", key="k")
    # As XADD with "*" does by hand: no id of the campaign comes after it.
    add(redis_url, "*")
    refused = [
        await stand.sign_up("m-2", key="k"),
        await stand.sign_up("m-2", key="k"),
        await stand.cancel(given.enrollment, "m-1"),
    ]
    assert [decision.outcome for decision in refused] == ["not_ready"] * 3
    with redis.Redis.from_url(redis_url) as client:
        assert client.hlen(keys.of(CAMPAIGN, "ENROLLMENTS")) == 1
        assert client.hget(keys.of(CAMPAIGN, "META"), "seq") == b"3"


async def test_a_document_that_cannot_be_logged_is_not_published(stand: Stand, redis_url: str) -> None:
    await stand.publish(campaign())
    add(redis_url, "*")
    assert await stand.try_publish(campaign(offering(waitlist={"size_max": 5}))) == "not_ready"
    with redis.Redis.from_url(redis_url) as client:
        assert client.hget(keys.of(CAMPAIGN, "META"), "version") == b"1"
