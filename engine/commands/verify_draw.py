"""`verify-draw`: check a published draw, with nothing but its file."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.commands import apply
from engine.domain import draw, faults, shapes, strict_json
from engine.domain.draw import Draw, Mismatch
from engine.domain.faults import Fault, Language


def run(path: Path, commitment: str | None) -> int:
    """Say whether the draw is right: 0 when it is, 1 with each mismatch named, 2 when the file is no draw.

    `commitment` is the one that was public before the draw, in lower-case hex.
    """
    language = apply.language()
    try:
        published = _read(path)
    except OSError as error:
        print(f"seatrush: {path}: {error.strerror}", file=sys.stderr)
        return 2
    if isinstance(published, list):
        print(f"seatrush: {path}: {_text('no_draw', language)}", file=sys.stderr)
        for fault in published:
            print(f"{path}: {fault.path or '/'}: {faults.text(fault, language)}", file=sys.stderr)
        return 2
    found = draw.verify(published)
    if commitment not in (None, published.commitment):
        found.insert(0, Mismatch("other_commitment"))
    for mismatch in found:
        print(f"{path}: {_text(mismatch.code, language, mismatch.facts)}")
    if found:
        return 1
    facts: dict[str, str | int] = {
        "campaign": published.campaign,
        "number": published.number,
        "entries": len(published.entries),
        "results": len(published.results),
        "commitment": published.commitment,
    }
    print(f"{path}: {_text('matches', language, facts)}")
    if commitment is None:
        print(f"{path}: {_text('compare', language, facts)}")
    return 0


def _read(path: Path) -> Draw | list[Fault]:
    raw = strict_json.loads(path.read_bytes())
    return [raw] if isinstance(raw, Fault) else shapes.convert(Draw, raw)


def _text(code: str, language: Language, facts: Mapping[str, str | int] | None = None) -> str:
    zh, en = TEXTS[code]
    return (zh if language == "zh" else en).format_map(facts or {})


TEXTS: Final[dict[str, tuple[str, str]]] = {
    "matches": (
        "批次 {campaign} 的第 {number} 次抽签核对一致：{entries} 人登记，{results} 项结果。",
        "Draw {number} of {campaign} matches: {entries} entries, {results} results.",
    ),
    "compare": (
        "承诺值为 {commitment}，请与抽签前公布的承诺值比对。",
        "Its commitment is {commitment}: compare it with the one that was public before the draw.",
    ),
    "no_draw": (
        "不是 seatrush-draw-1 格式的抽签文件。",
        "This is no draw of the format seatrush-draw-1.",
    ),
    "other_commitment": (
        "承诺值与您给出的不同。",
        "The commitment is not the one that you gave.",
    ),
    "commitment": (
        "承诺值不是由该种子得出的。",
        "The commitment is not the one that follows from the seed.",
    ),
    "entries_digest": (
        "登记名单的摘要不符。",
        "The digest of the entries is another.",
    ),
    "entries_unsorted": (
        "登记名单未按代号排序：{member} 的位置不对。",
        "The entries are not in the order of pseudonyms: {member} is out of place.",
    ),
    "member_twice": (
        "{member} 登记了不止一次。",
        "{member} entered more than once.",
    ),
    "offering_twice": (
        "项目 {offering} 列出了不止一次。",
        "The offering {offering} is listed more than once.",
    ),
    "pool_twice": (
        "项目 {offering} 的名额池 {pool} 列出了不止一次。",
        "The pool {pool} of {offering} is listed more than once.",
    ),
    "wish_twice": (
        "{member} 填报项目 {offering} 不止一次。",
        "{member} wished for {offering} more than once.",
    ),
    "unknown_offering": (
        "{member} 的登记中有未列出的项目 {offering}。",
        "The entry of {member} names {offering}, which is not listed.",
    ),
    "unknown_pool": (
        "{member} 的登记中有项目 {offering} 未列出的名额池 {pool}。",
        "The entry of {member} names the pool {pool} of {offering}, which is not listed.",
    ),
    "results": (
        "有 {count} 项结果与抽签不符；首先是第 {place} 项：应为“{expected}”，文件中为“{given}”。",
        'Of the results {count} are not what the draw gives, first number {place}: "{given}" for "{expected}".',
    ),
}
"""code: (zh, en)."""
