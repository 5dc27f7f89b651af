"""Nonces of an account: what is known of them, and mending them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ogpu.errors import NonceInUse, RPCFailed, TransactionUndetermined
from ogpu.rpc.transport import RPC, mapping, quantity, raised
from ogpu.tx.fees import Fees
from ogpu.tx.flight import Flight, recovered
from ogpu.tx.journal import NOBODY, TOLD, Intent, is_gone
from ogpu.tx.lane import TRANSFER_GAS
from ogpu.tx.manager import TransactionManager
from ogpu.tx.orders import Order
from ogpu.tx.state import Call, SendOptions

if TYPE_CHECKING:
    from ogpu.tx.signer import Signer

SETTLE_TIMEOUT = 120.0  # seconds for the replacements to be mined
SETTLE_POLL = 0.1
NOTHING_TO_OUTBID = Fees(0, None)


class Nonces:
    """The nonces of accounts on one chain."""

    def __init__(self, rpc: RPC, manager: TransactionManager) -> None:
        self._rpc = rpc
        self._manager = manager
        self._context = manager.context
        self._lock = asyncio.Lock()  # two who mend would outbid each other

    async def info(self, address: str) -> dict[str, Any]:
        """What the chain and the journal know of an account's nonces."""
        mined, pending = await self._counts(address)
        journal = self._context.journal
        cached = await journal.lane(await self._context.chain(), address) if journal.exists else None
        return {
            "address": address,
            "mined_nonce": mined,
            "pending_nonce": pending,
            "cached_nonce": cached,
            "has_pending": pending > mined,
            "pending_count": pending - mined,
        }

    async def forget(self, address: str | None = None) -> None:
        """Drop the remembered next nonce of an account, or of all on this chain."""
        if self._context.journal.exists:
            await self._context.journal.forget(await self._context.chain(), address)

    async def fix(self, signer: Signer, *, force: bool) -> int:
        """Replace what is stuck with empty transfers, fill gaps; the next nonce, once the chain agrees."""
        self._manager.check_sends()
        address, follower = signer.address, self._manager.follower
        async with self._lock:
            mined, pending = await self._counts(address)
            pool = await self._pool(address)
            ours = {intent.nonce: intent for intent in await follower.open_intents(address)}
            end = max([pending, *(nonce + 1 for nonce in (*pool, *ours))])
            if not force:
                self._check_unused(address, [ours[n] for n in range(mined, end) if n in ours])
            flights = await asyncio.gather(
                *(self._replaced(signer, n, ours.get(n), pool.get(n)) for n in range(mined, end))
            )
            await self._settled(address, end, flights)
            await self.forget(address)
            _, pending = await self._counts(address)
            return pending

    def _check_unused(self, address: str, open_: list[Intent]) -> None:
        """Raise `NonceInUse` for what this program, or another one on this journal, waits for."""
        waited_for = [intent for intent in open_ if self._is_waited_for(intent)]
        if waited_for:
            raise NonceInUse(
                f"{len(waited_for)} transaction(s) of {address} are still waited for: "
                + ", ".join(f"nonce {i.nonce} {i.attempts[-1].hash} ({i.label})" for i in waited_for[:10]),
                hint="Let them finish, or replace them too with force=True.",
                facts={"address": address, "nonces": [intent.nonce for intent in waited_for]},
            )

    def _is_waited_for(self, intent: Intent) -> bool:
        flight = self._manager.follower.get(intent.key)
        if flight is not None and (flight.waiters or flight.left):
            return bool(flight.waiters)
        return intent.owner not in (NOBODY, TOLD) and not is_gone(intent.owner)

    async def _replaced(
        self, signer: Signer, nonce: int, intent: Intent | None, stuck: Fees | None
    ) -> Flight:
        """An empty transfer at a nonce: as a cancellation of our own transaction, or over whatever has it."""
        lane = self._manager.lane(signer.address)
        if intent is not None:
            lane.signer = signer
            flight = self._manager.follower.get(intent.key)
            if flight is None:
                flight = recovered(intent, self._context.now())
                self._manager.follower.follow(flight)
            await lane.cancel(flight)
            return flight
        call = Call("fix_nonce", signer.address)
        options = SendOptions(nonce)
        order = Order(secrets.token_hex(16), call, signer, options, TRANSFER_GAS, stuck or NOTHING_TO_OUTBID)
        return await lane.submit(order)

    async def _counts(self, address: str) -> tuple[int, int]:
        mined, pending = await self._rpc.batch(
            [("eth_getTransactionCount", [address, block]) for block in ("latest", "pending")]
        )
        return quantity(raised(mined)), quantity(raised(pending))

    async def _pool(self, address: str) -> dict[int, Fees]:
        """The account's transactions in the node's pool, by nonce; empty where nodes do not tell."""
        (answer,) = await self._rpc.batch([("txpool_contentFrom", [address])])
        if isinstance(answer, RPCFailed):
            (answer,) = await self._rpc.batch([("txpool_content", [])])
            if isinstance(answer, RPCFailed):
                return {}
            kinds = ("pending", "queued")
            answer = {kind: _of_sender(mapping(answer).get(kind), address) for kind in kinds}
        found = {}
        for kind in ("pending", "queued"):
            for transaction in mapping(mapping(answer).get(kind) or {}).values():
                found[quantity(mapping(transaction).get("nonce"))] = _fees_of(transaction)
        return found

    async def _settled(self, address: str, end: int, flights: list[Flight]) -> None:
        """Wait until the chain counts all of them, and the journal knows."""
        try:
            async with asyncio.timeout(SETTLE_TIMEOUT):
                await asyncio.gather(*(asyncio.shield(flight.settled) for flight in flights))
                mined, _ = await self._counts(address)
                while mined < end:  # another node may lag
                    await asyncio.sleep(SETTLE_POLL)
                    mined, _ = await self._counts(address)
        except TimeoutError:
            raise TransactionUndetermined(
                f"The replacements for {address} are sent, and are not mined after {SETTLE_TIMEOUT:g} s.",
                hint="Call fix_nonce() again: it raises their fees.",
                facts={"address": address, "next_nonce": end},
            ) from None


def _of_sender(content: Mapping[str, Any] | None, address: str) -> Mapping[str, Any]:
    for sender, transactions in (content or {}).items():
        if sender.lower() == address.lower():
            found: Mapping[str, Any] = transactions
            return found
    return {}


def _fees_of(transaction: Mapping[str, Any]) -> Fees:
    if transaction.get("maxFeePerGas") is None:
        return Fees(quantity(transaction.get("gasPrice")), None)
    return Fees(quantity(transaction["maxFeePerGas"]), quantity(transaction.get("maxPriorityFeePerGas")))
