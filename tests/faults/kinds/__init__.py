"""The registry of faults: a new one is one file here, one line below and one row in docs/faults.md."""

from typing import Final

from tests.faults.kind import Kind
from tests.faults.kinds.api_killed import ApiKilled
from tests.faults.kinds.client_resets import ClientResets
from tests.faults.kinds.clock_jumps import ClockJumps
from tests.faults.kinds.flushall import Flushall
from tests.faults.kinds.ledger_disk_full import LedgerDiskFull
from tests.faults.kinds.out_of_memory import OutOfMemory
from tests.faults.kinds.partition import Partition
from tests.faults.kinds.poisoned import Poisoned
from tests.faults.kinds.postgres_backends import PostgresBackends
from tests.faults.kinds.postgres_stopped import PostgresStopped
from tests.faults.kinds.power_cut import PowerCut
from tests.faults.kinds.redis_disk_full import RedisDiskFull
from tests.faults.kinds.redis_killed import RedisKilled
from tests.faults.kinds.rolling_deploy import RollingDeploy
from tests.faults.kinds.same_request import SameRequest
from tests.faults.kinds.script_flush import ScriptFlush
from tests.faults.kinds.worker_killed import WorkerKilled
from tests.faults.kinds.worker_steps import WorkerSteps

_ALL: Final[list[Kind]] = [
    ApiKilled(),
    WorkerKilled(),
    WorkerSteps(),
    RedisKilled(),
    PowerCut(),
    ScriptFlush(),
    Partition(),
    ClientResets(),
    SameRequest(),
    OutOfMemory(),
    RedisDiskFull(),
    LedgerDiskFull(),
    PostgresStopped(),
    PostgresBackends(),
    Poisoned(),
    ClockJumps(),
    RollingDeploy(),
    Flushall(),
]

KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in _ALL}
