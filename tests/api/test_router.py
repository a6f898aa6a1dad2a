"""From paths to routes."""

import pytest

from api.endpoint import ROUTER
from api.router import NOWHERE, Router
from api.routes import ROUTES, Route

SIGN_UP = "/v1/campaigns/autumn/offerings/soap/enrollments"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_found(route: Route) -> None:
    path = route.path.format(campaign="c", offering="o", enrollment="x" * 16, code="0" * 32)
    match = ROUTER.find(path)
    assert match.routes[route.method] is route
    assert match.faults == []
    assert ("HEAD" in match.routes) == ("GET" in match.routes)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        (SIGN_UP, {"campaign": "autumn", "offering": "soap"}),
        ("/v1/campaigns/%61utumn/offerings/s%6fap/enrollments", {"campaign": "autumn", "offering": "soap"}),
        ("/%76%31/campaigns/autumn", {"campaign": "autumn"}),
    ],
)
def test_what_is_percent_encoded_is_what_it_stands_for(path: str, parameters: dict[str, str]) -> None:
    match = ROUTER.find(path)
    assert (match.parameters, match.faults) == (parameters, [])


@pytest.mark.parametrize(
    ("path", "faults"),
    [
        ("/v1/campaigns/A/offerings/-/enrollments", ["campaign", "offering"]),
        ("/v1/campaigns/a%2Fb", ["campaign"]),
        ("/v1/campaigns/a%0A", ["campaign"]),
        ("/v1/campaigns/%ff", ["campaign"]),
        ("/v1/campaigns/autumn/enrollments/short", ["enrollment"]),
        ("/v1/campaigns/autumn/enrollments/xxxxxxxxxxxxxxxx%0A", ["enrollment"]),
    ],
)
def test_parameters_that_have_no_form_are_named(path: str, faults: list[str]) -> None:
    assert [fault.path for fault in ROUTER.find(path).faults] == faults


@pytest.mark.parametrize(
    "path", ["", "/", "/v1", "/v1/campaigns/", "/v1/campaigns//offerings/soap", f"{SIGN_UP}/", f"/{SIGN_UP}"]
)
def test_paths_that_lead_nowhere(path: str) -> None:
    assert ROUTER.find(path) is NOWHERE


def test_a_path_is_looked_up_once() -> None:
    router = Router(ROUTES)
    assert router.find(SIGN_UP) is router.find(SIGN_UP)
