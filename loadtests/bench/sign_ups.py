"""Prepared sign-ups: every one of a member, with a token and a key, that the process has never seen."""

import secrets
import time
from collections.abc import Sequence
from typing import Final

from api import tokens
from engine.domain.person import Person
from loadtests import http_load, ws_load

TOKEN_TTL_S: Final = 3600.0


def token(secret: bytes) -> str:
    """A token of a new member, as they are in a rush: with a unit, a trade and a tag."""
    person = Person(f"m-{secrets.token_hex(7)}", "xicheng.health.fuxing", "health", ("outdoor",))
    return tokens.sign(secret, person, time.time() + TOKEN_TTL_S)


def path(campaign: str, offering: str) -> str:
    """Where sign-ups go over HTTP."""
    return f"/v1/campaigns/{campaign}/offerings/{offering}/enrollments"


def over_http(secret: bytes, campaign: str, offering: str, count: int) -> list[bytes]:
    """Requests of as many members."""
    where = path(campaign, offering)
    return [
        http_load.request("POST", where, token(secret), b"{}", secrets.token_hex(16)) for _ in range(count)
    ]


def over_websocket(
    secret: bytes, campaign: str, offerings: Sequence[str], members: int
) -> list[ws_load.Conversation]:
    """A connection for each of the members, who signs up for each of the offerings."""
    return [
        ws_load.Conversation(
            token(secret),
            [ws_load.sign_up(campaign, offering, secrets.token_hex(16)) for offering in offerings],
        )
        for _ in range(members)
    ]


def over_shared_websockets(
    secret: bytes, campaign: str, offering: str, connections: int, members_each: int
) -> list[ws_load.Conversation]:
    """Connections on each of which so many members follow one another: an `auth` and a sign-up in one write."""
    return [
        ws_load.Conversation(
            token(secret),
            [
                ws_load.sign_up(campaign, offering, secrets.token_hex(16), before=ws_load.auth(token(secret)))
                for _ in range(members_each)
            ],
        )
        for _ in range(connections)
    ]
