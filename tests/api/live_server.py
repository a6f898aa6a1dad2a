"""The server as it is run: `seatrush serve` in processes of its own, and tokens that it accepts."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from api import tokens
from engine.domain import document
from engine.domain.campaign import Campaign
from engine.domain.person import Person
from tests import redis_servers

ROOT: Final = Path(__file__).parents[2]
STOP_TIMEOUT_S: Final = 30


class LiveServer:
    """A server that answers at `url`, with its data directory."""

    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self._secret = tokens.load_secret(data, None)

    def token(self, person: Person) -> str:
        """A token for a person, valid for an hour."""
        return tokens.sign(self._secret, person, time.time() + 3600)


@contextmanager
def serving(campaigns: Sequence[Campaign] = ()) -> Iterator[LiveServer]:
    """A server on a free port with some campaigns, embedded Redis and SQLite included; it ends with the block."""
    with redis_servers.short_directory() as directory:
        data = directory / "data"
        command = [sys.executable, "-m", "engine", "serve", "--port", "0", "--data", str(data)]
        for campaign in campaigns:
            path = directory / f"{campaign.campaign}.json"
            path.write_bytes(document.canonical(campaign))
            command += ["--apply", str(path)]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("SEATRUSH_")}
        # Schemathesis asks faster than a member may.
        environment["SEATRUSH_MEMBER_RATE"] = "0"
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            assert said.startswith("ready on "), f"the server did not start: {said!r}"
            yield LiveServer(said.removeprefix("ready on ").strip(), data)
        finally:
            server.terminate()
            try:
                server.communicate(timeout=STOP_TIMEOUT_S)
            finally:
                server.kill()
