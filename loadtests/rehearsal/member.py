"""A member: a locust user who asks as people do, tries again with the same key, and writes everything down."""

import time
from itertools import count
from typing import Any, Final

import gevent
import msgspec
from locust import FastHttpUser, task
from locust.exception import StopUser

from api import tokens
from api.views import Enrollment
from engine.domain.person import Person
from loadtests.exchange import UNDECIDED, Exchange, Kind
from loadtests.rehearsal import answers
from loadtests.rehearsal.conductor import TOKEN_TTL_S, conductor
from loadtests.rehearsal.live import Live
from loadtests.rehearsal.people import Character
from loadtests.rehearsal.plan import UNITS

ANSWER_TIMEOUT_S: Final = 10.0
CAMPAIGN: Final = "/v1/campaigns/{campaign}"
_ENROLLMENT: Final = CAMPAIGN + "/enrollments/{enrollment}"
ROUTES: Final[dict[Kind, tuple[str, str]]] = {
    "sign_up": ("POST", CAMPAIGN + "/offerings/{offering}/enrollments"),
    "cancel": ("DELETE", _ENROLLMENT),
    "confirm": ("POST", _ENROLLMENT + "/confirm"),
    "decline": ("POST", _ENROLLMENT + "/decline"),
    "find": ("GET", _ENROLLMENT),
    "mine": ("GET", CAMPAIGN + "/me"),
    "campaign": ("GET", CAMPAIGN),
}
"""Method and path of each kind of request; the path is also its name in locust's statistics."""

_enrollment = msgspec.json.Decoder(Enrollment)


class Member(FastHttpUser):
    """Base of every scenario's user, who does `rehearse` once and goes."""

    abstract = True
    insecure = False
    network_timeout = ANSWER_TIMEOUT_S
    connection_timeout = ANSWER_TIMEOUT_S

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        process, number = conductor.join()
        self.plan = conductor.plan
        self.character = Character(self.plan, process, number)
        self.sub = f"{self.plan.run}-{process}-{number}"
        self.unit = UNITS[number % len(UNITS)]
        self._keys = (f"{self.sub}/{turn}" for turn in count(1))
        self._etags: dict[str, str] = {}
        token = tokens.sign(conductor.secret, Person(self.sub, self.unit), time.time() + TOKEN_TTL_S)
        self._headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
        self._live = Live(self.host, token, environment) if self.plan.door == "websocket" else None

    @task
    def whole(self) -> None:
        """Take part once."""
        try:
            self.rehearse()
        finally:
            if self._live:
                self._live.close()
        raise StopUser

    def rehearse(self) -> None:
        """What the scenario is about."""
        raise NotImplementedError

    @property
    def over_at(self) -> float:
        """When the members go home, unix time."""
        return self.plan.opens_at + self.plan.run_time_s

    def stay_on_page(self, campaign: str, offering: str, until: float) -> None:
        """Look at the campaign, and again now and then; over WebSocket what changes of an offering comes by itself."""
        self.ask("campaign", campaign)
        if self._live:
            self._live.watch(campaign, [offering], self.plan.opens_at)
        else:
            while time.time() + (pause_s := self.character.refresh_s()) < until:
                gevent.sleep(pause_s)
                self.ask("campaign", campaign)
        gevent.sleep(max(0, until - time.time()))

    def sign_up(self, campaign: str, offering: str) -> Exchange:
        """Ask for a seat until it is decided; who came too early clicks again when it opens."""
        key = next(self._keys)
        give_up = max(time.time(), self.plan.opens_at) + self.plan.patience_s
        while True:
            said = self.ask("sign_up", campaign, offering=offering, key=key)
            if answers.code_of(said.status, said.body) != "not_open" or time.time() > give_up:
                break
            gevent.sleep(max(0, self.plan.opens_at - time.time()) + self.character.reaction_s())
        if answers.is_seat(said) and self.character.happens(0.05):
            self.ask("sign_up", campaign, offering=offering, key=key)
        return said

    def ask(
        self, kind: Kind, campaign: str, *, offering: str = "", key: str = "", enrollment: str = ""
    ) -> Exchange:
        """Send until there is a definite answer, or patience is over; returns the last exchange."""
        give_up = time.monotonic() + self.plan.patience_s
        for tries in count(1):
            sent_ns = time.monotonic_ns()
            status, body, retry_after = self._send(kind, campaign, offering, key, enrollment)
            exchange = Exchange(
                kind, self.sub, self.unit, sent_ns, time.monotonic_ns(), status, body,
                offering, key, "", enrollment, campaign,
            )  # fmt: skip
            conductor.recorder.add(exchange)
            pause_s = self.character.pause_s(tries, retry_after)
            if status not in UNDECIDED or time.monotonic() + pause_s > give_up:
                return exchange
            gevent.sleep(pause_s)
        raise AssertionError

    def _send(
        self, kind: Kind, campaign: str, offering: str, key: str, enrollment: str
    ) -> tuple[int, bytes, str]:
        """One try: status, body, Retry-After."""
        if self._live and kind in ("sign_up", "cancel", "confirm", "decline"):
            return self._live.ask(kind, campaign, offering, key, enrollment)
        method, route = ROUTES[kind]
        headers = self._headers | ({"Idempotency-Key": key} if key else {})
        if kind == "campaign" and campaign in self._etags:
            headers["If-None-Match"] = self._etags[campaign]
        path = route.format(campaign=campaign, offering=offering, enrollment=enrollment)
        with self.client.request(
            method,
            path,
            name=route,
            headers=headers,
            json={} if method == "POST" else None,
            catch_response=True,
        ) as response:
            status, body = response.status_code, bytes(response.content or b"")
            given = response.headers or {}
            retry_after = given.get("Retry-After") or ""
            if kind == "campaign" and status in (200, 304):
                self._etags[campaign] = given.get("ETag") or ""
                body = answers.moment(status, body, self._etags[campaign])
            wrong = answers.failure(kind, status, body, retry_after)
            if wrong:
                response.failure(wrong)
            else:
                response.success()
        return status, body, retry_after


def enrollment_of(exchange: Exchange) -> Enrollment:
    """What an answer with an enrollment says."""
    return _enrollment.decode(exchange.body)
