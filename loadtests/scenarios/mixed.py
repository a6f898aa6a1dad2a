"""A day of many campaigns: at each some rush, some browse and, where seats are held and offered, some churn."""

from loadtests.rehearsal.member import Member
from loadtests.scenarios import browse, churn, rush


class Mixed(Member):
    """One of the three, at one of the campaigns."""

    def rehearse(self) -> None:
        campaign = self.character.random.choice(self.plan.names())
        if self.character.happens(0.25):
            browse.act(self, campaign)
        elif self.plan.churns(campaign):
            churn.act(self, campaign)
        else:
            rush.act(self, campaign)
