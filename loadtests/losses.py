"""What a loss may explain: answers of the last moments before it, about what the log does not have."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from api.views import Enrollment
from engine.domain.events import Event
from loadtests.exchange import Exchange


class _AsOf(Struct):
    """What a refusal or a look says of when it was decided."""

    as_of_seq: int = 0
    seq: int = 0


_enrollment = msgspec.json.Decoder(Enrollment)
_as_of = msgspec.json.Decoder(_AsOf)


class Loss(Struct, frozen=True):
    """A span of time, CLOCK_MONOTONIC in nanoseconds, whose answers may be lost."""

    from_ns: int
    until_ns: int

    def part(
        self, log: Iterable[Event], exchanges: Sequence[Exchange]
    ) -> tuple[list[Exchange], list[Exchange]]:
        """Those that must stand, and those that are lost: answered in the span, of what the log does not have.

        Of the epoch that was lost the log has a beginning: whatever was decided after its end is lost.
        """
        first_epoch = [event for event in log if event.epoch == 1]
        versions = {(event.header.enrollment, event.record.version) for event in first_epoch if event.record}
        last_seq = first_epoch[-1].seq if first_epoch else 0
        stands: list[Exchange] = []
        lost: list[Exchange] = []
        for exchange in exchanges:
            in_span = self.from_ns <= exchange.answered_ns <= self.until_ns
            is_lost = in_span and _is_after(exchange, versions, last_seq)
            (lost if is_lost else stands).append(exchange)
        return stands, lost


def _is_after(exchange: Exchange, versions: set[tuple[str, int]], last_seq: int) -> bool:
    """Whether an answer may rest on what came after the end of the log.

    A list does not say as of when it is, and shows nothing of what was left: any may.
    """
    if exchange.kind == "mine":
        return True
    if exchange.status in (403, 409, 410, 422) or exchange.kind == "campaign":
        said = _as_of.decode(exchange.body) if exchange.body else _AsOf()
        return (said.as_of_seq or said.seq) > last_seq
    if exchange.status not in (200, 201, 202):
        return False
    told = _enrollment.decode(exchange.body)
    return (told.enrollment, told.version) not in versions
