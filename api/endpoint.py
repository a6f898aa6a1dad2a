"""The endpoint: every request, through the checks that come before its handler in the order of the guards."""

import asyncio
from typing import Final

from aiohttp import web

from api import docs_viewer, failures, problems, routes
from api.answer import Answer
from api.auth import Refused
from api.call import ANYONE, Api, Call, header, language_of
from api.router import Match, Router

ROUTER: Final = Router((*routes.ROUTES, *docs_viewer.ROUTES))


class Endpoint:
    """The one handler of the server: finds the route, who asks, whether they may; faults become problems.

    While it is `draining`, every answer is the last one of its connection.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self.draining = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        try:
            answer = await self._answer(request)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            answer = failures.problem(error, request)
        if self.draining:
            answer.force_close()
        return answer

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        match = ROUTER.find(_path(request))
        route = match.routes.get(request.method)
        if route is None:
            return _no_route(request, match)
        person = ANYONE
        if route.roles:
            verified = await self._api.authenticator.authenticate(header(request, "Authorization"))
            if isinstance(verified, Refused):
                return problems.unauthenticated(verified, language_of(request))
            person = verified.person
            if person.roles.isdisjoint(route.roles):
                return problems.response("forbidden", language_of(request))
        if match.faults:
            return problems.invalid(match.faults, language_of(request))
        return await route.handler(Call(self._api, request, person, match.parameters))


def _path(request: web.BaseRequest) -> str:
    target = request.raw_path
    if target.startswith("/"):
        return target.partition("?")[0]
    # The whole address, as a proxy is asked (RFC 9112, 3.2.2).
    return request.rel_url.raw_path


def _no_route(request: web.BaseRequest, match: Match) -> Answer:
    """404, or 405 with Allow where the address has other methods."""
    if not match.routes:
        return problems.response("not_found", language_of(request))
    allow = {"Allow": ", ".join(sorted(match.routes))}
    return problems.response("method_not_allowed", language_of(request), headers=allow)
