"""Where a rehearsal goes: an embedded deployment of its own, or one that runs elsewhere."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from api import tokens
from engine.domain.person import Person
from loadtests.deployment import ROOT, Deployment, embedded_ledger
from loadtests.order import LOOK_AGE_S_MAX
from loadtests.rush import data_directory

PREFLIGHT_TIMEOUT_S: Final = 10


class Unfit(Exception):
    """The rehearsal cannot be run; the message says what is missing, in one line."""


class Target(Struct, frozen=True):
    """A deployment, and how what it did can be looked at."""

    url: str
    secret: bytes
    database_url: str
    settings: dict[str, str]
    """Environment variables of `seatrush audit`; a URL may hold a password, so that they are no options."""
    look_age_s: float = LOOK_AGE_S_MAX
    """How old what it shows of a campaign may be."""

    def audit(self, campaigns: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run `seatrush audit` on some campaigns."""
        return subprocess.run(
            [sys.executable, "-m", "engine", "audit", *campaigns],
            cwd=ROOT,
            env=_without_settings() | self.settings,
            capture_output=True,
            text=True,
        )

    def preflight(self) -> None:
        """Raise Unfit unless the deployment answers and takes our tokens."""
        ops = Person("rehearsal", roles=frozenset({"ops"}))
        headers = {"Authorization": f"Bearer {tokens.sign(self.secret, ops, time.time() + 60)}"}
        request = urllib.request.Request(f"{self.url}/v1/ops/status", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PREFLIGHT_TIMEOUT_S):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            why = (
                "it does not take tokens of this secret" if error.code == 401 else f"it answers {error.code}"
            )
            raise Unfit(f"{self.url}: {why}") from None
        except OSError as error:
            raise Unfit(f"{self.url}: {getattr(error, 'reason', error)}") from None


@contextmanager
def target(options: Namespace) -> Iterator[Target]:
    """The deployment that the options name, or one of its own that ends with the block. Raises Unfit."""
    if options.url:
        yield elsewhere(options)
        return
    with data_directory() as data:
        try:
            deployment = Deployment(data, "--processes", str(options.api_processes))
        except RuntimeError as error:
            raise Unfit(str(error)) from None
        try:
            settings = {"SEATRUSH_DATA": str(data)}
            age_s = LOOK_AGE_S_MAX if options.api_processes > 1 else 0
            yield Target(deployment.url, deployment.secret, embedded_ledger(data), settings, age_s)
        finally:
            deployment.close()


def elsewhere(options: Namespace) -> Target:
    """The deployment that the options name. Raises Unfit."""
    redis_url = options.redis or os.environ.get("SEATRUSH_REDIS_URL")
    database_url = options.database or os.environ.get("SEATRUSH_DATABASE_URL")
    settings = {}
    if options.data:
        data = options.data.resolve()
        settings["SEATRUSH_DATA"] = str(data)
        database_url = database_url or embedded_ledger(data)
    elif not (redis_url and database_url):
        raise Unfit(
            "--url needs --data, or --redis and --database: without them nothing can be checked afterwards"
        )
    if redis_url:
        settings["SEATRUSH_REDIS_URL"] = redis_url
    settings["SEATRUSH_DATABASE_URL"] = database_url
    return Target(options.url.rstrip("/"), secret(options), database_url, settings)


def secret(options: Namespace) -> bytes:
    """What tokens are signed with: --secret-file, SEATRUSH_TOKEN_SECRET, or token.key below --data. Raises Unfit."""
    given = os.environ.get("SEATRUSH_TOKEN_SECRET")
    path = options.secret_file or (options.data / "token.key" if options.data and given is None else None)
    if path is None and given is None:
        raise Unfit("no token secret: give --secret-file, --data or SEATRUSH_TOKEN_SECRET")
    try:
        found: bytes = path.read_bytes() if path else os.fsencode(given or "")
    except OSError as error:
        raise Unfit(f"{path}: {error.strerror}") from None
    if len(found) < tokens.SECRET_BYTES_MIN:
        raise Unfit(f"the token secret has {len(found)} bytes; at least {tokens.SECRET_BYTES_MIN} are needed")
    return found


def _without_settings() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith("SEATRUSH_")}
