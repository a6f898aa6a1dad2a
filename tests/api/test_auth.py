"""From a header to a person or a refusal."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from aiohttp import test_utils

from api import tokens
from api.auth import CHALLENGE, CHALLENGE_INVALID, Authenticator, Refused
from api.jwks import Jwks, Key
from api.tokens import Hs256, Verified
from engine.domain.person import Person
from tests.api.issuer import CLAIMS, NOW, Clock, KeyServer, Signer, key_set, serving

SECRET = b"s" * 32
RSA = Signer("RS256", "rsa-1")
OTHER = Signer("EdDSA", "okp-2")
PERSON = Person("m-1001", "xicheng.health")


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with serving(key_set(RSA.jwk())) as key_server:
        yield key_server


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


def at_once(coroutine: Coroutine[Any, Any, Verified | Refused]) -> Verified | Refused:
    """The answer of a coroutine that must not suspend."""
    with pytest.raises(StopIteration) as returned:
        coroutine.send(None)
    answer: Verified | Refused = returned.value.value
    return answer


def invalid(reason: Any) -> Refused:
    return Refused("unauthenticated", reason, CHALLENGE_INVALID)


@pytest.mark.parametrize("authorization", [None, "", "Basic bTpw", "Bearerx y", "Token t", "Bearer\tx"])
def test_without_a_bearer_token_the_challenge_names_no_error(clock: Clock, authorization: str | None) -> None:
    auth = Authenticator(clock, Hs256(SECRET))
    answer = at_once(auth.authenticate(authorization))
    assert answer == Refused("unauthenticated", "missing", CHALLENGE)
    assert "error" not in CHALLENGE


def test_our_own_tokens_never_suspend(clock: Clock) -> None:
    auth = Authenticator(clock, Hs256(SECRET), Jwks("http://127.0.0.1:1/"))
    signed = tokens.sign(SECRET, PERSON, NOW + 60)
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer "):
        assert at_once(auth.authenticate(f"{scheme} {signed}")) == Verified(PERSON, NOW + 60)
    assert at_once(auth.verify(signed)) == Verified(PERSON, NOW + 60)
    clock.now += 60
    assert at_once(auth.authenticate(f"Bearer {signed}")) == invalid("expired")


@pytest.mark.parametrize("token", ["", " ", "x", "a.b.c", "x" * 5000, "职工"])
def test_a_bad_token_is_an_invalid_token(clock: Clock, token: str) -> None:
    answer = at_once(Authenticator(clock, Hs256(SECRET)).authenticate(f"Bearer {token}"))
    assert isinstance(answer, Refused)
    assert answer.code == "unauthenticated"
    assert answer.challenge == 'Bearer realm="seatrush", error="invalid_token"'


def test_without_a_key_set_only_our_own_tokens_count(clock: Clock) -> None:
    answer = at_once(Authenticator(clock, Hs256(SECRET)).verify(RSA.token()))
    assert answer == invalid("algorithm")


@pytest.mark.parametrize("alg", ["none", "NONE", "PS256", "RS512", "ES384", "HS512", "rs256"])
async def test_other_algorithms_cause_no_fetch(server: KeyServer, clock: Clock, alg: str) -> None:
    auth = Authenticator(clock, Hs256(SECRET), Jwks(server.url))
    header = tokens.encode_segment(json.dumps({"alg": alg, "kid": "rsa-1"}).encode()).decode()
    assert at_once(auth.verify(header + RSA.token()[RSA.token().index(".") :])) == invalid("algorithm")
    assert server.requests == 0


async def test_both_kinds_of_tokens_each_with_its_own_keys(server: KeyServer, clock: Clock) -> None:
    server.body = key_set(RSA.jwk(), {"kty": "oct", "kid": "oct-1", "alg": "HS256", "k": "eHh4"})
    auth = Authenticator(clock, Hs256(SECRET), Jwks(server.url))
    assert await auth.verify(RSA.token()) == Verified(PERSON, NOW + 60)
    assert await auth.verify(tokens.sign(SECRET, PERSON, NOW + 60)) == Verified(PERSON, NOW + 60)
    by_shared_key = tokens.sign(b"x" * 32, PERSON, NOW + 60)
    assert await auth.verify(by_shared_key) == invalid("signature")


async def test_a_known_token_is_remembered_until_it_expires(
    server: KeyServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = Authenticator(clock, Hs256(SECRET), Jwks(server.url))
    signed = RSA.token()
    assert await auth.verify(signed) == Verified(PERSON, NOW + 60)
    monkeypatch.delattr(Key, "check")
    assert at_once(auth.verify(signed)) == Verified(PERSON, NOW + 60)
    clock.now += 60
    assert at_once(auth.verify(signed)) == invalid("expired")


async def test_a_token_is_forgotten_with_its_key(server: KeyServer, clock: Clock) -> None:
    monotonic = Clock(0)
    source = Jwks(server.url, monotonic=monotonic)
    auth = Authenticator(clock, Hs256(SECRET), source)
    signed = RSA.token()
    assert await auth.verify(signed) == Verified(PERSON, NOW + 60)
    server.body = key_set(Signer("RS256", RSA.kid).jwk())
    monotonic.now += 30
    await source.fetch_unknown()
    assert await auth.verify(signed) == invalid("signature")


async def test_what_is_remembered_is_bounded_and_the_last_used_stay(
    server: KeyServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = Authenticator(clock, Hs256(SECRET), Jwks(server.url), remembered_max=2)
    first, second, third = (RSA.token(CLAIMS | {"sub": sub}) for sub in ("m-1", "m-2", "m-3"))
    for token in (first, second, first, third):
        assert isinstance(await auth.verify(token), Verified)
    assert len(auth._remembered) == 2
    monkeypatch.delattr(Key, "check")
    assert isinstance(await auth.verify(first), Verified)
    assert isinstance(await auth.verify(third), Verified)
    with pytest.raises(AttributeError):
        await auth.verify(second)


async def test_refused_tokens_are_not_remembered(server: KeyServer, clock: Clock) -> None:
    auth = Authenticator(clock, Hs256(SECRET), Jwks(server.url))
    for number in range(20):
        forged = Signer("EdDSA", "okp-2").token() if number % 2 else RSA.token()[:-4] + "AAAA"
        assert isinstance(await auth.verify(forged), Refused)
    assert len(auth._remembered) == 0
    assert server.requests == 1


async def test_a_rotated_key_is_fetched_once_for_all_who_come(server: KeyServer, clock: Clock) -> None:
    monotonic = Clock(0)
    auth = Authenticator(clock, Hs256(SECRET), Jwks(server.url, monotonic=monotonic))
    assert isinstance(await auth.verify(RSA.token()), Verified)
    server.body = key_set(RSA.jwk(), OTHER.jwk())
    monotonic.now += 30
    server.gate.clear()
    waiting = [
        asyncio.create_task(auth.verify(OTHER.token(CLAIMS | {"sub": f"m-{number}"}))) for number in range(50)
    ]
    server.arrived.get_nowait()
    await server.arrived.get()
    assert isinstance(at_once(auth.verify(RSA.token())), Verified), "a known key waits for nobody"
    server.gate.set()
    assert all(isinstance(answer, Verified) for answer in await asyncio.gather(*waiting))
    assert server.requests == 2


async def test_unknown_keys_while_the_set_is_down_are_not_the_members_fault(clock: Clock) -> None:
    port = test_utils.unused_port()
    monotonic = Clock(0)
    auth = Authenticator(clock, Hs256(SECRET), Jwks(f"http://127.0.0.1:{port}/", monotonic=monotonic))
    assert await auth.verify(RSA.token()) == Refused("not_ready", "unknown_key", None)
    monotonic.now += 30
    async with serving(key_set(RSA.jwk()), port):
        assert isinstance(await auth.verify(RSA.token()), Verified)
        assert await auth.verify(OTHER.token()) == invalid("unknown_key")
