"""A call: one request, with who asks and in which language; and the parts that every call may use."""

from typing import Final

from aiohttp import web
from msgspec import Struct

from api.auth import Authenticator
from engine.domain.faults import Language
from engine.domain.person import Person
from engine.runtime import Runtime

ANYONE: Final = Person(sub="")
CHANNEL: Final = "http"


class Api(Struct, frozen=True):
    """What the handlers share."""

    runtime: Runtime
    authenticator: Authenticator


class Call(Struct, frozen=True):
    """One request. `person` is ANYONE where the route asks for no token; path parameters have the form of ids."""

    api: Api
    request: web.Request
    person: Person
    language: Language

    def parameter(self, name: str) -> str:
        """A path parameter."""
        return self.request.match_info[name]

    def header(self, name: str) -> str | None:
        """A request header, or None."""
        return header(self.request, name)


def header(request: web.Request, name: str) -> str | None:
    """A header; several lines of it are one list (RFC 9110, 5.3), which is no key and no token."""
    lines = request.headers.getall(name, None)
    return None if lines is None else ", ".join(lines)
