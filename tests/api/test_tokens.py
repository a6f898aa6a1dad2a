"""Tokens of our own: PyJWT is the second opinion, both ways; then everything that must not get in."""

import base64
import hashlib
import hmac
import json
import math
import multiprocessing
import stat
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import tokens
from api.tokens import Hs256, Rejected, Verified
from engine.domain.person import Person

SECRET = b"the secret of this deployment, 40 bytes."
NOW = 1_795_000_000
HEADER = {"alg": "HS256", "typ": "JWT"}
CLAIMS: dict[str, Any] = {"sub": "m-1001", "aud": "seatrush", "exp": NOW + 60}

own = Hs256(SECRET)


def segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(header: bytes, payload: bytes, secret: bytes = SECRET) -> str:
    """A token with exactly these bytes, rightly signed."""
    signed = f"{segment(header)}.{segment(payload)}"
    return f"{signed}.{segment(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def token(claims: dict[str, Any], **header: Any) -> str:
    return forge(json.dumps(HEADER | header).encode(), json.dumps(claims).encode())


def judged(candidate: str | bytes, now_s: float = NOW) -> str:
    answer = own.verify(candidate, now_s)
    return "verified" if isinstance(answer, Verified) else answer.reason


# Agreement with PyJWT

ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)
units = st.just("") | st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}(\.[a-z0-9][a-z0-9-]{0,9}){0,9}", fullmatch=True)
labels = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
short_labels = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
roles = st.frozensets(st.sampled_from(["member", "officer", "organizer", "ops"]))
people = st.builds(
    Person,
    sub=ids,
    unit=units,
    industry=st.just("") | labels,
    tags=st.lists(short_labels, max_size=32).map(tuple),
    roles=roles,
)


@given(people, st.integers(1, 10**9))
def test_what_we_sign_verifies_here_and_with_pyjwt(person: Person, ttl_s: int) -> None:
    signed = tokens.sign(SECRET, person, NOW + ttl_s)
    assert own.verify(signed, NOW) == own.verify(signed.encode(), NOW) == Verified(person, NOW + ttl_s)
    claims = jwt.decode(
        signed, SECRET, algorithms=["HS256"], audience="seatrush", options={"verify_exp": False}
    )
    assert (claims["sub"], claims["exp"]) == (person.sub, NOW + ttl_s)
    assert claims.get("unit", "") == person.unit
    assert claims.get("industry", "") == person.industry
    assert claims.get("tags", []) == list(person.tags)
    assert frozenset(claims.get("roles", ["member"])) == person.roles


@given(people, st.booleans(), st.booleans())
def test_what_pyjwt_signs_verifies_here(person: Person, audience_list: bool, dated: bool) -> None:
    claims = CLAIMS | {"sub": person.sub, "tags": list(person.tags), "roles": list(person.roles), "other": 1}
    claims |= {name: value for name in ("unit", "industry") if (value := getattr(person, name))}
    claims |= {"aud": ["others", "seatrush"]} if audience_list else {}
    claims |= {"nbf": NOW, "iat": NOW - 1} if dated else {}
    assert own.verify(jwt.encode(claims, SECRET, "HS256"), NOW) == Verified(person, NOW + 60)


def test_defaults() -> None:
    assert own.verify(token(CLAIMS), NOW) == Verified(Person("m-1001"), NOW + 60)


def test_roles_are_as_listed() -> None:
    answer = own.verify(token(CLAIMS | {"roles": []}), NOW)
    assert isinstance(answer, Verified)
    assert answer.person.roles == frozenset()


def test_a_token_is_good_until_before_its_exp() -> None:
    signed = tokens.sign(SECRET, Person("m-1"), NOW + 0.5)
    assert judged(signed, NOW + 0.4) == "verified"
    assert judged(signed, NOW + 0.5) == "expired"


# What must not get in


@given(st.text() | st.binary())
def test_anything_is_judged_without_a_fault(candidate: str | bytes) -> None:
    assert isinstance(own.verify(candidate, NOW), Rejected)


@given(st.binary(max_size=200))
def test_any_signed_payload_is_judged_without_a_fault(payload: bytes) -> None:
    judged(forge(json.dumps(HEADER).encode(), payload))


@given(st.binary(max_size=200))
def test_any_header_is_judged_without_a_fault(header: bytes) -> None:
    judged(forge(header, json.dumps(CLAIMS).encode()))


@given(st.data())
def test_no_character_can_be_changed(data: st.DataObject) -> None:
    signed = tokens.sign(SECRET, Person("m-1001", "xicheng.finance"), NOW + 60)
    at = data.draw(st.integers(0, len(signed) - 1))
    other = data.draw(st.characters().filter(lambda character: character != signed[at]))
    assert judged(signed[:at] + other + signed[at + 1 :]) != "verified"


GOOD = token(CLAIMS)
START, PAYLOAD, SIGNATURE = GOOD.split(".")
DEEP = "[" * 1400 + "]" * 1400

MALFORMED = {
    "empty": "",
    "dots": "..",
    "one segment": START,
    "two segments": f"{START}.{PAYLOAD}",
    "four segments": f"{GOOD}.{SIGNATURE}",
    "five segments, as in JWE": f"{START}.{PAYLOAD}.{PAYLOAD}.{PAYLOAD}.{SIGNATURE}",
    "space before": f" {GOOD}",
    "padded header": f"{START}=.{PAYLOAD}.{SIGNATURE}",
    "unicode": GOOD.replace("e", "е", 1),  # a Cyrillic letter
    "lone surrogate": GOOD + "\udcff",
    "header is not JSON": forge(b"{", b"{}"),
    "header is a list": forge(b'["HS256"]', b"{}"),
    "header with a byte order mark": forge(b"\xef\xbb\xbf" + json.dumps(HEADER).encode(), b"{}"),
    "header in UTF-16": forge(json.dumps(HEADER).encode("utf-16"), b"{}"),
    "header and more": forge(json.dumps(HEADER).encode() + b"{}", b"{}"),
    "header nested deep": forge(b'{"alg":"HS256","x":' + DEEP.encode() + b"}", b"{}"),
    "no alg": forge(b'{"typ":"JWT"}', b"{}"),
    "alg is a list": token(CLAIMS, alg=["HS256"]),
    "alg is null": token(CLAIMS, alg=None),
    "another typ": token(CLAIMS, typ="JWE"),
    "typ is null": token(CLAIMS, typ=None),
    "crit": token(CLAIMS, crit=["b64"], b64=False),
    "crit is null": token(CLAIMS, crit=None),
    "crit is empty": token(CLAIMS, crit=[]),
    "kid is a number": token(CLAIMS, kid=7),
    "kid is an object": token(CLAIMS, kid={"$ne": ""}),
    "kid is huge": token(CLAIMS, kid="k" * 257),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    assert judged(MALFORMED[name]) == "malformed"


SIGNED_WRONGLY = {
    "truncated": GOOD[:-1],
    "no signature": f"{START}.{PAYLOAD}.",
    "padded signature": GOOD + "=",
    "newline after": GOOD + "\n",
    "newline within": f"{START}.{PAYLOAD[:9]}\n{PAYLOAD[9:]}.{SIGNATURE}",
    "padded payload": f"{START}.{PAYLOAD}=.{SIGNATURE}",
    "other trailing bits": GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
    "standard alphabet": f"{START}.{PAYLOAD}.{SIGNATURE.replace('-', '+').replace('_', '/')}+",
    "another key": forge(json.dumps(HEADER).encode(), json.dumps(CLAIMS).encode(), b"x" * 40),
    "another payload": f"{START}.{segment(json.dumps(CLAIMS | {'roles': ['ops']}).encode())}.{SIGNATURE}",
    "another header": f"{segment(json.dumps(HEADER | {'kid': 'a'}).encode())}.{PAYLOAD}.{SIGNATURE}",
}


@pytest.mark.parametrize("name", SIGNED_WRONGLY)
def test_signed_wrongly(name: str) -> None:
    assert judged(SIGNED_WRONGLY[name]) == "signature"


@pytest.mark.parametrize(
    "alg",
    ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "HS512", "RS256", "ES256", "EdDSA"],
)
def test_only_one_algorithm(alg: str) -> None:
    assert judged(token(CLAIMS, alg=alg)) == "algorithm"
    assert judged(token(CLAIMS, alg=alg).rpartition(".")[0] + ".") == "algorithm"


@pytest.mark.parametrize(
    "header",
    [{"kid": "../../dev/null"}, {"jku": "http://127.0.0.1:1/"}, {"x5u": "file:///"}, {"jwk": {}}, {"x": 1}],
)
def test_other_header_members_change_nothing(header: dict[str, Any]) -> None:
    assert judged(token(CLAIMS, **header)) == "verified"


def test_size_is_bounded() -> None:
    room = 4096 - len(token(CLAIMS | {"x": ""}))
    assert judged(token(CLAIMS | {"x": "x" * (room * 3 // 4)})) == "verified"
    assert judged(token(CLAIMS | {"x": "x" * room})) == "too_large"
    assert judged("x" * 5_000_000) == "too_large"


def without(name: str) -> dict[str, Any]:
    return {claim: value for claim, value in CLAIMS.items() if claim != name}


BAD_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "no aud": (without("aud"), "claims"),
    "aud is null": (CLAIMS | {"aud": None}, "claims"),
    "aud is a number": (CLAIMS | {"aud": 1}, "claims"),
    "another aud": (CLAIMS | {"aud": "seatrush2"}, "audience"),
    "aud holds ours": (CLAIMS | {"aud": "not seatrush"}, "audience"),
    "part of ours": (CLAIMS | {"aud": "seat"}, "audience"),
    "no audience": (CLAIMS | {"aud": []}, "audience"),
    "other audiences": (CLAIMS | {"aud": ["a", "b"]}, "audience"),
    "no exp": (without("exp"), "claims"),
    "exp is null": (CLAIMS | {"exp": None}, "claims"),
    "exp is text": (CLAIMS | {"exp": str(NOW + 60)}, "claims"),
    "exp is true": (CLAIMS | {"exp": True}, "claims"),
    "exp is NaN": (CLAIMS | {"exp": math.nan}, "claims"),
    "exp is infinite": (CLAIMS | {"exp": math.inf}, "claims"),
    "exp is huge": (CLAIMS | {"exp": 10**400}, "claims"),
    "exp is large": (CLAIMS | {"exp": 1e300}, "claims"),
    "exp in milliseconds": (CLAIMS | {"exp": (NOW + 60) * 1000}, "claims"),
    "exp is negative": (CLAIMS | {"exp": -1}, "claims"),
    "expired": (CLAIMS | {"exp": NOW - 1}, "expired"),
    "expires now": (CLAIMS | {"exp": NOW}, "expired"),
    "not yet": (CLAIMS | {"nbf": NOW + 1}, "not_yet"),
    "nbf is text": (CLAIMS | {"nbf": "now"}, "claims"),
    "issued in the future": (CLAIMS | {"iat": NOW + 1}, "not_yet"),
    "iat is null": (CLAIMS | {"iat": None}, "claims"),
    "no sub": (without("sub"), "claims"),
    "sub is a number": (CLAIMS | {"sub": 7}, "claims"),
    "sub is empty": (CLAIMS | {"sub": ""}, "claims"),
    "sub of 65": (CLAIMS | {"sub": "m" * 65}, "claims"),
    "sub with a space": (CLAIMS | {"sub": "m 1"}, "claims"),
    "sub with a newline": (CLAIMS | {"sub": "m-1\n"}, "claims"),
    "sub with a NUL": (CLAIMS | {"sub": "m\x00"}, "claims"),
    "sub is not ASCII": (CLAIMS | {"sub": "职工"}, "claims"),
    "unit is empty": (CLAIMS | {"unit": ""}, "claims"),
    "unit ends in a dot": (CLAIMS | {"unit": "xicheng."}, "claims"),
    "unit with a newline": (CLAIMS | {"unit": "xicheng\n"}, "claims"),
    "unit of eleven": (CLAIMS | {"unit": ".".join("abcdefghijk")}, "claims"),
    "unit is a list": (CLAIMS | {"unit": ["xicheng"]}, "claims"),
    "industry of 65": (CLAIMS | {"industry": "i" * 65}, "claims"),
    "industry is empty": (CLAIMS | {"industry": ""}, "claims"),
    "33 tags": (CLAIMS | {"tags": ["t"] * 33}, "claims"),
    "a tag of 65": (CLAIMS | {"tags": ["t" * 65]}, "claims"),
    "tags are text": (CLAIMS | {"tags": "outdoor"}, "claims"),
    "a lone surrogate": (CLAIMS | {"tags": ["\ud800"]}, "claims"),
    "an unknown role": (CLAIMS | {"roles": ["admin"]}, "claims"),
    "a role in capitals": (CLAIMS | {"roles": ["OPS"]}, "claims"),
    "role is text": (CLAIMS | {"roles": "ops"}, "claims"),
    "roles are null": (CLAIMS | {"roles": None}, "claims"),
}


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_bad_claims(name: str) -> None:
    claims, reason = BAD_CLAIMS[name]
    assert judged(token(claims)) == reason


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b'"m-1"', b"{}", b'{"sub":"m-1"', b"\xff", b"\x00"])
def test_payloads_that_are_no_claims(payload: bytes) -> None:
    assert judged(forge(json.dumps(HEADER).encode(), payload)) == "claims"


def test_deep_nesting_is_no_fault() -> None:
    bomb = json.dumps(CLAIMS)[:-1] + ', "x": ' + DEEP + "}"
    assert judged(forge(json.dumps(HEADER).encode(), bomb.encode())) in ("claims", "verified")


def test_of_repeated_names_the_last_counts_as_with_pyjwt() -> None:
    header = b'{"alg":"none","typ":"JWT","alg":"HS256"}'
    payload = b'{"sub":"m-2",' + json.dumps(CLAIMS).encode()[1:]
    signed = forge(header, payload)
    answer = own.verify(signed, NOW)
    claims = jwt.decode(signed, SECRET, ["HS256"], audience="seatrush", options={"verify_exp": False})
    assert isinstance(answer, Verified)
    assert answer.person.sub == claims["sub"] == "m-1001"
    assert judged(forge(b'{"alg":"HS256","alg":"none"}', payload)) == "algorithm"


def test_the_signature_comes_before_the_claims() -> None:
    assert judged(forge(json.dumps(HEADER).encode(), b"not JSON", b"x" * 40)) == "signature"


def test_sign_refuses_what_verification_would_and_names_it() -> None:
    with pytest.raises(tokens.ClaimsError, match=r"\$\.sub"):
        tokens.sign(SECRET, Person("m 1"), NOW)
    with pytest.raises(tokens.ClaimsError, match=r"\$\.exp"):
        tokens.sign(SECRET, Person("m-1"), 1e12)
    with pytest.raises(tokens.ClaimsError, match="bytes"):
        tokens.sign(SECRET, Person("m-1", tags=tuple("职" * 64 for _ in range(32))), NOW)


# The secret


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(tokens.TokenSecretError, match="31 bytes; at least 32"):
        Hs256(b"s" * 31)
    with pytest.raises(tokens.TokenSecretError):
        tokens.sign(b"", Person("m-1"), NOW)


def test_the_environment_comes_first(tmp_path: Path) -> None:
    assert tokens.load_secret(tmp_path, "s" * 32) == b"s" * 32
    assert tokens.load_secret(tmp_path, "密" * 11) == ("密" * 11).encode()
    for short in ("", "s" * 31):
        with pytest.raises(tokens.TokenSecretError, match="SEATRUSH_TOKEN_SECRET"):
            tokens.load_secret(tmp_path, short)
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    secret = tokens.load_secret(tmp_path, None)
    path = tmp_path / "token.key"
    assert len(secret) >= 32
    assert path.read_bytes() == secret == tokens.load_secret(tmp_path, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_that_is_there_is_used_as_its_bytes(tmp_path: Path) -> None:
    raw = bytes(range(200, 255)) + b"\n"
    (tmp_path / "token.key").write_bytes(raw)
    assert tokens.load_secret(tmp_path, None) == raw


def test_a_key_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(tokens.TokenSecretError, match="absent"):
        tokens.load_secret(tmp_path / "absent", None)
    (tmp_path / "token.key").touch()
    with pytest.raises(tokens.TokenSecretError, match=r"token\.key has 0 bytes"):
        tokens.load_secret(tmp_path, None)
    (tmp_path / "token.key").unlink()
    (tmp_path / "token.key").mkdir()
    with pytest.raises(tokens.TokenSecretError, match=r"token\.key"):
        tokens.load_secret(tmp_path, None)


def _load_together(directory: Path, barrier: Barrier) -> bytes:
    barrier.wait(30)
    return tokens.load_secret(directory, None)


def test_processes_that_start_at_once_end_with_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(4) as pool:
        for attempt in range(10):
            directory = tmp_path / str(attempt)
            directory.mkdir()
            barrier = manager.Barrier(4)
            keys = pool.starmap(_load_together, [(directory, barrier)] * 4, chunksize=1)
            assert set(keys) == {(directory / "token.key").read_bytes()}
            assert len(list(directory.iterdir())) == 1
