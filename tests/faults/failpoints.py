"""Failpoints: steps of a worker at which it kills itself, once, when a file of the step's name lies in a directory.

They are put around the engine's own methods from outside, in a process of `tests.faults.child`: the engine has none.
"""

import os
import signal
import sqlite3
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final

from engine.ledger.sqlite import SqliteLedger
from engine.live.decisions import Decisions
from engine.live.streams import Streams

DIRECTORY: Final = "failpoints"

_AFTER: Final[dict[str, tuple[type, str]]] = {
    "leased": (Streams, "lease"),
    "events-read": (Streams, "next"),
    "brought-about": (Decisions, "advance"),
    "draw-looked-up": (SqliteLedger, "draw"),
    "draw-kept": (SqliteLedger, "keep_draw"),
}
"""Steps right after a method has returned."""

STEPS: Final = (*_AFTER, "before-commit", "after-commit", "draw-began", "draw-settled")


class _Connection(sqlite3.Connection):
    """One that may end the process on either side of a COMMIT."""

    reach: Callable[[str], None]

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        """As sqlite3.Connection.execute."""
        if statement != "COMMIT":
            return super().execute(statement, *arguments)
        self.reach("before-commit")
        cursor = super().execute(statement, *arguments)
        self.reach("after-commit")
        return cursor


def install(data: Path) -> None:
    """Put failpoints into this process, which files in the data directory arm."""

    def reach(step: str) -> None:
        armed = data / DIRECTORY / step
        if armed.exists():
            armed.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    for step, (owner, name) in _AFTER.items():
        setattr(owner, name, _followed(getattr(owner, name), _reaches(reach, step)))

    def reach_verb(arguments: Any) -> None:
        if arguments[1] == "draw" and "begin" in arguments:
            reach("draw-began")
        elif arguments[1] == "settle":
            reach("draw-settled")

    setattr(Decisions, "command", _followed(Decisions.command, reach_verb))  # noqa: B010
    _Connection.reach = staticmethod(reach)
    vars(sqlite3)["connect"] = partial(sqlite3.connect, factory=_Connection)


def _reaches(reach: Callable[[str], None], step: str) -> Callable[[Any], None]:
    return lambda arguments: reach(step)


def _followed(method: Any, then: Callable[[Any], None]) -> Any:
    @wraps(method)
    async def call(*arguments: Any, **named: Any) -> Any:
        answer = await method(*arguments, **named)
        then(arguments)
        return answer

    return call
