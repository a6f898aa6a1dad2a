"""Settings: each variable is read, bounded, and refused by name without showing its value."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from engine import config
from engine.config import ConfigError, from_environment

SECRET = "correct-horse-battery-staple-0123"


def test_defaults() -> None:
    settings = from_environment({"HOME": "/", "PATH": ""}, {})
    assert settings == config.Settings()
    assert (settings.data, settings.host, settings.port) == (Path("data"), "127.0.0.1", 8080)
    assert (settings.durability, settings.redis_url, settings.database_url) == ("fsync", None, None)


def test_every_setting_has_a_variable() -> None:
    texts = {
        "data": "/srv/seatrush",
        "host": "::1",
        "port": "0",
        "metrics_port": "9101",
        "processes": "2",
        "redis_url": "rediss://user:pass@redis.example:6380/0",
        "database_url": "postgresql://seatrush@/seatrush?host=%2Frun%2Fpostgresql",
        "durability": "memory",
        "replicas": "2",
        "token_secret": SECRET,
        "receipt_key": "0123456789abcdef" * 4,
        "jwks_url": "https://login.example/keys",
        "batch_entries_max": "64",
        "batches_in_flight_max": "1",
        "waiting_entries_max": "500",
        "waiting_s_max": "1",
        "decision_timeout_s": "2",
        "connections_max": "1000",
        "live_messages_per_s": "20",
        "live_messages_burst": "100",
        "backlog_entries_max": "5000",
        "disk_free_min": "0",
        "events_kept": "1",
        "member_rate": "0",
        "member_burst": "5",
        "address_rate": "200",
        "address_burst": "2000",
        "trusted_proxies": "10.0.0.0/8, ::1/128,192.0.2.7",
    }
    assert texts.keys() == config.SETTINGS.keys()
    for name, text in texts.items():
        settings = from_environment({config.variable(name): text}, {})
        assert str(getattr(settings, name)) == text
        assert settings == from_environment({}, {name: text})
        assert settings != config.Settings()


def test_sentinels() -> None:
    url = "rediss-sentinel://user:pass@a:26379,b/main"
    assert from_environment({"SEATRUSH_REDIS_URL": url}, {}).redis_url == url
    assert config.sentinels(url) == (["rediss://user:pass@a:26379", "rediss://user:pass@b"], "main")
    assert config.redact(url) == "rediss-sentinel://user@a:26379,b/main"
    assert config.sentinels("redis-cluster://a:7000") == ([], "")


def test_replicas_need_a_redis_that_has_them() -> None:
    with pytest.raises(ConfigError, match=r"^durability replica: expected a Redis"):
        from_environment({"SEATRUSH_DURABILITY": "replica"}, {})
    settings = from_environment({"SEATRUSH_DURABILITY": "replica"}, {"redis_url": "redis://h"})
    assert (settings.durability, settings.replicas) == ("replica", 1)


def test_option_wins_over_variable() -> None:
    settings = from_environment(
        {"SEATRUSH_PORT": "1", "SEATRUSH_HOST": "0.0.0.0"}, {"port": "2", "host": None}
    )
    assert (settings.port, settings.host) == (2, "0.0.0.0")


def test_bounds_can_be_set_by_the_code_too() -> None:
    assert msgspec.structs.replace(config.Settings(), decision_timeout_s=0.2).decision_timeout_s == 0.2


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("data", "", "a value"),
        ("data", "a\0b", "a path"),
        ("host", "http://127.0.0.1", "a host name"),
        ("port", "65536", "a whole number from 0 to 65535"),
        ("port", "-1", "a whole number"),
        ("port", "８０８０", "a whole number"),
        ("port", " 80", "a whole number"),
        ("port", "8_0", "a whole number"),
        ("port", "80.0", "a whole number"),
        ("port", "9" * 5_000, "a whole number"),
        ("processes", "0", "a whole number from 1 to 64"),
        ("durability", "always", "fsync, replica or memory"),
        ("replicas", "0", "a whole number from 1 to 16"),
        ("events_kept", "0", "a whole number from 1"),
        ("redis_url", "localhost:6379", "redis://HOST"),
        ("redis_url", "redis://", "redis://HOST"),
        ("redis_url", "redis://h:port/0", "redis://HOST"),
        ("redis_url", "redis://h/name", "redis://HOST"),
        ("redis_url", "redis://h/0?retry_on_timeout=1", "without a query"),
        ("redis_url", "redis://h/0\n", "redis://HOST"),
        ("redis_url", "unix://redis.sock", "redis://HOST"),
        ("redis_url", "unix://u:hunter2@redis.sock/a", "redis://HOST"),
        ("redis_url", "redis+cluster://h:6379", "redis-cluster://HOST"),
        ("redis_url", "redis-cluster://", "redis-cluster://HOST"),
        ("redis_url", "redis-cluster://a:7000,", "redis-cluster://HOST"),
        ("redis_url", "redis-cluster://a:7000,b:port", "redis-cluster://HOST"),
        ("redis_url", "redis-cluster://a:7000,b:7001/0", "redis-cluster://HOST"),
        ("redis_url", "redis-cluster://a:7000/?ssl=true", "redis-cluster://HOST"),
        ("redis_url", "redis-cluster://a:7000, b:7001", "redis-cluster://HOST"),
        ("redis_url", "redis+sentinel://h:26379/main", "redis-sentinel://HOST"),
        ("redis_url", "redis-sentinel://h:26379", "redis-sentinel://HOST"),
        ("redis_url", "redis-sentinel://h:26379/", "redis-sentinel://HOST"),
        ("redis_url", "redis-sentinel:///main", "redis-sentinel://HOST"),
        ("redis_url", "redis-sentinel://a:26379,/main", "redis-sentinel://HOST"),
        ("redis_url", "redis-sentinel://a:26379,b:port/main", "redis-sentinel://HOST"),
        ("redis_url", "redis-sentinel://a:26379/main/0", "redis-sentinel://HOST"),
        ("redis_url", "redis-sentinel://a:26379/main?db=0", "redis-sentinel://HOST"),
        ("database_url", "mysql://h/name", "postgresql://USER"),
        ("database_url", "sqlite://ledger.sqlite3", "sqlite:///PATH"),
        ("database_url", "sqlite:///", "sqlite:///PATH"),
        ("database_url", "postgres://u:12/34@h/name", "postgresql://USER"),
        ("token_secret", "x" * 31, "at least 32 bytes"),
        ("jwks_url", "http://login.example/keys", "http:// only to this machine"),
        ("jwks_url", "file:///keys.json", "https://HOST"),
        ("member_rate", "0.5", "a whole number from 0 to 100000"),
        ("member_burst", "0", "a whole number from 1 to 1000000"),
        ("address_rate", "100001", "a whole number from 0 to 100000"),
        ("address_burst", "0", "a whole number from 1 to 1000000"),
        ("trusted_proxies", "proxy.example", "networks such as 10.0.0.0/8,::1/128"),
        ("trusted_proxies", "10.0.0.0/8,", "networks such as"),
        ("trusted_proxies", "10.0.0.1/8", "networks such as"),
        ("trusted_proxies", "::1/129", "networks such as"),
        ("trusted_proxies", "::ffff:10.0.0.0/104", "networks such as"),
        ("trusted_proxies", "127.0.0.1,0.0.0.0/0", "none of all addresses"),
        ("trusted_proxies", "::/0", "none of all addresses"),
    ],
)
def test_wrong_value_is_refused_by_name(name: str, text: str, expected: str) -> None:
    for environ, overrides, label in (
        ({config.variable(name): text}, {}, config.variable(name)),
        ({}, {name: text}, config.flag(name)),
    ):
        with pytest.raises(ConfigError) as caught:
            from_environment(environ, overrides)
        message = str(caught.value)
        assert message.startswith(f"{label}: expected ")
        assert expected in message
        assert "\n" not in message


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/keys", "http://[::1]/keys", "http://localhost/keys"])
def test_keys_may_come_from_this_machine_without_tls(url: str) -> None:
    assert from_environment({"SEATRUSH_JWKS_URL": url}, {}).jwks_url == url


@pytest.mark.parametrize("key", ["SEATRUSH_PROT", "SEATRUSH_port", "SEATRUSH_"])
def test_unknown_variable_is_refused_by_name(key: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: there is no such setting$"):
        from_environment({key: "1"}, {})


@pytest.mark.parametrize("text", ["\0hunter2", "hunter2 @/", "\udcffhunter2"])
def test_no_message_shows_a_value(text: str) -> None:
    messages = [message for name in config.SETTINGS if (message := refusal(config.variable(name), text))]
    assert len(messages) >= len(config.SETTINGS) - 2
    assert "hunter2" not in " ".join(messages)


def refusal(key: str, text: str) -> str | None:
    """How a value is refused, None when it is taken."""
    try:
        from_environment({key: text}, {})
    except ConfigError as error:
        return str(error)
    return None


def test_settings_print_without_secrets() -> None:
    settings = from_environment(
        {
            "SEATRUSH_REDIS_URL": "redis://:hunter2@h:6379/0",
            "SEATRUSH_DATABASE_URL": "postgres://u:hunter2@h/name?password=hunter2",
            "SEATRUSH_TOKEN_SECRET": SECRET,
            "SEATRUSH_RECEIPT_KEY": "ab" * 32,
        },
        {},
    )
    assert "hunter2" not in repr(settings)
    assert SECRET not in repr(settings)
    assert "ab" * 32 not in repr(settings)
    assert "redis_url=redis://@h:6379/0" in repr(settings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://u:a:b@x@h:5432/name?password=p", "postgres://u@h:5432/name"),
        ("redis://:p@h/0", "redis://@h/0"),
        ("redis://h", "redis://h"),
        ("redis-cluster://u:p,w@a:7000,b:7001", "redis-cluster://u@a:7000,b:7001"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("unix://u:p@/run/redis.sock", "unix://u@/run/redis.sock"),
        ("sqlite:////srv/ledger.sqlite3", "sqlite:////srv/ledger.sqlite3"),
    ],
)
def test_redact(url: str, shown: str) -> None:
    assert config.redact(url) == shown


def test_a_user_may_have_a_socket() -> None:
    url = "unix://seatrush:p%40ss@/run/redis.sock"
    assert from_environment({}, {"redis_url": url}).redis_url == url


def test_nodes_of_a_cluster() -> None:
    url = "rediss-cluster://u:p,w@a:7000,[::1]:7001,b"
    assert from_environment({}, {"redis_url": url}).redis_url == url
    assert config.cluster_nodes(url) == [
        "rediss://u:p,w@a:7000",
        "rediss://u:p,w@[::1]:7001",
        "rediss://u:p,w@b",
    ]
    assert config.cluster_nodes("redis://a:7000") == []


def test_every_variable_that_the_house_names_is_a_setting() -> None:
    root = Path(config.__file__).parents[1]
    places = [root / "README.md", root / "Dockerfile", root / "docker-compose.yml", *root.glob("scripts/*")]
    places += [
        path for folder in ("engine", "api", "loadtests", "docs") for path in (root / folder).rglob("*.*")
    ]
    known = {config.variable(name) for name in config.SETTINGS}
    strangers = {
        str(path.relative_to(root)): unknown
        for path in places
        if path.suffix in ("", ".py", ".md", ".yml", ".yaml") and path.is_file()
        if (unknown := set(re.findall(r"\bSEATRUSH_[A-Z_]+\b", path.read_text())) - known)
    }
    assert strangers == {}


def test_importing_it_is_cheap() -> None:
    program = (
        "import sys, engine.config; print([m for m in ('asyncio', 'redis', 'aiohttp') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
