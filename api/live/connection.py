"""One connection of a member: its messages are carried out one after the other, as HTTP requests would be."""

import asyncio
from typing import Final

from aiohttp import WSMsgType, web
from msgspec import UNSET, Raw

from api import answers, failures, problems
from api.answer import Answer
from api.auth import Refused
from api.call import Call
from api.live import messages
from api.live.hub import Hub
from api.live.messages import Auth, Cancel, Confirm, Decline, SignUp, Watch
from api.rate_limits import MemberLimit
from api.tokens import Verified
from engine.domain import invitation
from engine.domain.faults import Fault
from engine.domain.person import Person
from engine.live import decisions
from engine.live.decisions import Decision
from engine.live.server import NothingRan, Unknown

CHANNEL: Final = "live"
AUTH_S: Final = 10.0
HEARTBEAT_S: Final = 30.0
CLOSE_S: Final = 2.0
"""How long a client may take to say goodbye."""
MESSAGE_BYTES_MAX: Final = 16 * 1024
UNSENT_BYTES_MAX: Final = 64 * 1024
"""What may wait for a client that reads slowly."""
UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
TOO_SLOW: Final = 4408
RATE_LIMITED: Final = 4429
EXPIRED: Final = Decision("unauthenticated")


class Connection:
    """A WebSocket from its first message to its last. A client that sends more than its share is read more slowly."""

    def __init__(self, call: Call, hub: Hub, verified: Verified | None) -> None:
        settings = call.api.runtime.settings
        self._call = call
        self._hub = hub
        self._clock = call.api.runtime.clock
        self._limit = call.api.limits.member
        self._socket = web.WebSocketResponse(
            timeout=CLOSE_S,
            heartbeat=HEARTBEAT_S,
            compress=False,
            max_msg_size=MESSAGE_BYTES_MAX,
            decode_text=False,
        )
        self._transport = call.request.transport
        self._verified = verified
        self._watched: dict[str, tuple[str, ...]] = {}
        self._is_busy = False
        self._leaving = 0
        self._gap_s = 1 / settings.live_messages_per_s
        self._ahead_s_max = settings.live_messages_burst * self._gap_s
        self._due_s = 0.0

    async def run(self) -> web.StreamResponse:
        """Serve it until it is closed."""
        await self._socket.prepare(self._call.request)
        self._hub.add(self)
        try:
            if self._verified is not None:
                self._hub.enter(self, self._verified.person.sub)
            elif not await self._introduced():
                return self._socket
            while not self._leaving and (data := await self._next()) is not None:
                self._is_busy = True
                await self._carry_out(data)
                self._is_busy = False
            if self._leaving:
                await self._socket.close(code=self._leaving)
        finally:
            for campaign, offerings in self._watched.items():
                self._hub.leave_room(self, campaign, offerings)
            if self._verified is not None:
                self._hub.leave(self, self._verified.person.sub)
            self._hub.remove(self)
        return self._socket

    def send(self, frames: bytes) -> None:
        """Send whole frames, or drop the connection when too much waits for it already."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._socket.closed:
            return
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            # What was sent before comes first: the code is the last that a slow reader sees, if it goes on reading.
            transport.write(b"\x88\x02" + TOO_SLOW.to_bytes(2))
            transport.close()
            asyncio.get_running_loop().call_later(CLOSE_S, transport.abort)
            return
        transport.write(frames)

    async def close(self, code: int) -> None:
        """Say goodbye, after the answer to what is being decided, and wait a moment for the client to do so too."""
        self._leaving = code
        if not self._is_busy:
            await self._socket.close(code=code)

    async def _next(self) -> bytes | None:
        """The next message, None when there will be none."""
        await self._keep_pace()
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.TEXT:
                data: bytes = message.data
                return data
            if message.type is not WSMsgType.BINARY:
                return None
            self._refuse("unsupported_media_type")

    async def _keep_pace(self) -> None:
        """Do not read on while a client is further ahead than its burst: TCP then holds it back."""
        now_s = self._clock.monotonic_s()
        self._due_s = max(self._due_s, now_s) + self._gap_s
        wait_s = self._due_s - now_s - self._ahead_s_max
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def _introduced(self) -> bool:
        """Whether the client has said in time who it is."""
        try:
            async with asyncio.timeout(AUTH_S):
                while self._verified is None:
                    data = await self._next()
                    if data is None:
                        return False
                    message = messages.decode(data)
                    if not isinstance(message, Auth):
                        self._refuse("unauthenticated")
                    elif code := await self._authenticate(message):
                        await self.close(code)
                        return False
        except TimeoutError:
            await self.close(UNAUTHENTICATED)
            return False
        return True

    async def _authenticate(self, message: Auth) -> int:
        """Know the member from now on; returns the code to close with when the token will not do, else 0."""
        verified = await self._call.api.authenticator.verify(message.token)
        if isinstance(verified, Refused):
            self._refuse(verified.code)
            return UNAUTHENTICATED
        if self._limit and self._limit.wait_ns(verified.person.sub):
            self._refuse("rate_limited")
            return RATE_LIMITED
        if "member" not in verified.person.roles:
            self._refuse("forbidden")
            return FORBIDDEN
        if self._verified is None or self._verified.person.sub != verified.person.sub:
            if self._verified is not None:
                self._hub.leave(self, self._verified.person.sub)
            self._hub.enter(self, verified.person.sub)
        self._verified = verified
        return 0

    async def _carry_out(self, data: bytes) -> None:
        message = messages.decode(data)
        match message:
            case SignUp() | Cancel() | Confirm() | Decline():
                self.send(messages.frame(await self._result(message)))
            case Watch() if self._limit and self._verified and self._limit.wait_ns(self._verified.person.sub):
                self._refuse("rate_limited")
            case Watch():
                try:
                    await self._watch(message)
                except (NothingRan, Unknown):
                    self._refuse("not_ready")
            case Auth():
                # The member stays who it is when a newer token will not do.
                await self._authenticate(message)
            case _:
                self._not_understood(message)

    async def _result(self, message: SignUp | messages.Change) -> messages.Result:
        """The answer that HTTP would give."""
        verified = self._verified
        assert verified is not None, "only members come so far"
        if self._clock.now_ms() >= verified.exp * 1000:
            return _refusal(message.id, answers.refusal(self._call, message.campaign, EXPIRED))
        try:
            if self._limit and (wait_ns := await self._wait_ns(self._limit, message, verified.person)):
                return _refusal(message.id, problems.rate_limited(wait_ns, self._call.language))
            made = await self._decided(message, verified.person)
        except Exception as error:
            return _refusal(message.id, failures.problem(error, self._call.request))
        if made.record is not None:
            status, body = answers.enrollment(message.campaign, made.record, made)
            return messages.Result(message.id, status, Raw(body))
        return _refusal(message.id, answers.refusal(self._call, message.campaign, made))

    async def _wait_ns(self, limit: MemberLimit, message: SignUp | messages.Change, person: Person) -> int:
        if isinstance(message, SignUp):
            return await limit.sign_up_wait_ns(person.sub, message.campaign, message.offering)
        return limit.wait_ns(person.sub)

    async def _decided(self, message: SignUp | messages.Change, person: Person) -> Decision:
        decide = self._call.api.runtime.decisions
        if isinstance(message, SignUp):
            return await decide.sign_up(
                message.campaign,
                message.offering,
                person,
                message.id,
                message.pool or "",
                CHANNEL,
                message.wish or 0,
                invitation.identify(message.campaign, message.code) if message.code else "",
            )
        change = decisions.Change(message.enrollment, person.sub, person.sub, CHANNEL)
        match message:
            case Cancel():
                return await decide.cancel(message.campaign, change)
            case Confirm():
                return await decide.confirm(message.campaign, change)
            case _:
                return await decide.decline(message.campaign, change)

    async def _watch(self, message: Watch) -> None:
        runtime, campaign = self._call.api.runtime, message.campaign
        definition = await runtime.catalog.find(campaign)
        if definition is None:
            self._refuse("not_ready" if runtime.catalog.is_lost(campaign) else "not_found")
            return
        if len(self._watched) >= messages.WATCHED_MAX and campaign not in self._watched:
            self._not_understood([Fault("/campaign", "too_many", {"max": messages.WATCHED_MAX})])
            return
        wanted = message.offerings
        offerings = tuple(definition.offerings if wanted is None else dict.fromkeys(wanted))
        if len(offerings) > messages.WATCHED_MAX:
            self._not_understood([Fault("/offerings", "too_many", {"max": messages.WATCHED_MAX})])
            return
        if not definition.offerings.keys() >= set(offerings):
            self._refuse("not_found")
            return
        self._hub.leave_room(self, campaign, self._watched.pop(campaign, ()))
        if not offerings:
            return
        # First in the room, then the counts: what happens in between is told twice, and not missed.
        await self._hub.follow(campaign)
        room = self._hub.room(campaign)
        room.enter(self, offerings)
        self._watched[campaign] = offerings
        counts = await runtime.counts.read(campaign)
        if counts is None:
            self._refuse("not_ready")
            return
        self.send(room.now(definition, counts, offerings, self._clock.now_ms()))

    def _not_understood(self, found: list[Fault]) -> None:
        body = problems.invalid(found, self._call.language).body
        self.send(messages.frame(messages.Error("invalid", Raw(body))))

    def _refuse(self, code: str) -> None:
        body = problems.response(code, self._call.language).body
        self.send(messages.frame(messages.Error(code, Raw(body))))


def _refusal(name: str, answer: Answer) -> messages.Result:
    retry_after = answer.headers.get("Retry-After")
    wait_s = UNSET if retry_after is None else int(retry_after)
    return messages.Result(name, answer.status, Raw(answer.body), wait_s)
