"""A probe: one member after the other at a steady, light pace, to see what an ordinary request meets meanwhile."""

import http.client
import threading
import time
from typing import Final, Self

from api import tokens
from engine.domain.person import Person
from loadtests.exchange import Exchange

TIMEOUT_S: Final = 30
TOKEN_TTL_S: Final = 3600


class Probe:
    """Signs up in a campaign of its own, from its start to the end of the block, on one connection.

    `exchanges` grows meanwhile; an answer that does not come, or a broken connection, has status 0.
    """

    def __init__(
        self, address: tuple[str, int], secret: bytes, campaign: str, offering: str, *, every_s: float = 0.02
    ) -> None:
        self.exchanges: list[Exchange] = []
        self._address = address
        self._secret = secret
        self._path = f"/v1/campaigns/{campaign}/offerings/{offering}/enrollments"
        self._offering = offering
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_until_over, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def between(self, began_ns: int, ended_ns: int) -> list[Exchange]:
        """The exchanges that were sent in a span of time."""
        return [each for each in self.exchanges if began_ns <= each.sent_ns < ended_ns]

    def _ask_until_over(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_S)
        number = 0
        while not self._over.wait(self._every_s):
            number += 1
            member, key = f"probe-{number}", f"probe-key-{number}"
            token = tokens.sign(self._secret, Person(member), time.time() + TOKEN_TTL_S)
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
            sent_ns = time.monotonic_ns()
            try:
                connection.request("POST", self._path, headers=headers)
                response = connection.getresponse()
                status, body = response.status, response.read()
            except (OSError, http.client.HTTPException):
                status, body = 0, b""
                connection.close()
            answered_ns = time.monotonic_ns()
            self.exchanges.append(
                Exchange("sign_up", member, "", sent_ns, answered_ns, status, body, self._offering, key)
            )
        connection.close()
