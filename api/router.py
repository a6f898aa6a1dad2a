"""The router: from a method and a target to a route and its parameters."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from msgspec import Struct

from api.routes import Route
from engine.domain import invitation
from engine.domain.campaign import ID_PATTERN
from engine.domain.faults import Fault

ENROLLMENT_PATTERN: Final = "^[A-Za-z0-9_-]{16}$"
REMEMBERED_MAX: Final = 4_096
"""Paths whose route is at hand: in a rush all ask for a few."""

_PARAMETERS: Final = {
    "campaign": (re.compile(ID_PATTERN), Fault("campaign", "not_an_id")),
    "offering": (re.compile(ID_PATTERN), Fault("offering", "not_an_id")),
    "enrollment": (
        re.compile(ENROLLMENT_PATTERN),
        Fault("enrollment", "pattern", {"pattern": ENROLLMENT_PATTERN}),
    ),
    "code": (re.compile(invitation.ID_PATTERN), Fault("code", "not_a_code_id")),
}


class Match(Struct, frozen=True):
    """What a path leads to: a route for each method, the path's parameters, and the faults of these."""

    routes: Mapping[str, Route]
    parameters: Mapping[str, str]
    faults: list[Fault]


NOWHERE: Final = Match({}, {}, [])


class Router:
    """Finds the routes of a path, segment by segment; what is percent-encoded is taken as what it stands for."""

    def __init__(self, routes: Iterable[Route]) -> None:
        paths: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in routes:
            methods = paths.setdefault(tuple(route.path.split("/")), {})
            methods[route.method] = route
            if route.method == "GET":
                methods["HEAD"] = route
        self._paths = paths
        self.find = lru_cache(REMEMBERED_MAX)(self._find)
        """The match of a path, NOWHERE when it leads to none."""

    def _find(self, path: str) -> Match:
        segments = [unquote(segment) for segment in path.split("/")]
        for pattern, routes in self._paths.items():
            parameters = _parameters(pattern, segments)
            if parameters is not None:
                faults = [
                    _PARAMETERS[name][1]
                    for name, value in parameters.items()
                    if not _PARAMETERS[name][0].fullmatch(value)
                ]
                return Match(routes, parameters, faults)
        return NOWHERE


def _parameters(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    parameters = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            if not segment:
                return None
            parameters[expected[1:-1]] = segment
        elif expected != segment:
            return None
    return parameters
