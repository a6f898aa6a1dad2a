"""Times as distances from now, which files for the command line may use: `+10m`, `-1d`.

The command resolves them before it validates or sends anything, so that the server sees instants only.
"""

import re
from datetime import datetime, timedelta
from typing import Final

INSTANTS: Final = frozenset(
    {
        "opens",
        "closes",
        "cancel_until",
        "releases",
        "starts",
        "ends",
        "intents_open",
        "until",
        "at",
        "recomputed",
    }
)
"""The fields of a campaign document that are instants."""
LISTS: Final = frozenset({"merges"})
"""Those whose lists may have instants for entries."""

_DISTANCE = re.compile(r"([+-][0-9]{1,12})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def resolve(raw: object, now: datetime) -> object:
    """`raw` with each distance in the place of an instant as RFC 3339, in whole seconds, at the offset of `now`.

    All else stays as it is; what is no distance, or leads out of all calendars, is left for validation to name.
    """
    if isinstance(raw, list):
        return [resolve(part, now) for part in raw]
    if isinstance(raw, dict):
        return {field: _resolve_field(field, part, now) for field, part in raw.items()}
    return raw


def _resolve_field(field: str, part: object, now: datetime) -> object:
    if field in INSTANTS and isinstance(part, str):
        return instant(part, now)
    if field in LISTS and isinstance(part, list):
        return [instant(each, now) if isinstance(each, str) else resolve(each, now) for each in part]
    return resolve(part, now)


def instant(distance: str, now: datetime) -> str:
    """One of them, likewise."""
    parts = _DISTANCE.fullmatch(distance)
    if parts is None:
        return distance
    try:
        return (now.replace(microsecond=0) + timedelta(**{_UNITS[parts[2]]: int(parts[1])})).isoformat()
    except OverflowError:
        return distance
