"""Group commit: requests that arrive while an earlier batch is in flight go out together as the next one.

One trip to Redis and one fsync then serve many requests, and the more arrive, the more share them. The technique
is that of database logs (Gawlick and Kinkade, "Varieties of Concurrency Control in IMS/VS Fast Path", 1985).
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from msgspec import Struct

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Limits(Struct, frozen=True):
    """The bounds of one queue."""

    batch_entries_max: int = 128
    batches_in_flight_max: int = 2
    waiting_entries_max: int = 10_000
    waiting_s_max: float = 3.0
    """Once the first that waits has waited so long, no more is taken: it would wait longer than clients do."""
    given_back_s: float = 5.0
    """What has waited so long is not sent any more: its client has gone, and will ask again."""
    only_full_beside: bool = True
    """Beside another batch only a full one goes out; fewer gather until one lands."""


class Landed(Struct, Generic[Answer], frozen=True):
    """A batch that was answered, for those who measure. Times are seconds of one clock that never goes back."""

    answers: list[Answer]
    arrived_s: list[float]
    """When each request was submitted, the earliest first."""
    sent_s: float
    answered_s: float


class Overloaded(Exception):
    """The queue is full, or does not move; nothing was asked."""


class GroupCommit(Generic[Request, Answer]):
    """One queue: `send` gets a batch of requests and returns one answer for each, in order.

    `observe` is told of each batch once its callers have their answers.
    """

    def __init__(
        self,
        send: Callable[[list[Request]], Awaitable[list[Answer]]],
        limits: Limits,
        observe: Callable[[Landed[Answer]], None] = lambda landed: None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._limits = limits
        self._observe = observe
        self._now_s = now_s
        self.refused = 0
        """Requests that were not taken or given back, since the start."""
        self._waiting: deque[tuple[Request, asyncio.Future[Answer], float]] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._flush_due = False

    @property
    def waiting(self) -> int:
        """Requests that are not sent yet."""
        return len(self._waiting)

    def submit(self, request: Request) -> asyncio.Future[Answer]:
        """Put a request into the next batch. A caller that goes away does not cancel it. Raises Overloaded."""
        arrived_s, waiting, limits = self._now_s(), self._waiting, self._limits
        if waiting and (
            len(waiting) >= limits.waiting_entries_max or arrived_s - waiting[0][2] > limits.waiting_s_max
        ):
            self.refused += 1
            raise Overloaded
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        waiting.append((request, answer, arrived_s))
        if not self._flush_due and len(self._in_flight) < self._limits.batches_in_flight_max:
            # At the end of this turn of the loop, so that all requests it brings go out together.
            self._flush_due = True
            loop.call_soon(self._flush)
        return answer

    async def drain(self) -> None:
        """Wait until everything that was submitted is answered."""
        while self._in_flight or self._waiting:
            if self._in_flight:
                await asyncio.wait(self._in_flight)
            else:
                await asyncio.sleep(0)

    def _flush(self) -> None:
        self._flush_due = False
        self._give_back()
        while self._waiting and len(self._in_flight) < self._limits.batches_in_flight_max:
            size = min(len(self._waiting), self._limits.batch_entries_max)
            if self._in_flight and self._limits.only_full_beside and size < self._limits.batch_entries_max:
                break
            batch = [self._waiting.popleft() for _ in range(size)]
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._in_flight.add(task)
            task.add_done_callback(self._landed)

    def _give_back(self) -> None:
        """Refuse what has waited too long, behind calls that were not answered."""
        before_s = self._now_s() - self._limits.given_back_s
        while self._waiting and self._waiting[0][2] < before_s:
            _, answer, _ = self._waiting.popleft()
            self.refused += 1
            if not answer.done():
                answer.set_exception(Overloaded())

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._flush()

    async def _run(self, batch: list[tuple[Request, asyncio.Future[Answer], float]]) -> None:
        sent_s = self._now_s()
        try:
            answers = await self._send([request for request, _, _ in batch])
        except Exception as error:
            for _, future, _ in batch:
                if not future.done():
                    future.set_exception(error)
            return
        answered_s = self._now_s()
        for (_, future, _), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
        self._observe(Landed(answers, [arrived_s for _, _, arrived_s in batch], sent_s, answered_s))
