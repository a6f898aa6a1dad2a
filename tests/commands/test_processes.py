"""Several api processes: connections spread, a dead one is replaced, a rolling restart refuses nobody."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Barrier

import pytest
from aiohttp import ClientSession, WSMsgType
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from api import tokens
from engine.commands import sockets
from engine.commands.supervisor import Failed
from engine.domain.person import Person
from loadtests.bench import campaigns
from loadtests.deployment import Deployment, audit, deployed
from tests.commands.running import ROOT, environment, run
from tests.commands.sign_ups import CAMPAIGN, SignUps

CLIENTS = 8
GONE_S = 30
DOCUMENT = campaigns.plain(CAMPAIGN)
RETRY_S = 0.02


def apis(deployment: Deployment) -> set[int]:
    return {pid for pid, kind in deployment.processes().items() if kind == "api"}


def parts(deployment: Deployment) -> set[int]:
    """The processes that a rolling restart replaces."""
    return {pid for pid, kind in deployment.processes().items() if kind != "redis"}


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port


async def until_gone(pids: set[int]) -> None:
    """Wait for the end of processes."""
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        # A pidfd becomes readable when its process ends.
        gone, _, _ = await asyncio.to_thread(select.select, [pidfd], [], [], GONE_S)
        os.close(pidfd)
        assert gone, f"process {pid} does not end"


async def until_there(deployment: Deployment, number: int) -> None:
    """Wait until so many processes of the api and the workers are there."""
    await _until(lambda: len(parts(deployment)) == number)


async def until_logged(deployment: Deployment, text: str, times: int = 1) -> None:
    """Wait until the supervisor has said something so many times."""
    await _until(lambda: deployment.log.read_text().count(text) >= times)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(GONE_S):
        while not holds():  # noqa: ASYNC110  another process has no event for it
            await asyncio.sleep(RETRY_S)


def counted(deployment: Deployment, name: str, url: str = "", **labels: str) -> int:
    """What all processes have counted together, as /metrics says it."""
    with urllib.request.urlopen(f"{url or deployment.url}/metrics", timeout=GONE_S) as answer:
        text = answer.read().decode()
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def decisions(deployment: Deployment, url: str = "") -> int:
    """What all processes have decided together."""
    return counted(deployment, "seatrush_decisions_total", url)


def decisions_by_file(deployment: Deployment) -> list[int]:
    """What each process has decided, as the files say in which they count."""
    found = []
    for path in (deployment.data / "metrics").glob("counter_*.db"):
        families = MultiProcessCollector.merge([str(path)])  # type: ignore[no-untyped-call]
        found.append(
            sum(int(sample.value) for family in families if family.name == "seatrush_decisions"
                for sample in family.samples if sample.labels["verb"] == "sign_up")
        )  # fmt: skip
    return [number for number in found if number]


async def test_a_rolling_restart_refuses_nobody() -> None:
    with deployed(DOCUMENT, SEATRUSH_PROCESSES="2") as deployment:
        old = parts(deployment)
        async with SignUps(deployment, CLIENTS) as load:
            await load.until_answered(100)
            deployment.renew()
            await until_gone(old)
            await load.until_answered(100)
        assert load.told_to_go > 0
        assert len(apis(deployment)) == 2
        assert len(parts(deployment)) == 3
        assert parts(deployment).isdisjoint(old)
        # What the processes counted that are gone is in it.
        assert decisions(deployment) == load.answered == load.sent
        assert deployment.stop() == 0
        assert audit(deployment.data).returncode == 0


async def test_a_rolling_restart_sends_websockets_to_the_new_process() -> None:
    with deployed(DOCUMENT) as deployment:
        token = tokens.sign(deployment.secret, Person("m-1"), time.time() + 3600)
        headers = {"Authorization": f"Bearer {token}"}
        sign_up = {"op": "sign_up", "id": "k", "campaign": "bench", "offering": "seats"}
        told = []
        async with ClientSession(deployment.url, headers=headers) as session:
            async with session.ws_connect("/v1/live") as page:
                await page.send_json(sign_up)
                told.append(await page.receive_json())
                deployment.renew()
                assert (await page.receive()).type is WSMsgType.CLOSE
                assert page.close_code == 1001
            async with session.ws_connect("/v1/live") as page:
                await page.send_json(sign_up)
                told.append(await page.receive_json())
        assert told[0]["status"] == 201
        assert told[0] == told[1]
        assert deployment.stop() == 0


async def test_connections_spread_over_the_processes() -> None:
    with deployed(DOCUMENT, SEATRUSH_PROCESSES="2") as deployment:
        async with SignUps(deployment, CLIENTS) as load:
            await load.until_answered(400)
        by_file = decisions_by_file(deployment)
        assert len(by_file) == 2
        assert sum(by_file) == load.answered
        assert deployment.stop() == 0


async def test_a_process_that_is_killed_is_replaced_and_no_other_request_is_lost() -> None:
    with deployed(DOCUMENT, SEATRUSH_PROCESSES="3") as deployment:
        old = parts(deployment)
        killed = min(apis(deployment))
        async with SignUps(deployment, CLIENTS, forgiving=True) as load:
            await load.until_answered(100)
            os.kill(killed, signal.SIGKILL)
            await until_gone({killed})
            await until_there(deployment, 4)
            # Those that were sent to the dead process's socket meanwhile are among them.
            await load.until_answered(100)
        assert parts(deployment) & old == old - {killed}
        assert counted(deployment, "seatrush_restarts_total", role="api") == 1
        assert counted(deployment, "seatrush_restarts_total", role="work") == 0
        # Each client has one connection, and one process died.
        assert load.broken <= CLIENTS
        # Of those that broke, some were decided, and some of these were counted.
        assert load.answered <= decisions(deployment) <= load.sent == load.answered + load.broken
        assert deployment.stop() == 0
        assert audit(deployment.data).returncode == 0


@pytest.mark.parametrize("said", ["rolling restart", "takes over from"])
async def test_an_end_in_the_middle_of_a_rolling_restart_leaves_nothing(said: str) -> None:
    with deployed(DOCUMENT, SEATRUSH_PROCESSES="2") as deployment, ExitStack() as stack:
        for _ in range(CLIENTS):
            # Without a request each holds up the process that drains.
            idle = socket.create_connection((deployment.host, deployment.port))
            stack.enter_context(idle)
        old = parts(deployment)
        deployment.renew()
        await until_logged(deployment, said)
        everything = old | set(deployment.processes())
        assert await asyncio.to_thread(deployment.stop) == 0
        await until_gone(everything)
        assert "rolling restart ended" not in deployment.log.read_text()


async def test_a_rolling_restart_that_is_asked_for_during_one_comes_once_after_it() -> None:
    with deployed(DOCUMENT) as deployment:
        first = parts(deployment)
        deployment.renew()
        await until_there(deployment, 3)
        for _ in range(5):
            deployment.renew()
            # Otherwise the kernel would make one signal of several.
            decisions(deployment)
        await until_gone(first)
        await until_logged(deployment, "rolling restart ended", 2)
        assert deployment.stop() == 0
        assert deployment.log.read_text().count("rolling restart\n") == 2


async def test_where_a_new_process_does_not_start_the_old_one_stays() -> None:
    with deployed(DOCUMENT) as deployment:
        [api] = apis(deployment)
        old = parts(deployment)
        (deployment.data / "token.key").write_bytes(b"too short")
        async with SignUps(deployment, CLIENTS) as load:
            await load.until_answered(100)
            deployment.renew()
            await until_logged(deployment, f"api process {api} stays")
            await until_gone(old - {api})
            await load.until_answered(100)
        assert load.told_to_go == 0
        assert parts(deployment) & old == {api}
        assert deployment.stop() == 0


async def test_restarts_leave_no_metrics_behind() -> None:
    port = free_port()
    with deployed(DOCUMENT, SEATRUSH_METRICS_PORT=str(port)) as deployment:
        files, answered = set(), 0
        for turn in range(3):
            async with SignUps(deployment, 1) as load:
                await load.until_answered(10)
            answered += load.answered
            deployment.renew()
            await until_logged(deployment, "rolling restart ended", turn + 1)
            files |= {path.name for path in (deployment.data / "metrics").iterdir()}
        assert decisions(deployment) == decisions(deployment, f"http://127.0.0.1:{port}") == answered
        assert counted(deployment, "seatrush_restarts_total") == 0
        # Never more than three processes: two, and one that takes over.
        assert {name.rpartition("_")[2] for name in files} <= {"0.db", "1.db", "2.db"}
        assert deployment.stop() == 0


IN_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_a_terminal_that_closes_ends_it(data_directory: Path) -> None:
    ours, theirs = os.openpty()
    serve = ["-m", "engine", "serve", "--port", "0", "--data", str(data_directory)]
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, *serve], cwd=ROOT, env=environment(),
        stdin=theirs, stdout=subprocess.PIPE, start_new_session=True, text=True,
    )  # fmt: skip
    os.close(theirs)
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline().startswith("ready on ")
        os.close(ours)
        assert process.wait(GONE_S) == 0


def test_of_two_that_start_on_one_port_one_has_it(data_directory: Path) -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "engine", "serve", "--port", port, "--processes", "2", "--data"]
    both = [
        subprocess.Popen(
            [*command, str(data_directory / name)], cwd=ROOT, env=environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    try:
        said = [process.stdout.readline() for process in both if process.stdout]
        assert sorted(said) == ["", f"ready on http://127.0.0.1:{port}\n"]
        refused, winner = sorted(both, key=lambda process: process.poll() is None)
        errors = refused.communicate(timeout=GONE_S)[1]
        assert refused.returncode == 2
        assert errors.splitlines()[-1] == f"seatrush: port {port} on 127.0.0.1 is in use"
        winner.terminate()
        winner.communicate(timeout=GONE_S)
        assert winner.returncode == 0
    finally:
        for process in both:
            process.kill()
            process.communicate()


def test_a_metrics_port_in_use(data_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run("serve", "--port", "0", "--data", str(data_directory), SEATRUSH_METRICS_PORT=port)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        f"seatrush: metrics port {port} on 127.0.0.1: Address already in use"
    )


@pytest.mark.skipif(not sockets.SPREADS, reason="this kernel does not spread connections")
def test_the_kernel_spreads_connections_over_the_sockets_of_a_port() -> None:
    with ExitStack() as stack:
        listening = [stack.enter_context(sock) for sock in sockets.listen("127.0.0.1", 0, 3)]
        address = listening[0].getsockname()
        for _ in range(90):
            stack.enter_context(socket.create_connection(address))
        counted = [len(accepted(sock)) for sock in listening]
    assert sum(counted) == 90
    assert min(counted) > 0


def accepted(listening: socket.socket) -> list[tuple[str, int]]:
    """Who waits in an accept queue."""
    listening.setblocking(False)
    found = []
    with suppress(BlockingIOError):
        while True:
            sock, address = listening.accept()
            sock.close()
            found.append(address)
    return found


def test_where_the_kernel_does_not_spread_all_have_one_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "SPREADS", False)
    first, *others = sockets.listen("127.0.0.1", 0, 3)
    with first:
        assert others == [first, first]


def test_a_port_is_had_by_one_of_many_who_want_it_at_once() -> None:
    for _ in range(50):
        with ThreadPoolExecutor(8) as pool:
            [sock] = sockets.listen("127.0.0.1", 0, 1)
            port = sock.getsockname()[1]
            sock.close()
            barrier = Barrier(8)

            def want(barrier: Barrier = barrier, port: int = port) -> list[socket.socket]:
                barrier.wait()
                try:
                    return sockets.listen("127.0.0.1", port, 3)
                except Failed:
                    return []

            asked = [pool.submit(want) for _ in range(8)]
        had = [each for each in (future.result() for future in asked) if each]
        for each in had:
            for one in each:
                one.close()
        assert [len(each) for each in had] == [3]
