"""Churn: seats are held, confirmed, left to lapse, cancelled, and offered to those who wait."""

import time

import gevent

from api.views import Enrollment
from loadtests.rehearsal import answers
from loadtests.rehearsal.member import Member, enrollment_of

LOOKS_MAX = 8
"""How often one who waits looks before giving up."""


def act(member: Member, campaign: str) -> None:
    """Sign up, change one's mind, and again, until the end."""
    character, plan = member.character, member.plan
    first = character.wishes(plan.offerings())[0]
    member.stay_on_page(campaign, first, until=plan.opens_at + character.click_after_s())
    while time.time() < member.over_at:
        said = member.sign_up(campaign, character.random.choice(plan.offerings()))
        if answers.is_seat(said):
            _have(member, campaign, enrollment_of(said))
        gevent.sleep(character.thought_s())


def _have(member: Member, campaign: str, enrollment: Enrollment) -> None:
    """Follow an enrollment: wait for its turn, take or leave what is held or offered, keep it or give it back."""
    character, name = member.character, enrollment.enrollment
    looks = 0
    while enrollment.status == "waitlisted" and looks < LOOKS_MAX and time.time() < member.over_at:
        gevent.sleep(character.thought_s())
        said = member.ask("find", campaign, enrollment=name)
        if said.status != 200:
            return
        enrollment, looks = enrollment_of(said), looks + 1
    if enrollment.status in ("held", "offered"):
        _answer(member, campaign, enrollment)
    elif character.happens(0.1):
        # Nothing is held or offered: this has to be refused, or to say that it is confirmed already.
        member.ask("confirm", campaign, enrollment=name)
    gevent.sleep(character.thought_s())
    if character.happens(0.2):
        member.ask("mine", campaign)
    if character.happens(0.7):
        member.ask("cancel", campaign, enrollment=name)
        if character.happens(0.2):
            member.ask("cancel", campaign, enrollment=name)


def _answer(member: Member, campaign: str, enrollment: Enrollment) -> None:
    """Take it, leave it, or let it lapse; some come back too late."""
    character, name = member.character, enrollment.enrollment
    choice = character.random.random()
    if choice < 0.55:
        gevent.sleep(character.reaction_s())
        member.ask("confirm", campaign, enrollment=name)
        if character.happens(0.2):
            member.ask("confirm", campaign, enrollment=name)
    elif choice < 0.75:
        gevent.sleep(character.reaction_s())
        member.ask("decline", campaign, enrollment=name)
    else:
        while enrollment.status in ("held", "offered") and time.time() < member.over_at:
            gevent.sleep(character.thought_s())
            said = member.ask("find", campaign, enrollment=name)
            if said.status != 200:
                return
            enrollment = enrollment_of(said)
        if character.happens(0.5):
            member.ask(character.random.choice(("confirm", "decline")), campaign, enrollment=name)


class Churn(Member):
    """Who cannot decide."""

    def rehearse(self) -> None:
        act(self, self.plan.names()[0])
