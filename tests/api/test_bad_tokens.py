"""Bad tokens over HTTP: each is a 401, changes nothing, and leaves nothing of itself in a log."""

import base64
import hashlib
import hmac
import json
import string
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.auth import CHALLENGE, CHALLENGE_INVALID
from tests.api.client import CANARY, HERE, SECRET, Answer, Client, person, served, token
from tests.api.issuer import Signer, key_set, serving
from tests.stand import campaign

SIGN_UP: Final = f"{HERE}/offerings/soap/enrollments"
HEADER: Final = {"alg": "HS256", "typ": "JWT"}
DIGESTS: Final[dict[str, Any]] = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
ISSUER: Final = Signer("ES256", "issuer-1")
EDWARDS: Final = Signer("EdDSA", "issuer-edwards")
STRANGER: Final = Signer("ES256", "issuer-1")

pytestmark = pytest.mark.usefixtures("no_canary_in_logs")


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**changed: Any) -> dict[str, Any]:
    """Claims that would do; one that is changed to None is left out."""
    good = {
        "sub": CANARY,
        "aud": "seatrush",
        "exp": int(time.time()) + 600,
        "unit": "xicheng",
        "roles": ["member"],
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def signed(
    said: object = None,
    *,
    header: Mapping[str, Any] = HEADER,
    secret: bytes | str = SECRET,
    digest: str = "HS256",
) -> str:
    """A token as an attacker might write it, signed by HMAC."""
    content = f"{segment(dict(header))}.{segment(claims() if said is None else said)}"
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{content}.{segment(hmac.digest(key, content.encode(), DIGESTS[digest]))}"


def unsigned(alg: object) -> str:
    return f"{segment({'alg': alg, 'typ': 'JWT'})}.{segment(claims())}."


def tampered(**changed: Any) -> str:
    """A good token's signature under other claims."""
    header, _, signature = signed().split(".")
    return f"{header}.{segment(claims(**changed))}.{signature}"


def public(encoding: serialization.Encoding) -> bytes:
    """The issuer's public key, which everybody knows."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    key: bytes = ISSUER.private.public_key().public_bytes(encoding, form)
    return key


def malleable(token: str, part: int) -> str:
    """The same bytes written in base64url of another form: the last bits, which nothing decodes to, are not zero."""
    parts = token.split(".")
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    assert len(parts[part]) % 4
    parts[part] = parts[part][:-1] + alphabet[alphabet.index(parts[part][-1]) + 1]
    return ".".join(parts)


def odd(token: Callable[[int], str]) -> str:
    """A token whose claims take no whole number of base64's groups."""
    return next(each for each in map(token, range(3)) if len(each.split(".")[1]) % 4)


def with_signature(signature: bytes, signer: Signer) -> str:
    """Good claims under a signature that an issuer's key never made."""
    return f"{signer.token(claims()).rpartition('.')[0]}.{segment(signature)}"


def expiring(raw: str) -> str:
    """A token with an expiry as it stands in JSON."""
    return signed(json.dumps(claims(exp=7)).replace('"exp": 7', raw).encode())


def strange(header: Mapping[str, Any]) -> str:
    """A token that is signed by a key which the issuer does not have, with more in its header."""
    return STRANGER.token(claims(), **header)


def encrypted(**header: Any) -> str:
    """The form of a JWE: five segments."""
    return ".".join([segment({"alg": "dir", "enc": "A256GCM", **header}), "", *[segment(b"x" * 16)] * 3])


ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256."""

BAD: Final[dict[str, Callable[[], str]]] = {
    "empty": lambda: "",
    "not a token": lambda: CANARY,
    "two segments": lambda: signed().rpartition(".")[0],
    "four segments": lambda: signed() + ".eyJ9",
    "padded": lambda: signed() + "=",
    "a space in it": lambda: signed().replace(".", ". "),
    "two tokens": lambda: f"{signed()}, Bearer {signed()}",
    "too large": lambda: signed(claims(note="x" * 5_000)),
    "alg none": lambda: unsigned("none"),
    "alg None": lambda: unsigned("None"),
    "alg empty": lambda: unsigned(""),
    "alg null": lambda: unsigned(None),
    "alg none, signed": lambda: signed(header=HEADER | {"alg": "none"}),
    "no alg": lambda: signed(header={"typ": "JWT"}),
    "a list of algs": lambda: signed(header=HEADER | {"alg": ["HS256"]}),
    "HS384": lambda: signed(header=HEADER | {"alg": "HS384"}, digest="HS384"),
    "HS512": lambda: signed(header=HEADER | {"alg": "HS512"}, digest="HS512"),
    "crit": lambda: signed(header=HEADER | {"crit": ["exp"]}),
    "not a JWT": lambda: signed(header=HEADER | {"typ": "JWE"}),
    "another secret": lambda: signed(secret="another secret of 32 bytes or more"),
    "an empty secret": lambda: signed(secret=""),
    "another signature": lambda: signed()[:-4] + "AAAA",
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "another's name under it": lambda: tampered(sub="m2"),
    "another role under it": lambda: tampered(roles=["organizer"]),
    "not JSON": lambda: signed(b"{canary-7f3a"),
    "a list": lambda: signed([claims()]),
    "no audience": lambda: signed(claims(aud=None)),
    "another audience": lambda: signed(claims(aud="seatrush-test")),
    "other audiences": lambda: signed(claims(aud=["a", "Seatrush"])),
    "expired": lambda: signed(claims(exp=int(time.time()) - 1)),
    "expires now": lambda: signed(claims(exp=int(time.time()))),
    "no expiry": lambda: signed(claims(exp=None)),
    "expiry as text": lambda: signed(claims(exp="2099-01-01")),
    "expiry in milliseconds": lambda: signed(claims(exp=int(time.time() * 1000) + 10**15)),
    "expiry NaN": lambda: signed(json.dumps(claims(exp=float("nan"))).encode()),
    "not yet": lambda: signed(claims(nbf=int(time.time()) + 600)),
    "issued later": lambda: signed(claims(iat=int(time.time()) + 600)),
    "no sub": lambda: signed(claims(sub=None)),
    "empty sub": lambda: signed(claims(sub="")),
    "long sub": lambda: signed(claims(sub="m" * 65)),
    "sub with a space": lambda: signed(claims(sub="m 1")),
    "sub with a line end": lambda: signed(claims(sub="m1\n")),
    "sub not ASCII": lambda: signed(claims(sub="职工")),
    "sub a number": lambda: signed(claims(sub=1)),
    "unknown role": lambda: signed(claims(roles=["member", "admin"])),
    "roles as text": lambda: signed(claims(roles="member")),
    "unit of no form": lambda: signed(claims(unit="xicheng..health")),
    "tags as text": lambda: signed(claims(tags="outdoor")),
    # RFC 8725, 2.1 and 3.1: algorithms.
    "alg nOnE": lambda: unsigned("nOnE"),
    "alg in small letters": lambda: signed(header=HEADER | {"alg": "hs256"}),
    "alg with a blank": lambda: signed(header=HEADER | {"alg": "HS256 "}),
    "alg HS256, then none": lambda: signed().replace(
        segment(dict(HEADER)), segment(b'{"alg":"HS256","typ":"JWT","alg":"none"}')
    ),
    "named RS256, signed by HMAC": lambda: signed(header=HEADER | {"alg": "RS256"}),
    # 2.2 and 3.5: secrets that are guessed.
    **{
        f"signed by {guess!r}": partial(signed, secret=guess)
        for guess in ("secret", "seatrush", "changeme", "0" * 32, "\0" * 32, "your-256-bit-secret")
    },
    # 2.4 to 2.6 and 3.6: encryption, compression, nesting.
    "encrypted": encrypted,
    "encrypted and compressed": lambda: encrypted(zip="DEF"),
    "a token in a token": lambda: signed(signed().encode(), header=HEADER | {"cty": "JWT"}),
    "compressed claims": lambda: signed(zlib.compress(json.dumps(claims()).encode()), header=HEADER | {"zip": "DEF"}),
    "claims that are not encoded": lambda: signed(header=HEADER | {"b64": False, "crit": ["b64"]}),
    "crit empty": lambda: signed(header=HEADER | {"crit": []}),
    "crit null": lambda: signed(header=HEADER | {"crit": None}),
    # 3.7: UTF-8.
    "claims in UTF-16": lambda: signed(json.dumps(claims()).encode("utf-16")),
    "a byte order mark": lambda: signed(b"\xef\xbb\xbf" + json.dumps(claims()).encode()),
    "half a character": lambda: signed(json.dumps(claims()).replace(CANARY, "\\ud83c").encode()),
    "two documents": lambda: signed(json.dumps(claims()).encode() * 2),
    "deep claims": lambda: signed(b'{"a":' + b"[" * 1_200 + b"]" * 1_200 + b"}"),
    # 3.9 and 3.11: whose it is for, and of what kind.
    "audiences in audiences": lambda: signed(claims(aud=[["seatrush"]])),
    "audience as a name": lambda: signed(claims(aud={"seatrush": True})),
    "audience and a NUL": lambda: signed(claims(aud="seatrush\0")),
    "audiences in one text": lambda: signed(claims(aud="a seatrush")),
    **{
        f"typ {typ}": partial(signed, header=HEADER | {"typ": typ})
        for typ in ("at+jwt", "dpop+jwt", "secevent+jwt", "logout+jwt", "JOSE", "", 1)
    },
    # Times of other kinds.
    **{
        f"expiry {kind}": partial(expiring, raw)
        for kind, raw in {
            "true": '"exp": true', "infinite": '"exp": Infinity', "1e400": '"exp": 1e400', "null": '"exp": null',
            "in a list": '"exp": [9999999999]', "negative": '"exp": -1', "in digits": '"exp": "9999999999"',
            "beyond the year 10000": '"exp": 1e18', "of 4,000 digits": '"exp": 1' + "0" * 2_000,
        }.items()
    },
    "not before, as text": lambda: signed(claims(nbf="0")),
    "not before, far off": lambda: signed(claims(nbf=253_402_300_799)),
    "issued as text": lambda: signed(claims(iat="0")),
    "issued at a fraction to come": lambda: signed(claims(iat=time.time() + 600.5)),
    # Who it is.
    "sub fullwidth": lambda: signed(claims(sub="ｍ１")),
    "sub with a NUL": lambda: signed(claims(sub="m1\0")),
    "sub right to left": lambda: signed(claims(sub="\u202em1")),
    "sub a list": lambda: signed(claims(sub=["m1"])),
    "sub null": lambda: signed(json.dumps(claims(sub=7)).replace('"sub": 7', '"sub": null').encode()),
    "unit a pattern": lambda: signed(claims(unit="*")),
    "unit with a line end": lambda: signed(claims(unit="xicheng\n")),
    "33 tags": lambda: signed(claims(tags=["outdoor"] * 33)),
    # The form of base64url.
    "other last bits of the claims": lambda: malleable(odd(lambda size: signed(claims(note="x" * size))), 1),
    "other last bits of the signature": lambda: malleable(signed(), 2),
    "padded claims": lambda: odd(lambda size: signed(claims(note="x" * size))).replace(".", "=.", 2),
    "the other alphabet": lambda: next(
        each.replace("_", "/").replace("-", "+") for each in iter(lambda: signed(claims(note=time.time_ns())), "")
        if "_" in each or "-" in each
    ),
    "a tab ahead": lambda: "\t" + signed(),
    "signature in hexadecimal": lambda: signed().rpartition(".")[0] + "." + "0" * 64,
}  # fmt: skip
OF_AN_ISSUER: Final[dict[str, Callable[[], str]]] = {
    "signed by another key": lambda: STRANGER.token(claims()),
    "unknown key": lambda: Signer("ES256", "issuer-2").token(claims()),
    "public key as secret, PEM": lambda: signed(secret=public(serialization.Encoding.PEM)),
    "public key as secret, DER": lambda: signed(secret=public(serialization.Encoding.DER)),
    "public key as secret, JWK": lambda: signed(secret=json.dumps(ISSUER.jwk())),
    "public key as secret, with its kid": lambda: signed(
        secret=public(serialization.Encoding.PEM), header=HEADER | {"kid": ISSUER.kid}
    ),
    "a key of its own": lambda: STRANGER.token(claims(), jwk=STRANGER.jwk(), kid="issuer-3"),
    "where its key is": lambda: STRANGER.token(claims(), jku="http://127.0.0.1:1/keys", kid="issuer-3"),
    "kid a path": lambda: STRANGER.token(claims(), kid="../../token.key"),
    "named ES256, signed by HMAC": lambda: signed(header=HEADER | {"alg": "ES256", "kid": ISSUER.kid}),
    "expired": lambda: ISSUER.token(claims(exp=int(time.time()) - 1)),
    "another audience": lambda: ISSUER.token(claims(aud="payroll")),
    # Signatures that verify under any key where r and s are not looked at (CVE-2022-21449), and others of no key.
    "r = s = 0": lambda: with_signature(bytes(64), ISSUER),
    "r = s = n": lambda: with_signature(ORDER.to_bytes(32) * 2, ISSUER),
    "r = 0, s = 1": lambda: with_signature(bytes(63) + b"\1", ISSUER),
    "signature in DER": lambda: with_signature(ISSUER.private.sign(b"x", ec.ECDSA(hashes.SHA256())), ISSUER),
    "no signature at all": lambda: with_signature(b"", ISSUER),
    "EdDSA of zeros": lambda: with_signature(bytes(64), EDWARDS),
    "EdDSA of a point of order 1": lambda: with_signature(b"\1" + bytes(63), EDWARDS),
    "signed by HMAC, named EdDSA": lambda: signed(header=HEADER | {"alg": "EdDSA", "kid": EDWARDS.kid}),
    "a key of another algorithm": lambda: STRANGER.token(claims(), kid=EDWARDS.kid),
    "RS256 under a name of ES256": lambda: signed(header=HEADER | {"alg": "RS256", "kid": ISSUER.kid}),
    # 3.10: what a header says of keys is not believed.
    **{
        f"{name} of its own": partial(strange, {name: value})
        for name, value in {
            "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/keys", "x5c": ["MIIB"], "jwk": {"kty": "oct"},
            "x5t": "x", "x5t#S256": "x",
        }.items()
    },
    **{
        f"kid {kid[:24]!r}": partial(strange, {"kid": kid})
        for kid in ("", "/dev/null", "' UNION SELECT 'x", "$(id)", "issuer-1\0", "issuer-1\n", "ISSUER-1", "k" * 300,
                    "http://127.0.0.1:1/")
    },
    "kid null": lambda: signed(header=HEADER | {"alg": "ES256", "kid": None}),
    "kid a list": lambda: signed(header=HEADER | {"alg": "ES256", "kid": [ISSUER.kid]}),
    "its own signature with other last bits": lambda: malleable(ISSUER.token(claims()), 2),
}  # fmt: skip


async def is_unauthenticated(client: Client, headers: dict[str, str] | list[tuple[str, str]]) -> Answer:
    """Whether every call that needs a token refuses these headers, and nothing is changed by them."""
    place = (await client.sign_up("m2", key="k")).headers["Location"]
    before = await client.stand.log()
    refused = None
    for method, path in [
        ("POST", SIGN_UP), ("GET", f"{HERE}/me"), ("GET", place), ("DELETE", place), ("PUT", HERE),
        ("GET", "/v1/ops/status"),
    ]:  # fmt: skip
        refused = await client.ask(method, path, headers=headers)
        assert refused.told == (401, "unauthenticated")
        assert set(refused.json) == {"type", "title", "status", "detail", "code"}
    assert await client.stand.log() == before
    assert refused is not None
    return refused


@pytest.mark.parametrize("part", range(4))
async def test_bad_tokens(client: Client, subtests: pytest.Subtests, part: int) -> None:
    await client.stand.publish(campaign())
    for name in [*BAD][part::4]:
        with subtests.test(name):
            refused = await is_unauthenticated(client, {"Authorization": f"Bearer {BAD[name]()}"})
            assert refused.headers["WWW-Authenticate"] == CHALLENGE_INVALID


@pytest.mark.parametrize("scheme", ["Basic {}", "{}", "Token {}", "Bearer{}", "", "DPoP {}", "Bearer,{}"])
async def test_other_schemes_are_no_token(client: Client, scheme: str) -> None:
    await client.stand.publish(campaign())
    refused = await is_unauthenticated(client, {"Authorization": scheme.format(signed())})
    assert refused.headers["WWW-Authenticate"] == CHALLENGE


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("other", ["", "Bearer x", "Basic bTpw", None])
async def test_two_tokens_are_none(client: Client, other: str | None, order: int) -> None:
    await client.stand.publish(campaign())
    good = ("Authorization", f"Bearer {signed()}")
    lines = [good, ("Authorization", other if other is not None else good[1])]
    await is_unauthenticated(client, lines[::order])


async def test_a_token_elsewhere_is_none(client: Client) -> None:
    await client.stand.publish(campaign())
    good = signed()
    await is_unauthenticated(client, {"Cookie": f"Authorization={good}", "X-Authorization": f"Bearer {good}"})
    for name in ("access_token", "token"):
        assert (await client.get(f"{HERE}/me?{name}={good}")).told == (401, "unauthenticated")


async def test_good_tokens_are_good(client: Client) -> None:
    """What the bad ones are made of would do: every one of them fails for its one fault."""
    await client.stand.publish(campaign())
    for good in (signed(), signed(claims(aud=["x", "seatrush"])), token(person(CANARY))):
        for scheme in ("Bearer", "bearer", "BEARER "):
            answer = await client.ask("GET", f"{HERE}/me", headers={"Authorization": f"{scheme} {good}"})
            assert answer.status == 200


async def test_a_token_ends_with_its_time(client: Client) -> None:
    await client.stand.publish(campaign())
    short = token(person(CANARY), ttl_s=0.2)
    while (answer := await client.get(f"{HERE}/me", short)).status != 401:
        pass
    assert answer.headers["WWW-Authenticate"] == CHALLENGE_INVALID


@pytest.fixture
async def by_issuer(one_redis_url: str, data_directory: Path) -> AsyncIterator[Client]:
    """The api with an issuer's keys beside the deployment's secret."""
    async with (
        serving(key_set(ISSUER.jwk(), EDWARDS.jwk())) as issuer,
        served(one_redis_url, data_directory, jwks_url=issuer.url) as client,
    ):
        await client.stand.publish(campaign())
        yield client


async def test_bad_tokens_of_an_issuer(by_issuer: Client, subtests: pytest.Subtests) -> None:
    for name in OF_AN_ISSUER:
        with subtests.test(name):
            refused = await is_unauthenticated(by_issuer, {"Authorization": f"Bearer {OF_AN_ISSUER[name]()}"})
            assert refused.headers["WWW-Authenticate"] == CHALLENGE_INVALID


async def test_good_tokens_of_both(by_issuer: Client) -> None:
    for good in (ISSUER.token(claims()), EDWARDS.token(claims()), signed()):
        assert (await by_issuer.get(f"{HERE}/me", good)).status == 200
