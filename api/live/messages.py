"""Messages of the WebSocket, both ways. Of a name that is repeated in a message, the last one counts."""

from typing import Annotated, Any, Final, TypeAlias, cast

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from api.views import Moment
from engine.domain import campaign as documents
from engine.domain import invitation, shapes, strict_json
from engine.domain.faults import Fault, fault

WATCHED_MAX: Final = 100
"""Offerings of one `watch`, and campaigns of one connection."""

# In Python `$` also matches before a final newline.
_END: Final = r"(?!\n)"
Key = Annotated[str, Meta(pattern="^[!-~]{1,64}$" + _END, extra={"fault": "not_a_key"})]
Code = Annotated[str, Meta(pattern=invitation.PATTERN + _END, extra={"fault": "not_a_code"})]
EnrollmentId = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{16}$" + _END)]


class In(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag=True):
    """Base of what a client sends."""


class Auth(In, frozen=True, tag="auth"):
    """Who the client is, or a newer token of its member."""

    token: str


class Watch(In, frozen=True, tag="watch"):
    """What the client looks at in a campaign, in the place of what it looked at there before.

    Without `offerings` all of them, with an empty list none.
    """

    campaign: documents.Id
    offerings: Annotated[list[documents.Id], Meta(max_length=WATCHED_MAX)] | None = None


class SignUp(In, frozen=True, tag="sign_up"):
    """A sign-up, as over HTTP: `id` is its idempotency key."""

    id: Key
    campaign: documents.Id
    offering: documents.Id
    pool: documents.Id | None = None
    wish: documents.Wish | None = None
    code: Code | None = None


class Change(In, frozen=True):
    """Base of what changes an enrollment of one's own; `id` comes back with the result."""

    id: Key
    campaign: documents.Id
    enrollment: EnrollmentId


class Cancel(Change, frozen=True, tag="cancel"):
    """DELETE."""


class Confirm(Change, frozen=True, tag="confirm"):
    """POST …/confirm."""


class Decline(Change, frozen=True, tag="decline"):
    """POST …/decline."""


Message: TypeAlias = Auth | Watch | SignUp | Cancel | Confirm | Decline

_KINDS: Final[dict[str, type[In]]] = {
    str(kind.__struct_config__.tag): kind for kind in (Auth, Watch, SignUp, Cancel, Confirm, Decline)
}
_decoder: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)
_encode = msgspec.json.Encoder().encode


class PoolCounts(Struct, frozen=True):
    """A pool's seats. `waiting` is the offering's: one queue is behind all of its pools."""

    capacity: int
    taken: int
    waiting: int


class Out(Struct, frozen=True, tag_field="op", tag=True):
    """Base of what the server sends."""


class Counts(Out, frozen=True, tag="counts"):
    """The counts of an offering that is watched."""

    campaign: str
    offering: str
    pools: dict[str, PoolCounts]
    entered: int | UnsetType = UNSET
    """Of an offering that collects entries or votes: those that have no result yet."""


class Opened(Out, frozen=True, tag="opened"):
    """Sign-up for an offering that is watched has begun."""

    campaign: str
    offering: str
    at: Moment


class Result(Out, frozen=True, tag="result"):
    """The answer to a message with an `id`: status and body as over HTTP."""

    id: str
    status: int
    body: Raw
    retry_after: int | UnsetType = UNSET
    """Seconds, where HTTP has Retry-After."""


class Changed(Out, frozen=True, tag="changed"):
    """An enrollment of one's own, after something has happened to it."""

    body: Any


class Error(Out, frozen=True, tag="error"):
    """What could not be understood or carried out: the code, and the problem as over HTTP."""

    code: str
    body: Raw


def decode(data: bytes) -> Message | list[Fault]:
    """A message, or everything that is wrong with it."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _faults(data)


def _faults(data: bytes) -> Message | list[Fault]:
    raw = strict_json.loads(data)
    if isinstance(raw, Fault):
        return [raw]
    if not isinstance(raw, dict):
        return [fault("not_an_object")]
    op = raw.pop("op", None)
    kind = _KINDS.get(op) if isinstance(op, str) else None
    if kind is None:
        return [Fault("/op", "not_one_of", {"allowed": ", ".join(_KINDS)})]
    return cast("Message | list[Fault]", shapes.convert(kind, raw))


def frame(message: Out) -> bytes:
    """A message as a whole frame of text (RFC 6455, 5.2): unmasked, so that all clients can be sent the same bytes."""
    return framed(_encode(message))


def framed(payload: bytes) -> bytes:
    """A frame of text around a payload."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload
