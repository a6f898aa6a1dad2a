"""Reasons in words: refusals, accounts and chances as sentences in either language."""

from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Final

from engine.domain.faults import Language
from engine.domain.why.account import Account, Step
from engine.domain.why.chances import Chance
from engine.domain.why.refusal import Refusal

Text = tuple[str, str]
"""zh, en."""


def when(at: int, zone: tzinfo) -> str:
    """An instant for readers: `2026-11-28 10:00:00+08:00`."""
    return datetime.fromtimestamp(at // 1000, zone).isoformat(" ")


def refusal(told: Refusal, zone: tzinfo, language: Language) -> str:
    """Why a sign-up was refused, in a few sentences."""
    facts = {
        "seq": told.seq,
        "opens": when(told.opens, zone),
        "closes": when(told.closes, zone),
        "sign_ups": told.sign_ups,
        "waiting": told.waiting,
        "waiting_max": told.waiting_max,
        "capacity": sum(pool.capacity for pool in told.pools if pool.may_take),
        "taken": sum(pool.taken for pool in told.pools if pool.may_take),
        "offerings": ", ".join(each.offering for each in told.mine),
        "status": told.mine[0].status if told.mine else "",
        "max": told.limit.max if told.limit else told.votes_max,
        "count": len(told.mine),
    }
    is_of_round = told.code == "not_eligible" and told.rule.endswith("/policy")
    sentences = [NO_SIGN_UP if is_of_round else REFUSALS[_refusal_key(told)]]
    last = max((pool for pool in told.pools if pool.may_take), key=lambda pool: pool.last_given, default=None)
    if told.code == "sold_out":
        if last and last.last_given:
            facts |= {"last": last.last_given, "last_at": when(last.last_given_at, zone)}
            sentences.append(CUT_OFF)
        if told.mine:
            sentences.append(KEPT)
        elif told.waiting_max:
            sentences.append(WAITLIST_FULL)
    lines = [_said(text, language).format_map(facts) for text in sentences]
    if told.code == "not_eligible" and not is_of_round:
        lines += [_lacking(pool.pool, pool.lacking, language) for pool in told.pools if pool.lacking]
        lines += [_said(BY_CODE, language).format(pool=pool.pool) for pool in told.pools if pool.codes]
    return _joined(lines, language)


def _refusal_key(told: Refusal) -> str:
    if told.votes_max:
        return "limit_reached_per_poll"
    if told.code == "limit_reached" and told.limit:
        kinds = "_of_kinds" if told.limit.kinds else ""
        return f"limit_reached_per_{told.limit.per}{kinds}"
    return told.code


def _lacking(pool: str, lists: list[str], language: Language) -> str:
    names = ("、" if language == "zh" else ", ").join(_said(LISTS[name], language) for name in lists)
    return _said(LACKING, language).format(pool=pool, lists=names)


def account(told: Account, zone: tzinfo, language: Language) -> str:
    """How an enrollment came to what it is, in a few sentences."""
    facts = {"number": told.number, "position": told.position, "ahead": told.position - 1, "seq": told.seq}
    sentences = [NUMBER]
    if told.given is not None:
        sentences.append(QUEUE)
        facts |= {"given": told.given.ahead, "behind": told.given.behind, "left": told.given.left}
        if told.given.ahead or told.given.left:
            sentences.append(MOVED)
        if told.given.behind:
            sentences.append(PASSED)
    if told.drawn is not None:
        cut = told.drawn.cut
        facts |= {
            "place": told.drawn.place,
            "free": cut.free,
            "members": told.drawn.members,
            "entries": cut.entries,
            "seats": cut.seats,
            "last_place": cut.last_place,
        }
        sentences.append(DRAWN if told.drawn.weight else VOTED)
        if told.drawn.blocked:
            sentences.append(BLOCKED)
        elif cut.free:
            sentences.append(CUT if cut.seats else NONE_GIVEN)
        else:
            sentences.append(NO_CUT)
    lines = [step(each, zone, language) for each in told.steps]
    return _joined(
        [*lines[:1], _said(NUMBER, language).format_map(facts), *lines[1:]]
        + [_said(text, language).format_map(facts) for text in sentences[1:]],
        language,
    )


def step(told: Step, zone: tzinfo, language: Language) -> str:
    """One step of an account."""
    facts = {
        "at": when(told.at, zone),
        "seq": told.seq,
        "pool": told.pool,
        "seat": told.seat,
        "position": told.position,
        "by": _said(BY[told.by], language),
        "cause": _said(CAUSES[told.cause], language) if told.cause else "",
        "until": when(told.expires_at, zone) if told.expires_at else "",
    }
    key = told.type if told.type in STEPS else f"{told.type}_{told.status}"
    return "".join(_said(text, language) for text in _step_texts(key, told)).format_map(facts)


def _step_texts(key: str, told: Step) -> Iterator[Text]:
    yield ("序号 {seq}（{at}）：", "Seq {seq} ({at}): ")
    yield STEPS[key]
    if told.cause:
        yield ("（{cause}）", " ({cause})")
    yield ("。", ".")


def chance(told: Chance, zone: tzinfo, language: Language) -> str:
    """One next chance."""
    facts = {
        "offering": told.offering,
        "pool": told.pool,
        "since": when(told.since, zone),
        "until": when(told.until, zone),
        "free": told.free,
    }
    return _said(CHANCES[told.kind], language).format_map(facts)


def _said(text: Text, language: Language) -> str:
    return text[0 if language == "zh" else 1]


def _joined(lines: list[str], language: Language) -> str:
    return ("" if language == "zh" else " ").join(lines)


REFUSALS: Final[dict[str, Text]] = {
    "closed": (
        "截至序号 {seq}，该活动的报名已结束（{closes} 截止，或已开始抽签）。",
        "As of seq {seq} sign-up was over: it closed at {closes}, or its draw had begun.",
    ),
    "not_open": (
        "截至序号 {seq}，报名尚未对您开始。",
        "As of seq {seq} sign-up had not begun for you.",
    ),
    "not_eligible": (
        "截至序号 {seq}，以您现在的身份信息，所要的名额池都不对您开放。",
        "As of seq {seq}, none of the pools that were asked for is open to your attributes as they are now.",
    ),
    "already_in": (
        "截至序号 {seq}，您已报名该活动（{status}）。",
        "As of seq {seq} you were in this offering already ({status}).",
    ),
    "not_ready": (
        "截至序号 {seq}，该活动或您已参加的活动正在抽签：先前报名的人在先，结果也会计入您的限额。",
        (
            "As of seq {seq} a draw was under way, of this offering or of one that you entered: who was in time comes "
            "first, and its results count for your limits."
        ),
    ),
    "limit_reached_per_campaign": (
        "截至序号 {seq}，您在本批次已有 {count} 项有效报名（{offerings}），每人最多 {max} 项。",
        "As of seq {seq} your live enrollments of this campaign were {count} ({offerings}); {max} is the most.",
    ),
    "limit_reached_per_poll": (
        "截至序号 {seq}，您已投 {count} 票（{offerings}），每人最多 {max} 票。",
        "As of seq {seq} your votes were {count} ({offerings}); {max} is the most.",
    ),
    "limit_reached_per_day": (
        "截至序号 {seq}，您在同一天已有 {count} 项有效报名（{offerings}），每人每天最多 {max} 项。",
        "As of seq {seq} your live enrollments on the same day were {count} ({offerings}); {max} is the most.",
    ),
    "limit_reached_per_campaign_of_kinds": (
        "截至序号 {seq}，您在本批次已有 {count} 项这类活动的有效报名（{offerings}），每人最多 {max} 项。",
        "As of seq {seq} your live enrollments of such offerings were {count} ({offerings}); {max} is the most.",
    ),
    "limit_reached_per_day_of_kinds": (
        "截至序号 {seq}，您在同一天已有 {count} 项这类活动的有效报名（{offerings}），每人每天最多 {max} 项。",
        (
            "As of seq {seq} your live enrollments of such offerings on the same day were {count} ({offerings}); "
            "{max} is the most."
        ),
    ),
    "overlap": (
        "截至序号 {seq}，您已报名时间冲突的活动：{offerings}。",
        "As of seq {seq} you were enrolled in {offerings}, which meets at the same time.",
    ),
    "sold_out": (
        "截至序号 {seq}，您可用的 {capacity} 个名额已占用 {taken} 个；在您之前该活动已有 {sign_ups} 次报名成功。",
        (
            "As of seq {seq}, {taken} of the {capacity} seats that you may take were taken; {sign_ups} sign-ups for "
            "this offering had succeeded before."
        ),
    ),
    "none": (
        "按记录，截至序号 {seq} 没有妨碍您报名的规定；当时的请求可能指定了别的名额池，或您的身份信息有变化。",
        (
            "By the records nothing stood against you at seq {seq}. The request may have asked for another pool, or "
            "your attributes may have changed since."
        ),
    ),
}
NO_SIGN_UP: Final = (
    "截至序号 {seq}，这一轮不接受报名：名额归上一轮的优胜者。",
    "As of seq {seq} nobody signed up for this round: its seats go to the best of the round before.",
)
CUT_OFF: Final = (
    "最后一个名额在序号 {last}（{last_at}）给出。",
    "The last seat was given at seq {last} ({last_at}).",
)
WAITLIST_FULL: Final = (
    "候补也已满：{waiting} 人，最多 {waiting_max} 人。",
    "The waitlist was full too: {waiting} of {waiting_max}.",
)
KEPT: Final = (
    "您在 {offerings} 的候补位保留。",
    "Your place in the queue for {offerings} is kept.",
)
LACKING: Final = (
    "名额池 {pool} 另有要求，您不符合其中的{lists}。",
    "The pool {pool} asks for {lists} that you do not have.",
)
BY_CODE: Final = (
    "名额池 {pool} 可凭邀请码报名；当时用的邀请码没有记录。",
    "An invitation code opens the pool {pool}; which code the request had, if any, is not recorded.",
)
LISTS: Final[dict[str, Text]] = {
    "units": ("单位", "units"),
    "industries": ("行业", "industries"),
    "tags": ("标签", "tags"),
}

NUMBER: Final = (
    "这是该活动第 {number} 次成功的报名。",
    "It was sign-up number {number} for this offering to succeed.",
)
QUEUE: Final = (
    "截至序号 {seq}，您在候补第 {position} 位，前面有 {ahead} 人。",
    "As of seq {seq} you are number {position} on the waitlist, with {ahead} ahead of you.",
)
MOVED: Final = (
    "开始候补以来，前面有 {given} 人得到名额，{left} 人离开。",
    "Since you wait, {given} who were ahead got seats and {left} left.",
)
PASSED: Final = (
    "另有 {behind} 个名额给了排在后面的人：这些名额池您不能用。",
    "{behind} seats went to members behind you, of pools that you may not take.",
)
DRAWN: Final = (
    "抽签次序：{members} 人中第 {place} 位。该活动有 {entries} 人填报，{free} 个名额给出 {seats} 个。",
    (
        "In the draw you were number {place} of {members}; {entries} wished for this offering, and of its {free} seats "
        "{seats} were given."
    ),
)
VOTED: Final = (
    "投票次序：{members} 人中第 {place} 位。该活动有 {entries} 票，{free} 个名额给出 {seats} 个。",
    (
        "In the order of votes you were number {place} of {members}; {entries} voted for this offering, and of its "
        "{free} seats {seats} were given."
    ),
)
BLOCKED: Final = (
    "轮到您时还有名额，但您在本批次已有的报名（限额或时间冲突）使您不能再得这一个。",
    (
        "There was a seat when it was your turn; what you had in this campaign, or had just got, stood against it: a "
        "limit, or sessions at the same time."
    ),
)
NONE_GIVEN: Final = ("没有人得到名额。", "Nobody got one.")
CUT: Final = ("名额到第 {last_place} 位为止。", "The seats ended at place {last_place}.")
NO_CUT: Final = ("没有名额可抽。", "There were no seats to draw.")

BY: Final[dict[str, Text]] = {
    "self": ("本人", "you"),
    "officer": ("工会干部", "an officer"),
    "system": ("系统", "the system"),
}
CAUSES: Final[dict[str, Text]] = {
    "cancelled": ("有人取消", "somebody cancelled"),
    "declined": ("有人放弃名额", "somebody declined a seat"),
    "lapsed": ("有人的名额过期", "somebody's seat lapsed"),
    "released": ("名额池开放", "a pool was released"),
    "merged": ("名额池合并", "pools merged"),
    "published": ("批次文档有变动", "the document was changed"),
    "draw_ended": ("抽签结束", "the draw ended"),
}
STEPS: Final[dict[str, Text]] = {
    "enrolled_confirmed": (
        "报名成功，得到名额池 {pool} 的 {seat} 号",
        "signed up by {by}, with seat {seat} of the pool {pool}",
    ),
    "enrolled_held": (
        "报名，名额池 {pool} 的 {seat} 号暂留至 {until}",
        "signed up by {by}, with seat {seat} of the pool {pool} held until {until}",
    ),
    "enrolled_waitlisted": (
        "报名时名额已满，候补第 {position} 位",
        "signed up by {by} when seats were gone, as number {position} on the waitlist",
    ),
    "enrolled_entered": ("已登记，等待抽签或开班", "entered by {by}, for the draw or the poll"),
    "advanced_confirmed": (
        "晋级，得到名额池 {pool} 的 {seat} 号",
        "advanced, with seat {seat} of the pool {pool}",
    ),
    "advanced_held": (
        "晋级，名额池 {pool} 的 {seat} 号暂留至 {until}",
        "advanced, with seat {seat} of the pool {pool} held until {until}",
    ),
    "advanced_waitlisted": (
        "晋级替补，候补第 {position} 位",
        "advanced as a substitute, as number {position} on the waitlist",
    ),
    "drawn_confirmed": (
        "得到名额池 {pool} 的 {seat} 号",
        "given seat {seat} of the pool {pool}",
    ),
    "drawn_held": (
        "得到名额池 {pool} 的 {seat} 号，暂留至 {until}",
        "given seat {seat} of the pool {pool}, held until {until}",
    ),
    "drawn_waitlisted": (
        "没有得到名额，候补第 {position} 位",
        "given no seat, but number {position} on the waitlist",
    ),
    "drawn_not_drawn": ("没有得到名额", "given no seat"),
    "promoted_confirmed": (
        "递补，得到名额池 {pool} 的 {seat} 号",
        "promoted to seat {seat} of the pool {pool}",
    ),
    "promoted_offered": (
        "递补，名额池 {pool} 的 {seat} 号为您保留至 {until}",
        "offered seat {seat} of the pool {pool} until {until}",
    ),
    "confirmed": ("确认名额（{by}）", "the seat was taken by {by}"),
    "declined": ("放弃名额（{by}）", "the seat was declined by {by}"),
    "cancelled": ("取消（{by}）", "cancelled by {by}"),
    "lapsed": ("未及时确认，名额过期", "the seat lapsed, since it was not taken in time"),
}
"""By the event's type, or where that is not enough by type and status."""
CHANCES: Final[dict[str, Text]] = {
    "merge": (
        "名额池 {pool} 自 {since} 起也对您的单位开放，截至该序号有 {free} 个空余；候补的人在先。",
        (
            "From {since} on the pool {pool} is for your unit too; as of this seq {free} of its seats were free. Who "
            "waits comes first."
        ),
    ),
    "demand": (
        "{until} 之前，候补 {offering} 的人数足够时自动开班。",
        "Until {until} it opens by itself once enough wait for {offering}.",
    ),
    "opens": ("{since} 开始报名。", "Sign-up opens at {since}."),
    "release": (
        "名额池 {pool} 自 {since} 起也对您开放，截至该序号有 {free} 个空余；候补的人在先。",
        (
            "From {since} on the pool {pool} is open to you too; as of this seq {free} of its seats were free. Who "
            "waits comes first."
        ),
    ),
    "cancellation": (
        "{until} 之前如有人取消且无人候补，名额归最先报名的人。",
        "Where nobody waits, until {until} a seat that is cancelled goes to whoever asks first.",
    ),
    "waitlist": (
        "{until} 之前，候补中有人递补或离开，就有候补位空出。",
        "Until {until} a place on the waitlist comes free when somebody on it gets a seat or leaves.",
    ),
    "other_pool": (
        "该活动的名额池 {pool} 截至该序号有 {free} 个名额您可以报。",
        "The pool {pool} of the same offering had {free} seats for you as of this seq.",
    ),
    "other_offering": (
        "本批次的 {offering} 截至该序号有 {free} 个名额您可以报，{until} 截止。",
        "{offering} of the same campaign had {free} seats for you as of this seq, and closes at {until}.",
    ),
    "own_cancellation": (
        "{until} 之前可以取消您在 {offering} 的报名。",
        "Until {until} you can cancel your enrollment in {offering}.",
    ),
    "draw": ("等待抽签结果。", "The draw's result."),
    "queue": (
        "{until} 之前有名额空出时，按候补次序递补。",
        "Until {until} seats that come free go to the waitlist in its order.",
    ),
    "confirm": ("请在 {until} 之前确认名额。", "Take the seat before {until}."),
    "sign_up_again": ("{until} 之前可以重新报名。", "Until {until} you can sign up again."),
}
