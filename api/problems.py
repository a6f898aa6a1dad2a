"""Problems (RFC 9457): every refusal as a document, in the client's language."""

import math
import random
from functools import cache
from typing import Any, Final

import msgspec

from api.answer import Answer
from api.auth import Refused
from engine import metrics
from engine.domain import faults, outcome
from engine.domain.faults import Fault, Language
from engine.domain.gcra import NS_PER_S

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:seatrush:problem:"
RETRY_AFTER_S: Final = {"not_open": (60, 120), "not_ready": (2, 4), "overloaded": (1, 3), "unknown": (1, 2)}
"""From and to: each client is told another moment, so that they do not come back all at once."""
UNAVAILABLE: Final = 503
NOT_OPEN_RETRY_S_MAX: Final = 31_536_000

for _refusal in outcome.REFUSALS.values():
    if _refusal.status == UNAVAILABLE:
        # From 0 on, so that the first one is an increase.
        metrics.UNAVAILABLE.labels(_refusal.code)

_encode = msgspec.json.Encoder().encode

_TEXTS: Final[dict[str, dict[Language, tuple[str, str]]]] = {
    "unauthenticated": {
        "zh": ("请先登录", "请求没有带上有效的令牌，或令牌已过期。"),
        "en": ("Not signed in", "The request has no valid token, or the token has expired."),
    },
    "forbidden": {
        "zh": ("没有权限", "您的角色或单位不能进行这项操作。"),
        "en": ("Not allowed", "Your role or unit does not allow this."),
    },
    "invalid": {
        "zh": ("请求有误", "请求中有不正确的内容，见 errors。"),
        "en": ("Invalid request", "Something in the request is not right; see errors."),
    },
    "not_found": {
        "zh": ("没有找到", "没有这一项，或您不能查看它。"),
        "en": ("Not found", "There is no such thing, or it is not yours to see."),
    },
    "not_ready": {
        "zh": ("服务暂不可用", "服务尚未就绪，请求没有执行，请稍后重试。"),
        "en": ("Not ready", "The service is not ready. Nothing was done; please try again shortly."),
    },
    "key_reused": {
        "zh": ("幂等键已被使用", "同一个 Idempotency-Key 已用于另一项请求。"),
        "en": ("Key already used", "This Idempotency-Key was used for another request."),
    },
    "closed": {
        "zh": ("报名已结束", "该活动的报名已经结束。"),
        "en": ("Closed", "Sign-up for this offering has ended."),
    },
    "not_open": {
        "zh": ("报名未开始", "该活动的报名尚未开始，已知的开始时间见 opens_at。"),
        "en": ("Not open yet", "Sign-up for this offering has not begun; opens_at says when it will, where known."),
    },
    "not_eligible": {
        "zh": ("不符合条件", "您不符合该活动名额池的条件。"),
        "en": ("Not eligible", "You are not eligible for the seats of this offering."),
    },
    "limit_reached": {
        "zh": ("已达报名上限", "您在本批次的报名已达上限。"),
        "en": ("Limit reached", "You already have as many enrollments as this campaign allows."),
    },
    "overlap": {
        "zh": ("时间冲突", "您已报名时间冲突的活动：{fact}。"),
        "en": ("Sessions overlap", "You are enrolled in {fact}, which meets at the same time."),
    },
    "sold_out": {
        "zh": ("名额已满", "名额和候补都已满。"),
        "en": ("Sold out", "All seats and all places on the waitlist are taken."),
    },
    "too_late": {
        "zh": ("已过时限", "已过可以取消或确认的时间。"),
        "en": ("Too late", "The time to cancel or to confirm is over."),
    },
    "wrong_state": {
        "zh": ("状态不允许", "当前的状态（{fact}）不能进行这项操作。"),
        "en": ("Wrong state", "This cannot be done in the present state ({fact})."),
    },
    "rate_limited": {
        "zh": ("请求过于频繁", "请求过于频繁，请稍后重试。"),
        "en": ("Too many requests", "Too many requests; please slow down."),
    },
    "overloaded": {
        "zh": ("系统繁忙", "排队已满，请求没有执行，请稍后用同一个 Idempotency-Key 重试。"),
        "en": ("Busy", "The queue is full. Nothing was done; please retry with the same Idempotency-Key."),
    },
    "unknown": {
        "zh": ("结果未知", "未能得知请求的结果，请用同一个 Idempotency-Key 重试。"),
        "en": ("Outcome unknown", "Whether this was done is not known. Please retry with the same Idempotency-Key."),
    },
    "too_large": {
        "zh": ("内容过大", "请求内容超过了允许的大小。"),
        "en": ("Too large", "The request body is larger than allowed."),
    },
    "timeout": {
        "zh": ("请求超时", "未能及时收到完整的请求。"),
        "en": ("Timed out", "The request did not arrive in time."),
    },
    "method_not_allowed": {
        "zh": ("方法不允许", "这个地址不支持该请求方法。"),
        "en": ("Method not allowed", "This address does not take this method."),
    },
    "unsupported_media_type": {
        "zh": ("内容类型不支持", "请求内容须为接口说明中的类型，且未经压缩。"),
        "en": ("Unsupported media type", "The request body must be of a type that this call takes, and not encoded."),
    },
    "precondition_failed": {
        "zh": ("版本已变化", "文档的当前版本与 If-Match 不符。"),
        "en": ("Precondition failed", "The version in force is not the one that If-Match names."),
    },
    "internal": {
        "zh": ("内部错误", "服务出现内部错误，请提供请求编号 {fact}。"),
        "en": ("Internal error", "Something went wrong on our side. Please quote request {fact}."),
    },
}  # fmt: skip


NOT_OPENED: Final[dict[str, dict[Language, str]]] = {
    "code_unknown": {
        "zh": "邀请码不正确，或不能用于您的这次报名。",
        "en": "There is no such invitation code, or it is not for you, this offering or this pool.",
    },
    "code_revoked": {"zh": "邀请码已被撤销。", "en": "The invitation code has been revoked."},
    "code_expired": {"zh": "邀请码已过期。", "en": "The invitation code has expired."},
    "code_used_up": {
        "zh": "邀请码的使用次数已满。",
        "en": "The invitation code has been used as often as it may be.",
    },
}
"""The detail of `not_eligible`, by why an invitation code opens nothing."""


_STATES: Final[dict[str, tuple[str, str]]] = {
    "confirmed": ("已确认", "confirmed"),
    "held": ("待确认", "held"),
    "waitlisted": ("候补中", "waitlisted"),
    "offered": ("待接受递补", "offered"),
    "entered": ("已登记抽签或投票", "entered"),
    "cancelled": ("已取消", "cancelled"),
    "lapsed": ("已过期", "lapsed"),
    "not_drawn": ("未抽中", "not drawn"),
    "no_results": ("尚无成绩", "no results"),
    "open": ("报名尚未截止", "sign-up is open"),
    "advanced": ("已确定晋级", "it is decided who goes on"),
    "last_round": ("已是最后一轮", "the last round"),
}
"""Of `wrong_state`, by its fact: (zh, en)."""


def state(fact: str, language: Language) -> str:
    """The name of a state, as people say it."""
    zh, en = _STATES.get(fact, (fact, fact))
    return zh if language == "zh" else en


def document(code: str, language: Language, fact: str = "") -> dict[str, Any]:
    """The problem document of a code, without extension members."""
    title, detail = _TEXTS[code][language]
    return {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": outcome.REFUSALS[code].status,
        "detail": detail.replace("{fact}", fact),
        "code": code,
    }


@cache
def _unfinished(code: str, language: Language) -> bytes:
    """The encoded document of a code without a fact, up to its closing brace."""
    return _encode(document(code, language))[:-1]


def response(
    code: str, language: Language, fact: str = "", headers: dict[str, str] | None = None, **members: Any
) -> Answer:
    """A refusal as a response, with Retry-After where the outcome table says so.

    `members` with a value are added as extension members; beside a fact they may take the place of others.
    """
    found = outcome.REFUSALS[code]
    told = {name: value for name, value in members.items() if value is not None}
    if fact:
        body = _encode(document(code, language, fact) | told)
    else:
        rest = _encode(told)
        body = _unfinished(code, language) + (b"," + rest[1:] if told else b"}")
    sent = {"Content-Language": "zh-CN" if language == "zh" else "en"}
    if found.retry_after and code in RETRY_AFTER_S:
        sent["Retry-After"] = str(random.randint(*RETRY_AFTER_S[code]))  # noqa: S311  it keeps no secret
    if headers:
        sent |= headers
    if found.status == UNAVAILABLE:
        metrics.UNAVAILABLE.labels(code).inc()
    return Answer(found.status, body, sent, MEDIA_TYPE)


def not_opened(reason: str, language: Language, as_of_seq: int | None) -> Answer:
    """403 that says why an invitation code opens nothing."""
    detail = NOT_OPENED[reason][language]
    return response("not_eligible", language, reason, detail=detail, reason=reason, as_of_seq=as_of_seq)


def unauthenticated(refused: Refused, language: Language) -> Answer:
    """401 that says how to authenticate, or 503 while the issuer's keys are not at hand."""
    headers = {"WWW-Authenticate": refused.challenge} if refused.challenge else None
    return response(refused.code, language, headers=headers)


def invalid(found: list[Fault], language: Language) -> Answer:
    """422 that names every fault."""
    errors = [
        {"path": fault.path, "code": fault.code, "detail": faults.text(fault, language)} for fault in found
    ]
    return response("invalid", language, errors=errors)


def rate_limited(wait_ns: int, language: Language) -> Answer:
    """429 that says when to come again."""
    return response("rate_limited", language, headers={"Retry-After": str(-(-wait_ns // NS_PER_S))})


def not_open(opens_ms: int, now_ms: int, opens_at: str, language: Language, as_of_seq: int) -> Answer:
    """409 that says when the window opens, as an instant and in seconds."""
    seconds = min(max(1, math.ceil((opens_ms - now_ms) / 1000)), NOT_OPEN_RETRY_S_MAX)
    return response(
        "not_open", language, headers={"Retry-After": str(seconds)}, opens_at=opens_at, as_of_seq=as_of_seq
    )
