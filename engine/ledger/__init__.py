"""The ledger: the persistent record of every campaign."""
