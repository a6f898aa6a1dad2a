"""Who may do what: the contract's table against the route list, by roles and by units."""

from typing import Any, Final

import pytest

from api import routes
from api.auth import CHALLENGE
from api.live import messages
from api.routes import Route
from engine.domain.person import Person, Role
from tests import ladders
from tests.api.client import HERE, NOWHERE, ORGANIZER, Client, person, token, written
from tests.api.live.page import opened
from tests.stand import campaign, offering

ROLES: Final[tuple[Role, ...]] = ("member", "officer", "organizer", "ops")

ANYONE: Final[tuple[Role, ...]] = ()
WHO_MAY: Final[dict[str, tuple[Role, ...]]] = {
    "PUT /v1/campaigns/{campaign}": ("organizer",),
    "GET /v1/campaigns": ANYONE,
    "GET /v1/campaigns/{campaign}": ANYONE,
    "GET /v1/campaigns/{campaign}/offerings/{offering}": ANYONE,
    "GET /v1/campaigns/{campaign}/offerings/{offering}/draw": ANYONE,
    "GET /v1/campaigns/{campaign}/offerings/{offering}/draw/me": ("member",),
    "POST /v1/campaigns/{campaign}/offerings/{offering}/enrollments": ("member",),
    "GET /v1/campaigns/{campaign}/enrollments/{enrollment}": ("member", "officer"),
    "GET /v1/campaigns/{campaign}/enrollments/{enrollment}/why": ("member", "officer"),
    "GET /v1/campaigns/{campaign}/offerings/{offering}/why": ("member",),
    "GET /v1/campaigns/{campaign}/me": ("member",),
    "GET /v1/me/enrollments": ("member",),
    "DELETE /v1/campaigns/{campaign}/enrollments/{enrollment}": ("member", "officer"),
    "POST /v1/campaigns/{campaign}/enrollments/{enrollment}/confirm": ("member",),
    "POST /v1/campaigns/{campaign}/enrollments/{enrollment}/decline": ("member",),
    "GET /v1/campaigns/{campaign}/offerings/{offering}/roster": ("officer", "organizer"),
    "POST /v1/campaigns/{campaign}/offerings/{offering}/codes": ("officer", "organizer"),
    "GET /v1/campaigns/{campaign}/offerings/{offering}/codes": ("officer", "organizer"),
    "DELETE /v1/campaigns/{campaign}/offerings/{offering}/codes/{code}": ("officer", "organizer"),
    "PUT /v1/headcounts": ("organizer",),
    "GET /v1/headcounts": ("organizer",),
    "GET /v1/campaigns/{campaign}/enrollments/{enrollment}/receipt": ("member", "officer"),
    "GET /v1/campaigns/{campaign}/roll": ANYONE,
    "GET /v1/campaigns/{campaign}/roll/head": ANYONE,
    "GET /v1/receipt-key": ANYONE,
    "PUT /v1/campaigns/{campaign}/offerings/{offering}/results": ("officer", "organizer"),
    "GET /v1/campaigns/{campaign}/offerings/{offering}/results": ("officer", "organizer"),
    "GET /v1/campaigns/{campaign}/offerings/{offering}/results/me": ("member",),
    "POST /v1/campaigns/{campaign}/offerings/{offering}/advance": ("officer", "organizer"),
    "GET /v1/campaigns/{campaign}/offerings/{offering}/nominations": ("officer", "organizer"),
    "GET /v1/live": ("member",),
    "GET /v1/ops/status": ("ops",),
    "GET /healthz": ANYONE,
    "GET /readyz": ANYONE,
    "GET /metrics": ANYONE,
    "GET /openapi.json": ANYONE,
    "GET /docs": ANYONE,
}
"""The contract's column "who"; a call that is not in it is not in the contract."""

UNITS: Final = [
    ("xicheng.health", True),
    ("xicheng", True),
    ("xicheng.health.fuxing", False),
    ("xicheng.healthcare", False),
    ("xicheng.heal", False),
    ("xicheng.finance", False),
    ("", False),
]
"""A token's unit, and whether a campaign of xicheng.health is within it."""

FORBIDDEN: Final = (403, "forbidden")
AS_NONE: Final = (404, "not_found")
OF_A_UNIT: Final[dict[str, tuple[int, str]]] = {
    "PUT /v1/campaigns/{campaign}": FORBIDDEN,
    "GET /v1/campaigns/{campaign}/offerings/{offering}/roster": FORBIDDEN,
    "POST /v1/campaigns/{campaign}/offerings/{offering}/codes": FORBIDDEN,
    "GET /v1/campaigns/{campaign}/offerings/{offering}/codes": FORBIDDEN,
    "DELETE /v1/campaigns/{campaign}/offerings/{offering}/codes/{code}": FORBIDDEN,
    "PUT /v1/campaigns/{campaign}/offerings/{offering}/results": FORBIDDEN,
    "GET /v1/campaigns/{campaign}/offerings/{offering}/results": FORBIDDEN,
    "POST /v1/campaigns/{campaign}/offerings/{offering}/advance": FORBIDDEN,
    "GET /v1/campaigns/{campaign}/offerings/{offering}/nominations": FORBIDDEN,
    "GET /v1/campaigns/{campaign}/enrollments/{enrollment}": AS_NONE,
    "GET /v1/campaigns/{campaign}/enrollments/{enrollment}/why": AS_NONE,
    "GET /v1/campaigns/{campaign}/enrollments/{enrollment}/receipt": AS_NONE,
    "DELETE /v1/campaigns/{campaign}/enrollments/{enrollment}": AS_NONE,
    "PUT /v1/headcounts": FORBIDDEN,
    "GET /v1/headcounts": FORBIDDEN,
}
"""What officers and organizers of another unit are told by each call that they may make at all."""

LIVE_OPS: Final[dict[str, dict[str, Any]]] = {
    "auth": {"token": "x"},
    "watch": {"campaign": "autumn"},
    "sign_up": {"id": "k", "campaign": "autumn", "offering": "soap"},
    "cancel": {"id": "k", "campaign": "autumn", "enrollment": "x" * 16},
    "confirm": {"id": "k", "campaign": "autumn", "enrollment": "x" * 16},
    "decline": {"id": "k", "campaign": "autumn", "enrollment": "x" * 16},
}
"""Every message of the WebSocket: all are members' own."""

LIVE: Final = "/v1/live"
"""Whoever connects may say later who it is: its roles are looked at below."""


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_every_route_has_a_rule_and_every_rule_a_route() -> None:
    assert {name(route) for route in routes.ROUTES} == set(WHO_MAY)


def test_every_call_of_officers_and_organizers_has_a_rule_for_units() -> None:
    assert {
        name(route) for route in routes.ROUTES if not route.roles.isdisjoint({"officer", "organizer"})
    } == set(OF_A_UNIT)


def test_every_message_has_a_rule() -> None:
    assert set(messages._KINDS) == set(LIVE_OPS)


@pytest.mark.parametrize("role", [None, *ROLES])
@pytest.mark.parametrize("route", [route for route in routes.ROUTES if route.path != LIVE], ids=name)
async def test_roles(client: Client, route: Route, role: Role | None) -> None:
    guests = {"pool": "guests", "capacity": 1, "codes": True}
    pools = [{"pool": "open", "capacity": 2}, guests]
    held = offering(hold_ttl_s=600, pools=pools, policy={"name": "first_come", "grace_s": 60})
    heats = ladders.heats(pools=[{"pool": "all", "capacity": 9}], medals={"gold": 1})
    rounds = [ladders.over(heats), ladders.following()]
    await client.stand.publish(campaign(held, heats, ladders.following()))
    assert await client.stand.runtime.drawing.draw_if_due("autumn")
    enrollment = (await client.sign_up("m1")).json["enrollment"]
    confirmed = (await client.sign_up("m1", "heats")).json["enrollment"]
    await client.stand.publish(campaign(held, *rounds))
    results = ladders.results(("m1", 1, 2))
    await ladders.imported(client.stand, "heats", results)
    [code] = await client.stand.issue("guests")
    await client.record()
    before = await client.stand.log()
    of_rounds = route.path.endswith(("/results", "/results/me", "/advance", "/nominations"))
    name_of = "heats" if of_rounds else "soap"
    whose = confirmed if route.path.endswith("/receipt") else enrollment
    path = route.path.format(campaign="autumn", offering=name_of, enrollment=whose, code=code)
    bodies = {
        routes.CAMPAIGN: written(held, *rounds),
        routes.CODES: {"pool": "guests"},
        routes.HEADCOUNTS: {"headcounts": {"xicheng.health": 7}},
    }
    body = bodies.get(route.path) if route.body_required else None
    who = person("m1", role) if role else None
    if route.takes:
        answer = await client.ask(route.method, path, who, body=results, headers={"Content-Type": "text/csv"})
    else:
        answer = await client.ask(route.method, path, who, body=body)
    allowed = WHO_MAY[name(route)]
    if not allowed or role in allowed:
        assert answer.status == (202 if route.path.endswith("/advance") else min(route.answers))
    elif role is None:
        assert answer.told == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == CHALLENGE
    else:
        assert answer.told == (403, "forbidden")
    if answer.code:
        assert await client.stand.log() == before


@pytest.mark.parametrize("route", [route for route in routes.ROUTES if route.roles], ids=name)
async def test_who_it_is_comes_before_all_that_is_wrong(client: Client, route: Route) -> None:
    nowhere = dict.fromkeys(("campaign", "offering", "enrollment", "code"), "NO ID")
    path = route.path.format(**nowhere).replace(" ", "%20")
    nobody: Any = {"Idempotency-Key": "x" * 65, "Content-Encoding": "gzip"}
    sent = {"method": route.method, "path": f"{path}?limit=x&cursor=x", "body": b"{", "headers": nobody}
    assert (await client.ask(**sent)).told == (401, "unauthenticated")
    without = next(role for role in ROLES if role not in route.roles)
    assert (await client.ask(**sent, who=person("m1", without))).told == (403, "forbidden")


async def test_a_person_may_have_several_roles(client: Client) -> None:
    everything = person("m1", *ROLES)
    assert (await client.ask("PUT", HERE, everything, body=written())).status == 201
    assert (await client.sign_up(everything)).status == 201
    assert (await client.get(f"{HERE}/offerings/soap/roster", everything)).status == 200
    assert (await client.get("/v1/ops/status", everything)).status == 200


async def test_a_person_may_have_no_role(client: Client) -> None:
    await client.stand.publish(campaign())
    assert (await client.sign_up(Person("m1", roles=frozenset()))).told == (403, "forbidden")


@pytest.mark.parametrize("route", [route for route in routes.ROUTES if name(route) in OF_A_UNIT], ids=name)
async def test_units(client: Client, route: Route) -> None:
    """Every such call by each role that may make it, of each unit; members' calls look at no unit but eligibility's."""
    pools = [{"pool": "open", "capacity": 9}, {"pool": "guests", "capacity": 1, "codes": True}]
    heats = ladders.heats(medals={"gold": 1})
    within = {"unit": "xicheng.health"}
    await client.stand.publish(campaign(offering(pools=pools), heats, ladders.following(), **within))
    enrollment = (await client.sign_up("m1")).json["enrollment"]
    [code] = await client.stand.issue("guests")
    await client.record()
    of_rounds = route.path.endswith(("/results", "/advance", "/nominations"))
    path = route.path.format(
        campaign="autumn", offering="heats" if of_rounds else "soap", enrollment=enrollment, code=code
    )
    bodies: dict[str, Any] = {
        routes.CAMPAIGN: written(offering(pools=pools), heats, ladders.following(), **within),
        routes.CODES: {"pool": "guests"},
        routes.HEADCOUNTS: {"headcounts": {"xicheng.health": 7}},
    }
    body = b"member,score,time" if route.takes else bodies.get(route.path) if route.body_required else None
    sent = {"Content-Type": "text/csv"} if route.takes else {}
    path += "?unit=xicheng.health" if route.filters == ("unit",) else ""
    before = await client.stand.log()
    for unit, allowed in sorted(UNITS, key=lambda each: each[1]):
        for role in sorted(route.roles & {"officer", "organizer"}):
            who = person("somebody", role, unit=unit)
            told = (await client.ask(route.method, path, who, body=body, headers=sent)).told
            if allowed:
                assert told[0] not in (401, 403, 404), (unit, role)
            else:
                assert told == OF_A_UNIT[name(route)], (unit, role)
                assert await client.stand.log() == before


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("op", LIVE_OPS)
async def test_messages_are_of_members(client: Client, op: str, role: Role) -> None:
    await client.stand.publish(campaign())
    before = await client.stand.log()
    async with opened(client, None) as page:
        if op != "auth":
            # Nobody has said yet who it is.
            await page.say(op, **LIVE_OPS[op])
            assert (await page.hear("error"))["code"] == "unauthenticated"
        await page.say("auth", token=token(person("m1", role)))
        if role == "member":
            await page.say("watch", campaign="autumn")
            await page.hear("counts")
            return
        assert (await page.hear("error"))["code"] == "forbidden"
        assert await page.ended() == 4403
    assert await client.stand.log() == before


@pytest.mark.parametrize(("unit", "allowed"), UNITS)
async def test_organizers_publish_within_their_unit(client: Client, unit: str, allowed: bool) -> None:
    organizer = person("o", "organizer", unit=unit)
    answer = await client.ask("PUT", HERE, organizer, body=written(unit="xicheng.health"))
    assert answer.told == ((201, "") if allowed else (403, "forbidden"))
    assert bool(await client.stand.runtime.ledger.campaigns()) == allowed


@pytest.mark.parametrize(("unit", "allowed"), UNITS)
async def test_organizers_replace_within_their_unit(client: Client, unit: str, allowed: bool) -> None:
    """A campaign is not taken over by naming one's own unit in the document."""
    await client.stand.publish(campaign(unit="xicheng.health"))
    organizer = person("o", "organizer", unit=unit or "xicheng.sports")
    moved = written(unit=organizer.unit)
    answer = await client.ask("PUT", HERE, organizer, body=moved)
    assert answer.told == ((200, "") if allowed else (403, "forbidden"))
    seen = (await client.get(HERE)).json["unit"]
    assert seen == (organizer.unit if allowed else "xicheng.health")


@pytest.mark.parametrize(("unit", "allowed"), UNITS)
async def test_rosters_are_for_their_unit(client: Client, unit: str, allowed: bool) -> None:
    await client.stand.publish(campaign(unit="xicheng.health"))
    for role in ("officer", "organizer"):
        answer = await client.get(f"{HERE}/offerings/soap/roster", person("o", role, unit=unit))
        assert answer.told == ((200, "") if allowed else (403, "forbidden"))


@pytest.mark.parametrize(("unit", "allowed"), UNITS)
async def test_codes_are_for_their_unit(client: Client, unit: str, allowed: bool) -> None:
    pools = [{"pool": "guests", "capacity": 1, "codes": True}]
    await client.stand.publish(campaign(offering(pools=pools), unit="xicheng.health"))
    [code] = await client.stand.issue("guests")
    before = await client.stand.log()
    for role in ("officer", "organizer"):
        who, path = person("o", role, unit=unit), f"{HERE}/offerings/soap/codes"
        answers = [
            await client.ask("POST", path, who, body={"pool": "guests"}),
            await client.get(path, who),
            await client.ask("DELETE", f"{path}/{code}", who),
        ]
        expected = [(201, ""), (200, ""), (200, "")] if allowed else [(403, "forbidden")] * 3
        assert [each.told for each in answers] == expected
    assert (await client.stand.log() == before) is not allowed


@pytest.mark.parametrize(("unit", "allowed"), UNITS)
async def test_rounds_are_for_their_unit(client: Client, unit: str, allowed: bool) -> None:
    heats = ladders.heats(medals={"gold": 1})
    await client.stand.publish(campaign(heats, ladders.following(), unit="xicheng.health"))
    place, csv = f"{HERE}/offerings/heats", {"Content-Type": "text/csv"}
    for role in ("officer", "organizer"):
        who = person("o", role, unit=unit)
        answers = [
            await client.ask("PUT", f"{place}/results", who, body=b"member,score,time", headers=csv),
            await client.get(f"{place}/results", who),
            await client.ask("POST", f"{place}/advance", who),
            await client.get(f"{place}/nominations", who),
        ]
        told = [(422, "invalid"), (200, ""), (409, "wrong_state"), (409, "wrong_state")]
        assert [each.told for each in answers] == (told if allowed else [(403, "forbidden")] * 4)


@pytest.mark.parametrize(("unit", "allowed"), UNITS)
async def test_officers_see_and_cancel_within_their_unit(client: Client, unit: str, allowed: bool) -> None:
    await client.stand.publish(campaign(unit="xicheng.health"))
    place = await client.enrolled("m1")
    officer = person("o", "officer", unit=unit)
    told = (200, "") if allowed else (404, "not_found")
    assert (await client.get(place, officer)).told == told
    assert (await client.ask("DELETE", place, officer)).told == told
    assert (await client.get(place, person("m1"))).json["status"] == ("cancelled" if allowed else "confirmed")


async def test_a_stated_unit_of_others_comes_before_all_that_is_wrong(client: Client) -> None:
    spoiled = written() | {"title": 1, "surprise": True}

    async def told(unit: object, path: str = HERE) -> tuple[int, str]:
        return (await client.ask("PUT", path, ORGANIZER, body=spoiled | {"unit": unit})).told

    for theirs in ("beijing", "beijing.xicheng", "xichengx", "Xicheng", ""):
        assert await told(theirs) == (403, "forbidden")
        assert await told(theirs, NOWHERE) == (403, "forbidden")
    for none in (None, 7, ["xicheng"], "xicheng."):
        assert await told(none) == (422, "invalid")
    mended = spoiled | {"unit": "xicheng.health"}
    assert (await client.ask("PUT", HERE, ORGANIZER, body=mended)).errors == [
        ("/title", "not_an_object"),
        ("/surprise", "unknown_field"),
    ]
