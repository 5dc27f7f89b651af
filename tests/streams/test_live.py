"""Events as they happen: none lost, none twice, and nothing left behind."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.support.localnet import RunningNetwork
from tests.support.market import source_info, task_info, through
from tests.support.watching import PATIENCE, deposit

from ogpu import AsyncClient, Client
from ogpu.events import Deposited, SourcePublished, TaskPublished


def test_what_happens_from_now_on_is_given_and_nothing_before(bare: RunningNetwork) -> None:
    with Client(through(bare, bare.url)) as client:
        source = client.publish_source(source_info())
        with client.events((SourcePublished, TaskPublished)) as stream:
            tasks = [client.publish_task(task_info(source)) for _ in range(3)]
            other = client.publish_source(source_info())
            found = [next(stream) for _ in range(4)]
    assert [event.task for event in found[:3] if isinstance(event, TaskPublished)] == tasks
    assert isinstance(found[3], SourcePublished)
    assert found[3].source == other
    assert not any(event.removed for event in found)
    assert [event.place.block_number for event in found] == sorted({e.place.block_number for e in found})


def test_the_same_from_asyncio(bare: RunningNetwork) -> None:
    async def story() -> None:
        async with AsyncClient(through(bare, bare.url)) as client:
            source = await client.publish_source(source_info())
            async with client.events(TaskPublished) as stream:
                task = await client.publish_task(task_info(source))
                async for event in stream:
                    assert (event.task, event.source) == (task, source)
                    break

    asyncio.run(story())


def test_what_the_client_has_seen_before_is_not_given_though_the_shared_look_is_behind(
    bare: RunningNetwork,
) -> None:
    async def story() -> None:
        network = replace(through(bare, bare.url), ws_urls=())
        async with AsyncClient(network) as client, client.events(Deposited) as first:
            await asyncio.to_thread(deposit, bare, 1)
            await client.vault.balance_of(bare.address())
            async with client.events(Deposited) as second:
                await asyncio.to_thread(deposit, bare, 2)
                assert (await anext(second)).amount == 2
            assert [(await anext(first)).amount, (await anext(first)).amount] == [1, 2]

    asyncio.run(asyncio.wait_for(story(), PATIENCE))
