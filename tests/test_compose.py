"""The full stand, as far as it can be proven without a container engine."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import redis
import yaml

from engine import config
from tests import alarms, redis_servers

ROOT: Final = Path(__file__).parents[1]
COMPOSE: Final = ROOT / "docker-compose.yml"
STAND: Final[dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = STAND["services"]
OURS: Final = ("api", "work", "migrate")

each_service = pytest.mark.parametrize("name", SERVICES)


def test_it_fits_the_compose_specification() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(COMPOSE),
    ]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_it_has_all_parts() -> None:
    assert set(SERVICES) == {"api", "work", "migrate", "valkey", "postgres", "prometheus"}


@each_service
def test_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.search(r":[\w.]+$", service["image"]), "pinned to a version"


@each_service
def test_service_is_watched_and_restarted(name: str) -> None:
    service = SERVICES[name]
    if name == "migrate":  # runs once, and ends
        assert service["restart"].startswith("on-failure:")
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= service["healthcheck"].keys()


@each_service
def test_service_waits_for_what_it_needs(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        once = other == "migrate"
        assert how == {"condition": "service_completed_successfully" if once else "service_healthy"}


@each_service
def test_secrets_come_from_the_environment(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        if re.search("SECRET|PASSWORD|TOKEN|KEY", key):
            assert re.fullmatch(r"\$\{[A-Z_]+:\?.*\}", value), key
        else:
            assert not re.search(r"//[^/]*:[^/]*@", str(value)), f"{key} has a password in its URL"


@each_service
def test_only_the_api_and_prometheus_are_reachable_and_only_from_this_machine(name: str) -> None:
    service = SERVICES[name]
    assert ("ports" in service) == (name in ("api", "prometheus")) == ("front" in service["networks"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert STAND["networks"]["back"] == {"internal": True}


@each_service
def test_volumes_are_named_or_part_of_the_checkout(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source, _, *mode = volume.split(":")
        if source.startswith("./"):
            assert (ROOT / source).is_file()
            assert mode == ["ro"]
        else:
            assert source in STAND["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_settings_are_taken(name: str) -> None:
    environment = {
        key: re.sub(r"\$\{.*\}", "5" * 64, str(value)) for key, value in environment_of(name).items()
    }
    settings = config.from_environment(environment, {})
    assert settings.redis_url == "redis://valkey:6379/0"
    assert settings.durability == "fsync"


def environment_of(name: str) -> dict[str, Any]:
    """The environment of a service."""
    found: dict[str, Any] = SERVICES[name]["environment"]
    return found


def test_prometheus_finds_every_container() -> None:
    document = yaml.safe_load((ROOT / ".docker" / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["dns_sd_configs"][0] for job in document["scrape_configs"]}
    assert targets["api"]["names"] == ["api"]
    assert targets["api"]["port"] == environment_of("api")["SEATRUSH_PORT"]
    assert targets["work"]["names"] == ["work"]
    assert targets["work"]["port"] == environment_of("work")["SEATRUSH_METRICS_PORT"]


def test_prometheus_loads_the_alert_rules(tmp_path: Path) -> None:
    """Everything that is mounted beside its configuration, where the configuration asks for it."""
    for volume in SERVICES["prometheus"]["volumes"]:
        source, target, *_ = volume.split(":")
        if target.startswith("/etc/prometheus/"):
            shutil.copy(ROOT / source, tmp_path / Path(target).name)
    configuration = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert configuration["rule_files"] == [alarms.RULES.name]
    alarms.promtool("check", "config", "prometheus.yml", within=tmp_path)


def test_health_checks_ask_the_ports_that_are_served() -> None:
    assert f":{environment_of('api')['SEATRUSH_PORT']}/readyz" in SERVICES["api"]["healthcheck"]["test"][-1]
    assert (
        f":{environment_of('work')['SEATRUSH_METRICS_PORT']}/metrics"
        in SERVICES["work"]["healthcheck"]["test"][-1]
    )


def test_valkey_takes_its_command_and_is_durable(data_directory: Path) -> None:
    server = redis_servers.find("valkey")
    arguments = shlex.split(SERVICES["valkey"]["command"])[1:]
    socket = data_directory / "redis.sock"
    local = ["--port", "0", "--unixsocket", str(socket), "--dir", str(data_directory)]
    url = f"unix://{socket}"
    with redis_servers.serving([str(server), *arguments, *local], url), redis.Redis.from_url(url) as client:
        found = client.config_get("append*", "no-appendfsync-on-rewrite", "maxmemory*", "save")
    expected = {
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "maxmemory": str(2 << 30),
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    assert {key: found[key] for key in expected} == expected


def test_image_ends_without_root_and_copies_what_is_not_ignored() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users[-1] == SERVICES["api"]["user"]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"pyproject.toml", "requirements.lock", "engine", "api", "LICENSE", "README.md"} == kept
