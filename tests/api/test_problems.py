"""Problems: each code's document, in both languages."""

from typing import get_args

import msgspec
import pytest

from api import problems
from engine.domain import faults, outcome
from engine.domain.faults import Fault, Language

LANGUAGES: tuple[Language, ...] = get_args(Language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", outcome.REFUSALS)
def test_every_refusal_has_words(code: str, language: Language) -> None:
    answer = problems.response(code, language, "soap", {"Retry-After": "7"})
    assert isinstance(answer.body, bytes)
    told = msgspec.json.decode(answer.body)
    assert set(told) == {"type", "title", "status", "detail", "code"}
    assert (told["code"], told["type"]) == (code, f"urn:seatrush:problem:{code}")
    assert told["status"] == answer.status == outcome.REFUSALS[code].status
    assert told["title"]
    assert told["detail"]
    assert "{" not in told["title"] + told["detail"]
    assert answer.media_type == "application/problem+json"
    assert answer.headers["Content-Language"] == {"zh": "zh-CN", "en": "en"}[language]


def test_no_words_for_what_is_no_refusal() -> None:
    assert set(problems._TEXTS) == set(outcome.REFUSALS)


def test_languages_differ_in_script() -> None:
    for code in outcome.REFUSALS:
        chinese, english = (problems.document(code, language) for language in LANGUAGES)
        for part in ("title", "detail"):
            assert english[part].isascii()
            assert any("一" <= letter <= "鿿" for letter in chinese[part])


@pytest.mark.parametrize("code", outcome.REFUSALS)
def test_retry_after_comes_where_the_table_says(code: str) -> None:
    if code in ("not_open", "rate_limited"):  # which have a time of their own
        return
    answer = problems.response(code, "en")
    assert ("Retry-After" in answer.headers) == outcome.REFUSALS[code].retry_after
    assert int(answer.headers.get("Retry-After", 1)) >= 1


@pytest.mark.parametrize(
    ("opens_ms", "seconds"),
    [(0, 1), (1_000, 1), (1_001, 1), (2_000, 1), (2_001, 2), (61_000, 60), (10**15, 31_536_000)],
)
def test_not_open_says_how_long_to_wait(opens_ms: int, seconds: int) -> None:
    answer = problems.not_open(opens_ms, 1_000, "2026-11-28T02:00:00.000Z", "en", 7)
    assert answer.headers["Retry-After"] == str(seconds)
    assert isinstance(answer.body, bytes)
    told = msgspec.json.decode(answer.body)
    assert (told["opens_at"], told["as_of_seq"]) == ("2026-11-28T02:00:00.000Z", 7)


@pytest.mark.parametrize(("wait_ns", "seconds"), [(1, 1), (10**9, 1), (10**9 + 1, 2), (59 * 10**9, 59)])
def test_rate_limited_says_how_long_to_wait(wait_ns: int, seconds: int) -> None:
    assert problems.rate_limited(wait_ns, "en").headers["Retry-After"] == str(seconds)


@pytest.mark.parametrize("fact", ["", "soap"])
def test_what_has_no_value_is_left_out(fact: str) -> None:
    told = problems.response("closed", "en", fact, as_of_seq=7, per=None).body
    assert msgspec.json.decode(told) == problems.document("closed", "en", fact) | {"as_of_seq": 7}


def test_clients_are_told_to_come_back_at_different_moments() -> None:
    told = {problems.response("overloaded", "en").headers["Retry-After"] for _ in range(100)}
    assert told == {"1", "2", "3"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_invalid_names_every_fault_in_the_language(language: Language) -> None:
    found = [Fault("/a", "missing"), Fault("limit", "too_small", {"min": 1})]
    answer = problems.invalid(found, language)
    assert isinstance(answer.body, bytes)
    assert msgspec.json.decode(answer.body)["errors"] == [
        {"path": fault.path, "code": fault.code, "detail": faults.text(fault, language)} for fault in found
    ]
