"""Sources, tasks and responses: publishing, reading, confirming and cancelling."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ogpu.content import ContentClient, cid_of, to_json
from ogpu.content.urls import gateway_base
from ogpu.errors import ContractReverted, InvalidInput, NotJSON, RPCInvalidResponse, TransactionError
from ogpu.protocol import checks
from ogpu.protocol.chain import Chain, Read
from ogpu.rpc.codec import ZERO_ADDRESS, checked_address, decode_logs
from ogpu.tx.state import Call, Receipt, SendOptions
from ogpu.types import (
    DeliveryMethod,
    Environment,
    Response,
    SourceInfo,
    SourceSnapshot,
    SourceStatus,
    TaskInfo,
    TaskSnapshot,
    TaskStatus,
)

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

MOST_SLOTS = 1_000_000  # attempts that a task can have; a contract that claims more is none
# A node may show the next block's state under the last one's number for a moment, as anvil does while it
# mines: a count read then is past the list that is read after it.
TORN_READS = 3
SLOTS_PER_READ = 500  # attempter slots a call: 16 KB of addresses, well under what nodes answer


class Market:
    """What clients and watchers do with sources, tasks and responses."""

    def __init__(self, chain: Chain, content: ContentClient) -> None:
        self._chain = chain
        self._content = content

    async def publish_source(self, info: SourceInfo, account: LocalAccount, options: SendOptions) -> str:
        """Check, upload the metadata, publish; the address of the new Source."""
        checks.check_source(info)
        metadata = to_json(info.metadata())
        if receipt := await self._chain.transactions.resume(
            account.address, _source_identity(info, metadata), options
        ):
            return self._published(receipt, "SourcePublished", "source")
        read = self._chain.core
        whitelisted, lockup, per_source, active = await self._chain.read(
            read("Vault", "isWhitelisted", account.address),
            read("Vault", "getLockupOf", account.address),
            read("Vault", "MIN_LOCKUP_PER_SOURCE"),
            read("Nexus", "getActiveSourceCount", account.address),
        )
        checks.check_stake(account.address, checks.Stake(whitelisted, lockup, per_source, active))
        expected = self._expected_link(metadata)
        await self._chain.transactions.simulate(self._source_call(info, expected, account), account.address)
        link = await self._content.put_bytes(metadata, "imageMetadata.json", "application/json")
        receipt = await self._chain.send(self._source_call(info, link, account), account, options)
        return self._published(receipt, "SourcePublished", "source")

    def _source_call(self, info: SourceInfo, link: str, account: LocalAccount) -> Call:
        params = (
            account.address,
            link,
            int(info.imageEnvs.environments),
            info.minPayment,
            info.minAvailableLockup,
            info.maxExpiryDuration,
            False,  # privacyEnabled
            "",  # optionalParamsUrl
            int(info.deliveryMethod),
            0,  # lastUpdateTime: the contract stamps it
        )
        identity = _source_identity(info, to_json(info.metadata()))
        return self._chain.call("Nexus", "publishSource", params, identity=identity)

    async def publish_task(self, info: TaskInfo, account: LocalAccount, options: SendOptions) -> str:
        """Check, upload the config, publish; the address of the new Task."""
        checks.check_task(info)
        source = checked_address(info.source, "source")
        config = to_json(config_of(info))
        identity = _task_identity(info, source, config)
        if receipt := await self._chain.transactions.resume(account.address, identity, options):
            return self._published(receipt, "TaskPublished", "task")
        snapshot, balance, now = await self._source_and_balance(source, account.address)
        checks.check_task_for_source(info, snapshot, account.address, balance, now)
        expected = self._expected_link(config)
        await self._chain.transactions.simulate(
            self._task_call(info, source, expected, identity), account.address
        )
        link = await self._content.put_bytes(config, "taskConfig.json", "application/json")
        receipt = await self._chain.send(self._task_call(info, source, link, identity), account, options)
        return self._published(receipt, "TaskPublished", "task")

    def _task_call(self, info: TaskInfo, source: str, link: str, identity: str) -> Call:
        call = self._chain.call(
            "Controller", "publishTask", (source, link, info.expiryTime, info.payment), identity=identity
        )
        return replace(call, expires=info.expiryTime)

    async def _source_and_balance(self, source: str, client: str) -> tuple[SourceSnapshot, int, int]:
        *values, balance = await self._chain.read(
            *_source_reads(source), self._chain.core("Vault", "getBalanceOf", client)
        )
        _, block_time = await self._chain.head()
        # An idle local chain's last block is old: the next one is stamped with the present.
        return self._source_snapshot(source, values), balance, max(block_time, int(time.time()))

    def _expected_link(self, document: bytes) -> str:
        """Where the content service will say that a document is; enough to simulate with."""
        return f"{gateway_base(self._chain.network.gateway_url)}/{cid_of(document)}"

    def _published(self, receipt: Receipt, event: str, field: str) -> str:
        nexus = self._chain.network.contract("NEXUS")
        try:
            for name, arguments in decode_logs("Nexus", receipt.logs, nexus):
                if name == event:
                    return str(arguments[field])
        except RPCInvalidResponse as error:
            raise TransactionError(
                f"Transaction {receipt.hash} was mined, but its events cannot be read: {error}",
                hint="It is published; do not publish it again. Look the transaction up.",
                facts={"hash": receipt.hash},
            ) from error
        raise TransactionError(
            f"Transaction {receipt.hash} was mined, but holds no {event} event of Nexus {nexus}.",
            hint="The network's contract addresses may be wrong.",
            facts={"hash": receipt.hash},
        )

    async def source(self, address: str) -> SourceSnapshot:
        """A source at the latest block."""
        address = checked_address(address, "source")
        return self._source_snapshot(address, await self._chain.read(*_source_reads(address)))

    async def task(self, address: str) -> TaskSnapshot:
        """A task at the latest block."""
        address = checked_address(address, "task")
        return self._task_snapshot(address, await self._chain.read(*_task_reads(address)))

    def _source_snapshot(self, address: str, values: list[Any]) -> SourceSnapshot:
        params, status, tasks, registrants = values
        try:
            return SourceSnapshot(
                address=address,
                client=params[0],
                metadata_url=params[1],
                environments=Environment(params[2]),
                min_payment=params[3],
                min_available_lockup=params[4],
                max_expiry_duration=params[5],
                delivery_method=DeliveryMethod(params[8]),
                status=SourceStatus(status),
                task_count=tasks,
                registrant_count=registrants,
            )
        except ValueError as error:  # a number outside its enumeration
            raise self._chain.wrong_contract("Source", address) from error

    def _task_snapshot(self, address: str, values: list[Any]) -> TaskSnapshot:
        params, owner, delivery, status, attempts, winner = values
        source, config, expiry, payment = params
        try:
            return TaskSnapshot(
                address=address,
                client=owner,
                source=source,
                config_url=config,
                expiry_time=expiry,
                payment=payment,
                delivery_method=DeliveryMethod(delivery),
                status=TaskStatus(status),
                attempt_count=attempts,
                winning_provider=None if winner == ZERO_ADDRESS else winner,
            )
        except ValueError as error:  # a number outside its enumeration
            raise self._chain.wrong_contract("Task", address) from error

    async def responses(self, task: str, lower: int, upper: int | None) -> list[Response]:
        """The responses `[lower, upper)` of a task, in the order of its attempts; all of them by default."""
        task = checked_address(task, "task")
        if lower < 0 or (upper is not None and upper < lower):
            raise InvalidInput(f"lower={lower}, upper={upper}: they must satisfy 0 <= lower <= upper.")
        for _ in range(TORN_READS):
            block = await self._chain.block()
            try:
                pages = await self._attempter_slots(task, block)
                break
            except ContractReverted as error:
                torn = error
        else:
            raise torn
        addresses = [address for page in pages for address in page if address != ZERO_ADDRESS]
        return await self._responses_at(addresses[lower:upper], block)

    async def _attempter_slots(self, task: str, block: str) -> list[list[str]]:
        """The responses of a task by attempter, in pages; the zero address where one has not responded."""
        (slots,) = await self._chain.read(Read("Task", task, "getAttemptCount"), block=block)
        if slots > MOST_SLOTS:
            raise self._chain.wrong_contract("Task", task)
        return await self._chain.read(
            *(
                # Both bounds are inclusive on the deployed contracts.
                Read("Task", task, "getResponsesOf", (first, min(first + SLOTS_PER_READ, slots) - 1))
                for first in range(0, slots, SLOTS_PER_READ)
            ),
            block=block,
        )

    async def response(self, address: str) -> Response:
        """A response at the latest block."""
        addresses = [checked_address(address, "response")]
        (response,) = await self._responses_at(addresses, await self._chain.block())
        return response

    async def _responses_at(self, addresses: list[str], block: str) -> list[Response]:
        functions = ("getResponseParams", "getStatus", "responseTimestamp", "confirmedFinal")
        values = iter(
            await self._chain.read(
                *(Read("Response", a, function) for a in addresses for function in functions), block=block
            )
        )
        found = []
        for address in addresses:
            (task, provider, data, payment), status, timestamp, confirmed = (next(values) for _ in functions)
            found.append(Response(address, task, provider, data, payment, status, timestamp, confirmed))
        return found

    async def confirm_response(self, address: str, account: LocalAccount, options: SendOptions) -> Receipt:
        """Confirm a response: its provider is paid and the task final."""
        response = await self.response(address)
        call = self._chain.call("Controller", "confirmResponse", response.address)
        return await self._chain.send(call, account, options)

    async def cancel_task(self, address: str, account: LocalAccount, options: SendOptions) -> Receipt:
        """Cancel a task that nobody has attempted; its payment goes back to the Vault balance."""
        task = await self.task(address)
        call = self._chain.call("Controller", "cancelTask", task.address)
        return await self._chain.send(call, account, options)


def _source_identity(info: SourceInfo, metadata: bytes) -> str:
    """The same for a source that a caller who tries again means to be the same."""
    terms = (info.minPayment, info.minAvailableLockup, info.maxExpiryDuration, int(info.deliveryMethod))
    return f"publishSource:{cid_of(metadata)}:{terms}"


def _task_identity(info: TaskInfo, source: str, config: bytes) -> str:
    """Likewise for a task; its expiry is left out, since who tries again computes it anew."""
    return f"publishTask:{source}:{cid_of(config)}:{info.payment}"


def config_of(info: TaskInfo) -> dict[str, Any]:
    """A task's config document; `NotJSON` when its model cannot be written as JSON."""
    from pydantic_core import PydanticSerializationError

    try:
        return info.config.to_dict()
    except (PydanticSerializationError, ValueError) as error:  # the latter for a model that holds itself
        raise NotJSON(f"The task's data cannot be written as JSON: {error}.") from error


def _source_reads(address: str) -> list[Read]:
    functions = ("getSourceParams", "getStatus", "getTaskCount", "getRegistrantCount")
    return [Read("Source", address, function) for function in functions]


def _task_reads(address: str) -> list[Read]:
    functions = (
        "taskParams",
        "owner",
        "getDeliveryMethod",
        "getStatus",
        "getAttemptCount",
        "winningProvider",
    )
    return [Read("Task", address, function) for function in functions]
