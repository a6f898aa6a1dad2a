"""The rush: members wait on the page, click around the opening, and try another workshop when theirs is gone."""

import gevent

from loadtests.rehearsal import answers
from loadtests.rehearsal.member import Member


def act(member: Member, campaign: str) -> None:
    """One member's opening."""
    character, plan = member.character, member.plan
    wishes = character.wishes(plan.offerings())
    member.stay_on_page(campaign, wishes[0], until=plan.opens_at + character.click_after_s())
    for offering in wishes[: 1 + plan.retries]:
        said = member.sign_up(campaign, offering)
        if answers.code_of(said.status, said.body) not in ("sold_out", "overlap"):
            break
        gevent.sleep(character.thought_s())
    if character.happens(0.3):
        member.ask("mine", campaign)


class Rush(Member):
    """Who wants a seat of the moment."""

    def rehearse(self) -> None:
        act(self, self.plan.names()[0])
