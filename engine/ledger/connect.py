"""From a URL to a ledger."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from engine.ledger.postgres import PostgresLedger
from engine.ledger.protocol import Ledger
from engine.ledger.sqlite import SqliteLedger

_FORMS = "sqlite:///ledger.db, sqlite:////var/lib/ledger.db or postgresql://user@host/database"


def connect(url: str) -> Ledger:
    """The ledger behind a URL, not opened yet.

    `sqlite:///` is followed by a path: relative, or absolute with a slash of its own. Raises ValueError, which says
    what is wrong and shows no more of the URL than its scheme: the rest may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError(f"a ledger's URL is expected, such as {_FORMS}")
    if scheme == "sqlite":
        return SqliteLedger(_file(rest))
    if scheme in ("postgresql", "postgres"):
        return _postgres(url)
    raise ValueError(f"a ledger's URL cannot begin with {scheme}://; expected is one such as {_FORMS}")


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite ledger, None for another one. Raises ValueError as `connect` does."""
    scheme, _, rest = url.partition("://")
    return _file(rest) if scheme == "sqlite" else None


def _file(rest: str) -> Path:
    path = unquote(rest[1:])
    if not rest.startswith("/") or not path or path.endswith("/"):
        raise ValueError("a sqlite URL has three slashes and the path of a file, as in sqlite:///ledger.db")
    if "?" in rest or "#" in rest or "\0" in path:
        raise ValueError("a sqlite URL has no options; write ? and # in a path as %3F and %23")
    return Path(path)


def _postgres(url: str) -> Ledger:
    try:
        parts = urlsplit(url)
        named = parts.path.strip("/") and (parts.port is None or parts.port > 0)
    except ValueError:
        named = False
    if not named:
        raise ValueError(
            "a postgresql URL has the form postgresql://user:password@host:port/database, "
            "with %-codes for special characters in a password"
        ) from None
    return PostgresLedger(url)
