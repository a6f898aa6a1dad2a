"""The endpoint: every request, through the checks that come before its handler in the order of the guards."""

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.hdrs import UPGRADE

from api import docs_viewer, failures, problems, routes
from api.answer import Answer
from api.auth import Refused
from api.call import ANYONE, Api, Call, header, language_of
from api.rate_limits import MemberLimit
from api.router import Match, Router
from api.routes import Route
from engine.domain.person import Person

ROUTER: Final = Router((*routes.ROUTES, *docs_viewer.ROUTES))


class Endpoint:
    """The one handler of the server: finds the route, who asks, whether they may; faults become problems.

    While it is `draining`, every answer is the last one of its connection. So is that to an upgrade which is refused:
    aiohttp takes what follows for another protocol, and a proxy might send it the requests of others.
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
        if self.draining or UPGRADE in request.headers:
            answer.force_close()
        return answer

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        match = ROUTER.find(_path(request))
        route = match.routes.get(request.method)
        if route is None:
            return _no_route(request, match)
        by_address, by_member = self._api.limits.address, self._api.limits.member
        if by_address and route.limited and (wait_ns := by_address.wait_ns(request)):
            return problems.rate_limited(wait_ns, language_of(request))
        person = ANYONE
        if route.roles:
            verified = await self._api.authenticator.authenticate(header(request, "Authorization"))
            if isinstance(verified, Refused):
                return problems.unauthenticated(verified, language_of(request))
            person = verified.person
            if by_member and (wait_ns := await _wait_ns(by_member, route, match, person)):
                return problems.rate_limited(wait_ns, language_of(request))
            if person.roles.isdisjoint(route.roles):
                return problems.response("forbidden", language_of(request))
        if match.faults:
            return problems.invalid(match.faults, language_of(request))
        return await route.handler(Call(self._api, request, person, match.parameters))


async def _wait_ns(limit: MemberLimit, route: Route, match: Match, person: Person) -> int:
    if route.metered_by_offering and not match.faults:
        return await limit.sign_up_wait_ns(person.sub, **match.parameters)
    return limit.wait_ns(person.sub)


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
