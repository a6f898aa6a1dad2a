"""The conductor: what locust does around the members. It publishes, gives the plan to all, gathers, and ends the run.

The process that leads the run (alone, or locust's master) publishes the campaigns when every load process is there,
and so sets the time of the opening. Workers get the plan among their options, by locust's own messages, and send
their exchanges the same way, in chunks; the leader writes them down.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any, Final

import gevent
import msgspec
from geventhttpclient import HTTPClient
from geventhttpclient.url import URL
from locust import events
from locust.runners import MasterRunner, WorkerRunner

from api import tokens
from engine.domain.person import Person
from loadtests.rehearsal import plan as plans
from loadtests.rehearsal import records
from loadtests.rehearsal.plan import Plan

SECRET: Final = "SEATRUSH_TOKEN_SECRET"
CHUNK: Final = "seatrush_exchanges"
DONE: Final = "seatrush_done"
GRACE_S: Final = 12
"""Seconds for which an answer may still come when the members' time is over."""
GATHERED_WITHIN_S: Final = 60
TOKEN_TTL_S: Final = 6 * 3600
PUBLISH_TIMEOUT_S: Final = 30

logger = logging.getLogger(__name__)


class Conductor:
    """This process's part in the rehearsal. There is one, `conductor`."""

    plan: Plan
    recorder: records.Recorder

    def __init__(self) -> None:
        self._members = 0
        self._process = 0
        self._spawned = False
        self._finished: set[str] = set()

    @property
    def secret(self) -> bytes:
        """What tokens are signed with."""
        return os.fsencode(os.environ[SECRET])

    def join(self) -> tuple[int, int]:
        """The next member: the number of this process, and the member's in it."""
        self._members += 1
        return self._process, self._members

    def prepare(self, environment: Any) -> None:
        """Before the run: the leader writes exchanges down, and a worker sends them to it."""
        runner = environment.runner
        if isinstance(runner, WorkerRunner):
            self.recorder = records.Recorder(lambda chunk: runner.send_message(CHUNK, chunk))
            return
        directory = Path(environment.parsed_options.exchanges)
        self.recorder = records.Recorder(
            lambda chunk: records.append(directory / f"alone{records.SUFFIX}", chunk)
        )
        if isinstance(runner, MasterRunner):

            def write(msg: Any, **_: Any) -> None:
                worker = runner.get_worker_index(msg.node_id)
                records.append(directory / f"worker-{worker}{records.SUFFIX}", msg.data)

            def finish(msg: Any, **_: Any) -> None:
                self._finished.add(msg.node_id)

            runner.register_message(CHUNK, write)
            runner.register_message(DONE, finish)

    def start(self, environment: Any) -> None:
        """At the start of the run: the leader publishes; everyone takes the plan."""
        options, runner = environment.parsed_options, environment.runner
        if isinstance(runner, WorkerRunner):
            self._process = runner.worker_index
        else:
            plan = plans.decode(options.plan)
            plan = msgspec.structs.replace(plan, opens_at=round(time.time() + plan.opens_in_s, 3))
            options.plan = plan.encode()
            try:
                self._publish(environment.host, plan)
            except Exception as error:
                logger.error("cannot publish: %s", error)
                self._fail(environment)
                raise
            gevent.spawn(self._end, environment, plan)
        self.plan = plans.decode(options.plan)

    def stop(self, environment: Any) -> None:
        """At the end of the run: whatever is left is handed on."""
        self.recorder.flush()
        if isinstance(environment.runner, WorkerRunner):
            environment.runner.send_message(DONE, None)

    def spawned(self) -> None:
        """Every member is there."""
        self._spawned = True

    def _publish(self, host: str, plan: Plan) -> None:
        url = URL(host)
        client = HTTPClient.from_url(url, network_timeout=PUBLISH_TIMEOUT_S)
        organizer = Person("rehearsal", plans.UNIT, roles=frozenset({"organizer"}))
        token = tokens.sign(self.secret, organizer, time.time() + TOKEN_TTL_S)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for name, document in plans.documents(plan):
            path = f"{url.path.rstrip('/')}/v1/campaigns/{name}"
            answer = client.request("PUT", path, msgspec.json.encode(document), headers)
            body = bytes(answer.read())
            if answer.status_code != 201:
                raise RuntimeError(f"{name}: {answer.status_code} {body[:300]!r}")
        client.close()

    def _end(self, environment: Any, plan: Plan) -> None:
        """End the run when its time is over, or when every member has gone."""
        runner = environment.runner
        over = plan.opens_at + plan.run_time_s + GRACE_S
        while time.time() < over and not (self._spawned and runner.user_count == 0):
            gevent.sleep(0.2)
        workers = set(runner.clients) if isinstance(runner, MasterRunner) else set()
        runner.stop()
        give_up = time.monotonic() + GATHERED_WITHIN_S
        while not workers <= self._finished and time.monotonic() < give_up:
            gevent.sleep(0.05)
        if not workers <= self._finished:
            logger.error("%d workers did not hand in their exchanges", len(workers - self._finished))
            self._fail(environment)
        elif environment.process_exit_code is None:
            environment.process_exit_code = 0
        runner.quit()

    def _fail(self, environment: Any) -> None:
        environment.process_exit_code = 2
        gevent.spawn(environment.runner.quit)


conductor: Final = Conductor()


@events.init_command_line_parser.add_listener
def _options(parser: Any) -> None:
    parser.add_argument("--plan", default="", include_in_web_ui=False, help="the rehearsal, as JSON")
    parser.add_argument(
        "--exchanges", default=".", include_in_web_ui=False, help="where exchanges are written"
    )


@events.init.add_listener
def _init(environment: Any, **_: Any) -> None:
    conductor.prepare(environment)


@events.test_start.add_listener
def _start(environment: Any, **_: Any) -> None:
    conductor.start(environment)


@events.test_stop.add_listener
def _stop(environment: Any, **_: Any) -> None:
    conductor.stop(environment)


@events.spawning_complete.add_listener
def _spawned(**_: Any) -> None:
    conductor.spawned()
