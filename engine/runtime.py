"""The runtime: opens everything a process needs, in order, and closes it in the reverse order."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine import metrics
from engine.backlog import Backlog
from engine.clock import Clock, SystemClock
from engine.config import Settings, cluster_nodes, redact, sentinels
from engine.continuity import Continuity
from engine.disk import Disk
from engine.drawing import Drawing
from engine.forgetting import Forgetter
from engine.invitations import Invitations
from engine.ladder import Ladder
from engine.ledger.connect import connect, sqlite_file
from engine.ledger.protocol import Ledger
from engine.live.catalog import Catalog
from engine.live.cluster import Cluster
from engine.live.condition import ConditionReader
from engine.live.counts import CountsReader
from engine.live.decisions import Decision, Decisions
from engine.live.fsync import FsyncProbe
from engine.live.group_commit import Landed, Limits
from engine.live.sentinel import SentinelServer
from engine.live.server import NothingRan, Server
from engine.live.streams import Streams
from engine.overview import OverviewReader
from engine.publishing import Publisher
from engine.rebuilding import Rebuilder
from engine.why import Explainer
from engine.workers.advancer import Advancer
from engine.workers.apportioner import Apportioner
from engine.workers.drawer import Drawer
from engine.workers.fsync import Fsync
from engine.workers.gatekeeper import Gatekeeper
from engine.workers.promoter import Promoter
from engine.workers.recorder import Recorder
from engine.workers.reporter import Reporter
from engine.workers.retention import Retention
from engine.workers.watcher import Watcher
from engine.workers.worker import Task, Worker

EMBEDDED_SOCKET = "redis.sock"
EMBEDDED_LEDGER = "ledger.db"

_outcome = attrgetter("outcome")


class Runtime(Struct, frozen=True):
    """The parts of one process, opened."""

    settings: Settings
    clock: Clock
    server: Server
    ledger: Ledger
    catalog: Catalog
    decisions: Decisions
    counts: CountsReader
    streams: Streams
    publisher: Publisher
    rebuilder: Rebuilder
    forgetter: Forgetter
    drawing: Drawing
    invitations: Invitations
    ladder: Ladder
    explainer: Explainer
    overview: OverviewReader
    fsync: FsyncProbe
    backlog: Backlog
    conditions: ConditionReader

    async def load_definitions(self) -> None:
        """Read the definition of every campaign that the ledger or the directory knows.

        Raises ledger.protocol.Unavailable or live.server.NothingRan.
        """
        for registration in await self.overview.look():
            if registration.created:
                await self.catalog.load(registration.campaign)
        await self.catalog.refresh()

    def workers(self) -> list[Worker]:
        """The workers of one process, not started."""
        recorder = Recorder(self.server, self.streams, self.ledger, self.clock, self.settings.events_kept)
        tasks: list[Task] = [
            recorder,
            Promoter(self.decisions, self.ledger, self.clock),
            Watcher(self.overview, self.conditions, self.backlog.disk, self.clock),
            Gatekeeper(self.server, self.ledger),
            Drawer(self.drawing, self.ledger, self.clock),
            Apportioner(self.publisher, self.catalog, self.ledger, self.clock),
            Advancer(self.ladder, self.ledger),
            Retention(self.forgetter, self.catalog, self.ledger, self.clock),
        ]
        if self.settings.durability == "fsync":
            tasks.append(Fsync(self.fsync))
        return [Worker(task) for task in tasks]

    def reporter(self) -> Worker:
        """The one worker of a process that answers, not started."""
        return Worker(Reporter(self.decisions))


def redis_url(settings: Settings) -> str:
    """The server that decides: by URL, or the embedded one's socket."""
    return settings.redis_url or f"unix://{(settings.data / EMBEDDED_SOCKET).resolve()}"


def database_url(settings: Settings) -> str:
    """The ledger: by URL, or the embedded one's file."""
    return settings.database_url or f"sqlite:///{(settings.data / EMBEDDED_LEDGER).resolve()}"


def _written(settings: Settings) -> list[Path]:
    """The directories of this machine in which the embedded Redis and a SQLite ledger write."""
    found = [settings.data.resolve()] if settings.redis_url is None else []
    if file := sqlite_file(database_url(settings)):
        found.append(file.resolve().parent)
    return list(dict.fromkeys(found))


def _server(settings: Settings, continuity: Continuity) -> Server:
    url = redis_url(settings)
    asked: dict[str, Any] = {
        "fsync": settings.durability == "fsync",
        "replicas": settings.replicas if settings.durability == "replica" else 0,
        "timeout_s": settings.decision_timeout_s,
        # With durability memory nothing is promised, and whoever decides nothing asks for it, too.
        "on_new_server": None if settings.durability == "memory" else continuity.greet,
    }
    if nodes := cluster_nodes(url):
        return Cluster(nodes, **asked)
    addresses, service = sentinels(url)
    return SentinelServer(addresses, service, **asked) if addresses else Server(url, **asked)


def _where(settings: Settings, reason: str) -> str:
    if settings.redis_url is None:
        return f"no Redis answers for data directory {settings.data}: is `seatrush serve` running on it? ({reason})"
    return f"Redis at {redact(settings.redis_url)}: {reason}"


def _observer(verb: str, campaign: str) -> Callable[[Landed[Decision]], None]:
    """What measures each batch; it holds the labelled metrics, since to look them up costs as much as to count."""
    entries = metrics.BATCH_ENTRIES.labels(verb)
    waited = metrics.QUEUE_WAIT.labels(verb)
    took = metrics.DECISION_DURATION.labels(verb)
    decisions = cache(lambda outcome: metrics.DECISIONS.labels(campaign, verb, outcome))

    def observe(landed: Landed[Decision]) -> None:
        entries.observe(len(landed.answers))
        waited.observe_waits(landed.arrived_s, landed.sent_s)
        took.observe_waits(landed.arrived_s, landed.answered_s)
        for outcome, number in Counter(map(_outcome, landed.answers)).items():
            decisions(outcome).inc(number)

    return observe


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Open the ledger and the connections to Redis; the schema is brought up to date where it is embedded.

    Raises ledger.protocol.Unavailable or live.server.NothingRan when one of them cannot be reached.
    """
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        ledger = connect(database_url(settings))
        stack.push_async_callback(ledger.close)
        await ledger.open()
        if settings.database_url is None:
            await ledger.migrate()
        answered: dict[str, tuple[int, int]] = {}
        server = _server(settings, Continuity(ledger, answered))
        stack.push_async_callback(server.close)
        try:
            await server.ping()
        except NothingRan as error:
            raise NothingRan(_where(settings, str(error))) from error
        catalog = Catalog(server)
        limits = Limits(
            settings.batch_entries_max,
            settings.batches_in_flight_max,
            settings.waiting_entries_max,
            settings.waiting_s_max,
            settings.decision_timeout_s,
        )
        backlog = Backlog(
            settings.backlog_entries_max, Disk(_written(settings), settings.disk_free_min, clock)
        )
        decisions = Decisions(server, catalog, limits, backlog.entries_max, _observer, answered)
        stack.push_async_callback(decisions.drain)
        streams = Streams(server)
        yield Runtime(
            settings=settings,
            clock=clock,
            server=server,
            ledger=ledger,
            catalog=catalog,
            decisions=decisions,
            counts=CountsReader(server, decisions, clock),
            streams=streams,
            publisher=Publisher(server, ledger, catalog, decisions, clock, backlog.entries_max),
            rebuilder=Rebuilder(server, streams, ledger, catalog, decisions, clock),
            forgetter=Forgetter(server, streams, ledger, catalog, decisions, clock),
            drawing=Drawing(server, ledger, decisions, clock, backlog.entries_max),
            invitations=Invitations(server, decisions, backlog.entries_max),
            ladder=Ladder(server, ledger, catalog, decisions, clock, backlog.entries_max),
            explainer=Explainer(ledger, streams, catalog, clock),
            overview=OverviewReader(server, ledger, catalog, clock, backlog),
            fsync=FsyncProbe(server),
            backlog=backlog,
            conditions=ConditionReader(server),
        )
