"""The door of the WebSocket."""

from aiohttp import web

from api import problems
from api.auth import Refused
from api.call import Call
from api.live.connection import Connection
from api.tokens import Verified
from engine.domain.faults import Fault


async def live(call: Call) -> web.StreamResponse:
    """GET /live: a connection from its handshake to its end. A token may come with it, or in the first message."""
    verified: Verified | None = None
    authorization = call.header("Authorization")
    if authorization is not None:
        found = await call.api.authenticator.authenticate(authorization)
        if isinstance(found, Refused):
            return problems.unauthenticated(found, call.language)
        limit = call.api.limits.member
        if limit and (wait_ns := limit.wait_ns(found.person.sub)):
            return problems.rate_limited(wait_ns, call.language)
        if "member" not in found.person.roles:
            return problems.response("forbidden", call.language)
        verified = found
    if not web.WebSocketResponse().can_prepare(call.request):
        return problems.invalid([Fault("Upgrade", "not_a_websocket")], call.language)
    if call.api.hub.is_stopping:
        return problems.response("not_ready", call.language)
    return await Connection(call, call.api.hub, verified).run()
