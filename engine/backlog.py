"""The backlog: how many events of a campaign may wait for the ledger before sales stop."""

from engine.disk import Disk


class Backlog:
    """`entries_max` of them, and none while a disk that is written to has too little room left.

    The verbs that give something out get the number, and refuse by it in the same step: `not_ready`, and nothing is
    written. Those that give back go on. See engine/lua/includes/backlog.lua.
    """

    def __init__(self, entries_max: int, disk: Disk) -> None:
        self.disk = disk
        self._entries_max = entries_max

    def entries_max(self) -> int:
        """How many may wait now."""
        return 0 if self.disk.is_short() else self._entries_max

    def share(self, pending_entries: int) -> float:
        """Which part of what may wait does, from 0.0; at 1.0 sales have stopped."""
        return pending_entries / self._entries_max
