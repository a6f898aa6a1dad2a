"""Which language an answer is in: zh-CN unless the client prefers English."""

from functools import lru_cache

from engine.domain.faults import Language


@lru_cache(maxsize=1024)
def choose(accept_language: str | None) -> Language:
    """The language that an Accept-Language header (RFC 9110, 12.5.4) asks for first among those there are."""
    best: tuple[float, Language] = (0.0, "zh")
    for part in (accept_language or "").split(",")[:32]:
        tag, _, parameter = part.partition(";")
        primary = tag.strip().lower().partition("-")[0]
        weight = _weight(parameter)
        if weight > best[0]:
            if primary == "en":
                best = (weight, "en")
            elif primary in ("zh", "*"):
                best = (weight, "zh")
    return best[1]


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
