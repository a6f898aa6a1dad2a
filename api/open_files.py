"""Open files: each connection is one, and a process that has none left can reach neither Redis nor its ledger."""

import logging
import resource
from contextlib import suppress
from typing import Final

logger = logging.getLogger(__name__)

KEPT: Final = 256
"""For all that is not a client: listeners, Redis, the ledger, metrics."""


def room_for(connections_max: int) -> int:
    """How many connections of clients there may be: as many as asked for, or as the system's limit has room for.

    The soft limit, often 1,024, is raised as far as it takes and the hard one allows.
    """
    wanted = connections_max + KEPT
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # macOS has a bound of its own, which it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections_max
    room = max(1, soft - KEPT)
    logger.warning("at most %d connections: the limit on open files is %d", room, soft)
    return room
