"""Group commit: what goes out together, its bounds, and what a caller's end does not change."""

import asyncio

import pytest

from engine.live.group_commit import GroupCommit, Landed, Limits, Overloaded


class Sender:
    """Takes batches and answers each when told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.answers: list[asyncio.Future[None]] = []
        self.sent = asyncio.Condition()

    async def send(self, batch: list[int]) -> list[int]:
        answer = asyncio.get_running_loop().create_future()
        async with self.sent:
            self.batches.append(batch)
            self.answers.append(answer)
            self.sent.notify_all()
        await answer
        return [10 * request for request in batch]

    async def until_sent(self, batches: int) -> None:
        async with self.sent:
            await self.sent.wait_for(lambda: len(self.batches) >= batches)


async def test_what_arrives_in_one_turn_goes_out_together() -> None:
    sender = Sender()
    queue = GroupCommit(sender.send, Limits())
    answers = [queue.submit(request) for request in range(5)]
    await sender.until_sent(1)
    sender.answers[0].set_result(None)
    assert await asyncio.gather(*answers) == [0, 10, 20, 30, 40]
    assert sender.batches == [[0, 1, 2, 3, 4]]


async def test_what_arrives_meanwhile_is_the_next_batch() -> None:
    sender = Sender()
    queue = GroupCommit(sender.send, Limits(batches_in_flight_max=1))
    first = queue.submit(1)
    await sender.until_sent(1)
    later = [queue.submit(request) for request in (2, 3)]
    assert queue.waiting == 2
    sender.answers[0].set_result(None)
    assert await first == 10
    await sender.until_sent(2)
    sender.answers[1].set_result(None)
    assert await asyncio.gather(*later) == [20, 30]
    assert sender.batches == [[1], [2, 3]]


async def test_batches_are_bounded() -> None:
    sender = Sender()
    queue = GroupCommit(sender.send, Limits(batch_entries_max=2, batches_in_flight_max=2))
    answers = [queue.submit(request) for request in range(7)]
    await sender.until_sent(2)
    assert (sender.batches, queue.waiting) == ([[0, 1], [2, 3]], 3)
    for number in range(4):
        await sender.until_sent(number + 1)
        sender.answers[number].set_result(None)
    assert len(await asyncio.gather(*answers)) == 7


async def test_a_full_queue_refuses_at_once() -> None:
    sender = Sender()
    queue = GroupCommit(sender.send, Limits(waiting_entries_max=2))
    answers = [queue.submit(request) for request in (1, 2)]
    with pytest.raises(Overloaded):
        queue.submit(3)
    await sender.until_sent(1)
    sender.answers[0].set_result(None)
    assert await asyncio.gather(*answers) == [10, 20]


async def test_a_queue_that_does_not_move_takes_no_more_until_its_first_is_sent() -> None:
    sender, clock = Sender(), [0.0]
    limits = Limits(batch_entries_max=1, batches_in_flight_max=1, waiting_s_max=3, given_back_s=5)
    queue = GroupCommit(sender.send, limits, now_s=lambda: clock[0])
    answers = [queue.submit(1)]
    await sender.until_sent(1)
    clock[0] = 1
    answers.append(queue.submit(2))
    clock[0] = 4
    answers.append(queue.submit(3))
    clock[0] = 4.1
    with pytest.raises(Overloaded):
        queue.submit(4)
    sender.answers[0].set_result(None)
    await sender.until_sent(2)
    # The first that waits is now the third, which came late.
    answers.append(queue.submit(5))
    for number in (1, 2, 3):
        await sender.until_sent(number + 1)
        sender.answers[number].set_result(None)
    assert await asyncio.gather(*answers) == [10, 20, 30, 50]


async def test_what_waits_behind_a_stall_is_given_back_and_never_sent() -> None:
    sender, clock = Sender(), [0.0]
    limits = Limits(batch_entries_max=1, batches_in_flight_max=1, waiting_s_max=3, given_back_s=5)
    queue = GroupCommit(sender.send, limits, now_s=lambda: clock[0])
    stalled = queue.submit(1)
    await sender.until_sent(1)
    old, gone = queue.submit(2), queue.submit(3)
    gone.cancel()
    clock[0] = 1
    young = queue.submit(4)
    clock[0] = 5.1
    sender.answers[0].set_exception(RuntimeError("no answer"))
    with pytest.raises(RuntimeError):
        await stalled
    with pytest.raises(Overloaded):
        await old
    await sender.until_sent(2)
    sender.answers[1].set_result(None)
    assert await young == 40
    assert sender.batches == [[1], [4]]


async def test_a_caller_that_goes_away_cancels_nothing() -> None:
    sender = Sender()
    queue = GroupCommit(sender.send, Limits())
    gone, stays = queue.submit(1), queue.submit(2)
    await sender.until_sent(1)
    gone.cancel()
    sender.answers[0].set_result(None)
    assert await stays == 20
    assert sender.batches == [[1, 2]]


async def test_a_failure_reaches_every_caller_of_its_batch_and_no_other() -> None:
    sender = Sender()
    queue = GroupCommit(sender.send, Limits(batches_in_flight_max=1))
    first = queue.submit(1)
    await sender.until_sent(1)
    second = queue.submit(2)
    sender.answers[0].set_exception(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        await first
    await sender.until_sent(2)
    sender.answers[1].set_result(None)
    assert await second == 20


async def test_drain_waits_for_everything() -> None:
    sender = Sender()
    queue = GroupCommit(sender.send, Limits(batch_entries_max=1, batches_in_flight_max=1))
    answers = [queue.submit(request) for request in (1, 2)]
    draining = asyncio.create_task(queue.drain())
    for number in range(2):
        await sender.until_sent(number + 1)
        assert not draining.done()
        sender.answers[number].set_result(None)
    await draining
    assert all(answer.done() for answer in answers)


async def test_each_batch_is_measured_from_arrival_to_answer() -> None:
    sender, landed = Sender(), list[Landed[int]]()
    clock = [0.0]
    queue = GroupCommit(sender.send, Limits(batches_in_flight_max=1), landed.append, lambda: clock[0])
    first = queue.submit(1)
    clock[0] = 1.0
    await sender.until_sent(1)
    later = []
    for request in (2, 3):
        clock[0] += 1
        later.append(queue.submit(request))
    clock[0] = 4.0
    sender.answers[0].set_result(None)
    await sender.until_sent(2)
    clock[0] = 6.0
    sender.answers[1].set_result(None)
    assert [await first, *await asyncio.gather(*later)] == [10, 20, 30]
    await queue.drain()
    assert landed == [Landed([10], [0.0], 1.0, 4.0), Landed([20, 30], [2.0, 3.0], 4.0, 6.0)]


async def test_what_a_full_queue_refuses_is_counted() -> None:
    sender = Sender()
    queue = GroupCommit(sender.send, Limits(waiting_entries_max=1))
    answer = queue.submit(1)
    for _ in range(3):
        with pytest.raises(Overloaded):
            queue.submit(2)
    await sender.until_sent(1)
    sender.answers[0].set_result(None)
    assert (await answer, queue.refused) == (10, 3)
