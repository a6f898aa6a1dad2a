"""Authentication: from an Authorization header (RFC 6750) to the person, or to the refusal.

The algorithm in a token's header picks the verifier, and each verifier has keys of its own: a public key of
the issuer is never a secret for HS256.

What an issuer's key has verified is remembered under its SHA-256, for as long as that key is in the set: a
digest is a tenth of the size of such a token, and a dump of the memory holds nothing that opens a door. Our
own tokens are not remembered: verifying one costs little more than finding it, and in a rush each is new.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from api import tokens
from api.jwks import ALGORITHMS, Jwks, Key
from api.tokens import Compact, Hs256, Reason, Rejected, Verified

REMEMBERED_MAX: Final = 100_000
"""About 60 MB; the least recently used is forgotten first."""
CHALLENGE: Final = 'Bearer realm="seatrush"'
CHALLENGE_INVALID: Final = CHALLENGE + ', error="invalid_token"'


class Refused(Struct, frozen=True):
    """Why nobody is known: a code of the outcome table, and WWW-Authenticate's value when that is a 401."""

    code: Literal["unauthenticated", "not_ready"]
    reason: Reason | Literal["missing"]
    challenge: str | None


_MISSING: Final = Refused("unauthenticated", "missing", CHALLENGE)


class _Remembered(Struct, frozen=True, gc=False):
    verified: Verified
    key: Key


class Authenticator:
    """Who a request comes from. `clock` gives unix seconds; `exp` is checked at every use.

    `authenticate` suspends only when a token names a key that is not known yet; otherwise it runs through.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        own: Hs256,
        jwks: Jwks | None = None,
        remembered_max: int = REMEMBERED_MAX,
    ) -> None:
        self._clock = clock
        self._own = own
        self._jwks = jwks
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._remembered_max = remembered_max

    async def authenticate(self, authorization: str | None) -> Verified | Refused:
        """Judge an Authorization header. Another scheme than Bearer is as none."""
        if authorization is None:
            return _MISSING
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return _MISSING
        return await self.verify(token.lstrip(" "))

    async def verify(self, token: str) -> Verified | Refused:
        """Judge a bare token, such as the first message of a WebSocket brings."""
        answer = self._judge(token)
        if isinstance(answer, Verified):
            return answer
        if answer.reason == "unknown_key" and self._jwks is not None:
            await self._jwks.fetch_unknown()
            answer = self._judge(token)
            if isinstance(answer, Verified):
                return answer
            if answer.reason == "unknown_key" and not self._jwks.reachable:
                return Refused("not_ready", answer.reason, None)
        return Refused("unauthenticated", answer.reason, CHALLENGE_INVALID)

    def _judge(self, token: str) -> Verified | Rejected:
        compact = tokens.parse(token)
        if isinstance(compact, Rejected):
            return compact
        if self._jwks is None or compact.header.alg not in ALGORITHMS:
            return self._own.check(compact, self._clock())
        key = self._jwks.key(compact.header)
        return Rejected("unknown_key") if key is None else self._judge_by_key(token, compact, key)

    def _judge_by_key(self, token: str, compact: Compact, key: Key) -> Verified | Rejected:
        now_s = self._clock()
        digest = hashlib.sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is not None and known.key is key:
            self._remembered.move_to_end(digest)
            return known.verified if now_s < known.verified.exp else Rejected("expired")
        answer = key.check(compact, now_s)
        if isinstance(answer, Verified):
            self._remembered[digest] = _Remembered(answer, key)
            if len(self._remembered) > self._remembered_max:
                self._remembered.popitem(last=False)
        return answer
