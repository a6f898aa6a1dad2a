"""A call: one request, with who asks and in which language; and the parts that every call may use."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from msgspec import Struct

from api import language
from api.auth import Authenticator
from api.live.hub import Hub
from api.rate_limits import Limits
from api.shown import Showcase
from engine.domain.faults import Language
from engine.domain.person import Person
from engine.receipts import Receipts
from engine.runtime import Runtime

ANYONE: Final = Person(sub="")
CHANNEL: Final = "http"


class Description(Struct, frozen=True):
    """The OpenAPI document as it is sent."""

    body: bytes
    etag: str


class Api(Struct, frozen=True):
    """What the handlers share."""

    runtime: Runtime
    authenticator: Authenticator
    description: Description
    showcase: Showcase
    hub: Hub
    limits: Limits
    receipts: Receipts
    rolls: asyncio.Lock
    """Held by whoever makes a page of a roll."""


class Call(Struct, frozen=True):
    """One request. `person` is ANYONE where the route asks for no token; path parameters have the form of ids."""

    api: Api
    request: web.BaseRequest
    person: Person
    parameters: Mapping[str, str]

    @property
    def language(self) -> Language:
        """The language of the answer's words, looked at when there are any."""
        return language_of(self.request)

    def parameter(self, name: str) -> str:
        """A path parameter."""
        return self.parameters[name]

    def header(self, name: str) -> str | None:
        """A request header, or None."""
        return header(self.request, name)


def language_of(request: web.BaseRequest) -> Language:
    """The language that a request's Accept-Language asks for."""
    return language.choose(header(request, "Accept-Language"))


def header(request: web.BaseRequest, name: str) -> str | None:
    """A header; several lines of it are one list (RFC 9110, 5.3), which is no key and no token."""
    lines = request.headers.getall(name, None)
    return None if lines is None else ", ".join(lines)
