"""The language of refusals: zh-CN unless the client prefers English."""

import pytest

from api import language
from engine.domain.faults import Language
from tests.api.client import HERE, NOWHERE, ORGANIZER, Client, person

NOT_FOUND = {"zh": "没有找到", "en": "Not found"}


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "zh"),
        ("", "zh"),
        ("*", "zh"),
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zh-Hant-TW", "zh"),
        ("en", "en"),
        ("EN-gb", "en"),
        (" en ", "en"),
        ("fr", "zh"),
        ("fr, en;q=0.1", "en"),
        ("fr;q=0.9, *;q=0.1", "zh"),
        ("en;q=0.8, zh;q=0.9", "zh"),
        ("zh;q=0.8, en;q=0.9", "en"),
        ("zh;q=0.8 , en ; q=0.9", "en"),
        ("en, zh", "en"),
        ("zh, en", "zh"),
        ("en;q=0", "zh"),
        ("en;q=0.000, zh;q=0.001", "zh"),
        ("en;q=1.1", "zh"),
        ("en;q=-1", "zh"),
        ("en;q=nan", "zh"),
        ("en;q=inf", "zh"),
        ("en;q=", "zh"),
        ("en;q=one", "zh"),
        ("en;level=1", "en"),
        ("english", "zh"),
        ("e,n,;q=,,en", "en"),
        ("x," * 100 + "en", "zh"),
        ("职工", "zh"),
    ],
)
def test_choose(accept: str | None, chosen: Language) -> None:
    assert language.choose(accept) == chosen


@pytest.mark.parametrize(("accept", "chosen"), [(None, "zh"), ("en", "en"), ("zh-CN, en;q=0.5", "zh")])
async def test_refusals_are_in_it(client: Client, accept: str | None, chosen: Language) -> None:
    headers = {"Accept-Language": accept} if accept else {}
    for path, who in [("/nothing", None), (NOWHERE, None), (f"{NOWHERE}/me", person())]:
        refused = await client.ask("GET", path, who, headers=headers)
        assert refused.json["title"] == NOT_FOUND[chosen]
        assert refused.headers["Content-Language"] == {"zh": "zh-CN", "en": "en"}[chosen]


async def test_faults_are_in_it(client: Client) -> None:
    told = {}
    for accept in ("zh", "en"):
        refused = await client.ask(
            "PUT", HERE, ORGANIZER, body={"unit": "xicheng"}, headers={"Accept-Language": accept}
        )
        assert refused.status == 422
        told[accept] = {error["detail"] for error in refused.json["errors"]}
    assert told == {"zh": {"缺少此字段。"}, "en": {"This field is required."}}


async def test_several_lines_are_one_list(client: Client) -> None:
    lines = [("Accept-Language", "fr"), ("Accept-Language", "en")]
    assert (await client.ask("GET", "/nothing", headers=lines)).json["title"] == NOT_FOUND["en"]
