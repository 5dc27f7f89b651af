"""Hazards of a WebSocket that tells of new blocks: whatever it does, nothing is later or wrong for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.anvil import LOGGER, anvil
from tests.support.canaries import secret_url
from tests.support.reader import QUICK, Reader, caught_up, followed

from ogpu.rpc.follow import follow
from ogpu.rpc.subscription import MAX_MESSAGE_BYTES, NewHeads
from ogpu.rpc.transport import RPC

NEVER = 300.0  # seconds between two looks; who waits for one fails
LEAVING = 15.0  # seconds; a server that goes on talking keeps nobody
NEWS = '{"jsonrpc":"2.0","method":"eth_subscription","params":{"result":{"number":"0xffffff"}}}'

Conduct = Callable[[web.WebSocketResponse], Awaitable[None]]


async def silent(socket: web.WebSocketResponse) -> None:
    async for _ in socket:  # until the other side closes
        pass


async def closing(socket: web.WebSocketResponse) -> None:
    await socket.close()


async def refusing(socket: web.WebSocketResponse) -> None:
    await socket.send_str('{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no subscriptions"}}')
    await silent(socket)


async def nonsense(socket: web.WebSocketResponse) -> None:
    for text in ("", "{", "null", "[" * 5000, '{"method": 7}', '"eth_subscription"', "\x00"):
        await socket.send_str(text)
    await silent(socket)


async def huge(socket: web.WebSocketResponse) -> None:
    await socket.send_str(NEWS[:-1] + " " * MAX_MESSAGE_BYTES + "}")
    await silent(socket)


async def flooding(socket: web.WebSocketResponse) -> None:
    with suppress(ConnectionError):  # the other side has gone
        while True:
            await socket.send_str(NEWS)


async def binary(socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(b"\xff\xfe" * 100)
    await silent(socket)


@asynccontextmanager
async def serving(conduct: Conduct) -> AsyncIterator[str]:
    """The URL of a WebSocket server that behaves so once it was asked for a subscription."""

    async def handle(request: web.BaseRequest) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await conduct(socket)
        return socket

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_a_new_block_is_seen_at_once_also_by_a_node_that_was_started_again(tmp_path: Path) -> None:
    async def story(rpc: RPC) -> Reader:
        reader = Reader()

        async def up_to_date() -> None:
            while len(reader.blocks) <= mine.head():
                reader.take(await anext(steps))

        async with (
            NewHeads([mine.ws_url]) as hint,
            aclosing(follow(rpc, [LOGGER], poll=NEVER, hint=hint)) as steps,
        ):
            await up_to_date()
            await asyncio.to_thread(mine.log, 2)
            await up_to_date()
            going_on = asyncio.ensure_future(anext(steps))
            await asyncio.to_thread(mine.stop)
            mine.start()
            await asyncio.to_thread(mine.log, 3)
            reader.take(await going_on)
            await up_to_date()
        return reader

    with anvil("--state", str(tmp_path / "state.json")) as mine:
        assert followed(mine.url, story).numbers() == [2, 1, 3, 2, 1]


@pytest.mark.parametrize("conduct", [silent, closing, refusing, nonsense, huge, flooding, binary])
def test_a_server_that_misbehaves_makes_nothing_later_than_a_look(
    conduct: Conduct, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def story(rpc: RPC) -> Reader:
        async with serving(conduct) as url, NewHeads([secret_url(url)]) as hint:
            reader = await caught_up(rpc, mine, hint=hint)
            await asyncio.to_thread(mine.log, 2)
            return await caught_up(rpc, mine, reader, hint=hint)

    with anvil() as mine:
        mine.log(3)
        reader = followed(mine.url, story)
        assert reader.hashes == mine.chain()
    assert reader.numbers() == [3, 2, 1, 2, 1]


def test_a_server_that_floods_does_not_make_it_look_all_the_time() -> None:
    async def main() -> int:
        async with serving(flooding) as url, NewHeads([url]) as hint:
            looks, end = 0, time.monotonic() + 0.5
            while time.monotonic() < end:
                await hint.wait(NEVER)
                looks += 1
            return looks

    start = time.monotonic()
    assert 1 < asyncio.run(main()) <= 50
    assert time.monotonic() - start < LEAVING


@pytest.mark.parametrize("urls", [[], ["ws://127.0.0.1:9"]])
def test_without_a_server_waiting_takes_its_time(urls: list[str]) -> None:
    async def main() -> float:
        async with NewHeads(urls) as hint:
            loop = asyncio.get_running_loop()
            start = loop.time()
            await hint.wait(QUICK)
            await hint.wait(QUICK)
            return loop.time() - start

    assert asyncio.run(main()) >= 2 * QUICK
