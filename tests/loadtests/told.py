"""A rush as tests tell it, of which one event or answer can be changed."""

from typing import Any

from msgspec import Struct, structs

from engine.domain.campaign import Campaign
from engine.domain.events import Event
from loadtests import checker
from loadtests.exchange import Exchange


class Rush(Struct):
    """A log, and what was said."""

    campaign: Campaign
    log: list[Event]
    exchanges: list[Exchange]

    def rules(self, *, interrupted: bool = False) -> set[str]:
        """The rules that the checker finds broken."""
        found = checker.check(self.campaign, self.log, self.exchanges, interrupted=interrupted)
        return {violation.rule for violation in found}

    def event(self, index: int, header: dict[str, Any] | None = None, **record: Any) -> None:
        """Change an event and its record."""
        old = self.log[index]
        assert old.record is not None
        self.log[index] = structs.replace(
            old,
            header=structs.replace(old.header, **header or {}),
            record=structs.replace(old.record, **record),
        )

    def exchange(self, index: int, **changed: Any) -> None:
        """Change an exchange."""
        self.exchanges[index] = structs.replace(self.exchanges[index], **changed)

    def body(self, index: int, old: bytes, new: bytes) -> None:
        """Change what was answered."""
        body = self.exchanges[index].body
        assert old in body
        self.exchange(index, body=body.replace(old, new))
