"""A Redis Cluster of three masters and three replicas: campaigns on every shard, slots that move, nodes that fail."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import metrics
from engine.audit import Audit
from engine.live import cluster as live_cluster
from engine.live import keys
from engine.live.decisions import Decision
from tests import rebuilds, redis_cluster
from tests.redis_cluster import RedisCluster, slot_of
from tests.stand import Stand, campaign, offering, open_stand

RECORDED_WITHIN_S = 30


class Retries:
    """In the place of the metric: counts, and lets a test wait for a code."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._changed = asyncio.Condition()
        self._waiting: dict[str, list[asyncio.Future[None]]] = defaultdict(list)

    def labels(self, code: str) -> "Retry":
        """As the metric."""
        return Retry(self, code)

    def count(self, code: str) -> None:
        """Note one, and wake who waits for it."""
        self.counts[code] += 1
        for future in self._waiting.pop(code, []):
            future.set_result(None)

    async def next(self, code: str) -> None:
        """Wait for the next retry with a code."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[code].append(future)
        await asyncio.wait_for(future, redis_cluster.TIMEOUT_S)


class Retry:
    """One child of the metric."""

    def __init__(self, retries: Retries, code: str) -> None:
        self._retries = retries
        self._code = code

    def inc(self) -> None:
        """As the metric."""
        self._retries.count(self._code)


@pytest.fixture
def retries(monkeypatch: pytest.MonkeyPatch) -> Retries:
    """What was retried, by code."""
    found = Retries()
    monkeypatch.setattr(metrics, "REDIS_RETRIES", found)
    return found


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits for a slot as long as a busy machine may need to move it."""
    monkeypatch.setattr(live_cluster, "PAUSES_S", (0.01,) * 100 * redis_cluster.TIMEOUT_S)


def spread(cluster: RedisCluster) -> list[str]:
    """The names of three campaigns on three shards."""
    names: dict[int, str] = {}
    for number in range(1_000):
        names.setdefault(cluster.owner(slot_of(f"c{number}")).port, f"c{number}")
        if len(names) == redis_cluster.MASTERS:
            return list(names.values())
    raise AssertionError("1,000 names all fall on two shards")


def large(name: str) -> Any:
    """A campaign with more seats than a test takes, and a short waitlist behind two seats."""
    return campaign(
        offering("soap", pools=[{"pool": "open", "capacity": 50_000}]),
        offering("clay", waitlist={"size_max": 50_000}),
        name=name,
    )


class Sale:
    """Members who sign up for, and cancel, on several campaigns until the sale is told to end."""

    def __init__(self, stand: Stand, names: list[str]) -> None:
        self._stand = stand
        self._names = names
        self._over = asyncio.Event()
        self._numbers = iter(range(1_000_000))
        self.answers: dict[str, list[tuple[str, Decision]]] = {name: [] for name in names}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Going on for as long as the block."""
        async with asyncio.TaskGroup() as group:
            for name in self._names:
                for _ in range(8):
                    group.create_task(self._buy(name))
            yield
            self._over.set()

    async def _buy(self, name: str) -> None:
        while not self._over.is_set():
            member = f"m{next(self._numbers)}"
            first = await self._sign_up(name, member, "soap")
            again = await self._sign_up(name, member, "soap")
            assert again.enrollment == first.enrollment, (first, again)
            await self._sign_up(name, member, "clay")
            if int(member[1:]) % 3 == 0 and first.enrollment:
                await self._stand.cancel(first.enrollment, member, within=name)

    async def _sign_up(self, name: str, member: str, what: str) -> Decision:
        decision = await self._stand.sign_up(member, what, key=f"{member}/{what}", within=name)
        self.answers[name].append((member, decision))
        return decision


@asynccontextmanager
async def recording(stand: Stand) -> AsyncIterator[None]:
    """The workers at work, who bring everything into the ledger before they end."""
    workers = stand.runtime.workers()
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            await worker.stop()


async def check(stand: Stand, sale: Sale, names: list[str]) -> None:
    """Whether every answer holds, no seat was given twice, the log has no gap, and the ledger and the audit agree."""
    runtime = stand.runtime
    for name in names:
        log = await stand.log(name)
        assert [event.seq for event in log] == list(range(1, len(log) + 1))
        newest = {event.header.enrollment: event.record for event in log if event.record}
        seats = [(each.offering, each.pool, each.seat) for each in newest.values() if each.seat]
        assert len(seats) == len(set(seats))
        for member, decision in sale.answers[name]:
            record = newest[decision.enrollment]
            assert (record.member, record.seq) == (member, decision.record and decision.record.seq)
        recorded = await runtime.ledger.events(name, 0, 100_000)
        assert [event.fields for event in recorded] == [event.fields for event in log]
        audited = await Audit(runtime.server, runtime.ledger, runtime.clock, name, RECORDED_WITHIN_S).run()
        assert audited.differences == []
        assert audited.notes == []
        assert audited.seq == audited.recorded_seq == len(log)


async def test_campaigns_spread_over_the_shards(cluster: RedisCluster, sharded: Stand) -> None:
    names = spread(cluster)
    for name in names:
        await sharded.publish(large(name))
    sale = Sale(sharded, names)
    async with recording(sharded), sale.running():
        await asyncio.sleep(0)
    for name in names:
        assert cluster.owner(slot_of(name)).client.exists(keys.of(name, "META"))
        assert await sharded.runtime.counts.read(name)
        assert {decision.outcome for _, decision in sale.answers[name]} <= {"confirmed", "waitlisted"}
    assert len({cluster.owner(slot_of(name)).port for name in names}) == redis_cluster.MASTERS
    await check(sharded, sale, names)
    async with open_stand(
        cluster.url, f"sqlite:///{sharded.runtime.settings.data}/ledger.db", sharded.runtime.settings.data
    ) as other:
        await other.runtime.load_definitions()
        assert other.runtime.catalog.names() == sorted(names)


@pytest.mark.usefixtures("patience")
async def test_slots_move_during_a_sale(cluster: RedisCluster, sharded: Stand, retries: Retries) -> None:
    """Slots move to and fro, scripts are forgotten in the middle of it, and no client sees any of it."""
    names = spread(cluster)
    for name in names:
        await sharded.publish(large(name))
    sale = Sale(sharded, names)

    loop = asyncio.get_running_loop()

    def move_all() -> None:
        for _ in range(2):
            for name in names:
                slot = slot_of(name)
                cluster.move(slot, cluster.others(cluster.owner(slot))[0], between)

    def between(step: str) -> None:
        if step == "half":
            for node in cluster.nodes:
                node.client.script_flush()
        if step in expected:
            # The sale goes on, so that somebody meets the slot as it is now.
            asyncio.run_coroutine_threadsafe(retries.next(expected[step]), loop).result()

    expected = {"half": "TRYAGAIN", "moved": "ASK"}

    async with recording(sharded), sale.running():
        await asyncio.to_thread(move_all)
    answers = Counter(decision.outcome for said in sale.answers.values() for _, decision in said)
    assert answers.keys() == {"confirmed", "waitlisted"}
    assert retries.counts["MOVED"] >= 2 * len(names)
    assert retries.counts["NOSCRIPT"] > 0
    await check(sharded, sale, names)


@pytest.mark.usefixtures("patience")
async def test_each_step_of_a_move(cluster: RedisCluster, sharded: Stand, retries: Retries) -> None:
    """What decides is asked where the keys are, waits while they are in two places, and goes with them."""
    name = spread(cluster)[0]
    pools = [{"pool": "open", "capacity": 2}, {"pool": "guests", "capacity": 1, "codes": True}]
    await sharded.publish(
        campaign(offering("soap", waitlist={"size_max": 9}), offering("clay", pools=pools), name=name)
    )
    # A node that is importing serves a script only when it has all keys, so all are made to exist.
    await sharded.issue("guests", "clay", within=name)
    for member in ("anna", "bert", "carl"):
        await sharded.sign_up(member, key="k", within=name)
    first = await sharded.sign_up("anna", "clay", key="l", within=name)
    await sharded.sign_up("bert", "clay", within=name)
    await sharded.cancel(first.enrollment, "anna", within=name)
    slot, loop = slot_of(name), asyncio.get_running_loop()
    asked: list[asyncio.Task[Decision]] = []
    seen: dict[str, Any] = {}

    async def look(step: str) -> None:
        retries.counts.clear()
        match step:
            case "migrating":
                assert (await sharded.cancel("nobody's", within=name)).outcome == "not_found"
            case "half":
                again = retries.next("TRYAGAIN")
                asked.append(asyncio.create_task(sharded.sign_up("dora", within=name)))
                await again
            case "moved":
                assert (await asked[0]).outcome == "waitlisted"
                state = await sharded.runtime.streams.state(name)
                assert state is not None
                assert (await sharded.cancel("nobody's", within=name)).outcome == "not_found"
            case "done":
                assert (await sharded.decisions.find(name, first.enrollment)).outcome == "changed"
                assert (await sharded.cancel("nobody's", within=name)).outcome == "not_found"
        seen[step] = dict(retries.counts)

    def between(step: str) -> None:
        asyncio.run_coroutine_threadsafe(look(step), loop).result(redis_cluster.TIMEOUT_S)

    target = cluster.others(cluster.owner(slot))[0]
    assert cluster.owner(slot).client.exists(*keys.campaign_keys(name)) == len(keys.PARTS)
    await asyncio.to_thread(cluster.move, slot, target, between)
    assert seen["migrating"] == {}
    assert seen["half"].keys() == {"TRYAGAIN"}
    assert seen["moved"].keys() >= {"ASK"}
    assert "MOVED" not in seen["moved"]
    assert seen["done"].pop("MOVED") == 1
    assert seen["done"].keys() <= {"NOSCRIPT"}
    assert cluster.owner(slot) is target
    # The map is right now: nothing is sent elsewhere any more.
    retries.counts.clear()
    await sharded.decisions.find(name, first.enrollment)
    assert retries.counts == {}


async def test_a_move_that_stops_half_way(
    cluster: RedisCluster, sharded: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call does not wait for ever, and goes on by itself once the move does."""
    name = spread(cluster)[0]
    await sharded.publish(campaign(name=name))
    monkeypatch.setattr(live_cluster, "PAUSES_S", (0.01,) * 3)
    slot, loop = slot_of(name), asyncio.get_running_loop()
    decisions: list[Decision] = []

    async def sign_up() -> None:
        decisions.append(await sharded.sign_up("anna", key="k", within=name))

    def between(step: str) -> None:
        if step in ("half", "done"):
            asyncio.run_coroutine_threadsafe(sign_up(), loop).result(redis_cluster.TIMEOUT_S)

    await asyncio.to_thread(cluster.move, slot, cluster.others(cluster.owner(slot))[0], between)
    assert [decision.outcome for decision in decisions] == ["not_ready", "confirmed"]


async def test_failover_on_request_during_a_sale(
    cluster: RedisCluster, sharded: Stand, retries: Retries
) -> None:
    names = spread(cluster)
    for name in names:
        await sharded.publish(large(name))
    sale = Sale(sharded, names)
    master = cluster.owner(slot_of(names[0]))
    replica = cluster.replica_of(master)
    async with recording(sharded), sale.running():
        await asyncio.to_thread(cluster.fail_over, replica)
        await asyncio.to_thread(cluster.link)
    answers = Counter(decision.outcome for said in sale.answers.values() for _, decision in said)
    assert answers.keys() == {"confirmed", "waitlisted"}
    assert retries.counts["MOVED"] > 0
    assert cluster.owner(slot_of(names[0])) is replica
    await check(sharded, sale, names)


async def test_a_master_is_killed(cluster: RedisCluster, sharded: Stand) -> None:
    """Its campaigns answer not_ready until its replica has taken over, and go on then; others notice nothing."""
    names = spread(cluster)
    for name in names:
        await sharded.publish(large(name))
    sale = Sale(sharded, names)
    async with recording(sharded):
        async with sale.running():
            await asyncio.to_thread(cluster.be_patient, redis_cluster.NERVOUS_MS)
        # Replication is asynchronous: only what the replica has can survive.
        await asyncio.to_thread(cluster.heal)
        master = cluster.owner(slot_of(names[0]))
        master.kill()
        refused = await sharded.sign_up("late", key="late", within=names[0])
        assert refused.outcome in ("not_ready", "unknown")
        during = await sharded.sign_up("late", key="late", within=names[1])
        assert during.outcome == "confirmed"
        await until_recorded(sharded, names[1])
        meanwhile: Counter[str] = Counter()
        async with asyncio.timeout(redis_cluster.TIMEOUT_S):
            while (decision := await sharded.sign_up("late", key="late", within=names[0])).record is None:
                meanwhile[decision.outcome] += 1
                await asyncio.sleep(0.02)
        assert decision.outcome == "confirmed"
        assert meanwhile.keys() <= {"not_ready", "unknown"}
        for member, told in sale.answers[names[0]][::20]:
            assert told.record is not None
            again = await sharded.sign_up(member, told.record.offering, key=f"{member}/{told.record.offering}",
                                          within=names[0])  # fmt: skip
            assert again.enrollment == told.enrollment
    await check(sharded, sale, names)
    master.start()
    await asyncio.to_thread(cluster.heal)
    assert master.info("replication")["role"] == "slave"
    await sharded.runtime.server.ping()


async def test_a_lost_reply_is_unknown(cluster: RedisCluster, sharded: Stand, retries: Retries) -> None:
    """What was sent may have happened: it is sent to no other node, and not again."""
    name = spread(cluster)[0]
    await sharded.publish(campaign(name=name))
    master = cluster.owner(slot_of(name))
    master.client.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
    retries.counts.clear()
    asked = asyncio.create_task(sharded.sign_up("anna", key="k", within=name))
    await asyncio.to_thread(
        redis_cluster.until, lambda: master.info("clients")["blocked_clients"] > 0, "the script has arrived"
    )
    master.kill()
    assert (await asked).outcome == "unknown"
    assert retries.counts == {}
    master.start()
    await asyncio.to_thread(cluster.be_patient, redis_cluster.NERVOUS_MS)
    await asyncio.to_thread(cluster.heal)
    assert (await sharded.sign_up("anna", key="k", within=name)).outcome == "confirmed"


async def test_a_member_is_forgotten_on_every_shard(cluster: RedisCluster, sharded: Stand) -> None:
    names = spread(cluster)
    for name in names:
        await sharded.publish(large(name))
        await sharded.sign_up("canary-7f3a", within=name, key="k")
    owners = [cluster.owner(slot_of(name)) for name in names]
    for name in names:
        done = await sharded.runtime.forgetter.forget(name, "canary-7f3a", "cli:tester", "cli", 10)
        assert (done.enrollments, done.cancelled) == (1, 1)
    assert await sharded.runtime.forgetter.scrub() == []
    for owner in owners:
        found = [owner.client.dump(key) for key in owner.client.scan_iter()]
        assert not any(b"canary-7f3a" in dumped for dumped in found if dumped)
        assert int(owner.info("persistence")["aof_last_rewrite_time_sec"]) >= 0
    for name in names:
        audited = await Audit(
            sharded.runtime.server, sharded.runtime.ledger, sharded.runtime.clock, name, RECORDED_WITHIN_S
        ).run()
        assert (audited.differences, audited.notes) == ([], [])


async def until_recorded(stand: Stand, name: str) -> None:
    """Wait until the ledger has all that Redis has."""
    runtime = stand.runtime
    state = await runtime.streams.state(name)
    assert state is not None
    async with asyncio.timeout(RECORDED_WITHIN_S):
        while True:
            registered = {each.campaign: each.recorded_seq for each in await runtime.ledger.campaigns()}
            if registered[name] >= state.seq:
                return
            # Another task makes it so, through a database: there is no event to wait for.
            await asyncio.sleep(0.02)


@pytest.fixture
async def waiting_for_replicas(cluster: RedisCluster, data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty cluster, which wait for replicas."""
    ledger = f"sqlite:///{data_directory}/ledger.db"
    async with open_stand(cluster.url, ledger, data_directory, durability="replica") as opened:
        yield opened


async def test_each_decision_waits_for_its_own_replica(
    cluster: RedisCluster, waiting_for_replicas: Stand
) -> None:
    names = [f"c{number}" for number in range(9)]
    assert len({cluster.owner(slot_of(name)).port for name in names}) == redis_cluster.MASTERS
    assert await waiting_for_replicas.runtime.server.replicas() == 1
    for name in names:
        await waiting_for_replicas.publish(campaign(offering(), name=name))
    told = await asyncio.gather(*(waiting_for_replicas.sign_up("anna", within=name) for name in names))
    assert {each.outcome for each in told} == {"confirmed"}


async def test_what_waits_for_a_replica_is_known_at_each_step_of_a_move(
    cluster: RedisCluster, waiting_for_replicas: Stand
) -> None:
    name = "moving"
    # A node that is importing serves a script only when it has all keys, so all are made to exist.
    pools = [{"pool": "open", "capacity": 2}, {"pool": "guests", "capacity": 1, "codes": True}]
    await waiting_for_replicas.publish(
        campaign(offering("soap", waitlist={"size_max": 9}), offering("clay", pools=pools), name=name)
    )
    await waiting_for_replicas.issue("guests", "clay", within=name)
    first, *_ = [
        await waiting_for_replicas.sign_up(member, key="k", within=name)
        for member in ("anna", "bert", "carl")
    ]
    clay = await waiting_for_replicas.sign_up("anna", "clay", key="l", within=name)
    await waiting_for_replicas.sign_up("bert", "clay", within=name)
    await waiting_for_replicas.cancel(clay.enrollment, "anna", within=name)
    slot, loop = slot_of(name), asyncio.get_running_loop()
    assert cluster.owner(slot).client.exists(*keys.campaign_keys(name)) == len(keys.PARTS)
    told: dict[str, Decision] = {}

    async def look(step: str) -> None:
        told[step] = await waiting_for_replicas.sign_up("anna", key="k", within=name)

    def between(step: str) -> None:
        if step != "half":
            asyncio.run_coroutine_threadsafe(look(step), loop).result(redis_cluster.TIMEOUT_S)

    target = cluster.others(cluster.owner(slot))[0]
    await asyncio.to_thread(cluster.move, slot, target, between)
    assert {step: each.enrollment for step, each in told.items()} == dict.fromkeys(
        ("migrating", "moved", "taken", "done"), first.enrollment
    )


async def test_a_campaign_is_rebuilt_on_its_shard(sharded: Stand) -> None:
    await sharded.publish(campaign())
    given = await sharded.sign_up("m1")
    await rebuilds.record(sharded)
    before = await rebuilds.state(sharded)
    await rebuilds.lose(sharded)
    assert (await sharded.sign_up("m2")).outcome == "not_ready"
    await rebuilds.rebuild(sharded)
    assert await rebuilds.state(sharded) == before
    assert (await sharded.sign_up("m1")).enrollment == given.enrollment
