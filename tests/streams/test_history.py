"""What has happened is given as the chain has it, and what comes after it without a gap or a double."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.support.localnet import RunningNetwork
from tests.support.market import through
from tests.support.past import Past, lived
from tests.support.watching import (
    CONTRACTS,
    PATIENCE,
    Kinship,
    Ledger,
    Logged,
    amounts,
    by_web3,
    deposit,
    head,
    keys_of,
    kinship,
    streams_of,
)

from ogpu import AsyncClient, Client
from ogpu.events import (
    Attempted,
    Deposited,
    ResponseStatusChanged,
    ResponseSubmitted,
    VaultMovement,
)
from ogpu.streams.decoding import all_kinds, kinds_of


@pytest.fixture(scope="module")
def world(bare_network: RunningNetwork) -> Iterator[Past]:
    """A chain on which all of the protocol has happened, longer ago than a client looks back by itself."""
    with lived(bare_network) as found:
        found.network.rpc("anvil_mine", "0x50")
        yield found


@pytest.fixture(scope="module")
def logged(world: Past) -> list[Logged]:
    """Its events, as web3 finds them."""
    return by_web3(world.network)


@pytest.fixture(scope="module")
def kin(world: Past, logged: list[Logged]) -> Kinship:
    """Which source, task and provider each is about, by web3."""
    return kinship(world.network, logged)


def test_every_kind_of_every_contract_comes_as_web3_reads_it(world: Past, logged: list[Logged]) -> None:
    with Client(through(world.network, world.network.url)) as client:
        found = list(client.events(from_block=0, to_block=head(world.network)))
    assert [(type(event).__name__, event.place.block_hash, event.place.log_index) for event in found] == [
        (each.name, *each.key) for each in logged
    ]
    for event, each in zip(found, logged, strict=True):
        values = [getattr(event, name) for name in vars(event) if name not in ("place", "removed")]
        assert len(values) == len(each.arguments)
        plain = [value for value in each.arguments.values() if not hasattr(value, "items")]
        assert [value for value in values if not hasattr(value, "client")] == plain
        assert (
            event.place.timestamp
            == world.network.rpc("eth_getBlockByNumber", hex(event.place.block_number), False)["timestamp"]
            or int(
                world.network.rpc("eth_getBlockByNumber", hex(event.place.block_number), False)["timestamp"],
                16,
            )
            == event.place.timestamp
        )
    never = {"RoleRevoked", "RoleAdminChanged"}  # which nobody can do, or has done
    assert {type(event).__name__ for event in found} | never == {kind.__name__ for kind in all_kinds()}


def test_all_events_of_the_five_contracts_can_be_asked_for() -> None:
    offered = {kind for contract in CONTRACTS for _, kind in kinds_of(contract).values()}
    assert offered == all_kinds()
    assert len(offered) == 29  # of 34, as some contracts emit the same


Choice = Callable[[Past], dict[str, Any]]

FILTERS: dict[str, Choice] = {
    "a source": lambda world: {"source": world.sources[0]},
    "two sources": lambda world: {"source": world.sources[::2]},
    "a task": lambda world: {"task": world.tasks[0]},
    "a provider": lambda world: {"provider": world.address("provider")},
    "providers": lambda world: {"provider": {world.address("fourth"), world.address("third")}},
    "a source and a provider": lambda world: {
        "source": world.sources[0],
        "provider": world.address("provider").lower(),
    },
    "a task and a provider": lambda world: {"task": world.tasks[0], "provider": world.address("fourth")},
    "kinds of a source": lambda world: {
        "source": world.sources[2],
        "kinds": (Attempted, ResponseSubmitted, ResponseStatusChanged),
    },
    "a base of kinds, of a provider": lambda world: {
        "kinds": VaultMovement,
        "provider": world.address("third"),
    },
    "nothing there is": lambda world: {"task": world.sources[0]},
}


@pytest.mark.parametrize("seen", ["all of it", "the end of it"])
@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_gives_what_web3_finds_with_all_that_events_do_not_say(
    world: Past, logged: list[Logged], kin: Kinship, name: str, seen: str
) -> None:
    """From the end on, what tasks and responses are has to be read: their publication was not seen."""
    wanted = FILTERS[name](world)
    first = (
        0
        if seen == "all of it"
        else int(
            world.network.rpc("eth_getBlockByHash", logged[2 * len(logged) // 3].block_hash, False)["number"],
            16,
        )
    )
    with Client(through(world.network, world.network.url)) as client:
        found = list(client.events(**wanted, from_block=first, to_block=head(world.network)))
    expected = keys_of(kin.only(by_web3(world.network, first), **wanted))
    assert [(event.place.block_hash, event.place.log_index) for event in found] == expected
    assert bool(expected) == (name != "nothing there is") or first


def test_the_end_of_a_span_is_the_end_of_the_stream(world: Past, logged: list[Logged]) -> None:
    with Client(through(world.network, world.network.url)) as client:
        numbers = [event.place.block_number for event in client.events(from_block=0, to_block=10**6 // 10**6)]
        assert all(number <= 1 for number in numbers)
        everything = list(client.events(from_block=0, to_block=head(world.network)))
        half = everything[len(everything) // 2].place.block_number
        upper = list(client.events(from_block=half + 1, to_block=head(world.network)))
        lower = list(client.events(from_block=0, to_block=half))
        assert not list(client.events(to_block=half))  # from now on, and it was over before
    assert [*lower, *upper] == everything


def test_history_goes_over_into_what_comes_without_gap_or_double(bare: RunningNetwork) -> None:
    """While many watchers read a long past, more happens all the time."""
    start = head(bare) + 1
    for amount in range(1, 6):
        deposit(bare, amount)
        bare.rpc("anvil_mine", "0x96")

    async def read(client: AsyncClient, first: int) -> list[int]:
        ledger = Ledger()
        async with client.events(Deposited, from_block=first) as stream:
            async for event in stream:
                ledger.take(event)
                if event.amount == 40:
                    break
        return amounts(ledger.events)

    async def happening() -> None:
        for amount in range(6, 41):
            await asyncio.to_thread(deposit, bare, amount)

    async def story() -> list[list[int]]:
        async with asyncio.timeout(PATIENCE), AsyncClient(through(bare, bare.url)) as client:
            found, _ = await asyncio.gather(
                asyncio.gather(*(read(client, start + 10 * each) for each in range(5))), happening()
            )
            return found

    found = asyncio.run(story())
    assert found[0] == list(range(1, 41))
    assert all(each == list(range(2, 41)) for each in found[1:])


def test_a_block_to_come_is_waited_for(bare: RunningNetwork) -> None:
    async def story() -> None:
        async with asyncio.timeout(PATIENCE), AsyncClient(through(bare, bare.url)) as client:
            first = head(bare) + 3
            async with client.events(Deposited, from_block=first, to_block=first + 1) as stream:
                for amount in range(1, 7):
                    await asyncio.to_thread(deposit, bare, amount)
                assert amounts([event async for event in stream]) == [3, 4]

    asyncio.run(story())


def test_from_the_block_of_a_receipt_on_nothing_is_lost(bare: RunningNetwork) -> None:
    """The client has seen a block that its feed, which looks less often, has not."""

    async def story() -> None:
        deaf = replace(through(bare, bare.url), ws_urls=())
        async with asyncio.timeout(PATIENCE), AsyncClient(deaf) as client:
            streams_of(client).poll = 1.0
            async with client.events(Deposited):
                await asyncio.to_thread(deposit, bare, 1)
                block = int(await client.chain.rpc.call("eth_blockNumber"), 16)
                async with client.events(Deposited, from_block=block) as stream:
                    await asyncio.to_thread(deposit, bare, 2)
                    assert [(await anext(stream)).amount for _ in range(2)] == [1, 2]

    asyncio.run(story())
