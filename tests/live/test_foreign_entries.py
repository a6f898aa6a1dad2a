"""Something else writes into a campaign's stream: what cannot be logged is not decided."""

import redis

from engine.live import keys
from engine.workers.gatekeeper import LOGS_LOOKED_AT_EVERY, Gatekeeper
from tests import rebuilds
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


async def test_it_is_closed_and_a_rebuild_opens_it(stand: Stand, redis_url: str) -> None:
    await stand.publish(campaign())
    given = await stand.sign_up("m-1", key="k")
    add(redis_url, "*")
    gatekeeper = Gatekeeper(stand.runtime.server, stand.runtime.ledger)
    for _ in range(LOGS_LOOKED_AT_EVERY):
        await gatekeeper.run_once()
    state = await stand.runtime.streams.state(CAMPAIGN)
    assert state is not None
    assert state.gate == "closed"
    rebuilt = await stand.runtime.rebuilder.rebuild(CAMPAIGN, rebuilds.ACTOR)
    assert rebuilt.differences == []
    assert (await stand.sign_up("m-1", key="k")).enrollment == given.enrollment
    assert (await stand.sign_up("m-2")).outcome == "confirmed"


async def test_a_rebuild_shuts_a_gate_behind_which_nothing_can_be_logged(
    stand: Stand, redis_url: str
) -> None:
    await stand.publish(campaign())
    await stand.sign_up("m-1")
    add(redis_url, "*")
    rebuilt = await stand.runtime.rebuilder.rebuild(CAMPAIGN, rebuilds.ACTOR)
    assert rebuilt.differences == []
    assert (await stand.sign_up("m-2")).outcome == "confirmed"
