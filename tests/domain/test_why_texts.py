"""Reasons in words: in both languages, for whatever can be told."""

import string
from datetime import timedelta, timezone
from typing import get_args

import pytest

from engine.domain.enrollment import Status
from engine.domain.events import EventType
from engine.domain.faults import Language
from engine.domain.why import account, chances, guards, texts

CHINA = timezone(timedelta(hours=8))
CAMPAIGNS_OWN = {"published", "opened", "closed", "draw_began", "draw_ended", "released", "threshold_met"}
CAMPAIGNS_OWN |= {"codes_issued", "code_revoked", "merged", "forgotten"}
TABLES = {
    f"{name}/{key}": text
    for name in ("REFUSALS", "STEPS", "CHANCES", "BY", "CAUSES", "LISTS")
    for key, text in getattr(texts, name).items()
} | {
    name: getattr(texts, name)
    for name in (
        "NO_SIGN_UP",
        "CUT_OFF",
        "WAITLIST_FULL",
        "KEPT",
        "LACKING",
        "BY_CODE",
        "NUMBER",
        "QUEUE",
        "MOVED",
        "PASSED",
        "DRAWN",
        "CUT",
    )
}


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("name", TABLES)
def test_both_languages_say_the_same(name: str) -> None:
    zh, en = TABLES[name]
    assert zh
    assert en.isascii()
    # Who signed up is said in English, which needs a subject.
    assert placeholders(zh) | {"by"} == placeholders(en) | {"by"}


def test_every_kind_has_words() -> None:
    assert set(get_args(chances.ChanceKind)) == set(texts.CHANCES)
    assert set(get_args(account.Cause)) == set(texts.CAUSES)
    assert set(get_args(account.By)) == set(texts.BY)
    codes = {key.partition("_per_")[0] for key in texts.REFUSALS}
    assert set(get_args(guards.Code)) == codes
    for kind in set(get_args(EventType)) - CAMPAIGNS_OWN:
        assert kind in texts.STEPS or any(f"{kind}_{each}" in texts.STEPS for each in get_args(Status))


def test_instants_are_told_in_the_zone_of_the_document() -> None:
    assert texts.when(1_795_831_200_123, CHINA) == "2026-11-28 10:00:00+08:00"


MOMENT = 1_795_831_200_123
SHOWN = "2026-11-28 10:00:00+08:00"


def test_every_step_has_words_of_its_own() -> None:
    assert set(texts.STEPS) == {
        *("enrolled_confirmed", "enrolled_held", "enrolled_waitlisted", "enrolled_entered"),
        *("advanced_confirmed", "advanced_held", "advanced_waitlisted"),
        *("drawn_confirmed", "drawn_held", "drawn_waitlisted", "drawn_not_drawn"),
        *("promoted_confirmed", "promoted_offered", "confirmed", "declined", "cancelled", "lapsed"),
    }


@pytest.mark.parametrize("kind", get_args(chances.ChanceKind))
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_chance_is_told_with_what_it_has(kind: chances.ChanceKind, language: Language) -> None:
    told = texts.chance(chances.Chance(kind, "soap", "open", MOMENT, MOMENT, 7), CHINA, language)
    text = texts.CHANCES[kind][language == "en"]
    shown = {"offering": "soap", "pool": "open", "since": SHOWN, "until": SHOWN, "free": "7"}
    for name, value in shown.items():
        text = text.replace(f"{{{name}}}", value)
    assert told == text
