"""Answers as a load sees them: which are failures of the service, and what a look says of its moment."""

from typing import Final

import msgspec

from loadtests import checker
from loadtests.exchange import Exchange, Kind

NO_ANSWER: Final = 0


class _Moment(msgspec.Struct):
    seq: int


class _NotOpen(msgspec.Struct):
    code: str = ""


_moment = msgspec.json.Decoder(_Moment)
_refusal = msgspec.json.Decoder(_NotOpen)


def code_of(status: int, body: bytes) -> str:
    """The code of a refusal; "" for every other answer."""
    if status < 400:
        return ""
    try:
        return _refusal.decode(body).code
    except msgspec.DecodeError:
        return ""


def failure(kind: Kind, status: int, body: bytes, retry_after: str) -> str:
    """What makes an answer a failure of the service, "" for nothing.

    A refusal is an answer, and so is 503 or 429 that says when to come back. No answer in time, any other 5xx, and an
    answer that such a request may not get, are failures.
    """
    if status == NO_ANSWER:
        return "no answer"
    if status in (429, 503):
        return "" if retry_after else f"{status} without Retry-After"
    code = code_of(status, body)
    return "" if checker.is_expected(kind, status, code) else f"unexpected {status} {code}".rstrip()


def moment(status: int, body: bytes, etag: str) -> bytes:
    """What is kept of a campaign that was looked at: the seq as of which it was shown, as JSON.

    The rest is the document, again and again. A 304 says it by the entity tag that it confirms, `"<version>.<seq>"`.
    """
    if status == 200:
        return msgspec.json.encode(_moment.decode(body))
    if status == 304:
        return msgspec.json.encode(_Moment(int(etag.strip('"').rpartition(".")[2])))
    return body


def is_seat(exchange: Exchange) -> bool:
    """Whether a sign-up succeeded: with a seat, a hold, or a place to wait."""
    return exchange.kind == "sign_up" and exchange.status in (200, 201, 202)
