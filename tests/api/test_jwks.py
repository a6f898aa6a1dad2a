"""Keys of an outside issuer, fetched from a real server on loopback."""

import asyncio
import gzip
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import test_utils
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from api import jwks, tokens
from api.jwks import Jwks
from api.tokens import Compact, Header, Verified
from engine.domain.person import Person
from tests.api.issuer import CLAIMS, NOW, Clock, KeyServer, Signer, key_set, serving

RSA = Signer("RS256", "rsa-1")
EC = Signer("ES256", "ec-1")
OKP = Signer("EdDSA", "okp-1")
SIGNERS = [RSA, EC, OKP]
OTHER = Signer("RS256", "rsa-2")
EVERYTHING = key_set(*(signer.jwk() for signer in SIGNERS))


def judged(keys: jwks.Keys, token: str) -> str:
    """What the key that a token names says of it."""
    compact = tokens.parse(token)
    assert isinstance(compact, Compact)
    key = keys.get((compact.header.alg, compact.header.kid))
    if key is None:
        return "unknown_key"
    answer = key.check(compact, NOW)
    return "verified" if isinstance(answer, Verified) else answer.reason


# The key set


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
def test_each_algorithm_verifies_with_its_key(signer: Signer) -> None:
    keys = jwks.parse_keys(EVERYTHING, {})
    compact = tokens.parse(signer.token())
    assert isinstance(compact, Compact)
    person = Person("m-1001", "xicheng.health")
    assert keys[signer.alg, signer.kid].check(compact, NOW) == Verified(person, NOW + 60)
    assert judged(keys, signer.token(CLAIMS | {"exp": NOW})) == "expired"
    assert judged(keys, signer.token(CLAIMS | {"aud": "others"})) == "audience"


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
def test_a_signature_is_exact(signer: Signer) -> None:
    keys = jwks.parse_keys(EVERYTHING, {})
    signed, _, signature = signer.token().rpartition(".")
    other = Signer(signer.alg, signer.kid)
    zeros = "A" * len(signature)
    for wrong in ("", zeros, signature[:-2], signature + "AA", signature + "=", "\n" + signature):
        assert judged(keys, f"{signed}.{wrong}") == "signature"
    assert judged(keys, other.token()) == "signature"


def test_a_key_inside_the_token_is_not_used() -> None:
    intruder = Signer("RS256", RSA.kid)
    keys = jwks.parse_keys(EVERYTHING, {})
    assert judged(keys, intruder.token(jwk=intruder.jwk())) == "signature"
    assert judged(keys, intruder.token(jku="http://127.0.0.1:1/", x5u="http://127.0.0.1:1/")) == "signature"


@pytest.mark.parametrize("kid", ["", "rsa-1 ", "RSA-1", "../rsa-1", "' or 1=1 --", "ec-1", "k" * 256])
def test_a_kid_is_exact(kid: str) -> None:
    assert judged(jwks.parse_keys(EVERYTHING, {}), RSA.token(kid=kid)) == "unknown_key"


def test_a_key_is_for_one_algorithm() -> None:
    keys = jwks.parse_keys(key_set(RSA.jwk(), EC.jwk(kid="rsa-1")), {})
    assert set(keys) == {("RS256", "rsa-1"), ("ES256", "rsa-1")}
    assert judged(keys, RSA.token()) == judged(keys, EC.token(kid="rsa-1")) == "verified"


def test_alg_use_and_operations_may_be_absent_or_must_fit() -> None:
    for changes in ({"alg": None, "use": None}, {"key_ops": ["verify"]}, {"x5c": ["…"]}):
        assert judged(jwks.parse_keys(key_set(RSA.jwk(**changes)), {}), RSA.token()) == "verified"


def test_private_members_are_not_read() -> None:
    keys = jwks.parse_keys(key_set(RSA.jwk(d="AQAB", p="x"), OKP.jwk(d="x")), {})
    assert judged(keys, RSA.token()) == judged(keys, OKP.token()) == "verified"


UNUSABLE: dict[str, Any] = {
    "oct": {"kty": "oct", "kid": "rsa-1", "alg": "HS256", "k": "c2VjcmV0"},
    "oct that says RS256": {"kty": "oct", "kid": "rsa-1", "alg": "RS256", "k": "c2VjcmV0"},
    "RSA of 1024 bits": Signer("RS256", "rsa-1", rsa_bits=1024).jwk(),
    "RSA that says PS256": RSA.jwk(alg="PS256"),
    "RSA that says HS256": RSA.jwk(alg="HS256"),
    "for encryption": RSA.jwk(use="enc"),
    "for signing only": RSA.jwk(key_ops=["sign"]),
    "without kid": RSA.jwk(kid=None),
    "empty kid": RSA.jwk(kid=""),
    "kid is a number": RSA.jwk(kid=1),
    "kid is huge": RSA.jwk(kid="k" * 257),
    "no modulus": RSA.jwk(n=None),
    "modulus is a number": RSA.jwk(n=7),
    "modulus is not base64": RSA.jwk(n="!"),
    "even exponent": RSA.jwk(e="Ag"),
    "P-384": EC.jwk(crv="P-384"),
    "not on the curve": EC.jwk(x=EC.jwk()["y"]),
    "short coordinate": EC.jwk(x="AQ"),
    "Ed448": OKP.jwk(crv="Ed448"),
    "X25519": OKP.jwk(crv="X25519"),
    "short Ed25519": OKP.jwk(x="AQ"),
    "nothing": None,
    "text": "key",
    "a list": [RSA.jwk()],
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_keys_are_left_out_and_the_others_stay(name: str) -> None:
    assert set(jwks.parse_keys(key_set(UNUSABLE[name], OTHER.jwk()), {})) == {("RS256", "rsa-2")}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"keys":{}}', b'{"keys":null}', b"\xff", b"<html>", b"[" * 250_000]
)
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(jwks.KeySetError):
        jwks.parse_keys(body, {})


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)


@given(
    st.lists(
        st.sampled_from([signer.jwk() for signer in SIGNERS]).flatmap(
            lambda jwk: st.dictionaries(st.sampled_from(sorted(jwk)), json_values).map(jwk.__or__)
        )
        | json_values
    )
)
def test_no_key_set_is_a_fault(keys: list[Any]) -> None:
    jwks.parse_keys(json.dumps({"keys": keys}).encode(), {})


def test_a_key_stays_the_same_object_until_it_changes() -> None:
    before = jwks.parse_keys(EVERYTHING, {})
    changed = Signer("EdDSA", "okp-1")
    after = jwks.parse_keys(key_set(changed.jwk(), EC.jwk(), RSA.jwk()), before)
    assert after["RS256", "rsa-1"] is before["RS256", "rsa-1"]
    assert after["EdDSA", "okp-1"] is not before["EdDSA", "okp-1"]
    assert judged(after, changed.token()) == "verified"
    assert judged(after, OKP.token()) == "signature"


@pytest.mark.parametrize(
    "secret",
    [
        RSA.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        json.dumps(RSA.jwk()).encode(),
        RSA.jwk()["n"].encode(),
    ],
    ids=["PEM", "JWK", "modulus"],
)
def test_a_public_key_is_no_secret(secret: bytes) -> None:
    header = tokens.encode_segment(b'{"alg":"HS256","kid":"rsa-1"}')
    signed = header + b"." + tokens.encode_segment(json.dumps(CLAIMS).encode())
    mac = tokens.encode_segment(hmac.digest(secret, signed, hashlib.sha256))
    confused = (signed + b"." + mac).decode()
    assert judged(jwks.parse_keys(EVERYTHING, {}), confused) == "unknown_key"
    relabelled = tokens.encode_segment(b'{"alg":"RS256","kid":"rsa-1"}').decode() + confused[len(header) :]
    assert judged(jwks.parse_keys(EVERYTHING, {}), relabelled) == "signature"


# Fetching


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with serving(key_set(RSA.jwk())) as key_server:
        yield key_server


def known(source: Jwks, signer: Signer) -> bool:
    return source.key(Header(signer.alg, signer.kid)) is not None


async def test_an_unknown_key_is_fetched_at_most_once_in_30_seconds(server: KeyServer) -> None:
    clock = Clock(1000.0)
    source = Jwks(server.url, monotonic=clock)
    await source.fetch_unknown()
    assert known(source, RSA)
    assert not known(source, OTHER)
    server.body = key_set(OTHER.jwk())
    clock.now += 29.9
    for _ in range(100):
        await source.fetch_unknown()
    assert server.requests == 1
    clock.now += 0.1
    await source.fetch_unknown()
    assert server.requests == 2
    assert known(source, OTHER)
    assert not known(source, RSA), "a key that is withdrawn is gone"


async def test_all_wait_for_one_fetch_and_one_who_leaves_does_not_end_it(server: KeyServer) -> None:
    source = Jwks(server.url)
    server.gate.clear()
    waiting = [asyncio.create_task(source.fetch_unknown()) for _ in range(100)]
    await server.arrived.get()
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    assert not any(task.done() for task in waiting[1:])
    server.gate.set()
    await asyncio.gather(*waiting[1:])
    assert known(source, RSA)
    assert server.requests == 1


def _status(server: KeyServer) -> None:
    server.status = 503


def _redirect(server: KeyServer) -> None:
    server.status = 302
    server.headers = {"Location": "/other"}


def _redirect_to_another_scheme(server: KeyServer) -> None:
    server.status = 307
    server.headers = {"Location": "https://127.0.0.1:1/keys"}


def _oversized(server: KeyServer) -> None:
    server.body = key_set(OTHER.jwk()) + b" " * 256 * 1024


def _garbage(server: KeyServer) -> None:
    server.body = b"<!doctype html>"


def _compressed(server: KeyServer) -> None:
    server.headers = {"Content-Encoding": "gzip"}
    server.body = gzip.compress(key_set(OTHER.jwk()))


def _slow(server: KeyServer) -> None:
    server.gate.clear()


FAILURES = [_status, _redirect, _redirect_to_another_scheme, _oversized, _garbage, _compressed, _slow]


@pytest.mark.parametrize("fail", FAILURES)
async def test_a_failed_fetch_keeps_the_keys(fail: Callable[[KeyServer], None], server: KeyServer) -> None:
    clock = Clock(0.0)
    source = Jwks(server.url, monotonic=clock, fetch_timeout_s=0.2)
    await source.fetch_unknown()
    fail(server)
    clock.now += 30
    failures = REGISTRY.get_sample_value("seatrush_jwks_failures_total") or 0
    await source.fetch_unknown()
    assert not source.reachable
    assert REGISTRY.get_sample_value("seatrush_jwks_failures_total") == failures + 1
    assert known(source, RSA)
    assert server.requests == 2


async def test_an_empty_set_withdraws_every_key(server: KeyServer) -> None:
    clock = Clock(0.0)
    source = Jwks(server.url, monotonic=clock)
    await source.fetch_unknown()
    server.body = key_set()
    clock.now += 30
    await source.fetch_unknown()
    assert source.reachable
    assert not known(source, RSA)


async def test_a_full_body_is_read(server: KeyServer) -> None:
    server.body = server.body.ljust(256 * 1024)
    source = Jwks(server.url)
    await source.fetch_unknown()
    assert known(source, RSA)


async def test_it_refreshes_by_itself(server: KeyServer) -> None:
    source = Jwks(server.url, refresh_s=0.01)
    source.start()
    try:
        await server.arrived.get()
        await server.arrived.get()
        assert known(source, RSA)
        server.body = key_set(OTHER.jwk())
        await server.arrived.get()
        await server.arrived.get()
        assert known(source, OTHER)
    finally:
        await source.stop()


async def test_a_failed_refresh_is_tried_again_soon(server: KeyServer) -> None:
    server.status = 500
    source = Jwks(server.url, retry_s=0.01)
    source.start()
    try:
        await server.arrived.get()
        await server.arrived.get()
        assert not source.reachable
        server.status = 200
        await server.arrived.get()
        await source.fetch_unknown()
        assert known(source, RSA)
    finally:
        await source.stop()


async def test_it_starts_while_the_server_is_down() -> None:
    port = test_utils.unused_port()
    source = Jwks(f"http://127.0.0.1:{port}/keys", retry_s=0.01)
    source.start()
    try:
        await source.fetch_unknown()
        assert not known(source, RSA)
        async with serving(key_set(RSA.jwk()), port) as server:
            await server.arrived.get()
            await source.fetch_unknown()
            assert known(source, RSA)
    finally:
        await source.stop()


async def test_it_stops_in_the_middle_of_a_fetch(server: KeyServer) -> None:
    server.gate.clear()
    source = Jwks(server.url)
    source.start()
    await server.arrived.get()
    await asyncio.wait_for(source.stop(), 5)
    assert not [task for task in asyncio.all_tasks() if "Jwks" in repr(task)]
