"""Second class: opens by itself once enough members wait for another offering; for a time it is theirs alone.

Who takes a seat in it waits for the other no more; who has a seat in the other has none in it. docs/polls.md has the
rules.
"""

from typing import Final

from engine.domain.policies.policy import Policy

POLICY: Final = Policy(
    name="second_class",
    family="immediate",
    fields=frozenset({"of", "waiting", "kept_s"}),
    required=frozenset({"of", "waiting"}),
)
