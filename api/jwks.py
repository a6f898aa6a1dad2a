"""Keys of an outside issuer: a JSON Web Key Set (RFC 7517), fetched from a URL and kept fresh.

PyJWT does the cryptography; its own PyJWKClient would block the event loop while it fetches.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Annotated, Final, Literal

import aiohttp
import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from msgspec import Meta, Struct

from api import tokens
from api.tokens import Compact, Header, Rejected, Verified
from engine import metrics

REFRESH_S: Final = 600.0
RETRY_S: Final = 1.0
RETRY_S_MAX: Final = 30.0
UNKNOWN_KEY_FETCH_S: Final = 30.0
"""A key nobody knows causes at most one fetch in this time, however many tokens name such keys."""
FETCH_TIMEOUT_S: Final = 5.0
BODY_BYTES_MAX: Final = 256 * 1024
RSA_BITS_MIN: Final = 2048

ALGORITHMS: Final = frozenset({"RS256", "ES256", "EdDSA"})

_logger = logging.getLogger(__name__)


class KeySetError(Exception):
    """What was fetched is not a key set."""


class _Jwk(Struct, frozen=True, kw_only=True, tag_field="kty"):
    """What all keys share. Private members are not read: nothing here can sign."""

    kid: Annotated[str, Meta(min_length=1, max_length=256)]
    use: Literal["sig"] = "sig"
    key_ops: tuple[str, ...] = ("verify",)


class _Rsa(_Jwk, frozen=True, kw_only=True, tag="RSA"):
    n: str
    e: str
    alg: Literal["RS256"] = "RS256"


class _Ec(_Jwk, frozen=True, kw_only=True, tag="EC"):
    crv: Literal["P-256"]
    x: str
    y: str
    alg: Literal["ES256"] = "ES256"


class _Okp(_Jwk, frozen=True, kw_only=True, tag="OKP"):
    crv: Literal["Ed25519"]
    x: str
    alg: Literal["EdDSA"] = "EdDSA"


class _KeySet(Struct, frozen=True):
    keys: list[msgspec.Raw]


_jwk_decoder = msgspec.json.Decoder(_Rsa | _Ec | _Okp)
_set_decoder = msgspec.json.Decoder(_KeySet)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UNUSABLE = (*_UNREADABLE, jwt.PyJWTError, ValueError, UnsupportedAlgorithm)


class Key:
    """A public key for one algorithm. Raises one of _UNUSABLE when it is none, or a weak one."""

    def __init__(self, jwk: _Rsa | _Ec | _Okp) -> None:
        self.jwk = jwk
        parsed = jwt.PyJWK(msgspec.to_builtins(jwk), jwk.alg)
        if isinstance(jwk, _Rsa) and parsed.key.key_size < RSA_BITS_MIN:
            raise ValueError(f"an RSA key of {parsed.key.key_size} bits")
        self._key = parsed.key
        self._verify = parsed.Algorithm.verify

    def check(self, compact: Compact, now_s: float) -> Verified | Rejected:
        """Judge a token that names this key."""
        signature = tokens.decode_segment(compact.signature)
        if signature is None or not self._verify(compact.signed, self._key, signature):
            return Rejected("signature")
        return tokens.read_claims(compact.payload, now_s)


Keys = dict[tuple[str, str], Key]
"""By algorithm and `kid`: a token can never use a key with another algorithm than the key's own."""


def parse_keys(body: bytes, before: Keys) -> Keys:
    """The usable keys of a key set; others in it are left out. Raises KeySetError when it is not one.

    A key that is in `before` unchanged stays the same object, so that what it has verified stays known.
    """
    try:
        entries = _set_decoder.decode(body).keys
    except _UNREADABLE as error:
        raise KeySetError("not a JSON Web Key Set") from error
    keys: Keys = {}
    for entry in entries:
        try:
            jwk = _jwk_decoder.decode(entry)
            if "verify" not in jwk.key_ops:
                continue
            name = (jwk.alg, jwk.kid)
            known = before.get(name)
            keys[name] = known if known is not None and known.jwk == jwk else Key(jwk)
        except _UNUSABLE:
            _logger.info("a key of the key set is not usable and left out")
    return keys


class Jwks:
    """The keys behind a URL: fetched at start, every `refresh_s`, and when a token names an unknown one.

    A failed fetch keeps the keys there are and is tried again, so a set that is down delays nobody it knows.
    """

    def __init__(
        self,
        url: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        refresh_s: float = REFRESH_S,
        retry_s: float = RETRY_S,
        fetch_timeout_s: float = FETCH_TIMEOUT_S,
    ) -> None:
        self._url = url
        self._monotonic = monotonic
        self._refresh_s = refresh_s
        self._retry_s = retry_s
        self._timeout = aiohttp.ClientTimeout(total=fetch_timeout_s)
        self._keys: Keys = {}
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._asked_at = -math.inf
        self.reachable = False
        """Whether the last fetch succeeded. While it has not, an unknown key may well be a good one."""

    def start(self) -> None:
        """Fetch now and keep fresh, without waiting: a set that is down keeps nothing from starting."""
        self._refreshing = asyncio.create_task(self._refresh_forever())

    async def stop(self) -> None:
        """End what start began."""
        running = [task for task in (self._refreshing, self._fetching) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def key(self, header: Header) -> Key | None:
        """The key that a token names, for the algorithm that it names."""
        return self._keys.get((header.alg, header.kid))

    async def fetch_unknown(self) -> None:
        """A token names an unknown key: fetch the set, unless one did so in the last 30 seconds.

        All who come meanwhile wait for the same fetch, at most its timeout.
        """
        if self._fetching is None:
            now = self._monotonic()
            if now - self._asked_at < UNKNOWN_KEY_FETCH_S:
                return
            self._asked_at = now
        await self._fetch()

    async def _refresh_forever(self) -> None:
        retry_s = self._retry_s
        while True:
            await self._fetch()
            if self.reachable:
                retry_s = self._retry_s
                await asyncio.sleep(self._refresh_s)
            else:
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, RETRY_S_MAX)

    async def _fetch(self) -> None:
        """Join the fetch under way, or begin one. One who goes away does not cancel it for the others."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_once())
            self._fetching.add_done_callback(self._fetched)
        await asyncio.shield(self._fetching)

    def _fetched(self, _: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch_once(self) -> None:
        try:
            self._keys = parse_keys(await self._download(), self._keys)
            self.reachable = True
        except Exception as error:  # Whatever another's server sends must not end the refreshing.
            self.reachable = False
            metrics.JWKS_FAILURES.inc()
            _logger.warning(
                "the key set was not fetched, the %d keys before stay: %s %r",
                len(self._keys),
                type(error).__name__,
                str(error),
            )

    async def _download(self) -> bytes:
        # Compressed bodies are not asked for and not unpacked: a small one could become a large one.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with (
            aiohttp.ClientSession(timeout=self._timeout, headers=headers, auto_decompress=False) as session,
            session.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise KeySetError(f"it answered {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    raise KeySetError(f"it has more than {BODY_BYTES_MAX} bytes")
            return bytes(body)
