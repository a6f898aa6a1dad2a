"""What a load records: every request that was sent, and its answer to the byte."""

from typing import Final, Literal

from msgspec import Struct

Kind = Literal["sign_up", "cancel", "confirm", "decline", "find", "mine", "campaign"]

CHANGES: Final = frozenset({"cancel", "confirm", "decline"})
"""Requests that change one enrollment."""

UNDECIDED: Final = frozenset({0, 429, 503})
"""No answer, or one after which a client has to ask again: whether the request was carried out may not be known."""


class Exchange(Struct, frozen=True, array_like=True):
    """One request and its answer. Times are CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share."""

    kind: Kind
    member: str
    unit: str
    sent_ns: int
    answered_ns: int
    status: int
    """0 when the connection broke: whether the request was carried out is then not known."""
    body: bytes
    """Of `campaign` at least its `seq`."""
    offering: str = ""
    """Of a sign-up, as are `key` and `wanted`; "" for none."""
    key: str = ""
    wanted: str = ""
    enrollment: str = ""
    """Of a change, and of `find`."""
    campaign: str = ""
    """Where a load has more than one."""
    retry_after: str = ""
    """The header of the answer; "" for none."""


class Refusal(Struct, frozen=True):
    """What is read of a problem document."""

    code: str
    as_of_seq: int = 0


class Violation(Struct, frozen=True):
    """A broken promise: which rule, and what shows it."""

    rule: str
    what: str
