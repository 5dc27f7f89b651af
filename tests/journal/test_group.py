"""What waits together is committed together, and does not undo each other."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal, KeyTaken
from tests.journal.values import (
    CHAIN,
    LONG,
    ME,
    SENDER,
    YOU,
    attempt,
    intent,
    leased,
    on_a_loop,
    opened,
    stored,
)

ADDS = 50


@on_a_loop
async def test_many_concurrent_adds_are_few_transactions(where: str) -> None:
    seen: Counter[Boundary] = Counter()

    def count(boundary: Boundary) -> None:
        seen[boundary] += 1

    async with opened(where, at=count) as journal:
        senders = [f"0x{number}" for number in range(ADDS)]
        leases = await asyncio.gather(*(leased(journal, sender=sender) for sender in senders))
        before = seen.copy()
        await asyncio.gather(
            *(journal.add(lease, [intent(lease.sender, 0, sender=lease.sender)], 1) for lease in leases)
        )
        commits = (seen - before)[Boundary.JOURNAL_COMMITTED]
        assert len(await journal.list()) == ADDS
        assert 1 <= commits <= 3
        assert len({seen[boundary] for boundary in seen}) == 1  # begun, written and committed as often


@on_a_loop
async def test_a_refusal_does_not_undo_its_neighbours(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "taken")
        leases = [await leased(journal, sender=f"0x{number}") for number in range(3)]
        keys = ("a", "taken", "b")
        results = await asyncio.gather(
            *(
                journal.add(lease, [intent(key, 5, sender=lease.sender)], 6)
                for lease, key in zip(leases, keys, strict=True)
            ),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [type(None), KeyTaken, type(None)]
        assert {i.key for i in await journal.list()} == {"a", "taken", "b"}


@on_a_loop
async def test_a_value_that_no_database_takes_fails_alone(where: str) -> None:
    async with opened(where) as journal:
        leases = [await leased(journal, sender=f"0x{number}") for number in range(2)]
        results = await asyncio.gather(
            journal.add(leases[0], [intent("good", 0, sender="0x0")], 1),
            journal.add(leases[1], [intent("\ud800", 0, sender="0x1")], 1),
            return_exceptions=True,
        )
        assert results[0] is None
        assert isinstance(results[1], Exception)
        assert [i.key for i in await journal.list()] == ["good"]


@on_a_loop
async def test_a_question_that_no_database_understands_fails_alone(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a")
        results = await asyncio.gather(
            journal.find("a"),
            journal.find("\ud800"),
            journal.list(limit=2**70),
            journal.lane(CHAIN, SENDER),
            return_exceptions=True,
        )
        assert isinstance(results[1], Exception)
        assert isinstance(results[2], Exception)
        assert (results[0], results[3]) == (intent("a", 0), 1)


@on_a_loop
async def test_whoever_stops_waiting_undoes_nothing_and_holds_up_nobody(where: str) -> None:
    async with opened(where) as journal:
        lease = await leased(journal)
        adding = asyncio.create_task(journal.add(lease, [intent("a", 0)], 1, release=False))
        reading = asyncio.create_task(journal.list())
        await asyncio.sleep(0)
        adding.cancel()
        reading.cancel()
        await journal.add(lease, [intent("b", 1)], 2)
        assert [i.key for i in await journal.list()] == ["b", "a"]


def test_a_loop_that_ended_holds_up_no_other(where: str) -> None:
    written, go_on = threading.Event(), threading.Event()

    def stop(boundary: Boundary) -> None:
        if boundary is Boundary.JOURNAL_WRITTEN and not written.is_set():
            written.set()
            assert go_on.wait(10)

    async def ends_early() -> None:
        waiting = asyncio.create_task(journal.forget("early"))
        await asyncio.to_thread(written.wait, 10)
        waiting.cancel()

    async def goes_on() -> None:
        waiting = asyncio.create_task(stored(journal, "a"))
        await asyncio.sleep(0)
        go_on.set()
        await waiting
        await journal.close()

    journal = Journal(where, at=stop)
    asyncio.run(ends_early())
    asyncio.run(goes_on())


@on_a_loop
async def test_a_cancelled_acquire_does_not_keep_the_lane(where: str) -> None:
    stopped, go_on = threading.Event(), threading.Event()

    def stop(boundary: Boundary) -> None:
        if boundary is Boundary.JOURNAL_WRITTEN and not stopped.is_set():
            stopped.set()
            go_on.wait(10)

    async with opened(where, at=stop) as journal:
        asked = asyncio.create_task(journal.acquire(CHAIN, "0x1", ME, LONG))
        await asyncio.to_thread(stopped.wait)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        go_on.set()
        async with asyncio.timeout(10):
            while await journal.acquire(CHAIN, "0x1", YOU, LONG) is None:
                await asyncio.sleep(0.01)


@on_a_loop
async def test_two_journals_of_one_place_open_at_once(where: str) -> None:
    journals = [Journal(where) for _ in range(6)]
    leases = await asyncio.gather(*(leased(j, sender=f"0x{n}") for n, j in enumerate(journals)))
    await asyncio.gather(
        *(
            j.add(lease, [intent(f"k{n}", 0, sender=f"0x{n}")], 1)
            for n, (j, lease) in enumerate(zip(journals, leases, strict=True))
        )
    )
    for journal in journals:
        assert len(await journal.list()) == len(journals)
        await journal.close()


def test_operations_of_several_loops_are_told_to_their_own(where: str) -> None:
    journal = Journal(where)

    async def one(number: int) -> None:
        lease = await leased(journal, sender=f"0x{number}")
        await journal.add(lease, [intent(f"k{number}", 0, sender=f"0x{number}")], 1)
        lease = await leased(journal, sender=f"0x{number}")
        await journal.add_attempt(lease, f"k{number}", attempt(0, "bump"))

    threads = [threading.Thread(target=lambda n=n: asyncio.run(one(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def check() -> None:
        assert sorted(len(i.attempts) for i in await journal.list()) == [2] * 4
        await journal.close()

    asyncio.run(check())
