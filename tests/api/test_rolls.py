"""Receipts and rolls over HTTP, from the ledger, on a stand whose recorder is under the test's hand."""

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from api import tokens
from api.handlers import rolls
from engine import receipts
from engine.domain import chain, roll
from engine.domain.chain import Entry
from engine.domain.receipt import Head, Receipt
from engine.domain.roll import Verdict
from engine.ledger.protocol import Unavailable
from tests.api.client import HERE, NOWHERE, OFFICER, Client, person, request
from tests.stand import CAMPAIGN, campaign, offering

ROLL = f"{HERE}/roll"
WAITING = offering(pools=[{"pool": "open", "capacity": 1}], waitlist={"size_max": 9})


async def verified(client: Client, *held: Receipt) -> Verdict:
    answer = await client.get(ROLL)
    assert (answer.status, answer.headers["Content-Type"]) == (200, rolls.NDJSON)
    assert answer.body.endswith(b"}\n")
    return roll.verify(answer.body.splitlines(), (), held)


async def receipt_of(client: Client, where: str, who: str) -> Receipt:
    answer = await client.get(f"{where}/receipt", person(who))
    assert answer.status == 200, answer.body
    return msgspec.json.decode(answer.body, type=Receipt)


async def test_a_seat_is_proven_from_its_sign_up_to_the_roll(client: Client) -> None:
    await client.stand.publish(campaign(WAITING))
    where = await client.enrolled("m1")
    assert (await client.get(f"{where}/receipt", person("m1"))).told == (503, "not_ready")
    await client.record()
    own = await receipt_of(client, where, "m1")
    made = (await client.get(where, person("m1"))).json
    assert (own.campaign, own.offering, own.pool, own.seat) == (CAMPAIGN, "soap", "open", 1)
    assert (own.seq, own.decided_at) == (made["seq"], made["decided_at"])
    assert own.member == chain.pseudonym(CAMPAIGN, "m1")
    assert receipts.is_signed(own)
    assert own.key == (await client.get("/v1/receipt-key")).json["key"]
    verdict = await verified(client, own)
    assert (verdict.mismatches, verdict.receipts, verdict.confirmed) == ([], [True], 1)
    assert verdict.head is not None
    assert receipts.is_signed(verdict.head)
    assert msgspec.json.decode((await client.get(f"{ROLL}/head")).body, type=Head) == verdict.head
    # Its member leaves, the next one moves up and has a receipt too; the first is of what was so.
    second = await client.enrolled("m2")
    await client.ask("DELETE", where, person("m1"))
    await client.record()
    moved = await receipt_of(client, second, "m2")
    verdict = await verified(client, own, moved)
    assert (verdict.mismatches, verdict.receipts) == ([], [False, True])


async def test_only_a_confirmed_seat_has_a_receipt(client: Client) -> None:
    held = offering("clay", hold_ttl_s=600)
    await client.stand.publish(campaign(WAITING, held))
    gone = await client.enrolled("m1")
    await client.ask("DELETE", gone, person("m1"))
    await client.enrolled("m2")
    waits = await client.enrolled("m3")
    holds = await client.enrolled("m3", "clay")
    await client.record()
    for where, who in ((gone, "m1"), (waits, "m3"), (holds, "m3")):
        answer = await client.get(f"{where}/receipt", person(who), Accept_Language="en")
        assert answer.told == (409, "wrong_state")
    await client.ask("POST", f"{holds}/confirm", person("m3"))
    # The ledger has it as held still.
    assert (await client.get(f"{holds}/receipt", person("m3"))).told == (503, "not_ready")
    await client.record()
    assert (await verified(client, await receipt_of(client, holds, "m3"))).receipts == [True]


async def test_anothers_receipt_is_as_none(client: Client) -> None:
    await client.stand.publish(campaign(WAITING))
    where = await client.enrolled("m1")
    await client.record()
    none = await client.get(f"{HERE}/enrollments/{'x' * 16}/receipt", person("m2"))
    anothers = await client.get(f"{where}/receipt", person("m2"))
    assert none.told == (404, "not_found")
    assert (anothers.status, anothers.body) == (none.status, none.body)
    assert (await client.get(f"{where}/receipt", person("o", "officer", unit="elsewhere"))).body == none.body
    assert (await client.get(f"{where}/receipt", OFFICER)).status == 200


async def test_a_roll_tells_nobodys_name(client: Client) -> None:
    await client.stand.publish(
        campaign(WAITING, offering("gift", pools=[{"pool": "open", "capacity": 1, "codes": True}]))
    )
    [code] = await client.stand.issue("open", "gift")
    answer = await client.sign_up("canary-member", key="canary-key")
    await client.record()
    body = (await client.get(ROLL)).body
    for secret in ("canary", answer.json["enrollment"], code, "organizer"):
        assert secret.encode() not in body


async def test_a_roll_of_several_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "PAGE_LINES", 3)
    await client.stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 20}])))
    for number in range(11):
        await client.enrolled(f"m{number}")
    await client.record()
    verdict = await verified(client)
    assert (verdict.mismatches, verdict.confirmed) == ([], 11)
    seen = [
        msgspec.json.decode(line, type=Entry).seq for line in (await client.get(ROLL)).body.splitlines()[1:-1]
    ]
    assert seen == list(range(1, verdict.seq + 1))
    every = await asyncio.gather(*(client.get(ROLL) for _ in range(8)))
    assert len({answer.body for answer in every}) == 1


async def test_a_roll_is_not_sent_again_to_who_has_it(client: Client) -> None:
    await client.stand.publish(campaign(WAITING))
    await client.record()
    for path in (ROLL, f"{ROLL}/head"):
        first = await client.get(path)
        assert (await client.get(path, If_None_Match=first.headers["ETag"])).status == 304
    tag = (await client.get(ROLL)).headers["ETag"]
    await client.enrolled("m1")
    await client.record()
    assert (await client.get(ROLL, If_None_Match=tag)).status == 200


async def test_where_there_is_no_roll(client: Client) -> None:
    for path in (f"{NOWHERE}/roll", f"{NOWHERE}/roll/head"):
        assert (await client.get(path)).told == (404, "not_found")
    await client.stand.publish(campaign(WAITING))
    # The ledger does not have its first event.
    for path in (ROLL, f"{ROLL}/head"):
        assert (await client.get(path)).told == (503, "not_ready")


async def test_head_and_old_clients(client: Client) -> None:
    await client.stand.publish(campaign(WAITING))
    await client.record()
    body = (await client.get(ROLL)).body
    head = await client.send(request("HEAD", ROLL, headers={"Connection": "close"}))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert head.endswith(b"\r\n\r\n")
    old = await client.send(request("GET", ROLL).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert old.startswith(b"HTTP/1.")
    assert old.split(b"\r\n\r\n", 1)[1] == body


async def test_a_roll_that_cannot_be_read_to_its_end_has_none(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.stand.publish(campaign(WAITING))
    await client.record()

    async def unavailable(*asked: object) -> list[tuple[int, bytes]]:
        raise Unavailable("made up")

    monkeypatch.setattr(client.stand.runtime.ledger, "lines", unavailable)
    sent = await client.send(request("GET", ROLL))
    assert sent.startswith(b"HTTP/1.1 200 ")
    assert b"seatrush-roll-1" in sent
    assert b"seatrush-head-1" not in sent
    assert not sent.endswith(b"0\r\n\r\n")
    assert b"503" not in sent


async def test_a_client_that_does_not_read_is_left(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolls, "READS_S_MAX", 0.1)
    await client.stand.publish(campaign(WAITING))
    await client.record()

    async def endless(self: object, campaign: str, link: object) -> object:
        while True:
            yield b"x" * 1_000_000

    monkeypatch.setattr(receipts.Receipts, "roll", endless)
    reader, writer = await client.connect()
    writer.write(request("GET", ROLL))
    await asyncio.sleep(0.5)
    # One who is still sent to would read for ever.
    async with asyncio.timeout(10):
        with suppress(ConnectionResetError):
            while await reader.read(1_000_000):
                pass
    writer.close()


def test_no_token_has_the_id_of_a_forgotten_member() -> None:
    for sub in ("~" + "0" * 31, "~" + "0" * 33, "~" + "g" * 32, "~m-1001", "0~" + "0" * 31):
        tokens.sign(b"s" * 32, person(sub), 2_000_000_000)
    with pytest.raises(tokens.ClaimsError):
        tokens.sign(b"s" * 32, person("~" + "0" * 32), 2_000_000_000)


# The key


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    made = receipts.load(tmp_path, None)
    path = tmp_path / "receipt.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert receipts.load(tmp_path, None).key == made.key
    assert receipts.load(tmp_path / "absent", path.read_text()).key == made.key
    path.write_text(path.read_text().upper() + "\n")
    assert receipts.load(tmp_path, None).key == made.key
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "zz" * 32, "\xff" * 64])
def test_a_key_that_cannot_be_used_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "receipt.key").write_text(text, "latin-1")
    with pytest.raises(receipts.ReceiptKeyError, match=r"receipt\.key is not 64 hex digits"):
        receipts.load(tmp_path, None)
    with pytest.raises(receipts.ReceiptKeyError, match=r"absent.receipt\.key"):
        receipts.load(tmp_path / "absent", None)


def test_a_signature_is_of_its_document_and_key() -> None:
    one, other = (receipts.Signer(bytes([number] * 32)) for number in (1, 2))
    signed = one.sign(Head("seatrush-head-1", "c", 1, "0" * 64, one.key))
    assert receipts.is_signed(signed)
    for change in (
        {"seq": 2},
        {"digest": "1" * 64},
        {"campaign": "d"},
        {"key": other.key},
        {"key": "f" * 64},
        {"signature": ""},
        {"signature": "0" * 128},
    ):
        assert not receipts.is_signed(msgspec.structs.replace(signed, **change))
