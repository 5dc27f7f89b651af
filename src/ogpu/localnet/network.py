"""The local network as one thing: started in order, watched, stopped in the opposite order."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ogpu.aio import AsyncClient
from ogpu.errors import LocalNetworkError, NetworkError, NodeFailed, OGPUError
from ogpu.localnet.accounts import make_accounts
from ogpu.localnet.content_service import content_app
from ogpu.localnet.deploy import add_providers, deploy, mine_pending
from ogpu.localnet.files import lock_of, write_private, writer_of
from ogpu.localnet.life import LifeWatcher
from ogpu.localnet.node import HOST, Node, NodeOptions, bound, find_anvil
from ogpu.localnet.page import PageProcess
from ogpu.localnet.processes import FileLock
from ogpu.localnet.state import Saved, State
from ogpu.networks import LOCAL_CHAIN_ID, Network, parse_network
from ogpu.provider import PROVIDER_POLICY, HandlerPool, Provider
from ogpu.rpc.transport import RPC, quantity
from ogpu.text import printable
from ogpu.tx.signer import LocalSigner

if TYPE_CHECKING:
    from aiohttp import web

MINE_POLL = 0.25  # seconds between two looks for transactions that instant mining left over
PROVIDER_POLL = 0.1
MIN_WORKERS = 2  # so that one long task does not hold up all others
PURPOSES = ("node", "content service", "management service")  # in the order of their ports
EXAMPLES = Path(__file__).parent.parent / "provider" / "examples.py"


@dataclass(frozen=True)
class Options:
    """What `ogpu up` can be told; see its help."""

    network_file: Path
    name: str = "local"
    chain_id: int = LOCAL_CHAIN_ID
    block_time: float | None = None
    port: int | None = None
    providers: int = 1
    handlers: Sequence[Path] = ()
    state: Path | None = None
    run_providers: bool = True
    page_at_once: bool = False  # not only when somebody looks


class LocalNetwork:
    """A network on this machine: `async with LocalNetwork(options, report) as network`.

    `report` gets a line for whatever a person should see.
    """

    def __init__(self, options: Options, report: Callable[[str], None]) -> None:
        self._options = options
        self._report = report
        self._stack = AsyncExitStack()
        self._watched: list[asyncio.Task[None]] = []
        self._pool: HandlerPool | None = None
        self._life: LifeWatcher | None = None
        self._said_by_workers: set[str] = set()
        self._state_lock: FileLock | None = None
        self.network: Network
        self.services: dict[str, str] = {}

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions that the providers run."""
        return self._pool.functions if self._pool else ()

    async def __aenter__(self) -> Network:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self.network

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def watch(self) -> None:
        """Wait until a part fails, and raise its error; nothing else ends it."""
        done, _ = await asyncio.wait(self._watched, return_when=asyncio.FIRST_COMPLETED)
        for part in done:
            error = part.exception()
            if isinstance(error, OGPUError):
                raise error
            how = f"failed: {printable(repr(error), 500)}" if error else "ended by itself"
            raise LocalNetworkError(f"The {part.get_name()} {how}.") from error

    async def _start(self, stack: AsyncExitStack) -> None:
        self._claim(stack)
        folder = self._options.state
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ogpu-")))
        state = State(folder)
        saved = state.load(self._options.chain_id)
        sockets = [self._bind(stack, *place) for place in enumerate(PURPOSES)]
        try:
            # Loading the handlers takes as long as starting the node, so both are begun at once.
            async with asyncio.TaskGroup() as group:
                if self._options.run_providers:
                    group.create_task(self._load_handlers(stack))
                begun = group.create_task(self._begin(stack, state, saved, sockets))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        node, saved, document = begun.result()
        await self._attend(stack, node, saved)
        self._publish(stack, document)

    def _claim(self, stack: AsyncExitStack) -> None:
        """Nobody else may use the same network file or state folder."""
        file, folder = self._options.network_file, self._options.state
        try:
            if file.exists() and writer_of(file) is None:
                raise LocalNetworkError(
                    f"{file} exists and is no network file of `ogpu up`; it is left as it is.",
                    hint="Name another file.",
                )
            lock = FileLock(lock_of(file))
            lock.acquire(f"A local network already runs with the network file {file}.")
            stack.callback(lock.release)
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                self._state_lock = FileLock(folder / "lock")
                self._state_lock.acquire(f"A local network already runs with the state folder {folder}.")
                stack.callback(self._state_lock.release)
        except OSError as error:
            raise LocalNetworkError(f"Cannot write {error.filename}: {error.strerror}.") from error

    def _bind(self, stack: AsyncExitStack, offset: int, purpose: str) -> socket.socket:
        first = self._options.port
        found = bound(0 if first is None else first + offset, purpose)
        stack.callback(found.close)
        return found

    async def _load_handlers(self, stack: AsyncExitStack) -> None:
        files = [path.resolve() for path in self._options.handlers] or [EXAMPLES]
        size = max(MIN_WORKERS, min(self._options.providers, os.cpu_count() or 1))
        pool = HandlerPool(files, size=size, log=self._worker_said)
        stack.push_async_callback(pool.close)
        await pool.start()
        self._pool = pool

    def _worker_said(self, line: str) -> None:
        if self._life is not None:
            self._life.note(line)
        elif line not in self._said_by_workers:  # while they load, all workers say the same
            self._said_by_workers.add(line)
            self._report(line)

    async def _begin(
        self, stack: AsyncExitStack, state: State, saved: Saved | None, sockets: list[socket.socket]
    ) -> tuple[Node, Saved, dict[str, Any]]:
        """Start the node, the contracts and the services; also returns the network file's content."""
        node_port, content, management = sockets
        node, saved = await self._begin_chain(stack, state, saved, node_port)
        content_url, management_url = (f"http://{HOST}:{s.getsockname()[1]}" for s in (content, management))
        document = {
            "name": self._options.name,
            "chain_id": self._options.chain_id,
            "rpc_urls": [node.url],
            "ws_urls": [node.ws_url],
            "contracts": saved.contracts,
            "content": {"upload_url": f"{content_url}/file/create", "gateway_url": f"{content_url}/ipfs"},
            "management_url": management_url,
            "accounts": saved.accounts.to_dict(),
            "pid": os.getpid(),
        }
        self.network = parse_network(document, "of this process")
        self._client = await stack.enter_async_context(AsyncClient(self.network, journal=":memory:"))
        await _serve(stack, content_app(state.content, public_url=content_url), content)
        self._serve_page(stack, state, document, management)
        self.services = {"node": node.url, "content": content_url, "management": management_url}
        return node, saved, document

    def _serve_page(
        self, stack: AsyncExitStack, state: State, document: dict[str, Any], place: socket.socket
    ) -> None:
        told = {name: value for name, value in document.items() if name not in ("accounts", "pid")}
        write_private(state.served, told)
        page = PageProcess(place, state.served, state.index, self._report)
        self._run(stack, "page", page.run(at_once=self._options.page_at_once))

    async def _begin_chain(
        self, stack: AsyncExitStack, state: State, saved: Saved | None, place: socket.socket
    ) -> tuple[Node, Saved]:
        """Start the node, and have the contracts and accounts on its chain."""
        options, chain_id = self._options, self._options.chain_id
        binary = await find_anvil(self._report)
        if saved is None:
            saved = Saved(make_accounts(max(1, options.providers)), {}, None)
            state.save(chain_id, saved)
        port = place.getsockname()[1]
        if sys.platform != "linux":
            place.close()  # elsewhere the node cannot bind to what we have bound
        node = await self._start_node(binary, state, port)
        place.close()  # held until now, so that nothing else was given it
        stack.push_async_callback(node.stop)
        rpc = RPC([node.url], chain_id)
        stack.push_async_callback(rpc.close)
        head = quantity(await rpc.call("eth_blockNumber"))
        if saved.block is None:
            contracts = await deploy(rpc, chain_id, saved.accounts)
            saved = Saved(saved.accounts, contracts, quantity(await rpc.call("eth_blockNumber")))
        elif head < saved.block:
            raise state.unusable("a chain.json without the contracts")
        if (missing := options.providers - len(saved.accounts.provider)) > 0:
            more = make_accounts(missing)
            await add_providers(rpc, chain_id, more, saved.contracts)
            saved = Saved(saved.accounts.joined_by(more), saved.contracts, saved.block)
        state.save(chain_id, saved)
        return node, saved

    async def _start_node(self, binary: Path, state: State, port: int) -> Node:
        # The node holds the state's lock too, since it saves the chain after we were killed.
        held = self._state_lock.descriptors if self._state_lock else ()
        options = NodeOptions(self._options.chain_id, port, state.chain, self._options.block_time, held)
        try:
            return await Node.start(binary, options)
        except NodeFailed as error:
            if str(state.chain) in error.message:
                raise state.unusable("a chain.json") from error
            raise

    async def _attend(self, stack: AsyncExitStack, node: Node, saved: Saved) -> None:
        """Run what watches the network and works on it."""
        self._run(stack, "node", node.died())
        if self._options.block_time is None:
            self._run(stack, "mining", self._mine_leftovers())
        first_block = (await self._client.chain.head()).number
        self._life = LifeWatcher(self._client, self._report)
        stack.callback(self._life.flush)
        self._run(stack, "event watcher", self._life.run(first_block + 1))
        if self._pool is None:
            return
        for account in saved.accounts.provider[: self._options.providers]:
            signer = LocalSigner(account)
            own = await stack.enter_async_context(
                AsyncClient(self.network, private_key=signer, journal=":memory:", policy=PROVIDER_POLICY)
            )
            provider = Provider(own, signer, self._pool, report=self._life.note, poll=PROVIDER_POLL)
            self._run(stack, f"provider {account.address}", provider.run())

    def _run(self, stack: AsyncExitStack, name: str, part: Coroutine[Any, Any, None]) -> None:
        """Run a part in the background; when it fails, `watch` says so."""
        task = asyncio.create_task(part, name=name)
        self._watched.append(task)
        stack.push_async_callback(_cancelled, task)

    async def _mine_leftovers(self) -> None:
        rpc = self._client.chain.rpc
        while True:
            await asyncio.sleep(MINE_POLL)
            with suppress(NetworkError):  # when the node is gone, its own watcher says so
                if quantity((await rpc.call("txpool_status"))["pending"]):
                    await mine_pending(rpc)

    def _publish(self, stack: AsyncExitStack, document: dict[str, Any]) -> None:
        file = self._options.network_file
        try:
            write_private(file, document)
        except OSError as error:
            raise LocalNetworkError(f"Cannot write {file}: {error.strerror}.") from error
        stack.callback(file.unlink, missing_ok=True)


async def _serve(stack: AsyncExitStack, app: web.Application, place: socket.socket) -> None:
    from aiohttp import web

    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.SockSite(runner, place).start()


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
