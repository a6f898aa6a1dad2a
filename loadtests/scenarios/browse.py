"""Browsing: members look at what there is and at what is theirs; one in twenty signs up."""

import time

import gevent

from loadtests.rehearsal.member import Member


def act(member: Member, campaign: str) -> None:
    """Look around until the end."""
    character, plan = member.character, member.plan
    member.ask("campaign", campaign)
    gevent.sleep(max(0, plan.opens_at - time.time()) + character.thought_s())
    if character.happens(0.05):
        member.sign_up(campaign, character.wishes(plan.offerings())[0])
    while time.time() < member.over_at:
        member.ask("mine" if character.happens(0.2) else "campaign", campaign)
        gevent.sleep(character.thought_s())


class Browse(Member):
    """Who has time."""

    def rehearse(self) -> None:
        act(self, self.plan.names()[0])
