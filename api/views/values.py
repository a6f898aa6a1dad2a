"""What the views share: counts, moments, seconds."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from engine.domain.instants import iso

Count = Annotated[int, Meta(ge=0)]


Seconds = Annotated[float, Meta(ge=0)]


Share = Annotated[float, Meta(ge=0)]


Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


def moment(at: int) -> str | None:
    """UTC milliseconds as they are shown; 0 is no moment."""
    return iso(at) if at else None


def fields_of(document: Struct) -> dict[str, Any]:
    """What a Struct has, by name."""
    return {name: getattr(document, name) for name in document.__struct_fields__}
