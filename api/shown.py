"""What is shown of a campaign, as ready bytes: a definition is encoded once, and the counts are put into its gaps."""

from typing import Final, cast

import msgspec
from msgspec import Raw

from api import views
from engine.domain import policies
from engine.domain.definition import Definition
from engine.domain.instants import iso
from engine.live.counts import Counts


class _Gaps:
    """In the place of counts: a byte that no JSON holds."""

    seq: Final = Raw(b"\0")

    def taken(self, offering: str, pool: str) -> Raw:
        return self.seq

    def waiting(self, offering: str) -> Raw:
        return self.seq

    def entered(self, offering: str) -> Raw:
        return self.seq

    def draw(self, offering: str) -> Raw:
        return self.seq

    def met_at(self, offering: str) -> Raw:
        return self.seq


_GAPS: Final = cast("Counts", _Gaps())
_SEQ: Final = b"seq"
_MET: Final = b"met/"


class Shown:
    """One version of a campaign, whole and by offering, with the counts of the moment."""

    def __init__(self, definition: Definition) -> None:
        self.definition: Final = definition
        self._offerings: dict[str, _Template] = {}
        whole: list[bytes] = []
        for offering in definition.document.offerings:
            name = offering.offering
            fields = [f"taken/{name}/{pool.pool}".encode() for pool in offering.pools]
            fields.append(f"waiting/{name}".encode())
            if policies.collects_until(offering):
                fields += (f"entered/{name}".encode(), f"draw/{name}".encode())
            if offering.policy.name in views.OPENED_BY_DEMAND:
                fields.append(_MET + name.encode())
            whole += fields
            self._offerings[name] = _Template(views.offering(offering, _GAPS), fields)
        self._whole = _Template(views.campaign(definition, _GAPS), [*whole, _SEQ])
        self._counts: Counts | None = None
        self._body = b""

    def campaign(self, counts: Counts) -> bytes:
        """The campaign; the same bytes while nothing has changed."""
        if self._counts is not counts:
            self._counts, self._body = counts, self._whole.filled(counts)
        return self._body

    def offering(self, name: str, counts: Counts) -> bytes:
        """One offering of it."""
        return self._offerings[name].filled(counts)


class _Template:
    """A document with a gap for each of some fields of the counts, in their order."""

    def __init__(self, document: object, fields: list[bytes]) -> None:
        self._chunks = msgspec.json.encode(document).split(b"\0")
        self._fields = fields
        assert len(self._chunks) == len(fields) + 1

    def filled(self, counts: Counts) -> bytes:
        numbers = {_SEQ: b"%d" % counts.seq, **counts.fields}
        parts = [self._chunks[0]]
        for field, chunk in zip(self._fields, self._chunks[1:], strict=True):
            number = numbers.get(field, b"0")
            parts += (_moment(number) if field.startswith(_MET) else number, chunk)
        return b"".join(parts)


def _moment(milliseconds: bytes) -> bytes:
    return b"null" if milliseconds == b"0" else f'"{iso(int(milliseconds))}"'.encode()


class Showcase:
    """The newest version of each campaign that somebody has asked for."""

    def __init__(self) -> None:
        self._shown: dict[str, Shown] = {}

    def of(self, definition: Definition) -> Shown:
        """A definition, made ready when it is new."""
        shown = self._shown.get(definition.campaign)
        if shown is None or shown.definition is not definition:
            shown = self._shown[definition.campaign] = Shown(definition)
        return shown
