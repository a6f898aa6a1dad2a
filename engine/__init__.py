"""seatrush: an enrollment engine for seats that are gone in seconds."""

from typing import Final

__version__: Final = "0.1.0"
