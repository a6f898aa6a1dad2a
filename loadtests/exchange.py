"""What a load records: every request that was sent, and its answer to the byte."""

from typing import Literal

from msgspec import Struct


class Exchange(Struct, frozen=True, array_like=True):
    """One request and its answer. Times are CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share."""

    kind: Literal["sign_up", "cancel", "find"]
    member: str
    unit: str
    sent_ns: int
    answered_ns: int
    status: int
    """0 when the connection broke: whether the request was carried out is then not known."""
    body: bytes
    offering: str = ""
    """Of a sign-up, as are `key` and `wanted`; "" for none."""
    key: str = ""
    wanted: str = ""
    enrollment: str = ""
    """Of what is not a sign-up."""
