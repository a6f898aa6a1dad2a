"""Settings: every environment variable that seatrush reads, with its bounds and its meaning.

An option of the command line sets the same as its variable, and wins over it. No message shows a value, since a value
may hold a secret.
"""

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

PREFIX: Final = "SEATRUSH_"

FLAGS: Final = {"redis_url": "--redis", "database_url": "--database"}
"""Options of the command line that are not named after their setting."""

NETWORKS_EXPECTED: Final = "networks such as 10.0.0.0/8,::1/128, none of all addresses"
_SERVICE: Final = re.compile(r"[A-Za-z0-9._-]+")
"""What Sentinel takes for the name of a service."""
BACKLOG: Final = 4096
"""Connections that may wait to be accepted on each listening socket; the kernel's somaxconn bounds it too."""

Durability = Literal["fsync", "replica", "memory"]
Network = IPv4Network | IPv6Network


class ConfigError(ValueError):
    """A setting cannot be used. The message is one line that names the setting, and never shows its value."""


class Setting(Struct, frozen=True):
    """What a field of Settings means, and how its text is read; `parse` raises ValueError with what it expected."""

    doc: str
    parse: Callable[[str], object]


def _integer(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        # int() would also take "1_000", " 7 " and other scripts' digits.
        if not (text.isascii() and text.isdigit() and len(text) <= 18 and least <= int(text) <= most):
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def _path(text: str) -> Path:
    if "\0" in text:
        raise ValueError("a path")
    return Path(text)


def _host(text: str) -> str:
    if not text.isprintable() or any(character in " /@" for character in text):
        raise ValueError("a host name or an address")
    return text


def _durability(text: str) -> str:
    if text not in get_args(Durability):
        raise ValueError("fsync, replica or memory")
    return text


def _secret(text: str) -> str:
    if len(os.fsencode(text)) < 32:
        raise ValueError("at least 32 bytes")
    return text


def _private_key(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError("64 hex digits")
    return text


def _split(text: str, expected: str) -> SplitResult:
    # urlsplit drops line breaks and other control characters without a word.
    if not text.isprintable() or " " in text:
        raise ValueError(expected)
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  reading it is what checks it
    except ValueError:
        raise ValueError(expected) from None
    # An "@" in the path is a password with a "/" in it that was not written as %2F.
    if url.fragment or "@" in url.path:
        raise ValueError(expected)
    return url


def _redis_url(text: str) -> str:
    expected = (
        "redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:///PATH, redis-cluster://HOST:PORT,HOST:PORT or "
        "redis-sentinel://HOST:PORT,HOST:PORT/SERVICE"
    )
    addresses, service = sentinels(text)
    if addresses and not _SERVICE.fullmatch(service):
        raise ValueError(expected)
    if nodes := cluster_nodes(text) or addresses:
        for node in nodes:
            url = _split(node, expected)
            # A cluster has no databases but the first.
            if not url.hostname or url.path or url.query:
                raise ValueError(expected)
        return text
    url = _split(text, expected)
    # A query could turn on what the deciding client must not do, such as retrying by itself.
    if url.query:
        raise ValueError(f"{expected}, without a query")
    if url.scheme == "unix":
        fits = url.path.startswith("/") and not url.hostname
    else:
        database = url.path.removeprefix("/")
        fits = (
            url.scheme in ("redis", "rediss")
            and bool(url.hostname)
            and (not database or database.isdecimal())
        )
    if not fits:
        raise ValueError(expected)
    return text


def cluster_nodes(url: str) -> list[str]:
    """`redis-cluster://USER:PASSWORD@HOST:PORT,HOST:PORT` as a URL for each node, such as redis://USER:PASSWORD@HOST:PORT.

    `rediss-cluster` likewise. Empty for every other URL.
    """
    scheme, _, authority = url.partition("://")
    if scheme not in ("redis-cluster", "rediss-cluster"):
        return []
    user, at, addresses = authority.rpartition("@")
    return [f"{scheme.removesuffix('-cluster')}://{user}{at}{address}" for address in addresses.split(",")]


def sentinels(url: str) -> tuple[list[str], str]:
    """`redis-sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE` as a URL for each sentinel, and the service.

    User and password are those of the servers; `rediss-sentinel` likewise. No URLs for every other.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("redis-sentinel", "rediss-sentinel"):
        return [], ""
    authority, _, service = rest.rpartition("/")
    user, at, addresses = authority.rpartition("@")
    return [
        f"{scheme.removesuffix('-sentinel')}://{user}{at}{address}" for address in addresses.split(",")
    ], service


def _database_url(text: str) -> str:
    expected = "postgresql://USER@HOST:PORT/NAME or sqlite:///PATH"
    url = _split(text, expected)
    if url.scheme == "sqlite":
        fits = not url.netloc and len(url.path) > 1 and not url.query
    else:
        fits = url.scheme in ("postgresql", "postgres")
    if not fits:
        raise ValueError(expected)
    return text


def _jwks_url(text: str) -> str:
    expected = "https://HOST/PATH (http:// only to this machine)"
    url = _split(text, expected)
    if not url.hostname or url.scheme not in ("https", "http"):
        raise ValueError(expected)
    if url.scheme == "http" and not _is_loopback(url.hostname):
        raise ValueError(expected)
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _networks(text: str) -> str:
    for network in networks(text):
        # One of all addresses would let a client name any as its own. A mapped IPv4 address is taken as what it stands
        # for, so that a network of such would contain nothing.
        if network.prefixlen == 0 or getattr(network.network_address, "ipv4_mapped", None):
            raise ValueError(NETWORKS_EXPECTED)
    return text


class Settings(Struct, frozen=True, kw_only=True):
    """All settings of one process, as `from_environment` reads them; nothing else looks at the environment."""

    data: Annotated[
        Path,
        Setting(
            "directory of the embedded Redis, the SQLite ledger and the keys; made with mode 0700", _path
        ),
    ] = Path("data")
    host: Annotated[str, Setting("address to listen on", _host)] = "127.0.0.1"
    port: Annotated[int, Setting("port to listen on; 0 takes a free one", _integer(0, 65_535))] = 8080
    metrics_port: Annotated[
        int,
        Setting("port on which `work` serves /metrics, on the same address; 0 is none", _integer(0, 65_535)),
    ] = 0
    processes: Annotated[int, Setting("api processes; workers come on top", _integer(1, 64))] = 1

    redis_url: Annotated[
        str | None,
        Setting(
            "Redis 7.0 or newer, or Valkey, or a cluster of either (redis-cluster://), or the primary that sentinels "
            "name (redis-sentinel://); without it an embedded one in the data directory",
            _redis_url,
        ),
    ] = None
    database_url: Annotated[
        str | None,
        Setting("ledger in PostgreSQL or SQLite; without it SQLite in the data directory", _database_url),
    ] = None
    durability: Annotated[
        Durability,
        Setting(
            "when a decision is answered: fsync, once it is on disk; replica, once replicas have it; memory, at once "
            "(rehearsals only)",
            _durability,
        ),
    ] = "fsync"
    replicas: Annotated[
        int,
        Setting(
            "replicas that must have a decision before it is answered, with durability replica",
            _integer(1, 16),
        ),
    ] = 1

    token_secret: Annotated[
        str | None,
        Setting(
            "secret of HS256 tokens; without it the data directory's token.key, made when missing", _secret
        ),
    ] = None
    receipt_key: Annotated[
        str | None,
        Setting(
            "private key of receipts, 64 hex digits; without it the data directory's receipt.key, made when missing",
            _private_key,
        ),
    ] = None
    jwks_url: Annotated[
        str | None,
        Setting(
            "where the public keys of RS256, ES256 and EdDSA tokens are; HS256 tokens stay valid beside them",
            _jwks_url,
        ),
    ] = None

    batch_entries_max: Annotated[
        int, Setting("requests that one call of Redis decides", _integer(1, 1_000))
    ] = 128
    batches_in_flight_max: Annotated[
        int, Setting("calls under way at once, per campaign", _integer(1, 64))
    ] = 2
    waiting_entries_max: Annotated[
        int,
        Setting(
            "requests that wait for a call, per campaign and process; beyond it: overloaded",
            _integer(1, 1_000_000),
        ),
    ] = 10_000
    waiting_s_max: Annotated[
        float,
        Setting(
            "seconds that the first in a queue may have waited; until it is sent, others are refused: overloaded",
            _integer(1, 60),
        ),
    ] = 3.0
    decision_timeout_s: Annotated[
        float,
        Setting(
            "seconds until a decision without an answer counts as unknown, and a request that waits is given back",
            _integer(1, 60),
        ),
    ] = 5.0
    connections_max: Annotated[
        int,
        Setting(
            "open connections of clients, per api process; fewer where the limit on open files is lower",
            _integer(1, 1_000_000),
        ),
    ] = 20_000
    live_messages_per_s: Annotated[
        int,
        Setting("messages a second that one WebSocket connection may go on sending", _integer(1, 1_000_000)),
    ] = 10
    live_messages_burst: Annotated[
        int, Setting("messages that it may be ahead of that", _integer(1, 1_000_000))
    ] = 50
    backlog_entries_max: Annotated[
        int,
        Setting(
            "events that may wait for the ledger, per campaign; beyond it: not_ready",
            _integer(1_000, 100_000_000),
        ),
    ] = 1_000_000
    disk_free_min: Annotated[
        int,
        Setting(
            "bytes that have to be left on the disk of the embedded Redis or a SQLite ledger; below it: not_ready; "
            "0 is no limit",
            _integer(0, 1_000_000_000_000_000),
        ),
    ] = 268_435_456
    events_kept: Annotated[
        int,
        Setting("events left in Redis after they are in the ledger, per campaign", _integer(1, 100_000_000)),
    ] = 10_000

    member_rate: Annotated[
        int,
        Setting(
            "requests a second of one member, and apart from them sign-ups for one offering; 0 is no limit",
            _integer(0, 100_000),
        ),
    ] = 10
    member_burst: Annotated[
        int, Setting("requests that a member who was quiet may make at once", _integer(1, 1_000_000))
    ] = 100
    address_rate: Annotated[
        int,
        Setting(
            "requests a second of one address, or of one /64 of IPv6; 0 is no limit", _integer(0, 100_000)
        ),
    ] = 0
    address_burst: Annotated[
        int, Setting("requests that an address that was quiet may make at once", _integer(1, 1_000_000))
    ] = 1_000
    trusted_proxies: Annotated[
        str | None,
        Setting("networks whose X-Forwarded-For is believed, such as 10.0.0.0/8,::1/128", _networks),
    ] = None

    def __repr__(self) -> str:
        """The settings as they may be logged: without secrets."""
        shown = {name: getattr(self, name) for name in SETTINGS}
        shown["token_secret"] = "set" if self.token_secret else None
        shown["receipt_key"] = "set" if self.receipt_key else None
        shown["redis_url"] = self.redis_url and redact(self.redis_url)
        shown["database_url"] = self.database_url and redact(self.database_url)
        return f"Settings({', '.join(f'{name}={value}' for name, value in shown.items())})"


SETTINGS: Final[dict[str, Setting]] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()
}
"""Every setting by the name of its field, in the order in which help texts show them."""


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def flag(name: str) -> str:
    """The command line's option of a setting."""
    return FLAGS.get(name) or "--" + name.replace("_", "-")


def from_environment(environ: Mapping[str, str], overrides: Mapping[str, str | None]) -> Settings:
    """Read SEATRUSH_* from `environ`; `overrides` are the command line's texts by name of setting, None for not given.

    Raises ConfigError for the first setting that cannot be used, and for a SEATRUSH_* that is none.
    """
    known = {variable(name) for name in SETTINGS}
    for key in sorted(environ):
        if key.startswith(PREFIX) and key not in known:
            raise ConfigError(f"{key}: there is no such setting")
    values: dict[str, Any] = {}
    for name, setting in SETTINGS.items():
        label, text = flag(name), overrides.get(name)
        if text is None:
            label, text = variable(name), environ.get(variable(name))
        if text is None:
            continue
        try:
            if not text:
                raise ValueError("a value; leave it out for the default")
            values[name] = setting.parse(text)
        except ValueError as expected:
            raise ConfigError(f"{label}: expected {expected}") from None
    if values.get("durability") == "replica" and "redis_url" not in values:
        raise ConfigError("durability replica: expected a Redis that has replicas, by --redis")
    return Settings(**values)


def default(name: str) -> object:
    """The value of a setting that is not given; None for none."""
    return getattr(Settings(), name)


def networks(text: str) -> list[Network]:
    """The networks of a list such as `10.0.0.0/8,::1/128`. Raises ValueError with what is expected."""
    try:
        return [ip_network(part.strip()) for part in text.split(",")]
    except ValueError:
        raise ValueError(NETWORKS_EXPECTED) from None


def redact(url: str) -> str:
    """A URL as it may be shown: without its password and query."""
    scheme, separator, rest = url.partition("?")[0].partition("://")
    authority, slash, path = rest.partition("/")
    user, at, address = authority.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{address}{slash}{path}"
