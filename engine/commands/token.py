"""`token`: print a token signed with the deployment's secret."""

import time
from collections.abc import Sequence
from typing import Final

from api import tokens
from engine.config import Settings
from engine.domain.person import Person, Role

TTL_S_DEFAULT: Final = 3600


def run(
    settings: Settings,
    sub: str,
    unit: str,
    industry: str,
    tags: Sequence[str],
    roles: Sequence[Role],
    ttl_s: int,
) -> int:
    """Print the token. Raises tokens.ClaimsError or tokens.TokenSecretError."""
    person = Person(
        sub=sub, unit=unit, industry=industry, tags=tuple(tags), roles=frozenset(roles or ("member",))
    )
    secret = tokens.load_secret(settings.data, settings.token_secret)
    print(tokens.sign(secret, person, time.time() + ttl_s))
    return 0
