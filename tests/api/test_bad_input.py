"""Bad input: each gets its problem, nothing changes, and nothing of it is in a log."""

import re

import pytest

from tests.api.client import CANARY, HERE, ORGANIZER, Client, person, written
from tests.stand import campaign, offering

SIGN_UP = f"{HERE}/offerings/soap/enrollments"
NEVER_MADE = f"{HERE}/enrollments/{'x' * 16}"
MEMBER = person(CANARY)

pytestmark = pytest.mark.usefixtures("no_canary_in_logs")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", ("", "syntax")),
        (b"canary-7f3a", ("", "syntax")),
        (b"{}{}", ("", "syntax")),
        (b"{},", ("", "syntax")),
        (b'{"pool":"open",}', ("", "syntax")),
        (b"{'pool':'open'}", ("", "syntax")),
        (b'{"pool":"open"} // canary-7f3a', ("", "syntax")),
        (b"{} \x00", ("", "syntax")),
        (b" ", ("", "syntax")),
        (b"\xef\xbb\xbf{}", ("", "syntax")),
        ("{}".encode("utf-16"), ("", "not_utf8")),
        (b'{"pool":"\xff"}', ("", "not_utf8")),
        ('{"pool":"名额"}'.encode("gbk"), ("", "not_utf8")),
        (b"null", ("", "not_an_object")),
        (b"[]", ("", "not_an_object")),
        (b'"canary-7f3a"', ("", "not_an_object")),
        (b"0", ("", "not_an_object")),
        (b"NaN", ("", "not_finite")),
        (b'{"pool":NaN}', ("/pool", "not_finite")),
        (b'{"pool":-Infinity}', ("/pool", "not_finite")),
        (b'{"pool":1e999}', ("/pool", "not_finite")),
        (b'{"pool":' + b"9" * 5_000 + b"}", ("/pool", "number_too_long")),
        (b'{"pool":"open","pool":"open"}', ("/pool", "duplicate_key")),
        (b'{"pool":1}', ("/pool", "not_a_string")),
        (b'{"pool":true}', ("/pool", "not_a_string")),
        (b'{"pool":["open"]}', ("/pool", "not_a_string")),
        (b'{"pool":""}', ("/pool", "not_an_id")),
        (b'{"pool":"Open"}', ("/pool", "not_an_id")),
        (b'{"pool":"open\\n"}', ("/pool", "not_an_id")),
        (b'{"pool":"\\u0000"}', ("/pool", "not_an_id")),
        (b'{"pool":"\\ud83d"}', ("/pool", "surrogate")),
        ('{"pool":"🍁"}'.encode(), ("/pool", "not_an_id")),
        (b'{"pool":"' + b"a" * 65 + b'"}', ("/pool", "not_an_id")),
        (b'{"seat":1}', ("/seat", "unknown_field")),
        (b'{"canary-7f3a":{}}', ("/canary-7f3a", "unknown_field")),
        (b'{"__proto__":{}}', ("/__proto__", "unknown_field")),
        (b'{"a/b~c":1}', ("/a~1b~0c", "unknown_field")),
        (b'{"\\u0007\\u202e":1}', ("/\ufffd\ufffd", "unknown_field")),
        (b'{"' + b"x" * 900 + b'":1}', ("/" + "x" * 64, "unknown_field")),
        (b'{"member":"m2"}', ("/member", "not_available")),
        (b'{"party":[]}', ("/party", "not_available")),
        (b'{"code":"canary-7f3a"}', ("/code", "not_a_code")),
        (b'{"code":"' + b"A" * 19 + b'"}', ("/code", "not_a_code")),
        (b'{"code":"' + b"A" * 21 + b'"}', ("/code", "not_a_code")),
        (b'{"code":"' + b"U" * 20 + b'"}', ("/code", "not_a_code")),
        (b'{"code":"A--' + b"A" * 19 + b'"}', ("/code", "not_a_code")),
        (b'{"code":"' + b"A" * 20 + b'\\n"}', ("/code", "not_a_code")),
        (('{"code":"ı' + "A" * 19 + '"}').encode(), ("/code", "not_a_code")),
        (b'{"code":7}', ("/code", "not_a_string")),
        (b"[" * 8_000 + b"]" * 8_000, ("", "too_deep")),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, ("", "too_deep")),
        (b"[" * 65 + b"]" * 65, ("", "too_deep")),
    ],
)
async def test_bodies(client: Client, body: bytes, error: tuple[str, str]) -> None:
    assert await client.refused("POST", SIGN_UP, body) == (422, [error])


async def test_every_bad_path_is_named(client: Client) -> None:
    body = {"pool": 1, "code": "x", "party": [], "member": "m2", "seat": 3, CANARY: 4}
    assert await client.refused("POST", SIGN_UP, body, Idempotency_Key="") == (
        422,
        [
            ("Idempotency-Key", "not_a_key"),
            ("/pool", "not_a_string"),
            ("/code", "not_a_code"),
            ("/party", "not_available"),
            ("/member", "not_available"),
            ("/seat", "unknown_field"),
            (f"/{CANARY}", "unknown_field"),
        ],
    )


@pytest.mark.parametrize(("method", "ending"), [("DELETE", ""), ("POST", "/confirm"), ("POST", "/decline")])
async def test_changes_take_an_empty_object_only(client: Client, method: str, ending: str) -> None:
    for body, error in [({"reason": CANARY}, ("/reason", "unknown_field")), ([], ("", "not_an_object"))]:
        assert await client.refused(method, NEVER_MADE + ending, body) == (422, [error])
    assert await client.refused(method, NEVER_MADE + ending, {}) == (404, "not_found")


@pytest.mark.parametrize(
    "key",
    ["", " ", "x" * 65, f"{CANARY} b", f"{CANARY}\tb", "职工", "é", "🍁", "k\u200b", "\x80", f"{CANARY}, k"],
)
async def test_keys(client: Client, key: str) -> None:
    told = await client.refused("POST", SIGN_UP, {}, Idempotency_Key=key)
    assert told == (422, [("Idempotency-Key", "not_a_key")])


@pytest.mark.parametrize("other", ["k", "l", ""])
async def test_two_keys_are_none(client: Client, other: str) -> None:
    await client.stand.publish(campaign())
    headers = [("Idempotency-Key", "k"), ("Idempotency-Key", other)]
    answer = await client.ask("POST", SIGN_UP, MEMBER, body={}, headers=headers)
    assert (answer.status, answer.errors) == (422, [("Idempotency-Key", "not_a_key")])


IDS = ["A", "-a", "a_b", "a.b", "a" * 65, "%20", "a%00", "a%2Fb", "%2e%2e", "%E8%81%8C", "%F0%9F%8D%81", "%FF", "%",
       "a%0A", "a;b", "*", CANARY.upper()]  # fmt: skip


@pytest.mark.parametrize("written_id", IDS)
async def test_ids_that_are_none(client: Client, written_id: str) -> None:
    base = f"/v1/campaigns/{written_id}"
    for method, path, names in [
        ("GET", base, ["campaign"]),
        ("GET", f"{base}/me", ["campaign"]),
        ("GET", f"{HERE}/offerings/{written_id}", ["offering"]),
        ("POST", f"{base}/offerings/{written_id}/enrollments", ["campaign", "offering"]),
        ("GET", f"{base}/enrollments/{written_id}", ["campaign", "enrollment"]),
        ("DELETE", f"{HERE}/enrollments/{written_id}", ["enrollment"]),
    ]:
        status, errors = await client.refused(method, path, None)
        assert status == 422
        assert [name for name, _ in errors] == names


@pytest.mark.parametrize(
    "enrollment", ["x", "x" * 15, "x" * 17, "x" * 15 + "%2B", "x" * 15 + "%0A", "x" * 15 + "."]
)
async def test_enrollments_that_are_none(client: Client, enrollment: str) -> None:
    told = await client.refused("GET", f"{HERE}/enrollments/{enrollment}", None)
    assert told == (422, [("enrollment", "pattern")])


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/campaigns/", f"{HERE}/", "//v1/campaigns", "/V1/campaigns", f"{HERE}/../autumn",
     f"/{CANARY}", "/v1%2Fcampaigns", "/docs/..%2Findex.html"],
)  # fmt: skip
async def test_addresses_that_are_none(client: Client, path: str) -> None:
    for method in ("GET", "POST", "PROPFIND"):
        assert await client.refused(method, path, None) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/campaigns", "GET, HEAD"),
        (HERE, "GET, HEAD, PUT"),
        (SIGN_UP, "POST"),
        (NEVER_MADE, "DELETE, GET, HEAD"),
        (f"{NEVER_MADE}/confirm", "POST"),
        ("/healthz", "GET, HEAD"),
    ],
)
async def test_methods_that_an_address_does_not_take(client: Client, path: str, allowed: str) -> None:
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"} - set(
        re.split(", ", allowed)
    ):
        answer = await client.ask(method, path, MEMBER, body=b"{" if method == "POST" else None)
        assert (*answer.told, answer.headers["Allow"]) == (405, "method_not_allowed", allowed)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"canary-7f3a":'])
async def test_documents_of_a_hundred_thousand_levels(client: Client, opening: bytes) -> None:
    levels = 100_000 // (opening.count(b"[") + opening.count(b"{"))
    closing = opening.translate(bytes.maketrans(b"[{", b"]}"), delete=b'":aceny-7f3r')[::-1]
    for body in (opening * levels, opening * levels + b"1" + closing * levels):
        answer = await client.ask("PUT", HERE, ORGANIZER, body=body)
        assert (answer.status, answer.errors) == (422, [("", "too_deep")])


async def test_text_of_every_plane_comes_back_and_half_characters_do_not(client: Client) -> None:
    for title in (CANARY, "🍁", "𠮷野家", "👩‍👩‍👧‍👦", "\u202eabc", "é", "\U0010ffff", "名" * 400):
        document = written(offering(title={"zh": title, "en": title}))
        assert (await client.ask("PUT", HERE, ORGANIZER, body=document)).status in (200, 201)
        seen = (await client.get(HERE)).json["offerings"][0]["title"]
        assert seen == {"zh": title, "en": title}
    for unfit, code in [
        (b"\\ud83c", "surrogate"),
        (b"a\\u0000", "control_character"),
        (CANARY.encode() * 40, "too_long"),
    ]:
        body = b'{"unit":"xicheng","title":{"zh":"' + unfit + b'","en":"a"}}'
        answer = await client.ask("PUT", HERE, ORGANIZER, body=body)
        assert ("/title/zh", code) in answer.errors
