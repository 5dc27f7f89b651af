"""The provider's runtime on a real chain, against hostile work and a failing network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from ogpu.aio import AsyncClient
from ogpu.errors import ConfigurationError
from ogpu.networks import Network, load_network_file
from ogpu.provider import PROVIDER_POLICY, HandlerPool, Provider
from ogpu.tx.signer import resolve_signer
from ogpu.types import DeliveryMethod, TaskInfo, TaskInput, TaskStatus
from tests.localnet.commands import Run, stop, up
from tests.support.market import source_info
from tests.support.proxy import Fault, proxied

HANDLERS = """
import os, time
from pathlib import Path
from typing import Any
from pydantic import BaseModel, ConfigDict
from ogpu.service import expose
class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")
class Number(BaseModel):
    n: int
@expose()
def double(m: Number) -> Number:
    return Number(n=2 * m.n)
@expose()
def hold(m: Number) -> Number:
    Path(f"running-{m.n}-{os.getpid()}").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    return m
@expose()
def fail(m: Anything) -> Anything:
    raise ValueError("the reason \\x1b[31m")
@expose()
def wrong(m: Anything) -> Number:
    return {"not": "a model"}
@expose()
def leave(m: Anything) -> Anything:
    os._exit(7)
@expose(timeout=0.3)
def sleep(m: Anything) -> Anything:
    time.sleep(60)
    return m
@expose()
def fork(m: Anything) -> Number:
    if os.fork() == 0:
        time.sleep(60)
    return Number(n=1)
@expose()
def chatter(m: Anything) -> Number:
    for line in range(1000):
        print("\\x1b[2J spam", line)
    return Number(n=2)
@expose()
def unwritable(m: Anything) -> Anything:
    return Anything(value=object())
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A network without a provider of its own."""
    with up(tmp_path_factory.mktemp("bare"), "--no-provider") as run:
        yield run
        stop(run)


class Stage:
    """A client, a provider that runs in this process, and all that it reports."""

    def __init__(self, network: Network, stack: AsyncExitStack, folder: Path) -> None:
        self.network = network
        self._stack = stack
        self._folder = folder
        self.client: AsyncClient
        self.lines: list[str] = []

    async def open(self) -> None:
        key = self.network.accounts["client"][0].private_key
        self.client = await self._stack.enter_async_context(
            AsyncClient(self.network, private_key=key, journal=":memory:")
        )

    async def provider(
        self, network: Network | None = None, *, content: str | None = None, **options: Any
    ) -> asyncio.Task[None]:
        """Start a provider, from this block on."""
        network = network or self.network
        account = resolve_signer(network.accounts["provider"][0].private_key)
        own = await self._stack.enter_async_context(
            AsyncClient(
                network, private_key=account, journal=":memory:", policy=PROVIDER_POLICY, content=content
            )
        )
        files = [self._folder / "handlers.py"]
        files[0].write_text(HANDLERS)
        pool = HandlerPool(files, size=2, log=self.lines.append)
        await self._stack.enter_async_context(pool)
        first = (await self.client.chain.head()).number
        options = {"first_block": first + 1, "poll": 0.05, "report": self.lines.append, **options}
        task = asyncio.create_task(Provider(own, account, pool, **options).run())
        self._stack.push_async_callback(_ended, task)
        return task

    async def source(self, **changes: Any) -> str:
        changes = {"deliveryMethod": DeliveryMethod.FIRST_RESPONSE, **changes}
        return await self.client.publish_source(source_info(**changes))

    async def task(self, source: str, function: str, seconds: int = 600, **data: Any) -> str:
        info = TaskInfo(source, TaskInput(function, data), int(time.time()) + seconds, 10**16)
        return await self.client.publish_task(info)

    async def raw_task(self, source: str, config: str) -> str:
        """A task with any config URL, as a hostile client would publish it."""
        chain, signer = self.client.chain, self.client._keys.signer()
        call = chain.call("Controller", "publishTask", (source, config, int(time.time()) + 600, 10**16))
        receipt = await chain.send(call, signer)
        return self.client._market._published(receipt, "TaskPublished", "task")

    async def said(self, *words: str) -> None:
        await until(
            lambda: any(all(word in line for word in words) for line in self.lines), (words, self.lines)
        )

    async def result(self, task: str) -> Any:
        return await self.client.fetch_result(await self.client.wait_for_response(task, timeout=30))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object], what: object = "", limit: float = 30) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, str(what)
        await asyncio.sleep(0.02)


def play(run: Run, folder: Path, story: Callable[[Stage], Awaitable[None]], limit: float = 90) -> None:
    async def whole() -> None:
        async with asyncio.timeout(limit), AsyncExitStack() as stack:
            stage = Stage(load_network_file(run.file), stack, folder)
            await stage.open()
            await story(stage)
        assert not [line for line in stage.lines if "defect" in line], stage.lines

    asyncio.run(whole())


def test_failing_handlers_are_reported_and_the_next_task_is_answered(bare: Run, tmp_path: Path) -> None:
    reasons = {
        "fail": "the reason \\x1b[31m",
        "wrong": "HandlerFailed",
        "leave": "exit code 7",
        "sleep": "did not finish within 0.3 s",
        "nobody": "No handler is called 'nobody'",
        "unwritable": "HandlerFailed",
    }

    async def story(stage: Stage) -> None:
        await stage.provider()
        source = await stage.source()
        tasks = {
            name: await stage.task(source, name, n=1) for name in (*reasons, "fork", "chatter", "double")
        }
        assert await stage.result(tasks["double"]) == {"n": 2}
        assert await stage.result(tasks["fork"]) == {"n": 1}
        assert await stage.result(tasks["chatter"]) == {"n": 2}
        for name, reason in reasons.items():
            await stage.said(f"task {tasks[name]} is not answered", reason)
            assert await stage.client.get_task_responses(tasks[name]) == []
        assert not [line for line in stage.lines if "\x1b" in line or "\n" in line]
        nobody = await stage.client.get_task(tasks["nobody"])
        assert nobody.status is TaskStatus.NEW  # it was not even attempted

    play(bare, tmp_path, story)


HOSTILE: dict[str, tuple[Any, str]] = {
    "not JSON": (b"\xff\xfe{", "ContentInvalid"),
    "a list": (b"[]", "is not a JSON object"),
    "no function": (b'{"data": {}}', "no function_name"),
    "a number for a name": (b'{"function_name": 1, "data": {}}', "no function_name"),
    "data is text": (b'{"function_name": "double", "data": "x"}', "no data (object)"),
    "deep": (
        b'{"function_name": "double", "data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        "ContentInvalid",
    ),
    "wrong data": (b'{"function_name": "double", "data": {"n": "\\u001b[2J"}}', "HandlerInputInvalid"),
    "a long name": (b'{"function_name": "' + b"a" * 100_000 + b'", "data": {}}', "HandlerMissing"),
}


def test_hostile_configs_cost_only_their_own_task(bare: Run, tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.provider()
        source = await stage.source()
        published = {}
        for kind, (content, _) in HOSTILE.items():
            link = await stage.client.content.put_bytes(content, "taskConfig.json")
            published[kind] = await stage.raw_task(source, link)
        for link in ("", "file:///etc/passwd", "http://127.0.0.1:1/ipfs/nothing", "\x1b[2J", "x" * 30_000):
            published[link[:20]] = await stage.raw_task(source, link)
        good = await stage.task(source, "double", n=4)
        assert await stage.result(good) == {"n": 8}
        for kind, task in published.items():
            await stage.said(f"task {task} is not answered", HOSTILE.get(kind, ("", ""))[1])
        assert max(map(len, stage.lines)) < 600
        assert not [line for line in stage.lines if "\x1b" in line]

    play(bare, tmp_path, story)


def test_content_that_is_nowhere_is_given_up_and_the_rest_goes_on(bare: Run, tmp_path: Path) -> None:
    missing = "https://example.org/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG"

    async def story(stage: Stage) -> None:
        await stage.provider(capacity=2)
        source = await stage.source()
        lost = await stage.raw_task(source, missing)
        assert await stage.result(await stage.task(source, "double", n=1)) == {"n": 2}
        await stage.said(f"task {lost} is delayed")
        await stage.said(f"task {lost} is not answered", "ContentUnavailable")

    play(bare, tmp_path, story)


def test_a_source_that_asks_too_much_is_told_once(bare: Run, tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.provider()
        source = await stage.source(minAvailableLockup=10**24)
        tasks = [await stage.task(source, "double", n=n) for n in range(3)]
        own = await stage.source()
        assert await stage.result(await stage.task(own, "double", n=3)) == {"n": 6}
        refusals = [line for line in stage.lines if f"cannot register to source {source}" in line]
        assert len(refusals) == 1
        assert "1000000 OGPU" in refusals[0]
        assert [(await stage.client.get_task(task)).status for task in tasks] == [TaskStatus.NEW] * 3

    play(bare, tmp_path, story)


def test_a_task_that_ends_while_its_handler_runs(bare: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(stage: Stage) -> None:
        await stage.provider()
        source = await stage.source()
        short = await stage.task(source, "hold", seconds=3, n=1)
        await stage.said(f"task {short} is not answered: TaskExpired")
        assert await stage.result(await stage.task(source, "double", n=5)) == {"n": 10}

    play(bare, tmp_path, story)


def test_a_worker_killed_in_the_middle_is_reported_and_replaced(
    bare: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(stage: Stage) -> None:
        await stage.provider()
        source = await stage.source()
        task = await stage.task(source, "hold", n=1)
        await until(lambda: list(tmp_path.glob("running-*")))
        (running,) = tmp_path.glob("running-*")
        psutil.Process(int(running.name.rpartition("-")[2])).kill()
        await stage.said(f"task {task} is not answered: HandlerCrashed", "SIGKILL")
        both = [await stage.task(source, "double", n=n) for n in (6, 7)]
        assert [await stage.result(task) for task in both] == [{"n": 12}, {"n": 14}]

    play(bare, tmp_path, story)


def test_a_provider_whose_answers_nobody_could_read_does_not_start(bare: Run, tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        with pytest.raises(ConfigurationError, match="folder of this machine"):
            await (await stage.provider(content=f"folder:{tmp_path / 'answers'}"))

    play(bare, tmp_path, story)


def test_a_restart_goes_on_with_what_was_attempted(bare: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(stage: Stage) -> None:
        first = (await stage.client.chain.head()).number
        provider = await stage.provider()
        source = await stage.source()
        task = await stage.task(source, "hold", n=3)
        await until(lambda: list(tmp_path.glob("running-*")))
        await _ended(provider)
        (tmp_path / "go").touch()
        await stage.provider(first_block=first)
        assert await stage.result(task) == {"n": 3}
        assert (await stage.client.get_task(task)).attempt_count == 1

    play(bare, tmp_path, story)


def test_the_network_may_fail_at_any_step_and_no_task_is_lost(
    bare: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    faults = (Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.HTML, Fault.TOO_MANY, Fault.TRUNCATED)

    async def story(stage: Stage) -> None:
        with proxied(stage.network.rpc_urls[0]) as proxy:
            await stage.provider(replace(stage.network, rpc_urls=(proxy.url,)))
            source = await stage.source()
            for fault in faults:
                for method in (
                    "eth_call",
                    "eth_sendRawTransaction",
                    "eth_getTransactionReceipt",
                    "eth_getLogs",
                ):
                    proxy.order(method, fault)
                task = await stage.task(source, "double", n=faults.index(fault))
                assert await stage.result(task) == {"n": 2 * faults.index(fault)}
            task = await stage.task(source, "hold", n=50)
            await until(lambda: list(tmp_path.glob("running-50-*")))
            proxy.order("eth_call", Fault.DROP_BEFORE, times=5)  # longer than one call's own patience
            (tmp_path / "go").touch()
            assert await stage.result(task) == {"n": 50}
            await stage.said(f"task {task} is delayed")
            proxy.order("*", Fault.DROP_BEFORE, times=5)
            await stage.said("cannot read the chain, tries on")
            await stage.said("reads the chain again")

    play(bare, tmp_path, story, limit=120)


def test_many_tasks_are_served_with_bounds(bare: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(stage: Stage) -> None:
        await stage.provider(capacity=3)
        source = await stage.source()
        tasks = await asyncio.gather(*(stage.task(source, "hold", n=n) for n in range(12)))
        await until(lambda: len(list(tmp_path.glob("running-*"))) == 2)  # the pool's two workers
        await stage.client.chain.rpc.call("evm_mine")
        open_tasks = [await stage.client.get_task(task) for task in tasks]
        assert sum(task.attempt_count for task in open_tasks) <= 3
        (tmp_path / "go").touch()
        assert [await stage.result(task) for task in tasks] == [{"n": n} for n in range(12)]

    play(bare, tmp_path, story)


def test_a_chain_that_is_wound_back_is_followed(bare: Run, tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.provider()
        source = await stage.source()
        assert await stage.result(await stage.task(source, "double", n=1)) == {"n": 2}
        rpc = stage.client.chain.rpc
        snapshot = await rpc.call("evm_snapshot")
        for n in range(4):
            assert await stage.result(await stage.task(source, "double", n=n)) == {"n": 2 * n}
        # The provider waits for its last receipt, which a chain that is wound back would never give.
        await until(lambda: sum("answered in" in line for line in stage.lines) == 5, stage.lines)
        await rpc.call("evm_revert", snapshot)
        await stage.client.clear_all_nonce_caches()
        assert await stage.result(await stage.task(source, "double", n=9)) == {"n": 18}

    play(bare, tmp_path, story)
