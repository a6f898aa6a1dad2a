"""What verifying a token costs: ours and PyJWT, each token new, rounds of both in turn.

    scripts/bench tokens

Prints the median of five rounds in microseconds, of one process.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from api import jwks, tokens
from api.auth import Authenticator
from api.tokens import Hs256, Verified
from engine.domain.person import Person

ROUNDS: Final = 5
TOKENS: Final = 2_000
SECRET: Final = b"the secret of this benchmark, 40 bytes. "
TTL_S: Final = 3600

Task = Callable[[list[str]], None]


def people(count: int) -> list[Person]:
    """Members as they are in a rush: each with a unit, a trade and a tag."""
    return [
        Person(f"m-{number:07}", "xicheng.health.fuxing", "health", ("outdoor",)) for number in range(count)
    ]


def with_pyjwt(key: Any, alg: str) -> Task:
    """What an api does that uses PyJWT as its documentation says."""

    def verify(batch: list[str]) -> None:
        for token in batch:
            jwt.decode(token, key, algorithms=[alg], audience="seatrush")

    return verify


def with_hs256(batch: list[str]) -> None:
    """The verifier of our own tokens."""
    own = Hs256(SECRET)
    for token in batch:
        assert isinstance(own.verify(token, time.time()), Verified)


def with_key(key: jwks.Key) -> Task:
    """A key of an issuer, as the Authenticator uses it for a token it has not seen."""

    def verify(batch: list[str]) -> None:
        for token in batch:
            compact = tokens.parse(token)
            assert isinstance(compact, tokens.Compact)
            assert isinstance(key.check(compact, time.time()), Verified)

    return verify


def with_authenticator(auth: Authenticator) -> Task:
    """From the Authorization header to the person."""

    async def verify(batch: list[str]) -> None:
        for token in batch:
            assert isinstance(await auth.authenticate(f"Bearer {token}"), Verified)

    return lambda batch: asyncio.run(verify(batch))


def mint(_: list[str]) -> None:
    """Sign as many tokens as the others verify."""
    exp = time.time() + TTL_S
    for person in people(TOKENS):
        tokens.sign(SECRET, person, exp)


def issued(private: Any, alg: str) -> list[str]:
    """Tokens as an outside issuer makes them."""
    claims = {"aud": "seatrush", "exp": int(time.time()) + TTL_S, "unit": "xicheng.health.fuxing"}
    return [
        jwt.encode(claims | {"sub": person.sub}, private, alg, headers={"kid": "k"}) for person in people(300)
    ]


class _KnownKey(jwks.Jwks):
    """A key set that needs no fetching."""

    def __init__(self, key: jwks.Key) -> None:
        super().__init__("http://127.0.0.1/")
        self._keys = {(key.jwk.alg, key.jwk.kid): key}


def measures() -> dict[str, tuple[Task, list[str]]]:
    """Name -> what to run, over which tokens."""
    exp = int(time.time()) + TTL_S
    own = [tokens.sign(SECRET, person, exp) for person in people(TOKENS)]
    found: dict[str, tuple[Task, list[str]]] = {
        "HS256 PyJWT": (with_pyjwt(SECRET, "HS256"), own),
        "HS256 ours": (with_hs256, own),
        "HS256 ours, from the header": (with_authenticator(Authenticator(time.time, Hs256(SECRET))), own),
        "HS256 ours, signing": (mint, own),
    }
    for alg, private, to_jwk in (
        ("RS256", rsa.generate_private_key(65537, 2048), RSAAlgorithm.to_jwk),
        ("ES256", ec.generate_private_key(ec.SECP256R1()), ECAlgorithm.to_jwk),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm.to_jwk),
    ):
        public: Any = private.public_key()
        jwk = to_jwk(public, as_dict=True) | {"kid": "k"}
        (key,) = jwks.parse_keys(msgspec.json.encode({"keys": [jwk]}), {}).values()
        auth = Authenticator(time.time, Hs256(SECRET), _KnownKey(key))
        batch = issued(private, alg)
        asyncio.run(_remember(auth, batch))
        found[f"{alg} PyJWT"] = (with_pyjwt(public, alg), batch)
        found[f"{alg} ours"] = (with_key(key), batch)
        found[f"{alg} ours, remembered, from the header"] = (with_authenticator(auth), batch)
    return found


async def _remember(auth: Authenticator, batch: list[str]) -> None:
    for token in batch:
        await auth.verify(token)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    argparse.ArgumentParser(prog="scripts/bench tokens", description=__doc__).parse_args(arguments)
    found = measures()
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(ROUNDS):
        for name, (task, batch) in found.items():
            began = time.perf_counter()
            task(batch)
            seconds[name].append((time.perf_counter() - began) / len(batch))
    print(f"median of {ROUNDS} rounds, µs a token")
    for name, rounds in seconds.items():
        print(f"{statistics.median(rounds) * 1e6:8.1f}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
