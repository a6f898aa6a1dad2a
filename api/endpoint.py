"""An endpoint: a route's handler behind the checks that come before it in the order of the guards."""

import asyncio
import logging
import re
import secrets
import traceback
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from api import call, language, problems
from api.auth import Refused
from api.call import ANYONE, Api, Call
from api.routes import Route
from engine.domain.campaign import ID_PATTERN
from engine.domain.faults import Fault, Language
from engine.ledger.protocol import Unavailable
from engine.live.server import NothingRan, Unknown

logger = logging.getLogger(__name__)

ENROLLMENT_PATTERN: Final = "^[A-Za-z0-9_-]{16}$"
_PARAMETERS: Final = {
    "campaign": (re.compile(ID_PATTERN), Fault("campaign", "not_an_id")),
    "offering": (re.compile(ID_PATTERN), Fault("offering", "not_an_id")),
    "enrollment": (
        re.compile(ENROLLMENT_PATTERN),
        Fault("enrollment", "pattern", {"pattern": ENROLLMENT_PATTERN}),
    ),
}


def endpoint(route: Route, api: Api) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of a route: who is it, may they, is the path well formed; faults become problems."""
    roles, handler = route.roles, route.handler

    async def handle(request: web.Request) -> web.StreamResponse:
        chosen = language.choose(call.header(request, "Accept-Language"))
        try:
            person = ANYONE
            if roles:
                verified = await api.authenticator.authenticate(call.header(request, "Authorization"))
                if isinstance(verified, Refused):
                    return _unauthenticated(verified, chosen)
                person = verified.person
                if person.roles.isdisjoint(roles):
                    return problems.response("forbidden", chosen)
            faults = [
                _PARAMETERS[name][1]
                for name, value in request.match_info.items()
                if not _PARAMETERS[name][0].fullmatch(value)
            ]
            if faults:
                return problems.invalid(faults, chosen)
            return await handler(Call(api, request, person, chosen))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            return _failed(error, chosen)

    return handle


def _unauthenticated(refused: Refused, chosen: Language) -> web.Response:
    headers = {"WWW-Authenticate": refused.challenge} if refused.challenge else None
    return problems.response(refused.code, chosen, headers=headers)


def _failed(error: Exception, chosen: Language) -> web.Response:
    if isinstance(error, NothingRan | Unavailable):
        logger.warning("not ready: %s", error)
        return problems.response("not_ready", chosen)
    if isinstance(error, Unknown):
        logger.warning("outcome unknown: %s", error)
        return problems.response("unknown", chosen)
    request_id = secrets.token_hex(8)
    logger.error("request %s failed: %s", request_id, fit_to_log(error))
    return problems.response("internal", chosen, request_id, request_id=request_id)


def fit_to_log(error: BaseException) -> str:
    """The kind of an error and where it was raised; its message may quote what is personal or secret."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
