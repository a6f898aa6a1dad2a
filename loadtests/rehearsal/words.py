"""What a rehearsal says at its end, in the two languages of every user."""

from typing import Final

from engine.domain.faults import Language

_TEXTS: Final[dict[str, dict[Language, str]]] = {
    "rehearsed": {
        "zh": "演练 {scenario}：{members} 人，种子 {seed}",
        "en": "Rehearsed {scenario} with {members} members, seed {seed}",
    },
    "requests": {
        "zh": "请求 {requests} 次，历时 {seconds} 秒；报名的答复：{answers}",
        "en": "{requests} requests in {seconds} s; sign-ups were answered: {answers}",
    },
    "latency": {
        "zh": "从点击到明确答复：一半的人在 {half} 毫秒内，百分之九十九在 {most} 毫秒内",
        "en": "From the click to a definite answer: half within {half} ms, 99 % within {most} ms",
    },
    "seats": {
        "zh": "{campaign}：{seats} 席中发出 {taken} 席，{waiting} 人候补",
        "en": "{campaign}: {taken} of {seats} seats taken, {waiting} wait",
    },
    "all_answered": {
        "zh": "每一次报名都得到了明确答复。",
        "en": "Every sign-up got a definite answer.",
    },
    "unanswered": {
        "zh": "注意：有 {number} 次报名在耐心耗尽前没有得到明确答复。",
        "en": "NOTE: {number} sign-ups got no definite answer while their members had patience.",
    },
    "machines": {
        "zh": "负载来自 {number} 台机器，时钟不可比：实时先后只在每台机器之内检查。",
        "en": "The load came from {number} machines, whose clocks cannot be compared: "
        "order in real time was checked within each of them only.",
    },
    "broken": {
        "zh": "违反 {rule}，{number} 次，例如：{example}",
        "en": "VIOLATED {rule}, {number} times, such as: {example}",
    },
    "audit_agrees": {"zh": "审计：Redis 与台账一致。", "en": "Audit: Redis and the ledger agree."},
    "audit_differs": {
        "zh": "审计：Redis 与台账不一致，或无法比较：{said}",
        "en": "Audit: Redis and the ledger do NOT agree, or could not be compared: {said}",
    },
    "report": {"zh": "报告：{path}", "en": "Report: {path}"},
    "held": {"zh": "所有不变式都成立。", "en": "All invariants held."},
    "not_held": {"zh": "有不变式被违反。", "en": "NOT all invariants held."},
    "nothing": {
        "zh": "没有任何报名或查询得到明确答复，什么也没有验证。",
        "en": "Nothing got a definite answer: nothing was shown.",
    },
}

NAMES: Final = tuple(_TEXTS)


def say(name: str, language: Language, **facts: object) -> str:
    """A text with its facts."""
    return _TEXTS[name][language].format(**facts)
