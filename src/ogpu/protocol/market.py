"""Publishing sources and tasks: checked, uploaded, paid for, sent."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

from ogpu.content import AsyncContent, cid_of, parse_cid, to_json
from ogpu.errors import (
    ContractReverted,
    NotJSON,
    OGPUError,
    TransactionUndetermined,
)
from ogpu.protocol import checks
from ogpu.protocol.chain import Chain
from ogpu.protocol.published import published
from ogpu.protocol.snapshots import source_reads, source_snapshot
from ogpu.rpc.codec import checked_address
from ogpu.tx.boundaries import Boundary
from ogpu.tx.state import Call, Cost, Receipt, SendOptions
from ogpu.types import (
    DeliveryMethod,
    Progress,
    SourceInfo,
    SourceParams,
    SourceSnapshot,
    TaskInfo,
)

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer

CLOCK_SLACK = 15  # seconds that this machine's clock may be ahead of the chain's
USUAL_EXPIRY = 3600  # seconds that a task has when nobody says how many
AT_ONCE = 500  # tasks that are on their way at the same time when many are published


class Shared:
    """What the checks of many publishes by one account read once: sources, the Vault balance, gas."""

    def __init__(self, chain: Chain, sender: str) -> None:
        self._chain = chain
        self._sender = sender
        self._sources: dict[str, asyncio.Task[SourceSnapshot]] = {}
        self._gas: dict[str, asyncio.Task[int]] = {}
        self._first_of: set[Call] = set()  # the calls that were estimated for their shapes
        self._purse: asyncio.Task[tuple[int, int]] | None = None
        self._taken = 0  # of the balance, by publishes that are on their way or done; in wei

    @contextlib.asynccontextmanager
    async def paying(self, info: TaskInfo, source: str) -> AsyncIterator[None]:
        """Check a task against its source and what is left of the balance; that comes back when it fails."""
        snapshot, balance, now = await self._seen(source)
        checks.check_task_for_source(info, snapshot, self._sender, balance - self._taken, now)
        self._taken += info.payment
        try:
            yield
        except TransactionUndetermined:
            raise  # it may be paid yet
        except BaseException:
            self._taken -= info.payment
            raise

    async def expiry(self, source: str, seconds: int | None) -> int:
        """The Unix time in so many seconds; without them in an hour, or earlier when the source says so."""
        snapshot, _, now = await self._seen(source)
        if seconds is None:
            longest = snapshot.max_expiry_duration  # by the chain's clock, which may be behind ours
            seconds = min(USUAL_EXPIRY, longest - min(CLOCK_SLACK, longest // 10))
        return now + seconds

    async def _seen(self, source: str) -> tuple[SourceSnapshot, int, int]:
        """A source, the sender's balance, and the chain's time."""
        if source not in self._sources:
            self._sources[source] = asyncio.create_task(self._source(source))
        if self._purse is None:
            self._purse = asyncio.create_task(self._balance())
        snapshot, (balance, block_time) = await asyncio.gather(
            asyncio.shield(self._sources[source]), asyncio.shield(self._purse)
        )
        # An idle local chain's last block is old: the next one is stamped with the present.
        return snapshot, balance, max(block_time, int(time.time()))

    def begin(self, call: Call) -> None:
        """Have the gas of a call estimated while other things are looked at."""
        if call.shape not in self._gas:
            self._first_of.add(call)
            self._gas[call.shape] = asyncio.create_task(self._gas_of(call))

    async def gas(self, call: Call) -> int:
        """The gas limit of a call; calls of one shape are estimated once, unless the first would fail."""
        self.begin(call)
        try:
            return await asyncio.shield(self._gas[call.shape])
        except ContractReverted:
            if call in self._first_of:
                raise
            return await self._gas_of(call)  # what stopped the other may be its own

    async def close(self) -> None:
        """Stop reading for whoever does not wait any more."""
        tasks = [*self._sources.values(), *self._gas.values(), *([self._purse] if self._purse else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _gas_of(self, call: Call) -> int:
        return await self._chain.gas_of(call, self._sender)

    async def _source(self, address: str) -> SourceSnapshot:
        return source_snapshot(self._chain, address, await self._chain.read(*source_reads(address)))

    async def _balance(self) -> tuple[int, int]:
        """The sender's Vault balance, and the latest block's time."""
        (balance,), block = await asyncio.gather(
            self._chain.read(self._chain.core("Vault", "getBalanceOf", self._sender)), self._chain.head()
        )
        return balance, block.timestamp


class Market:
    """Publishes sources and tasks of one network."""

    def __init__(self, chain: Chain, content: AsyncContent) -> None:
        self._chain = chain
        self._content = content

    async def publish_source(self, info: SourceInfo, signer: Signer, options: SendOptions) -> str:
        """Check, upload the metadata, publish; the address of the new Source."""
        checks.check_source(info)
        metadata = to_json(info.metadata())
        call = self._source_call(info, signer.address, metadata)
        if receipt := await self._chain.resume(call, signer, options):
            return self._published(receipt, "SourcePublished", "source")
        self._content.check_shared()
        await self._check_stake(signer.address)
        gas = await self._chain.gas_of(call, signer.address)
        link = await self._stored(metadata, "imageMetadata.json")
        self._chain.transactions.at(Boundary.UPLOADED)
        call = self._source_call(info, signer.address, metadata, link)
        receipt = await self._chain.send_new(call, signer, options, gas)
        return self._published(receipt, "SourcePublished", "source")

    async def _check_stake(self, client: str) -> None:
        read = self._chain.core
        whitelisted, lockup, per_source, active = await self._chain.read(
            read("Vault", "isWhitelisted", client),
            read("Vault", "getLockupOf", client),
            read("Vault", "MIN_LOCKUP_PER_SOURCE"),
            read("Nexus", "getActiveSourceCount", client),
        )
        checks.check_stake(client, checks.Stake(whitelisted, lockup, per_source, active))

    def _source_call(self, info: SourceInfo, client: str, metadata: bytes, link: str = "") -> Call:
        cid = str(cid_of(metadata))
        params = astuple(_params_of(info, client, link or self._expected_link(cid)))
        terms = (info.minPayment, info.minAvailableLockup, info.maxExpiryDuration, int(info.deliveryMethod))
        return replace(
            self._chain.call("Nexus", "publishSource", params), identity=f"publishSource:{cid}:{terms}"
        )

    async def source_params(self, info: SourceInfo, client: str) -> SourceParams:
        """A source's terms, once its metadata is uploaded."""
        checks.check_source(info)
        self._content.check_shared()
        metadata = to_json(info.metadata())
        link = await self._stored(metadata, "imageMetadata.json")
        return _params_of(info, client, link)

    async def publish_task(
        self, info: TaskInfo, signer: Signer, options: SendOptions, shared: Shared | None = None
    ) -> str:
        """Check, upload the config, publish; the address of the new Task."""
        return self.task_of(await self.send_task(info, signer, options, shared))

    def task_of(self, receipt: Receipt) -> str:
        """The address of the task that a transaction has published."""
        return self._published(receipt, "TaskPublished", "task")

    async def send_task(
        self, info: TaskInfo, signer: Signer, options: SendOptions, shared: Shared | None = None
    ) -> Receipt:
        """The same; the receipt."""
        checks.check_task(info)
        source = checked_address(info.source, "source")
        config = to_json(config_of(info))
        cid = str(cid_of(config))
        call = self._task_call(info, source, cid)
        receipt = await self._chain.resume(call, signer, options)
        if receipt is None:
            self._content.check_shared()
            common = shared or Shared(self._chain, signer.address)
            try:
                common.begin(call)
                async with common.paying(info, source):  # the errors of these checks say more
                    gas = await common.gas(call)
                    link = await self._stored(config, "taskConfig.json")
                    self._chain.transactions.at(Boundary.UPLOADED)
                    call = self._task_call(info, source, cid, link)
                    receipt = await self._chain.send_new(call, signer, options, gas)
            finally:
                if shared is None:
                    await common.close()
        return receipt

    async def publish_tasks(
        self,
        infos: Sequence[TaskInfo],
        signer: Signer,
        keys: Sequence[str | None],
        progress: Callable[[Progress], None] | None,
    ) -> list[str | OGPUError]:
        """Publish many, each step of one beside other steps of others; addresses and errors in order."""
        shared, room = Shared(self._chain, signer.address), asyncio.Semaphore(AT_ONCE)
        results: dict[int, str | OGPUError] = {}
        failed = 0

        async def one(position: int) -> None:
            nonlocal failed
            try:
                options = SendOptions(key=keys[position])
                results[position] = await self.publish_task(infos[position], signer, options, shared)
            except OGPUError as error:
                results[position] = error
                failed += 1
            finally:
                room.release()
            if progress is not None:
                progress(Progress(len(infos), len(results) - failed, failed))

        try:
            async with asyncio.TaskGroup() as group:
                for position in range(len(infos)):
                    await room.acquire()
                    group.create_task(one(position))
        except BaseExceptionGroup as failures:  # the caller's `progress` raised
            raise failures.exceptions[0] from None
        finally:
            await shared.close()
        return [results[position] for position in range(len(infos))]

    async def estimate(self, info: TaskInfo | SourceInfo, sender: str) -> Cost:
        """What publishing it would cost at most, now; raises what publishing would raise."""
        self._content.check_shared()
        if isinstance(info, SourceInfo):
            checks.check_source(info)
            await self._check_stake(sender)
            call = self._source_call(info, sender, to_json(info.metadata()))
            return await self._chain.estimate(call, sender)
        checks.check_task(info)
        source, shared = checked_address(info.source, "source"), Shared(self._chain, sender)
        try:
            async with shared.paying(info, source):
                call = self._task_call(info, source, str(cid_of(to_json(config_of(info)))))
                return await self._chain.estimate(call, sender)
        finally:
            await shared.close()

    def _task_call(self, info: TaskInfo, source: str, cid: str, link: str = "") -> Call:
        link = link or self._expected_link(cid)
        params = (source, link, info.expiryTime, info.payment)
        return replace(
            self._chain.call("Controller", "publishTask", params),
            payment=info.payment,
            # Without the expiry, since whoever tries again computes it anew.
            identity=f"publishTask:{source}:{cid}:{info.payment}",
            expires=info.expiryTime,
            shape=f"publishTask:{source}:{len(link)}",
        )

    async def _stored(self, document: bytes, name: str) -> str:
        """The link of a document, which is uploaded unless nothing is."""
        if self._chain.transactions.policy.dry_run:
            return self._expected_link(str(cid_of(document)))
        return await self._content.put_bytes(document, name, "application/json")

    def _expected_link(self, cid: str) -> str:
        """Where the store will say that a document is; enough to simulate with."""
        return self._content.expected_link(parse_cid(cid))

    def _published(self, receipt: Receipt, event: str, field: str) -> str:
        return published(receipt, event, field, self._chain.network.contract("NEXUS"))


def config_of(info: TaskInfo) -> dict[str, Any]:
    """A task's config document; `NotJSON` when its model cannot be written as JSON."""
    from pydantic_core import PydanticSerializationError

    try:
        return info.config.to_dict()
    except (PydanticSerializationError, ValueError) as error:  # the latter for a model that holds itself
        raise NotJSON(f"The task's data cannot be written as JSON: {error}.") from error


def _params_of(info: SourceInfo, client: str, link: str) -> SourceParams:
    """A source's terms as the contracts hold them."""
    return SourceParams(
        client,
        link,
        info.imageEnvs.environments,
        info.minPayment,
        info.minAvailableLockup,
        info.maxExpiryDuration,
        delivery_method=DeliveryMethod(info.deliveryMethod),
    )
