"""The order of a draw: weighted sampling without replacement, from a seed that was committed to beforehand.

The algorithm is A-ES: P. S. Efraimidis and P. G. Spirakis, "Weighted random sampling with a reservoir", Information
Processing Letters 97 (2006). Each member's key comes from the seed and the member's pseudonym alone, so that nobody's
entry changes the order of others. docs/draws.md says the same for those who write it anew.
"""

import hashlib
import hmac
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from msgspec import Struct

SEED_BYTES: Final = 32
PSEUDONYM_DIGITS: Final = 32
DRAWS_MAX: Final = 10_000
"""Of one campaign. An offering is drawn once, so few have more than one."""
NUMBER_BYTES: Final = 16
DIGITS: Final = 50
"""Significant digits of a key. Two numbers that differ, differ in the 41st digit of their logarithms at the latest."""


LIMIT: Final = 2 ** (8 * NUMBER_BYTES)
NEAR: Final = 1e-12
"""A float is nearer to its key than this, relative to it: three roundings and a logarithm are some 1e-15 off."""


class Lottery(Struct, frozen=True, array_like=True):
    """What the draws of a campaign rest on, made before the first entry."""

    commitment: str
    """64 hexadecimal digits, public."""
    secret: str
    """64 hexadecimal digits: the end of the chain of seeds, from which all of them follow."""


def make(secret: bytes) -> Lottery:
    """The lottery of a new campaign, from SEED_BYTES random bytes."""
    return Lottery(_hashed(secret, DRAWS_MAX).hex(), secret.hex())


def seed(secret: str, draw: int) -> bytes:
    """The seed of a campaign's draw, 1..DRAWS_MAX.

    The seeds are a hash chain (L. Lamport, "Password authentication with insecure communication", 1981): each is the
    SHA-256 of the next, so that one commitment binds all of them, and one that is told says nothing of those to come.
    """
    if not 1 <= draw <= DRAWS_MAX:
        raise ValueError(f"a campaign has at most {DRAWS_MAX} draws")
    return _hashed(bytes.fromhex(secret), DRAWS_MAX - draw)


def commitment(seed: bytes, draw: int) -> str:
    """What is public of all seeds from the start, in hex: the SHA-256 of the first, found from any of them."""
    return _hashed(seed, draw).hex()


def _hashed(value: bytes, times: int) -> bytes:
    for _ in range(times):
        value = hashlib.sha256(value).digest()
    return value


def pseudonym(campaign: str, commitment: str, member: str) -> str:
    """The name of a member in the draws of a campaign, 32 hex digits."""
    named = f"{campaign}\n{commitment}\n{member}".encode()
    return hashlib.sha256(named).hexdigest()[:PSEUDONYM_DIGITS]


def number(seed: bytes, pseudonym: str) -> int:
    """The random number of a member, 1..2^128: u in (0, 1] as a multiple of 2^-128."""
    return int.from_bytes(hmac.digest(seed, pseudonym.encode(), "sha256")[:NUMBER_BYTES], "big") + 1


def key(number: int, weight: int) -> Decimal:
    """-ln(u) / weight, where u = number / 2^128; the weight in thousandths. The lowest key is the first.

    u is exact, the logarithm is rounded to DIGITS, and so is the quotient, half to even.
    """
    context = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)
    # number / 2^128 = number * 5^128 / 10^128
    u = Decimal(f"{number * 5**128}E-128")
    return context.divide(context.ln(u).copy_negate(), Decimal(weight))


def order(seed: bytes, weights: Mapping[str, int]) -> list[str]:
    """The members in the order of the draw, by key, then by pseudonym.

    `weights` has the weight of each pseudonym, in thousandths: 1 or more.
    """
    numbers = {member: number(seed, member) for member in weights}
    if len(set(weights.values())) <= 1:
        # With one weight the keys fall as the numbers rise, and a logarithm costs much more than the rest.
        return sorted(weights, key=lambda member: (-numbers[member], member))
    near = {member: _near_key(numbers[member], weight) for member, weight in weights.items()}
    order = sorted(weights, key=lambda member: near[member])
    return [
        member
        for run in _runs(order, near)
        for member in (
            sorted(run, key=lambda member: (key(numbers[member], weights[member]), member))
            if len(run) > 1
            else run
        )
    ]


def _near_key(number: int, weight: int) -> float:
    """The key within NEAR, since the decimals of a hundred thousand members would take seconds."""
    # As u comes near to 1, 1 - u is what a float can still tell.
    u = number / LIMIT
    return (-math.log(u) if u < 0.5 else -math.log1p((number - LIMIT) / LIMIT)) / weight


def _runs(order: Sequence[str], near: Mapping[str, float]) -> Iterator[list[str]]:
    """Parts of an order between which floats tell for sure what comes first."""
    run: list[str] = []
    for member in order:
        if run and near[member] > near[run[-1]] * (1 + NEAR):
            yield run
            run = []
        run.append(member)
    yield run
