"""`verify-roll` and `verify-receipt`: check what was published or handed out, with nothing but the files."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from engine import receipts
from engine.commands import apply
from engine.domain import faults, roll, shapes, strict_json
from engine.domain.draw import Mismatch
from engine.domain.faults import Fault, Language
from engine.domain.receipt import Head, Receipt
from engine.domain.roll import NotARoll, Verdict

Signed = TypeVar("Signed", Receipt, Head)


class _Unusable(Exception):
    """A file cannot be used, and that has been said."""


def run(path: Path, key: str | None, heads: Sequence[Path], receipt_files: Sequence[Path]) -> int:
    """Say whether a roll is right: 0 when it is, 1 with each mismatch named, 2 when a file is not what it should be.

    `key` is the public key in lower-case hex. `heads` were noted down earlier, `receipt_files` are of seats that must
    be in the roll.
    """
    language = apply.language()
    try:
        noted = [_read(Head, each, "no_head", language) for each in heads]
        held = [_read(Receipt, each, "no_receipt", language) for each in receipt_files]
        verdict = _verify(path, noted, held, language)
    except _Unusable:
        return 2
    found = [(path, mismatch) for mismatch in verdict.mismatches]
    if verdict.more:
        found.append((path, Mismatch("more", {"count": verdict.more})))
    if verdict.head is not None:
        found += [(path, each) for each in _signature(verdict.head, key)]
    signed: list[Head | Receipt] = [*noted, *held]
    for file, document in zip([*heads, *receipt_files], signed, strict=True):
        found += [(file, each) for each in _signature(document, key)]
    if verdict.dead_letters:
        print(f"{path}: {_text('dead_letters', language, {'count': verdict.dead_letters})}")
    if _print(found, language):
        return 1
    facts = {name: getattr(verdict, name) for name in ("campaign", "seq", "digest", "seats", "confirmed")}
    print(f"{path}: {_text('matches', language, facts)}")
    for file, is_held in zip(receipt_files, verdict.receipts, strict=True):
        print(f"{file}: {_text('seat_held' if is_held else 'seat_left', language)}")
    if key is None and verdict.head is not None:
        print(f"{path}: {_text('compare', language, {'key': verdict.head.key})}")
    return 0


def run_receipt(path: Path, key: str | None) -> int:
    """Say whether a receipt is signed: 0 when it is, 1 when not, 2 when the file is no receipt."""
    language = apply.language()
    try:
        document = _read(Receipt, path, "no_receipt", language)
    except _Unusable:
        return 2
    if _print([(path, each) for each in _signature(document, key)], language):
        return 1
    place = f"{document.campaign}/{document.offering}/{document.pool}"
    facts: dict[str, str | int] = {"place": place, "seat": document.seat, "member": document.member}
    print(f"{path}: {_text('signed', language, facts | {'seq': document.seq})}")
    if key is None:
        print(f"{path}: {_text('compare', language, {'key': document.key})}")
    return 0


def _verify(path: Path, heads: Sequence[Head], held: Sequence[Receipt], language: Language) -> Verdict:
    try:
        return roll.verify(_lines(path), heads, held)
    except OSError as error:
        print(f"seatrush: {path}: {error.strerror}", file=sys.stderr)
    except NotARoll:
        print(f"seatrush: {path}: {_text('no_roll', language)}", file=sys.stderr)
    raise _Unusable


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            # Of a last line that was cut off nothing is believed.
            yield line.removesuffix(b"\n") if line.endswith(b"\n") else b""


def _read(kind: type[Signed], path: Path, code: str, language: Language) -> Signed:
    try:
        raw = strict_json.loads(path.read_bytes())
    except OSError as error:
        print(f"seatrush: {path}: {error.strerror}", file=sys.stderr)
        raise _Unusable from error
    found = [raw] if isinstance(raw, Fault) else shapes.convert(kind, raw)
    if isinstance(found, list):
        print(f"seatrush: {path}: {_text(code, language)}", file=sys.stderr)
        for fault in found:
            print(f"{path}: {fault.path or '/'}: {faults.text(fault, language)}", file=sys.stderr)
        raise _Unusable
    return found


def _signature(document: Receipt | Head, key: str | None) -> Iterator[Mismatch]:
    if not receipts.is_signed(document):
        yield Mismatch("signature")
    if key not in (None, document.key):
        yield Mismatch("other_key", {"key": document.key})


def _print(found: Sequence[tuple[Path, Mismatch]], language: Language) -> bool:
    """Whether there was anything to say."""
    for path, mismatch in found:
        print(f"{path}: {_text(mismatch.code, language, mismatch.facts)}")
    return bool(found)


def _text(code: str, language: Language, facts: Mapping[str, str | int] | None = None) -> str:
    zh, en = TEXTS[code]
    return (zh if language == "zh" else en).format_map(facts or {})


TEXTS: Final[dict[str, tuple[str, str]]] = {
    "matches": (
        "批次 {campaign} 的公示册核对一致：{seq} 个事件，在用席位 {seats} 个（已确认 {confirmed} 个），摘要 {digest}。",
        "The roll of {campaign} matches: {seq} events, {seats} seats held ({confirmed} confirmed), digest {digest}.",
    ),
    "compare": (
        "签名公钥为 {key}，请与公布的公钥比对。",
        "It is signed with the key {key}: compare it with the one that is public.",
    ),
    "signed": (
        "凭证签名有效：{place} 的 {seat} 号席位，报名序号 {seq}，代号 {member}。",
        "The receipt is signed: seat {seat} of {place}, sign-up {seq}, pseudonym {member}.",
    ),
    "seat_held": (
        "该席位在公示册中，目前仍有效。",
        "Its seat is in the roll, and still held at the end of it.",
    ),
    "seat_left": (
        "该席位在公示册中，之后已有变动。",
        "Its seat is in the roll, and was left or changed since.",
    ),
    "dead_letters": (
        "注意：有 {count} 个事件台账未能写入，册中只有其摘要。",
        "Note: {count} events could not be applied by the ledger; of these there is only a digest.",
    ),
    "no_roll": ("不是 seatrush-roll-1 格式的公示册。", "This is no roll of the format seatrush-roll-1."),
    "no_head": ("不是 seatrush-head-1 格式的册尾。", "This is no head of the format seatrush-head-1."),
    "no_receipt": (
        "不是 seatrush-receipt-1 格式的凭证。",
        "This is no receipt of the format seatrush-receipt-1.",
    ),
    "signature": ("签名无效。", "The signature is not that of its key."),
    "other_key": (
        "签名公钥 {key} 与您给出的不同。",
        "The key {key} is not the one that you gave.",
    ),
    "unreadable": (
        "第 {seq} 个事件的一行无法识别，或不是规定的写法。",
        "The line of event {seq} cannot be read, or is not written as it must be.",
    ),
    "out_of_order": (
        "应为第 {expected} 个事件，却是第 {seq} 个。",
        "Event {expected} is due, and event {seq} is there.",
    ),
    "after_head": (
        "册尾（第 {seq} 个事件）之后还有内容。",
        "There is something behind the head, at event {seq}.",
    ),
    "cut_off": (
        "到第 {seq} 个事件为止，没有册尾：文件不完整。",
        "It ends with event {seq} and has no head: it is cut off.",
    ),
    "head": (
        "各行得不出册尾的摘要（第 {seq} 个事件）：有增加、删去或更改。",
        "The lines do not lead to the head, at event {seq}: something was added, left out or changed.",
    ),
    "head_of_another": (
        "记下的册尾属于另一批次 {campaign}。",
        "The head that was noted down is of another campaign, {campaign}.",
    ),
    "head_beyond": (
        "记下的册尾到第 {seq} 个事件，公示册只到第 {last} 个：末尾被截去。",
        "The head that was noted down is at event {seq}, and the roll ends with {last}: its end was taken off.",
    ),
    "head_before": (
        "到第 {seq} 个事件为止，与记下的册尾不符：之后有增加、删去或更改。",
        "Up to event {seq} it is not what it was when that head was noted down.",
    ),
    "receipt_of_another": (
        "凭证属于另一批次 {campaign}。",
        "The receipt is of another campaign, {campaign}.",
    ),
    "receipt_beyond": (
        "凭证出具时已到第 {seq} 个事件，公示册只到第 {last} 个。",
        "The receipt was made at event {seq}, and the roll ends with {last}.",
    ),
    "receipt_before": (
        "到第 {seq} 个事件为止，与凭证出具时不符。",
        "Up to event {seq} it is not what it was when the receipt was made.",
    ),
    "receipt_seat": (
        "公示册中没有凭证所写的 {place} 的 {seat} 号席位（报名序号 {seq}）。",
        "The seat {seat} of {place} that the receipt of sign-up {seq} names is not in the roll.",
    ),
    "seat_twice": (
        "第 {seq} 个事件：{place} 的 {seat} 号席位已属于报名 {sign_up}。",
        "At event {seq} seat {seat} of {place} was held already, by sign-up {sign_up}.",
    ),
    "above_capacity": (
        "第 {seq} 个事件：{place} 的 {seat} 号席位超出名额。",
        "At event {seq} seat {seat} of {place} is above the capacity.",
    ),
    "member_twice": (
        "第 {seq} 个事件：该职工在项目 {offering} 中已有报名 {sign_up}。",
        "At event {seq} the member had another enrollment for {offering}, by sign-up {sign_up}.",
    ),
    "unknown_sign_up": (
        "第 {seq} 个事件所属的报名 {sign_up} 不在其应在之处。",
        "Event {seq} is of sign-up {sign_up}, which is not where it must be.",
    ),
    "another_sign_up": (
        "第 {seq} 个事件的职工或项目与报名 {sign_up} 不同。",
        "Event {seq} has another member or offering than its sign-up {sign_up}.",
    ),
    "seat_and_status": (
        "第 {seq} 个事件：状态 {status} 与席位 {seat} 矛盾。",
        "At event {seq} the status {status} and the seat {seat} contradict each other.",
    ),
    "more": ("另有 {count} 处不符，未一一列出。", "There are {count} mismatches more."),
}
"""code: (zh, en)."""
