"""Ballot: entries are collected until the offering closes, then a draw gives the seats; docs/draws.md has the rules."""

from typing import Final

from msgspec import Struct

from engine.domain.policies.policy import Policy

POLICY: Final = Policy(name="ballot", family="deferred")


class Lottery(Struct, frozen=True, array_like=True):
    """What the order of a campaign's draw rests on, made before its first entry."""

    salt: str
    """32 hexadecimal digits, public: of the pseudonyms."""
    commitment: str
    """64 hexadecimal digits, public: the SHA-256 of the seed's bytes."""
    seed: str
    """64 hexadecimal digits, secret until the draw."""
