"""Tokens: who a request comes from. A strict subset of JWT (RFC 7519), HS256 with the deployment's secret.

The order of work is the order of trust: size, shape, header, signature, and only then the claims. No answer
quotes anything of a token. Of a repeated name in JSON the last one counts, as RFC 7519 section 4 allows; only
the holder of a key can write one that matters.
"""

import binascii
import functools
import hmac
import os
import secrets
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct

from engine import keyfile
from engine.domain import campaign as documents
from engine.domain import chain
from engine.domain.person import Person, Role

AUDIENCE: Final = "seatrush"
TOKEN_BYTES_MAX: Final = 4096
SECRET_BYTES_MIN: Final = 32
TAGS_MAX: Final = 32
EXP_MAX: Final = 253_402_300_800
"""Year 10000; what lies behind it is milliseconds, or a mistake."""

Reason = Literal[
    "too_large",
    "malformed",
    "algorithm",
    "unknown_key",
    "signature",
    "claims",
    "audience",
    "expired",
    "not_yet",
]

# In Python `$` also matches before a final newline.
_END = r"(?!\n)"
# The ledger has other ids of forgotten members, which nobody may come with.
_Subject = Annotated[str, Meta(pattern=f"^(?!{chain.FORGOTTEN_PATTERN}$)[!-~]{{1,64}}$" + _END)]
_Unit = Annotated[str, Meta(pattern=documents.UNIT_PATTERN + _END)]
_Seconds = Annotated[float, Meta(ge=0, lt=EXP_MAX)]


class TokenSecretError(Exception):
    """The secret for tokens cannot be used; the message says which one and why."""


class ClaimsError(ValueError):
    """A token was asked for that nobody would accept; the message names the claim."""


class Verified(Struct, frozen=True, gc=False):
    """Who holds a valid token, and until when: before `exp`, unix seconds."""

    person: Person
    exp: float


class Rejected(Struct, frozen=True):
    """Why a token is not accepted; for logs and metrics, it holds nothing of the token."""

    reason: Reason


class Header(Struct, frozen=True):
    """What counts of a JOSE header. Keys in it and addresses of keys (`jwk`, `jku`, `x5u`) are never read."""

    alg: str
    kid: Annotated[str, Meta(max_length=256)] = ""
    typ: Literal["JWT"] = "JWT"
    crit: object = UNSET


class Compact(Struct, frozen=True):
    """A token taken apart, not yet verified: `signed` is header.payload, the others are base64url."""

    header: Header
    signed: bytes
    payload: bytes
    signature: bytes


class Claims(Struct, frozen=True, omit_defaults=True):
    """What a token says. Unknown claims are ignored; times are unix seconds."""

    sub: _Subject
    aud: str | list[str]
    exp: _Seconds
    nbf: _Seconds = 0
    iat: _Seconds = 0
    unit: _Unit = ""
    industry: documents.Label = ""
    tags: Annotated[tuple[documents.Label, ...], Meta(max_length=TAGS_MAX)] = ()
    roles: frozenset[Role] = frozenset({"member"})


_claims_decoder = msgspec.json.Decoder(Claims)
_header_decoder = msgspec.json.Decoder(Header)
_encoder = msgspec.json.Encoder()
_role_sets: dict[frozenset[Role], frozenset[Role]] = {}
"""One object for each of the 16 sets of roles: a set of its own would be a quarter of a remembered person."""
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


def encode_segment(raw: bytes) -> bytes:
    """base64url without padding."""
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URL, b"=")


def decode_segment(segment: bytes) -> bytes | None:
    """The bytes of a base64url segment, or None unless it is exactly what encode_segment makes of them."""
    try:
        raw = binascii.a2b_base64(segment.translate(_FROM_URL) + b"==")
    except binascii.Error:
        return None
    return raw if encode_segment(raw) == segment else None


def parse(token: str | bytes) -> Compact | Rejected:
    """Take a token apart and read its header, strictly. Nothing of it is to be believed yet."""
    if len(token) > TOKEN_BYTES_MAX:
        return Rejected("too_large")
    if isinstance(token, str):
        if not token.isascii():
            return Rejected("malformed")
        token = token.encode()
    if token.count(b".") != 2:
        return Rejected("malformed")
    signed, _, signature = token.rpartition(b".")
    header_segment, _, payload = signed.partition(b".")
    header = _header(header_segment)
    return Rejected("malformed") if header is None else Compact(header, signed, payload, signature)


@functools.lru_cache(maxsize=64)  # An issuer's headers are all alike.
def _header(segment: bytes) -> Header | None:
    raw = decode_segment(segment)
    if raw is None:
        return None
    try:
        header = _header_decoder.decode(raw)
    except _UNREADABLE:
        return None
    return header if header.crit is UNSET else None


def read_claims(payload: bytes, now_s: float) -> Verified | Rejected:
    """Judge the payload of a token whose signature has been verified."""
    raw = decode_segment(payload)
    if raw is None:
        return Rejected("malformed")
    try:
        claims = _claims_decoder.decode(raw)
    except _UNREADABLE:
        return Rejected("claims")
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if AUDIENCE not in audiences:
        return Rejected("audience")
    if now_s >= claims.exp:
        return Rejected("expired")
    if claims.nbf > now_s or claims.iat > now_s:
        return Rejected("not_yet")
    roles = _role_sets.setdefault(claims.roles, claims.roles)
    person = Person(claims.sub, claims.unit, claims.industry, claims.tags, roles)
    return Verified(person, claims.exp)


class Hs256:
    """Verifies tokens signed with the deployment's secret. Raises TokenSecretError for a short one."""

    def __init__(self, secret: bytes) -> None:
        self._secret = _long_enough(secret, "the token secret")

    def verify(self, token: str | bytes, now_s: float) -> Verified | Rejected:
        """Judge a token at `now_s`, unix seconds."""
        compact = parse(token)
        return compact if isinstance(compact, Rejected) else self.check(compact, now_s)

    def check(self, compact: Compact, now_s: float) -> Verified | Rejected:
        """Judge a token that `parse` has taken apart."""
        if compact.header.alg != "HS256":
            return Rejected("algorithm")
        if not hmac.compare_digest(_signature(self._secret, compact.signed), compact.signature):
            return Rejected("signature")
        return read_claims(compact.payload, now_s)


_HEADER_SEGMENT = encode_segment(b'{"alg":"HS256","typ":"JWT"}')


def sign(secret: bytes, person: Person, exp: float) -> str:
    """A token for `person`, valid before `exp` (unix seconds).

    Raises TokenSecretError for a short secret, and ClaimsError for what verification would refuse.
    """
    claims = Claims(
        sub=person.sub,
        aud=AUDIENCE,
        exp=exp,
        unit=person.unit,
        industry=person.industry,
        tags=person.tags,
        roles=person.roles,
    )
    payload = _encoder.encode(claims)
    try:
        _claims_decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise ClaimsError(str(error)) from error
    signed = _HEADER_SEGMENT + b"." + encode_segment(payload)
    token = signed + b"." + _signature(_long_enough(secret, "the token secret"), signed)
    if len(token) > TOKEN_BYTES_MAX:
        raise ClaimsError(f"the token would have {len(token)} bytes; at most {TOKEN_BYTES_MAX} are accepted")
    return token.decode()


def _signature(secret: bytes, signed: bytes) -> bytes:
    return encode_segment(hmac.digest(secret, signed, "sha256"))


def load_secret(directory: Path, environ_value: str | None) -> bytes:
    """The deployment's secret: the value of SEATRUSH_TOKEN_SECRET, else DIR/token.key, made when absent.

    Processes that start at once end with the same key. Raises TokenSecretError.
    """
    if environ_value is not None:
        return _long_enough(os.fsencode(environ_value), "SEATRUSH_TOKEN_SECRET")
    path = directory / "token.key"
    try:
        return _long_enough(keyfile.read(path, lambda: secrets.token_urlsafe(48)), str(path))
    except OSError as error:
        raise TokenSecretError(f"cannot read or make {path}: {error.strerror}") from error


def _long_enough(secret: bytes, name: str) -> bytes:
    if len(secret) < SECRET_BYTES_MIN:
        raise TokenSecretError(f"{name} has {len(secret)} bytes; at least {SECRET_BYTES_MIN} are needed")
    return secret
