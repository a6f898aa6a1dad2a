"""What the verbs share, on each line of Redis: the gate, the backlog, what is due before anything is decided."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from msgspec.msgpack import decode, encode
from msgspec.structs import replace

from engine.domain import definition, document
from engine.domain.events import Header
from engine.live import keys
from tests.stand import CAMPAIGN, Stand, at, campaign, offering

STEPS_MAX: Final = 200
"""As in includes/advance.lua."""

Arguments = list[Any]
DOCUMENT: Final = campaign(offering(pools=[{"pool": "open", "capacity": 2, "codes": True}]))
REQUEST: Final = [1, "m1", "", "e1", "soap", "", "1", "m1", "http", 0, "", 1]


def published(expected_version: str = "", epoch: str = "1", deadline: str = "") -> Arguments:
    """Arguments of `publish`."""
    return [
        "update",
        epoch,
        expected_version,
        document.canonical(DOCUMENT),
        definition.pack_rules(DOCUMENT),
        definition.pack_offerings(DOCUMENT),
        definition.pack_timers(DOCUMENT),
        "organizer",
        "cli",
        "",
        deadline,
        1_000,
    ]


def change(enrollment: str = "e1") -> Arguments:
    """Arguments of `cancel`, `confirm` and `decline`."""
    return [encode([[enrollment, "", "officer", "http"]])]


def sign_up(backlog: int = 1_000, **changed: Any) -> Arguments:
    """Arguments of `sign_up`."""
    return [
        encode([list(({str(place): value for place, value in enumerate(REQUEST)} | changed).values())]),
        backlog,
    ]


def assign(backlog: int = 1_000) -> Arguments:
    """Arguments of `assign`."""
    return ["soap", encode([["e1", "m1", "open", "seat"]]), "officer", "cli", backlog]


def settle(backlog: int = 1_000) -> Arguments:
    """Arguments of `settle`."""
    return [1, 0, encode([]), backlog]


def issue(backlog: int = 1_000) -> Arguments:
    """Arguments of `issue`."""
    return ["soap", "open", encode([1, "", 0, ["c1"]]), 100, "organizer", "cli", backlog]


WRITING: Final[dict[str, Arguments]] = {
    "advance": [],
    "sign_up": sign_up(),
    "cancel": change(),
    "confirm": change(),
    "decline": change(),
    "assign": assign(),
    "draw": ["begin", "", "", 1_000],
    "settle": settle(),
    "issue": issue(),
    "revoke": ["soap", "c1", "organizer", "cli"],
}
READING: Final[dict[str, Arguments]] = {
    "find": ["e1"],
    "mine": ["m1"],
    "counts": [],
    "codes": ["soap", 0, 10],
}
LIMITED: Final[dict[str, Callable[[int], Arguments]]] = {
    "sign_up": sign_up,
    "assign": assign,
    "settle": settle,
    "issue": issue,
}


@pytest.fixture
async def stand_with_soap(stand: Stand) -> Stand:
    """One offering of two seats, which takes codes; nothing has happened yet."""
    await stand.publish(DOCUMENT)
    return stand


async def call(stand: Stand, verb: str, arguments: Arguments) -> tuple[str, list[Any]]:
    """The status of a call, and what else it answers."""
    status, *facts = await stand.runtime.server.call(verb, CAMPAIGN, arguments)
    return status.decode(), facts


async def make_due(stand: Stand, number: int) -> None:
    """So many windows open at a moment that is past."""
    timers = {f"opens/soap/{each}": 1 for each in range(number)}
    await stand.administrator.zadd(keys.of(CAMPAIGN, "TIMERS"), timers)


async def types(stand: Stand) -> Sequence[str]:
    """Of all events after those of the publication; their numbers have no gaps."""
    log = await stand.log()
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    return [event.header.type for event in log][2:]


@pytest.mark.parametrize(("verb", "arguments"), (WRITING | READING).items())
@pytest.mark.parametrize("gate", ["closed", "new", None])
async def test_nothing_passes_a_gate_that_is_not_open(
    stand_with_soap: Stand, verb: str, arguments: Arguments, gate: str | None
) -> None:
    client, meta = stand_with_soap.administrator, keys.of(CAMPAIGN, "META")
    await make_due(stand_with_soap, 1)
    await (client.hset(meta, "gate", gate) if gate else client.hdel(meta, "gate"))
    assert await call(stand_with_soap, verb, arguments) == ("not_ready", [])
    assert await types(stand_with_soap) == []


@pytest.mark.parametrize(("verb", "arguments"), (WRITING | {"publish": published()}).items())
async def test_what_is_due_is_done_in_steps_before_anything_is_decided(
    stand_with_soap: Stand, verb: str, arguments: Arguments
) -> None:
    await make_due(stand_with_soap, 2 * STEPS_MAX + 1)
    assert await call(stand_with_soap, verb, arguments) == ("behind", [])
    assert await types(stand_with_soap) == ["opened"] * STEPS_MAX
    assert await call(stand_with_soap, verb, arguments) == ("behind", [])
    status, _ = await call(stand_with_soap, verb, arguments)
    assert status != "behind"
    assert (await types(stand_with_soap))[: 2 * STEPS_MAX + 1] == ["opened"] * (2 * STEPS_MAX + 1)


@pytest.mark.parametrize(("verb", "arguments"), WRITING.items())
async def test_what_one_call_can_do_leaves_nobody_behind(
    stand_with_soap: Stand, verb: str, arguments: Arguments
) -> None:
    await make_due(stand_with_soap, STEPS_MAX)
    status, _ = await call(stand_with_soap, verb, arguments)
    assert status != "behind"


@pytest.mark.parametrize(("verb", "arguments"), READING.items())
async def test_nothing_is_shown_that_time_has_changed(
    stand_with_soap: Stand, verb: str, arguments: Arguments
) -> None:
    await make_due(stand_with_soap, 1)
    assert await call(stand_with_soap, verb, arguments) == ("behind", [])
    await call(stand_with_soap, "advance", [])
    status, _ = await call(stand_with_soap, verb, arguments)
    assert status == "decided"


@pytest.mark.parametrize(
    ("verb", "arguments", "expected"),
    [
        ("sign_up", sign_up(**{"0": 7}), "stale"),
        ("cancel", change("nobody"), "not_found"),
        ("confirm", change("nobody"), "not_found"),
        ("decline", change("nobody"), "not_found"),
        ("assign", assign(), "wrong_state"),
        ("draw", ["begin", "", "", 1_000], "wrong_state"),
        ("draw", ["end", 1, 0], "decided"),
        ("settle", settle(), "decided"),
        ("issue", ["nothing", *issue()[1:]], "not_found"),
        ("issue", ["soap", "nothing", *issue()[2:]], "invalid"),
        ("revoke", ["soap", "c1", "organizer", "cli"], "not_found"),
        ("publish", published(), "changed"),
        ("publish", published("7"), "precondition_failed"),
        ("publish", published(deadline="1"), "precondition_failed"),
    ],
)
async def test_a_refusal_keeps_what_time_brought_about(
    stand_with_soap: Stand, verb: str, arguments: Arguments, expected: str
) -> None:
    await make_due(stand_with_soap, 1)
    status, facts = await call(stand_with_soap, verb, arguments)
    told = decode(facts[0])[0][0] if verb in {"sign_up", "cancel", "confirm", "decline"} else status
    assert told == expected
    assert await types(stand_with_soap) == ["opened"]


async def test_a_document_that_live_seats_forbid_keeps_what_time_brought_about(stand: Stand) -> None:
    await stand.publish(
        campaign(offering(pools=[{"pool": "other", "capacity": 2}], waitlist={"size_max": 9}))
    )
    for member in ("m1", "m2", "m3"):
        await stand.sign_up(member)
    await make_due(stand, 1)
    status, _ = await call(stand, "publish", published())
    assert status == "invalid"
    assert await types(stand) == ["enrolled", "enrolled", "enrolled", "opened"]


async def test_an_epoch_that_the_ledger_does_not_know_is_not_published_on(stand_with_soap: Stand) -> None:
    assert await call(stand_with_soap, "publish", published(epoch="2")) == ("not_ready", [])


async def test_a_batch_tells_each_its_own_refusal(stand: Stand) -> None:
    await stand.publish(campaign(offering(cancel_until=at(hours=-2), opens=at(hours=-3))))
    given = await stand.sign_up("m1")
    asked = [[each, "", "officer", "http"] for each in ("nobody", given.enrollment, "nobody", "no one")]
    _, facts = await call(stand, "cancel", [encode(asked)])
    assert [each[0] for each in decode(facts[0])] == ["not_found", "too_late", "not_found", "not_found"]


async def test_headers_say_what_applies_and_nothing_else(stand_with_soap: Stand) -> None:
    await call(stand_with_soap, "issue", issue())
    log = await stand_with_soap.log()
    assert [replace(event.header, at=0) for event in log] == [
        Header(1, "published", 0, "organizer", "cli", version=1),
        Header(1, "opened", 0, "system", "engine", offering="soap"),
        Header(1, "codes_issued", 0, "organizer", "cli", offering="soap", pool="open"),
    ]


@pytest.mark.parametrize(("verb", "arguments"), LIMITED.items())
async def test_the_backlog_is_full_at_its_limit(
    stand_with_soap: Stand, verb: str, arguments: Callable[[int], Arguments]
) -> None:
    assert await call(stand_with_soap, verb, arguments(2)) == ("not_ready", [])
    status, _ = await call(stand_with_soap, verb, arguments(3))
    assert status != "not_ready"
