"""An event that nobody can read lies in the stream."""

import asyncio
from random import Random

from engine.live import keys
from tests.faults.kind import Promise
from tests.faults.stand import Needs
from tests.faults.trial import BACK_WITHIN_S, LOOK_S, Trial

# As a version of the code would write it that this one does not know: under the next seq, with other fields.
POISON = """
    local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
    redis.call('XADD', KEYS[2], redis.call('HGET', KEYS[1], 'epoch') .. '-' .. seq, ARGV[1], ARGV[2])
    return seq
"""
FIELDS = ((b"x", b"garbage"), (b"h", b"\xc1"), (b"h", b"\x91\x63"))
ENTRIES_MAX = 5


class Poisoned:
    """Entries with fields that mean nothing: each becomes a dead letter at its seq, and all others are recorded."""

    name = "poisoned"
    promise: Promise = "keeps"
    needs = Needs()

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        meta, stream = keys.of(trial.sale, "META"), keys.of(trial.sale, "EVENTS")
        with trial.stand.redis() as client:
            for _ in range(ENTRIES_MAX):
                await trial.pause(chance, 0.0, 0.3 * trial.seconds)
                seq = await asyncio.to_thread(client.eval, POISON, 2, meta, stream, *chance.choice(FIELDS))
                trial.poisoned.add(int(seq))
        async with trial.stand.runtime() as opened, asyncio.timeout(BACK_WITHIN_S):
            while True:
                letters = await opened.ledger.dead_letters(trial.sale)
                if {letter.seq for letter in letters} == trial.poisoned:
                    return
                await asyncio.sleep(LOOK_S)
