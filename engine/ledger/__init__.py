"""The ledger: the persistent record of every campaign. `connect` opens the way to one by its URL."""

from engine.ledger.connect import connect

__all__ = ["connect"]
