"""Whoever leaves a stream leaves nothing behind, and whoever is interrupted loses nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from tests.support.calls import Threads
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import core_of, through
from tests.support.watching import PATIENCE, amounts, deposit, head, nobody_watches, streams_of

from ogpu import AsyncClient, Client
from ogpu.errors import ClientClosed, InvalidAddress, InvalidInput
from ogpu.events import Attempted, Deposited, ProtocolEvent, TaskPublished
from ogpu.streams.stream import AsyncEventStream
from ogpu.sync import EventStream


@pytest.fixture
def client(bare: RunningNetwork) -> Iterator[Client]:
    with Client(through(bare, bare.url)) as opened:
        yield opened


def is_left(client: Client) -> bool:
    """Whether nobody watches through a client any more."""
    return nobody_watches(streams_of(core_of(client)))


def test_breaking_out_of_a_loop_ends_the_stream(bare: RunningNetwork, client: Client) -> None:
    deposit(bare, 1)
    for event in client.events(Deposited, from_block=head(bare)):
        assert event.amount == 1
        break
    wait_until(lambda: is_left(client), what="the end of the stream")


def test_breaking_out_of_an_asynchronous_loop_ends_the_stream(bare: RunningNetwork) -> None:
    async def story() -> None:
        async with AsyncClient(through(bare, bare.url)) as client:
            await asyncio.to_thread(deposit, bare, 1)
            async for event in client.events(Deposited, from_block=head(bare)):
                assert event.amount == 1
                break
            gc.collect()
            async with asyncio.timeout(PATIENCE):
                while not nobody_watches(streams_of(client)):
                    await asyncio.sleep(0.01)

    asyncio.run(story())


def test_what_was_never_read_was_never_begun(client: Client) -> None:
    client.events(Deposited)
    assert is_left(client)


def test_after_with_the_stream_has_ended_and_gives_nothing(bare: RunningNetwork, client: Client) -> None:
    with client.events(Deposited) as stream:
        deposit(bare, 1)
        deposit(bare, 2)
        assert next(stream).amount == 1
    assert is_left(client)
    assert list(stream) == []
    stream.close()  # again: nothing happens


def test_one_stream_is_left_in_two_loops_and_goes_on(bare: RunningNetwork, client: Client) -> None:
    with client.events(Deposited) as stream:
        for amount in (1, 2, 3):
            deposit(bare, amount)
        assert amounts(islice(stream, 2)) == [1, 2]
        assert next(stream).amount == 3


def test_another_thread_ends_a_stream_that_is_waited_for(client: Client) -> None:
    stream = client.events(Deposited)
    waiting = Threads(lambda: list(stream))
    wait_until(lambda: core_of(client).chain.streams._members, what="the start")
    stream.close()
    assert waiting.results() == [[]]
    assert is_left(client)


def test_closing_the_client_ends_all_streams_at_once(bare: RunningNetwork) -> None:
    client = Client(through(bare, bare.url))
    streams: list[EventStream[ProtocolEvent]] = [client.events(), client.events(from_block=0)]

    def read(stream: EventStream[ProtocolEvent]) -> None:
        for _ in stream:
            pass

    waiting = Threads(*(lambda each=each: read(each) for each in streams))
    wait_until(lambda: len(core_of(client).chain.streams._members) == 2, what="the start")
    client.close()
    assert {type(outcome) for outcome in waiting.outcomes()} == {ClientClosed}
    with pytest.raises(ClientClosed):
        next(client.events())


def test_closing_an_asynchronous_client_ends_its_streams_at_once(bare: RunningNetwork) -> None:
    async def story() -> None:
        client = AsyncClient(through(bare, bare.url))
        streams = [client.events(), client.events(from_block=0)]
        waiting = [asyncio.create_task(exhaust(stream)) for stream in streams]
        while len(streams_of(client)._members) < 2:
            await asyncio.sleep(0.01)
        idle = client.events()
        await idle.__aenter__()
        await client.close()
        with pytest.raises(ClientClosed):
            await anext(idle)
        assert {type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)} == {
            ClientClosed
        }
        with pytest.raises(ClientClosed):
            await anext(client.events())
        assert nobody_watches(streams_of(client))
        assert len(asyncio.all_tasks()) == 2  # this one, and the one that bounds it

    async def exhaust(stream: AsyncEventStream[ProtocolEvent]) -> None:
        async for _ in stream:
            pass

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_an_interrupted_wait_loses_no_event(bare: RunningNetwork) -> None:
    """`asyncio.timeout` around each step, much shorter than what comes: also within a long past."""
    first = head(bare) + 1
    for amount in range(1, 4):
        deposit(bare, amount)
        bare.rpc("anvil_mine", "0x50")

    async def patiently(client: AsyncClient, first: int | None, count: int) -> list[int]:
        found: list[int] = []
        delay = 0.0005
        async with client.events(Deposited, from_block=first) as stream:
            while len(found) < count:
                try:
                    async with asyncio.timeout(delay):
                        found.append((await anext(stream)).amount)
                except TimeoutError:
                    delay *= 1.2
        return found

    async def story() -> None:
        async with AsyncClient(through(bare, bare.url)) as client:
            live, past = (asyncio.create_task(patiently(client, *each)) for each in ((None, 3), (first, 6)))
            while (feed := streams_of(client)._feed) is None or not feed._at_head:
                await asyncio.sleep(0.001)
            for amount in (4, 5, 6):
                await asyncio.to_thread(deposit, bare, amount)
            assert await live == [4, 5, 6]
            assert await past == [1, 2, 3, 4, 5, 6]

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_what_an_interrupted_caller_did_not_get_is_given_again(bare: RunningNetwork) -> None:
    async def story() -> None:
        async with AsyncClient(through(bare, bare.url)) as client, client.events(Deposited) as stream:
            await asyncio.to_thread(deposit, bare, 1)
            assert amounts(await stream.take(0)) == [1]
            assert amounts(await stream.take(0)) == [1]  # it was lost on its way
            await asyncio.to_thread(deposit, bare, 2)
            assert amounts(await stream.take(1)) == [2]

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_it_works_beside_a_running_loop_as_in_jupyter(bare: RunningNetwork) -> None:
    async def cell() -> list[int]:
        with Client(through(bare, bare.url)) as client, client.events(Deposited) as stream:
            deposit(bare, 1)
            deposit(bare, 2)
            return [next(stream).amount, next(stream).amount]

    assert asyncio.run(cell()) == [1, 2]


def test_many_threads_watch_through_one_client(bare: RunningNetwork, client: Client) -> None:
    def read(stream: EventStream[Deposited]) -> list[int]:
        with stream:
            started.release()
            return [next(stream).amount for _ in range(5)]

    started = threading.Semaphore(0)
    threads = Threads(*(lambda: read(client.events(Deposited)) for _ in range(8)))
    for _ in range(8):
        assert started.acquire(timeout=PATIENCE)
    for amount in range(1, 6):
        deposit(bare, amount)
    assert threads.results() == [[1, 2, 3, 4, 5]] * 8
    assert is_left(client)


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")  # that is the test
def test_a_forked_child_has_its_own_streams_and_leaves_its_parent_s_alone(bare: RunningNetwork) -> None:
    with Client(through(bare, bare.url)) as client, client.events(Deposited) as stream:
        deposit(bare, 1)
        assert next(stream).amount == 1
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            said = b"no error"
            try:
                next(stream)
            except ClientClosed:
                with client.events(Deposited) as own:
                    deposit(bare, 2)
                    said = str(next(own).amount).encode()
            os.write(write, said)
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            assert pipe.read() == b"2"
        os.waitpid(pid, 0)
        deposit(bare, 3)
        assert [next(stream).amount, next(stream).amount] == [2, 3]


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"kinds": "TaskPublished"}, "classes of ogpu.events"),
        ({"kinds": int}, "int is no kind of event"),
        ({"kinds": (TaskPublished, "Attempted")}, "'Attempted' is no kind of event"),
        ({"kinds": 7}, "classes of ogpu.events"),
        ({"source": 5}, "an address or several"),
        ({"provider": b"x"}, "an address or several"),
        ({"from_block": -1}, "from_block"),
        ({"from_block": True}, "from_block"),
        ({"to_block": 1.5}, "to_block"),
        ({"from_block": 5, "to_block": 4}, "before"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(client: Client, wish: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        client.events(**wish)  # type: ignore[call-overload]


def test_a_mistyped_address_is_refused_at_once(client: Client, bare: RunningNetwork) -> None:
    address = bare.address()
    flipped = address[:-1] + ("0" if address[-1] != "0" else "1")
    with pytest.raises(InvalidAddress, match="task"):
        client.events(Attempted, task=[address, flipped])


PROGRAM = """
from typing import assert_type
from ogpu import AsyncClient, Client
from ogpu.events import Attempted, ProtocolEvent, TaskPublished, VaultMovement
from ogpu.streams.stream import AsyncEventStream
from ogpu.streams.stream import AsyncEventStream
from ogpu.sync import EventStream

def plain(client: Client) -> None:
    assert_type(client.events(), EventStream[ProtocolEvent])
    assert_type(client.events(TaskPublished), EventStream[TaskPublished])
    assert_type(client.events(VaultMovement, provider="0x"), EventStream[VaultMovement])
    assert_type(client.events((Attempted, TaskPublished)), EventStream[ProtocolEvent])
    assert_type(client.events([Attempted]), EventStream[Attempted])
    for event in client.events(TaskPublished):
        assert_type(event.source, str)
    with client.events(Attempted, from_block=1) as stream:
        assert_type(next(stream), Attempted)

async def core(client: AsyncClient) -> None:
    assert_type(client.events(TaskPublished), AsyncEventStream[TaskPublished])
    async for event in client.events(Attempted):
        assert_type(event.suggested_payment, int)
"""


def test_the_types_are_those_of_the_kinds(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(program)],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=120,
    )
    assert (done.stdout, done.returncode) == ("", 0)
