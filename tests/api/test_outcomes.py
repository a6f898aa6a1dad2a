"""One table of outcomes: the contract, Lua, Python and HTTP agree on it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from engine.domain import outcome
from engine.live import keys, scripts
from tests.api.client import HERE, ORGANIZER, Answer, Client, person, written
from tests.stand import at, campaign, offering

CONTRACT: Final = {
    "sold_out": 409,
    "not_open": 409,
    "limit_reached": 409,
    "closed": 410,
    "overlap": 409,
    "not_eligible": 403,
    "not_found": 404,
    "unauthenticated": 401,
    "forbidden": 403,
    "invalid": 422,
    "key_reused": 422,
    "rate_limited": 429,
    "too_late": 409,
    "wrong_state": 409,
    "overloaded": 503,
    "not_ready": 503,
    "unknown": 503,
    "too_large": 413,
    "timeout": 408,
    "method_not_allowed": 405,
    "unsupported_media_type": 415,
    "precondition_failed": 412,
    "internal": 500,
}
"""The contract's table of refusals, as it stands there."""
SUCCESSES: Final = {"confirmed": 201, "held": 202, "waitlisted": 202, "entered": 202}
"""What a sign-up is answered with, as the contract says; one who is in already gets 200."""
RETRY_AFTER: Final = {"not_open", "rate_limited", "overloaded", "not_ready", "unknown"}
ONE_SEAT: Final = [{"pool": "open", "capacity": 1}]
NO_SEAT: Final = [{"pool": "open", "capacity": 0}]

Scenario = Callable[[Client], Awaitable[Answer]]


def test_python_has_the_contracts_table() -> None:
    assert {row.code: row.status for row in outcome.REFUSALS.values()} == CONTRACT
    assert {row.code for row in outcome.REFUSALS.values() if row.retry_after} == RETRY_AFTER
    changes = {"already_in": 200, "changed": 200}
    assert {row.code: row.status for row in outcome.SUCCESSES.values()} == SUCCESSES | changes
    assert all(name == row.code for name, row in outcome.OUTCOMES.items())


def named_in_lua() -> set[str]:
    """Every outcome that a script names, as `Outcome.X` or as the status of a sign-up."""
    found = set()
    for file in [*scripts.FILES.iterdir(), *(scripts.FILES / "includes").iterdir()]:
        if file.name.endswith(".lua"):
            found |= set(re.findall(r"\bOutcome\.(\w+)", file.read_text()))
    return {name.lower() for name in found} | {"confirmed", "held", "waitlisted"}


def test_lua_names_what_python_has() -> None:
    assert named_in_lua() <= set(outcome.OUTCOMES) | set(outcome.INTERNAL)
    assert set(outcome.INTERNAL) <= named_in_lua()


async def confirmed(client: Client) -> Answer:
    await client.stand.publish(campaign())
    return await client.sign_up()


async def held(client: Client) -> Answer:
    await client.stand.publish(campaign(offering(hold_ttl_s=600)))
    return await client.sign_up()


async def waitlisted(client: Client) -> Answer:
    await client.stand.publish(campaign(offering(pools=NO_SEAT, waitlist={"size_max": 1})))
    return await client.sign_up()


async def already_in(client: Client) -> Answer:
    await confirmed(client)
    return await client.sign_up()


async def changed(client: Client) -> Answer:
    given = await confirmed(client)
    return await client.ask("DELETE", given.headers["Location"], person())


async def not_found(client: Client) -> Answer:
    await client.stand.publish(campaign())
    return await client.get(f"{HERE}/enrollments/{'x' * 16}", person())


async def not_ready(client: Client) -> Answer:
    await client.stand.publish(campaign())
    await client.stand.administrator.flushall()
    return await client.sign_up()


async def key_reused(client: Client) -> Answer:
    await client.stand.publish(campaign(offering(), offering("tea")))
    await client.sign_up(offering="tea", key="k")
    return await client.sign_up(key="k")


async def closed(client: Client) -> Answer:
    await client.stand.publish(campaign(offering(opens=at(hours=-2), closes=at(hours=-1))))
    return await client.sign_up()


async def not_open(client: Client) -> Answer:
    await client.stand.publish(campaign(offering(opens=at(hours=1))))
    return await client.sign_up()


async def not_eligible(client: Client) -> Answer:
    own = [{"pool": "own", "capacity": 9, "eligible": {"tags": ["outdoor"]}}]
    await client.stand.publish(campaign(offering(pools=own)))
    return await client.sign_up()


async def limit_reached(client: Client) -> Answer:
    rules = {"limits": [{"max": 1, "per": "campaign"}]}
    await client.stand.publish(campaign(offering(), offering("tea"), rules=rules))
    await client.sign_up(offering="tea")
    return await client.sign_up()


async def overlap(client: Client) -> Answer:
    await client.stand.publish(campaign(offering(), offering("tea"), rules={"overlaps_allowed": False}))
    await client.sign_up(offering="tea")
    return await client.sign_up()


async def sold_out(client: Client) -> Answer:
    await client.stand.publish(campaign(offering(pools=NO_SEAT)))
    return await client.sign_up()


async def too_late(client: Client) -> Answer:
    await client.stand.publish(campaign(offering(cancel_until=at(hours=-1))))
    return await client.ask("DELETE", await client.enrolled(), person())


async def wrong_state(client: Client) -> Answer:
    given = await waitlisted(client)
    return await client.ask("POST", given.headers["Location"] + "/confirm", person())


async def invalid(client: Client) -> Answer:
    await confirmed(client)
    return await client.ask("PUT", HERE, ORGANIZER, body=written(offering(pools=NO_SEAT)))


async def precondition_failed(client: Client) -> Answer:
    await confirmed(client)
    return await client.ask("PUT", HERE, ORGANIZER, body=written(), headers={"If-Match": '"2"'})


SCENARIOS: Final[tuple[Scenario, ...]] = (
    confirmed, held, waitlisted, already_in, changed, not_found, not_ready, key_reused, closed, not_open,
    not_eligible, limit_reached, overlap, sold_out, too_late, wrong_state, invalid, precondition_failed,
)  # fmt: skip
OF_THE_API: Final = {"not_ready", "invalid", "precondition_failed"}
"""Refusals that Lua names but that the api words, without the seq."""


def test_there_is_a_scenario_for_every_outcome_of_lua() -> None:
    assert {each.__name__ for each in SCENARIOS} == named_in_lua() - set(outcome.INTERNAL)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
async def test_http_answers_with_the_outcome(client_on_both: Client, scenario: Scenario) -> None:
    answer = await scenario(client_on_both)
    code = scenario.__name__
    expected = outcome.OUTCOMES[code]
    assert answer.status == expected.status
    assert ("Retry-After" in answer.headers) == expected.retry_after
    assert ("Location" in answer.headers) == (code in SUCCESSES)
    if code not in outcome.REFUSALS:
        return
    assert answer.code == code
    log = await client_on_both.stand.log()
    assert answer.json.get("as_of_seq") == (None if code in OF_THE_API else log[-1].seq)


async def test_limit_reached_names_the_limit(client: Client) -> None:
    assert (await limit_reached(client)).json["per"] == "campaign"


async def test_overlap_names_the_other_offering(client: Client) -> None:
    refused = await overlap(client)
    assert refused.json["offering"] == "tea"
    # By its title, in the language of the client.
    assert "手工皂" in refused.json["detail"]


async def test_wrong_state_names_the_state(client: Client) -> None:
    assert "候补中" in (await wrong_state(client)).json["detail"]


async def test_not_open_says_when_it_opens(client: Client) -> None:
    opens = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=250_000)
    await client.stand.publish(campaign(offering(opens=opens.isoformat())))
    refused = await client.sign_up()
    assert datetime.fromisoformat(refused.json["opens_at"]) == opens
    assert 3_590 <= int(refused.headers["Retry-After"]) <= 3_601


async def test_what_is_due_is_done_before_any_answer(client_on_both: Client) -> None:
    """More windows open at one moment than one call may handle: nobody sees `behind`, and no event is late."""
    client = client_on_both
    opens = datetime.now(UTC) + timedelta(milliseconds=300)
    many = [offering(f"o{number}", opens=opens.isoformat()) for number in range(450)]
    await client.stand.publish(campaign(*many))
    await asyncio.sleep(max(0, (opens - datetime.now(UTC)).total_seconds()))
    assert (await client.sign_up(offering="o449")).status == 201
    log = await client.stand.log()
    assert [event.header.type for event in log] == ["published", *["opened"] * 450, "enrolled"]


async def test_guards_before_the_engine_come_in_their_order(client_on_both: Client) -> None:
    """A request that breaks every rule is told the first; each rule that is mended uncovers the next."""
    client = client_on_both
    await client.stand.publish(campaign(offering(pools=ONE_SEAT), offering("tea")))
    await client.sign_up("m1", "tea", key="k")
    meta = keys.of("autumn", "META")
    state = await client.stand.administrator.dump(meta)
    await client.stand.administrator.delete(meta)
    bad: dict[str, Any] = {"headers": {"Idempotency-Key": "k" * 65}, "body": {"pool": 7}}
    good: dict[str, Any] = {"headers": {"Idempotency-Key": "k"}, "body": {}}
    there, not_there = [f"{HERE}/offerings/{name}/enrollments" for name in ("soap", "paper")]
    told = [
        await client.ask("POST", not_there, None, **bad),
        await client.ask("POST", not_there, person("m1", "officer"), **bad),
        await client.ask("POST", not_there, person("m1"), **bad),
        await client.ask("POST", not_there, person("m1"), **good),
        await client.ask("POST", there, person("m1"), **good),
    ]
    await client.stand.administrator.restore(meta, 0, state)
    told.append(await client.ask("POST", there, person("m1"), **good))
    told.append(await client.ask("POST", there, person("m1")))
    assert [each.code for each in told] == [
        "unauthenticated",
        "forbidden",
        "invalid",
        "not_found",
        "not_ready",
        "key_reused",
        "",
    ]
    assert told[2].errors == [("Idempotency-Key", "not_a_key"), ("/pool", "not_a_string")]
    assert told[-1].status == 201
