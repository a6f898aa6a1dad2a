"""The WebSocket door: one connection of a member to /v1/live, with a greenlet of its own that reads."""

import time
from typing import Any, Final

import gevent
import msgspec
import websocket
from gevent.event import AsyncResult
from msgspec import Raw, Struct

from loadtests.exchange import Kind
from loadtests.rehearsal import answers

TIMEOUT_S: Final = 10.0
LIVE: Final = "/v1/live"
_COUNTS: Final = '{"op":"counts"'
Answer = tuple[int, bytes, str]
LOST: Final[Answer] = (answers.NO_ANSWER, b"", "")


class _Message(Struct):
    """What the server says, as far as it is read."""

    op: str
    id: str | None = None
    status: int = 0
    body: Raw = Raw(b"")
    campaign: str = ""
    offering: str = ""
    retry_after: float | None = None


_decoder = msgspec.json.Decoder(_Message)


class Live:
    """A member's connection, opened when it is first needed and again after it was lost."""

    def __init__(self, url: str, token: str, environment: Any) -> None:
        self._url = "ws" + url.removeprefix("http").rstrip("/") + LIVE
        self._token = token
        self._fire = environment.events.request.fire
        self._socket: Any = None
        self._waiting: dict[str, Any] = {}
        self._watched: dict[str, Any] = {}
        self._opens_at = 0.0
        self._turn = 0

    def watch(self, campaign: str, offerings: list[str], opens_at: float) -> None:
        """Be told of counts, and of the opening."""
        self._opens_at = opens_at
        self._watched = {"op": "watch", "campaign": campaign, "offerings": offerings}
        try:
            if self._connected():
                self._send(self._watched)
        except (OSError, websocket.WebSocketException):
            self._lose()

    def ask(self, kind: Kind, campaign: str, offering: str, key: str, enrollment: str) -> Answer:
        """Send a request and wait for its result."""
        self._turn += 1
        message = {"op": kind, "id": key or f"{kind}-{self._turn}", "campaign": campaign}
        message |= {"offering": offering} if kind == "sign_up" else {"enrollment": enrollment}
        began = time.perf_counter()
        answer, wrong = LOST, "no answer"
        result = self._waiting[message["id"]] = AsyncResult()
        try:
            if self._connected():
                self._send(message)
                answer = result.get(timeout=TIMEOUT_S)
                wrong = answers.failure(kind, *answer)
        except (OSError, websocket.WebSocketException):
            self._lose()
        except gevent.Timeout:
            pass
        finally:
            self._waiting.pop(message["id"], None)
        self._report(kind, began, len(answer[1]), wrong)
        return answer

    def close(self) -> None:
        """Hang up."""
        self._lose()

    def _connected(self) -> bool:
        """Connect unless that is so already; returns whether it is."""
        if self._socket is not None:
            return True
        began = time.perf_counter()
        try:
            self._socket = websocket.create_connection(
                self._url,
                timeout=TIMEOUT_S,
                header=[f"Authorization: Bearer {self._token}"],
                skip_utf8_validation=True,
            )
        except (OSError, websocket.WebSocketException) as error:
            self._report("connect", began, 0, type(error).__name__)
            return False
        self._report("connect", began, 0, "")
        # The reader waits as long as it takes; only answers have a time.
        self._socket.settimeout(None)
        gevent.spawn(self._read, self._socket)
        return True

    def _send(self, message: Any) -> None:
        self._socket.send(msgspec.json.encode(message).decode())

    def _read(self, connection: Any) -> None:
        """Hand on what comes, until the connection ends."""
        try:
            while text := connection.recv():
                # Most of what comes: a member looks at them, and does nothing.
                if text.startswith(_COUNTS):
                    continue
                message = _decoder.decode(text)
                if message.op == "opened":
                    self._report("opened", 0, 0, "", seconds=time.time() - self._opens_at)
                waiting = self._waiting.get(message.id or "")
                if message.op == "result" and waiting is not None:
                    retry_after = "" if message.retry_after is None else str(message.retry_after)
                    waiting.set((message.status, bytes(message.body), retry_after))
        except (OSError, websocket.WebSocketException, msgspec.DecodeError):
            pass
        if self._socket is connection:
            self._lose()

    def _lose(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close(timeout=0)
        for waiting in self._waiting.values():
            waiting.set(LOST)

    def _report(self, name: str, began: float, size: int, wrong: str, seconds: float | None = None) -> None:
        """Into locust's statistics."""
        elapsed = time.perf_counter() - began if seconds is None else seconds
        self._fire(
            request_type="WS", name=f"{LIVE} {name}", response_time=1000 * elapsed, response_length=size,
            exception=RuntimeError(wrong) if wrong else None, context={},
        )  # fmt: skip
