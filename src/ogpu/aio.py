"""`AsyncClient`: the network from asyncio. It holds everything; `Client` is the same in sync form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ogpu.content import AsyncContent, ContentOptions, resolve_options
from ogpu.errors import (
    ContractMissing,
    InvalidInput,
    NotConfirmed,
    OGPUError,
    TasksNotPublished,
    TaskUnknown,
    WrongContract,
)
from ogpu.networks import Network, resolve_network
from ogpu.protocol import checks, snapshots
from ogpu.protocol.chain import Chain
from ogpu.protocol.controller import AsyncController
from ogpu.protocol.management import Management
from ogpu.protocol.market import Market
from ogpu.protocol.nexus import AsyncNexus
from ogpu.protocol.people import AsyncMaster, AsyncProvider
from ogpu.protocol.response import AsyncSubmittedResponse
from ogpu.protocol.results import Results
from ogpu.protocol.source import AsyncSource
from ogpu.protocol.terminal import AsyncTerminal
from ogpu.protocol.vault import AsyncVault
from ogpu.rpc.codec import checked_address
from ogpu.streams.calls import EventCalls
from ogpu.tx.journal import Intent, Journal, State, journal_place
from ogpu.tx.keys import Keys
from ogpu.tx.nonces import Nonces
from ogpu.tx.state import Cost, Policy, SendOptions
from ogpu.types import (
    ConfirmedResponse,
    Progress,
    Response,
    SourceInfo,
    SourceSnapshot,
    TaskInfo,
    TaskSnapshot,
)
from ogpu.work.calls import WorkCalls
from ogpu.work.jobs import Jobs

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ogpu.tx.signer import Signer


class AsyncClient(WorkCalls, EventCalls):
    """A client of one network, for asyncio programs.

    `network` is a `Network`, a name ("testnet"), a chain id, or None for the default one: the
    network of `OGPU_NETWORK_FILE`, else the testnet. `private_key` is the key that signs; without
    it, `CLIENT_PRIVATE_KEY`. `timeout` bounds each HTTP request: seconds, a finite number above 0.
    `journal` is where transactions are recorded before they are sent: a path, a PostgreSQL URL, or
    ":memory:"; without it, `OGPU_JOURNAL`, else a file in the user's state folder. `policy` says how to
    send: fees, limits, waiting. `content` says where content goes and comes from: a `ContentOptions`, or
    only a store, such as "kubo:http://127.0.0.1:5001"; without it, `OGPU_CONTENT_STORE`, else the network's
    service. Use it on one event loop, and close it: `async with AsyncClient() as client`.
    """

    def __init__(
        self,
        network: Network | str | int | None = None,
        *,
        private_key: str | LocalAccount | Signer | None = None,
        timeout: float = 30,
        journal: str | Path | Journal | None = None,
        policy: Policy | None = None,
        content: ContentOptions | str | None = None,
    ) -> None:
        checks.check_timeout(timeout)
        policy = Policy() if policy is None else policy
        checks.check_policy(policy)
        self.network = network = resolve_network(network)
        self._keys = Keys(private_key)
        record = journal if isinstance(journal, Journal) else Journal(journal_place(journal))
        self.chain = Chain(network, record, policy, timeout=timeout)
        self.chain.transactions.context.signer_of = self._keys.signer_of
        self.content = AsyncContent.of_network(network, resolve_options(content))
        self.nexus = AsyncNexus(self.chain, self._keys)
        self.controller = AsyncController(self.chain, self._keys)
        self.terminal = AsyncTerminal(self.chain, self._keys)
        self.vault = AsyncVault(self.chain, self._keys)
        self._market = Market(self.chain, self.content)
        self._results = Results(self.chain, self.content, self._keys)
        self._jobs = Jobs(self._market, self._results)
        self._management = Management(network.management_url, timeout=timeout)
        self._nonces = Nonces(self.chain.rpc, self.chain.transactions)
        self._streams = self.chain.streams

    async def open(self) -> None:
        """Go on, in the background, with transactions that earlier programs have left behind."""
        self.chain.transactions.open()

    async def close(self) -> None:
        """Close all connections; what is on its way stays in the journal."""
        await self.chain.close()
        await self.content.close()
        await self._management.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.network.name!r}, chain_id={self.network.chain_id})"

    def source(self, address: str) -> AsyncSource:
        """A source by its address; nothing is asked yet."""
        return AsyncSource(self.chain, self._keys, address, self._market)

    def response(self, address: str) -> AsyncSubmittedResponse:
        """A response by its address; nothing is asked yet."""
        return AsyncSubmittedResponse(self.chain, self._keys, address)

    def provider(self, address: str) -> AsyncProvider:
        """A provider by its address; nothing is asked yet."""
        return AsyncProvider(self.chain, self._keys, address)

    def master(self, address: str) -> AsyncMaster:
        """A master by its address; nothing is asked yet."""
        return AsyncMaster(self.chain, self._keys, address)

    async def sources(self, addresses: Sequence[str] | None = None) -> list[SourceSnapshot]:
        """The sources at these addresses in their order, or all of the network; all at one block."""
        wanted = None if addresses is None else checks.check_addresses(addresses, "source")
        return await snapshots.sources(self.chain, wanted)

    async def tasks(self, addresses: Sequence[str]) -> list[TaskSnapshot]:
        """The tasks at these addresses in their order, all at one block.

        `ContractMissing` or `WrongContract` names an address where there is none.
        """
        return await snapshots.tasks(self.chain, checks.check_addresses(addresses, "task"))

    async def publish_source(
        self,
        source_info: SourceInfo,
        private_key: str | LocalAccount | Signer | None = None,
        nonce: int | None = None,
        auto_fix_nonce: bool = True,
        max_retries: int = 3,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Publish a service; returns the checksummed address of the new Source.

        What would fail is found first, and then nothing is uploaded or sent: `NoEnvironment`,
        `NotEligible` (stake; facts in wei), `ContractReverted`, `InsufficientFunds` (gas),
        `WrongChain`. `nonce` uses exactly that nonce; `auto_fix_nonce=False` reports a nonce
        problem as `NonceConflict` instead of mending it; `max_retries` bounds new transactions. With an
        `idempotency_key` the source is published once, and the same call gives its address, now or
        after a year; another call by that key is `IdempotencyConflict`.
        """
        checks.check_options(nonce, max_retries, auto_fix_nonce)
        checks.check_key(idempotency_key)
        checks.check_source(source_info)
        options = SendOptions(nonce, auto_fix_nonce, max_retries, idempotency_key)
        return await self._market.publish_source(source_info, self._keys.signer(private_key), options)

    async def publish_task(
        self,
        task_info: TaskInfo,
        private_key: str | LocalAccount | Signer | None = None,
        nonce: int | None = None,
        auto_fix_nonce: bool = True,
        max_retries: int = 3,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Publish a task and pay for it from the Vault balance; returns the address of the new Task.

        What would fail is found first, and then nothing is uploaded or sent: `PaymentTooLow`,
        `InvalidExpiry`, `SourceInactive`, `ContractMissing` or `WrongContract` (no source there),
        `InsufficientVaultBalance` (facts in wei), `NotJSON`. A task is published once: when its
        fate stays open (`TransactionUndetermined`), calling again waits on for the same transaction.
        With an `idempotency_key` that holds over crashes, processes and time; a task's expiry does not
        count among what must be the same.
        """
        checks.check_options(nonce, max_retries, auto_fix_nonce)
        checks.check_key(idempotency_key)
        checks.check_task(task_info)
        options = SendOptions(nonce, auto_fix_nonce, max_retries, idempotency_key)
        return await self._market.publish_task(task_info, self._keys.signer(private_key), options)

    async def publish_tasks(
        self,
        task_infos: Sequence[TaskInfo],
        private_key: str | LocalAccount | Signer | None = None,
        *,
        idempotency_keys: Sequence[str | None] | None = None,
        return_exceptions: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> list[Any]:
        """Publish many tasks at once; their addresses, in order.

        Uploads, signing, sending and waiting overlap, and one that fails leaves no nonce gap and stops no
        other. With `return_exceptions` its error stands in its place; without, `TasksNotPublished` is
        raised once all are done, and its `results` has the addresses and the errors. `progress` is
        called after each one, on the client's own thread; what it raises ends the waiting.
        """
        checks.check_type(return_exceptions, bool, "return_exceptions")
        if isinstance(task_infos, TaskInfo | str | bytes) or not isinstance(task_infos, Iterable):
            raise InvalidInput("task_infos must be a list of TaskInfo.", hint="Use publish_task for one.")
        infos = list(task_infos)
        keys = checks.check_keys(idempotency_keys, len(infos))
        results = await self._market.publish_tasks(infos, self._keys.signer(private_key), keys, progress)
        failed = [result for result in results if isinstance(result, OGPUError)]
        if failed and not return_exceptions:
            raise TasksNotPublished(
                f"{len(failed)} of {len(infos)} tasks were not published; the first: {failed[0].message}",
                results=results,
                hint="The error's results has each one's address or error, in order. " + failed[0].hint,
                facts={"failed": len(failed), "total": len(infos)},
            ) from failed[0]
        return results

    async def estimate(
        self, info: TaskInfo | SourceInfo, private_key: str | LocalAccount | Signer | None = None
    ) -> Cost:
        """What publishing a task or a source would cost at most, now; nothing is uploaded or sent.

        Amounts in wei. It raises what publishing would raise.
        """
        return await self._market.estimate(info, self._keys.signer(private_key).address)

    async def get_task_responses(
        self, task_address: str, lower: int = 0, upper: int | None = None
    ) -> list[Response]:
        """The responses `[lower, upper)` of a task in the order of its attempts; all of them by default."""
        checks.check_range(lower, upper)
        return await self.task(task_address).responses(lower, upper)

    async def get_confirmed_response(self, task_address: str) -> ConfirmedResponse:
        """The confirmed response of a task, from the network's management service.

        Raises `NotConfirmed` while there is none, `TaskUnknown` for what is no task, and
        `ManagementUnavailable` when the service fails.
        """
        address = checked_address(task_address, "task")
        data = await self._management.confirmed_response(address)
        if data is not None:
            return ConfirmedResponse(address=data["address"], data=data)
        try:
            task = await self.get_task(address)
        except (ContractMissing, WrongContract) as error:
            raise TaskUnknown(
                f"There is no task at {address} on {self.network.name}.",
                hint="Check the address and the network.",
                facts={"task": address},
            ) from error
        raise NotConfirmed(
            f"Task {address} has no confirmed response: it is {task.status.name}.",
            hint="Under manual confirmation, call confirm_response() with one of its responses.",
            facts={"task": address, "status": task.status},
        )

    async def confirm_response(
        self,
        response_address: str,
        private_key: str | LocalAccount | Signer | None = None,
        nonce: int | None = None,
        auto_fix_nonce: bool = True,
        max_retries: int = 3,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Confirm a response, which pays its provider; returns the transaction's hash.

        Only the task's client or its agent may, while the task is RESPONDED under manual
        confirmation; else `ContractReverted` with the contract's reason.
        """
        checks.check_options(nonce, max_retries, auto_fix_nonce)
        checks.check_key(idempotency_key)
        options = SendOptions(nonce, auto_fix_nonce, max_retries, idempotency_key)
        signer = self._keys.signer(private_key)
        response = await self.get_response(response_address)
        call = self.chain.call("Controller", "confirmResponse", response.address)
        return (await self.chain.send(call, signer, options)).hash

    async def cancel_task(
        self, task_address: str, private_key: str | LocalAccount | Signer | None = None
    ) -> str:
        """Cancel a task that nobody has attempted; the payment goes back. Returns the transaction's hash."""
        signer = self._keys.signer(private_key)
        task = await self.get_task(task_address)
        call = self.chain.call("Controller", "cancelTask", task.address)
        return (await self.chain.send(call, signer)).hash

    async def get_source(self, source_address: str) -> SourceSnapshot:
        """A source at the latest block."""
        return await self.source(source_address).snapshot()

    async def get_task(self, task_address: str) -> TaskSnapshot:
        """A task at the latest block."""
        return await self.task(task_address).snapshot()

    async def get_response(self, response_address: str) -> Response:
        """A response at the latest block."""
        return await self.response(response_address).snapshot()

    async def fix_nonce(
        self,
        address: str | None = None,
        private_key: str | LocalAccount | Signer | None = None,
        *,
        force: bool = False,
    ) -> int:
        """Replace stuck transactions of an account by empty ones and fill gaps; returns the next nonce.

        What this program, or another on the same journal, still waits for is left alone and reported
        (`NonceInUse`) unless `force`.
        """
        checks.check_type(force, bool, "force")
        signer = self._keys.signer(private_key)
        if address is not None and checked_address(address) != signer.address:
            raise InvalidInput(
                f"{address} is not the address of the key, {signer.address}; only its own key can mend it."
            )
        return await self._nonces.fix(signer, force=force)

    async def get_nonce_info(
        self, address: str | None = None, private_key: str | LocalAccount | Signer | None = None
    ) -> dict[str, Any]:
        """`address, mined_nonce, pending_nonce, cached_nonce, has_pending, pending_count` of an account."""
        return await self._nonces.info(self._address(address, private_key))

    async def reset_nonce_cache(
        self, address: str | None = None, private_key: str | LocalAccount | Signer | None = None
    ) -> None:
        """Forget the cached nonce of an account on this network."""
        await self._nonces.forget(self._address(address, private_key))

    async def clear_all_nonce_caches(self) -> None:
        """Forget the cached nonces of all accounts on this network."""
        await self._nonces.forget()
        self.chain.rpc.forget()

    async def intents(self, limit: int = 100, *, states: Sequence[State] | None = None) -> list[Intent]:
        """What the journal has of this network's transactions, newest first."""
        checks.check_limit(limit)
        if states is not None:
            states = checks.check_members(states, State, "states")
        return await self.chain.transactions.intents(limit, states=states)

    async def intent(self, key: str) -> Intent:
        """One of them, by its key or by a transaction's hash; `IntentUnknown` when there is none."""
        return await self.chain.transactions.intent(key)

    async def cancel(self, key: str, private_key: str | LocalAccount | Signer | None = None) -> Intent:
        """Cancel a transaction that is on its way, by its key or hash; what has become of it.

        An empty transfer is put at its nonce, for a higher fee, and the chain takes one of the two: the
        state is CANCELED, or DONE when it was too late. Whoever waits for it gets `TransactionDropped`.
        """
        return await self.chain.transactions.cancel(key, self._keys.signer(private_key))

    async def bump(self, key: str, private_key: str | LocalAccount | Signer | None = None) -> Intent:
        """Offer more for a transaction that is on its way; the policy's `fee_cap` is not passed."""
        return await self.chain.transactions.bump(key, self._keys.signer(private_key))

    async def recover(self) -> list[Intent]:
        """Send again whatever the journal has open on this network, and wait for it; what has become of it.

        Opening a client does so in the background, for what no living process looks after.
        """
        return await self.chain.transactions.recover()

    def _address(self, address: str | None, private_key: str | LocalAccount | Signer | None) -> str:
        return self._keys.signer(private_key).address if address is None else checked_address(address)
