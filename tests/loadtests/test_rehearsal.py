"""The parts of a rehearsal that need no load: plan, people, answers, records, verdict."""

from collections import Counter
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from msgspec import structs

from engine.domain import document
from engine.domain.campaign import Campaign
from engine.domain.faults import Language
from loadtests import rehearse
from loadtests.exchange import Exchange, Kind
from loadtests.rehearsal import answers, plan, records, verdict, words
from loadtests.rehearsal.people import Character
from loadtests.rehearsal.plan import Plan, Scenario
from loadtests.rehearsal.records import Recorder

PLAN = Plan(
    scenario="rush", run="1128-100000-abcd", members=1_000, workshops=10, seats=21, waitlist=5, campaigns=1,
    opens_in_s=10, spread_s=2, patience_s=60, retries=2, run_time_s=30, door="http", seed=1, opens_at=1_780_000_000.5,
)  # fmt: skip


def exchange(kind: Kind = "sign_up", status: int = 201, sent_ns: int = 0, **changed: object) -> Exchange:
    return structs.replace(Exchange(kind, "m", "u", sent_ns, sent_ns + 5_000_000, status, b"{}"), **changed)


@pytest.mark.parametrize("scenario", get_args(Scenario))
def test_what_is_published_is_valid(scenario: Scenario) -> None:
    made = structs.replace(PLAN, scenario=scenario, campaigns=4)
    assert plan.decode(made.encode()) == made
    found = dict(plan.documents(made))
    assert list(found) == made.names()
    for name, raw in found.items():
        campaign = document.validate(msgspec.json.decode(msgspec.json.encode(raw)))
        assert isinstance(campaign, Campaign), campaign
        assert campaign.campaign == name
        assert campaign.unit == "rehearsal"
        for offering in campaign.offerings:
            assert offering.opens.timestamp() == made.opens_at
            assert sum(pool.capacity for pool in offering.pools) == 21
        has_holds = any(offering.hold_ttl_s for offering in campaign.offerings)
        assert has_holds == made.churns(name)


def test_people_click_as_stated() -> None:
    clicks = [Character(PLAN, 0, number).click_after_s() for number in range(10_000)]
    assert min(clicks) >= -2
    assert max(clicks) <= 2 * 21
    early, soon = sum(click < 0 for click in clicks), sum(0 <= click <= 2 for click in clicks)
    assert 900 < early < 1_100
    assert 7_800 < soon < 8_200


def test_the_seed_decides() -> None:
    def drawn(seed: int, process: int) -> list[float]:
        made = structs.replace(PLAN, seed=seed)
        return [Character(made, process, number).click_after_s() for number in range(10)]

    assert drawn(1, 0) == drawn(1, 0)
    assert drawn(1, 0) != drawn(2, 0)
    assert drawn(1, 0) != drawn(1, 1)


def test_pauses_respect_retry_after() -> None:
    character = Character(PLAN, 0, 1)
    assert all(2 <= character.pause_s(1, "2") <= 3 for _ in range(100))
    pauses = [[character.pause_s(tries, "") for _ in range(100)] for tries in range(1, 10)]
    for tries, found in enumerate(pauses):
        least = min(0.5 * 2**tries, 8)
        assert least <= min(found) < max(found) <= 1.5 * least


def test_wishes_are_all_offerings_the_popular_ones_first() -> None:
    names = PLAN.offerings()
    firsts = Counter(Character(PLAN, 0, number).wishes(names)[0] for number in range(2_000))
    assert sorted(Character(PLAN, 0, 1).wishes(names)) == sorted(names)
    assert firsts["workshop-1"] > firsts["workshop-3"] > firsts["workshop-9"] > 0


@pytest.mark.parametrize(
    ("kind", "status", "body", "retry_after", "failure"),
    [
        ("sign_up", 201, b"", "", ""),
        ("sign_up", 409, b'{"code":"sold_out"}', "", ""),
        ("sign_up", 409, b'{"code":"wrong_state"}', "", "unexpected 409 wrong_state"),
        ("sign_up", 503, b"", "1", ""),
        ("sign_up", 429, b"", "1", ""),
        ("sign_up", 503, b"", "", "503 without Retry-After"),
        ("sign_up", 500, b"oops", "", "unexpected 500"),
        ("sign_up", 0, b"", "", "no answer"),
        ("confirm", 409, b'{"code":"too_late"}', "", ""),
        ("campaign", 304, b"", "", ""),
        ("find", 304, b"", "", "unexpected 304"),
    ],
)
def test_what_is_a_failure(kind: Kind, status: int, body: bytes, retry_after: str, failure: str) -> None:
    assert answers.failure(kind, status, body, retry_after) == failure


def test_the_moment_of_a_look() -> None:
    assert answers.moment(200, b'{"campaign":"c","seq":41,"offerings":[]}', '"1.41"') == b'{"seq":41}'
    assert answers.moment(304, b"", '"12.41"') == b'{"seq":41}'


def test_records(tmp_path: Path) -> None:
    made = [exchange(sent_ns=number) for number in range(1_203)]
    path = tmp_path / f"worker-0{records.SUFFIX}"
    recorder = Recorder(lambda chunk: records.append(path, chunk))
    for each in made:
        recorder.add(each)
    recorder.flush()
    recorder.flush()
    chunks = list(records.read(tmp_path))
    assert [len(chunk.exchanges) for chunk in chunks] == [500, 500, 203]
    assert [each for chunk in chunks for each in chunk.exchanges] == made
    assert {chunk.machine for chunk in chunks} == {records.this_machine()}
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"worker-0\.exchanges ends within a chunk"):
        list(records.read(tmp_path))


def test_waits_are_counted_from_the_first_click_that_could_succeed() -> None:
    not_open = b'{"code":"not_open"}'
    waits, unanswered = verdict.waits_s(
        [
            exchange(status=409, body=not_open, key="a"),
            exchange(status=503, sent_ns=1_000_000_000, key="a"),
            exchange(status=201, sent_ns=2_000_000_000, key="a"),
            exchange(status=201, sent_ns=3_000_000_000, key="a"),  # asked again
            exchange(status=409, body=b'{"code":"sold_out"}', key="b"),
            exchange(status=0, key="c"),
            exchange(status=200, kind="mine"),
        ]
    )
    assert waits == [0.005, 1.005]
    assert unanswered == 1


def test_words_have_the_same_facts_in_both_languages() -> None:
    facts = {"scenario", "members", "seed", "requests", "seconds", "answers", "half", "most", "campaign", "seats",
             "taken", "waiting", "number", "rule", "example", "said", "path"}  # fmt: skip
    languages: tuple[Language, ...] = get_args(Language)
    for name in words.NAMES:
        shown = [words.say(name, language, **{fact: f"<{fact}>" for fact in facts}) for language in languages]
        used = [{fact for fact in facts if f"<{fact}>" in text} for text in shown]
        assert used[0] == used[1], name
        assert shown[0] != shown[1], name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rush", "--url", "http://127.0.0.1:1"], "--url needs --data, or --redis and --database"),
        (
            ["rush", "--url", "http://127.0.0.1:1", "--redis", "redis://x", "--database", "sqlite:////x"],
            "no token secret",
        ),
        (["rush", "--url", "http://127.0.0.1:1", "--data", "/nowhere"], "/nowhere/token.key: No such file"),
        (["rush", "--worker"], "no token secret"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REDIS_URL", "DATABASE_URL", "TOKEN_SECRET"):
        monkeypatch.delenv(f"SEATRUSH_{name}", raising=False)
    assert rehearse.main(arguments) == 2
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert said in shown[0]
