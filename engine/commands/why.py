"""`why`: explain an enrollment, or the refusal of a sign-up, at an officer's desk."""

from contextlib import AbstractAsyncContextManager
from typing import Final

from msgspec import structs

from engine.commands import apply
from engine.commands.supervisor import Failed
from engine.config import Settings
from engine.domain.person import Person
from engine.domain.why import texts
from engine.runtime import Runtime, open_runtime


async def enrollment(settings: Settings, campaign: str, name: str) -> int:
    """Print how an enrollment came to what it is. Raises supervisor.Failed when that cannot be told."""
    async with _attached(settings) as runtime:
        found = await runtime.decisions.find(campaign, name)
        if found.record is None:
            raise Failed(_text(found.outcome))
        explained = await runtime.explainer.enrollment(campaign, found)
    if isinstance(explained, str):
        raise Failed(_text(explained))
    language = apply.language()
    print(texts.account(explained.told, explained.zone, language))
    for chance in explained.told.chances:
        print(f"- {texts.chance(chance, explained.zone, language)}")
    return 0


async def refusal(
    settings: Settings,
    campaign: str,
    offering: str,
    person: Person,
    pool: str,
    as_of_seq: int | None,
    code: str,
) -> int:
    """Print why a sign-up was refused. Raises supervisor.Failed when that cannot be told."""
    async with _attached(settings) as runtime:
        explained = await runtime.explainer.refusal(campaign, offering, person, pool, as_of_seq, code)
    if isinstance(explained, str):
        raise Failed(_text(explained))
    language = apply.language()
    print(f"{explained.told.code}: {texts.refusal(explained.told, explained.zone, language)}")
    for chance in explained.told.chances:
        print(f"- {texts.chance(chance, explained.zone, language)}")
    return 0


def _attached(settings: Settings) -> AbstractAsyncContextManager[Runtime]:
    # It decides nothing, so that it asks no durability of a server.
    return open_runtime(structs.replace(settings, durability="memory"))


def _text(code: str) -> str:
    zh, en = TEXTS[code]
    return zh if apply.language() == "zh" else en


TEXTS: Final[dict[str, tuple[str, str]]] = {
    "not_found": (
        "没有这个批次，或其中没有这项活动、名额池或报名。",
        "There is no such campaign, or no such offering, pool or enrollment in it.",
    ),
    "invalid": ("本批次还没有这个序号。", "The campaign has not come to this seq."),
    "not_ready": (
        "台账还没有记录到这里，或批次状态不在 Redis 中；请稍后再试。",
        "The ledger has not recorded as far, or the campaign's state is not in Redis; try again shortly.",
    ),
    "unknown": ("Redis 没有答复，请再试一次。", "Redis did not answer; try again."),
    "too_long": (
        "本批次的记录过长，不能逐条回溯。",
        "The log of this campaign is longer than what is gone through to explain.",
    ),
}
"""code: (zh, en)."""
