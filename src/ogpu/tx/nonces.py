"""Nonces of an account: what is known of them, and mending them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ogpu.errors import InsufficientFunds, NonceConflict, NonceInUse, RPCFailed, TransactionUndetermined
from ogpu.rpc.transport import RPC, mapping, quantity, raised
from ogpu.tx import fees
from ogpu.tx.fees import Fees
from ogpu.tx.manager import TransactionManager
from ogpu.tx.quote import current_fees
from ogpu.tx.replies import Reply, judge
from ogpu.tx.signer import sign

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

logger = logging.getLogger(__name__)

TRANSFER_GAS = 21_000  # Yellow paper: a plain transfer
MOST_RAISES = 40  # 10% each: a factor of 45 over where it began
SETTLE_TIMEOUT = 120.0
SETTLE_POLL = 0.1


class Nonces:
    """The nonces of accounts on one chain."""

    def __init__(self, rpc: RPC, chain_id: int, manager: TransactionManager) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._manager = manager

    async def info(self, address: str) -> dict[str, Any]:
        """What the chain and this program know of an account's nonces."""
        mined, pending = await self._counts(address)
        return {
            "address": address,
            "mined_nonce": mined,
            "pending_nonce": pending,
            "cached_nonce": self._manager.book.next_nonce(address),
            "has_pending": pending > mined,
            "pending_count": pending - mined,
        }

    async def fix(self, account: LocalAccount, *, force: bool) -> int:
        """Replace what is stuck with empty transfers, fill gaps; the next nonce, once the chain agrees."""
        address = account.address
        async with self._manager.locks[address]:
            mined, pending = await self._counts(address)
            pool = await self._pool(address)
            end = max([pending, *(nonce + 1 for nonce in pool)])
            self._check_unused(address, mined, end, force=force)
            current = await current_fees(self._rpc)
            for nonce in range(mined, end):
                self._check_unused(address, nonce, nonce + 1, force=force)
                stuck = pool.get(nonce)
                await self._replace(account, nonce, fees.replacement(stuck, current) if stuck else current)
            await self._settled(address, end)
            self._manager.book.forget(address)
            _, pending = await self._counts(address)
            return pending

    def _check_unused(self, address: str, first: int, end: int, *, force: bool) -> None:
        """Raise `NonceInUse` for what this program waits for at these nonces; with `force`, give it up."""
        waiting = self._manager.book.waiting_in_process(address)
        ours = [attempt for attempt in waiting if first <= attempt.nonce < end]
        if ours and not force:
            raise NonceInUse(
                f"{len(ours)} transaction(s) of {address} are still waited for: "
                + ", ".join(f"nonce {a.nonce} {a.hash} ({a.call.label})" for a in ours[:10]),
                hint="Let them finish, or replace them too with force=True.",
                facts={"address": address, "nonces": [a.nonce for a in ours]},
            )
        for attempt in ours:
            attempt.given_up = True

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

    async def _replace(self, account: LocalAccount, nonce: int, offer: Fees) -> None:
        """Put an empty transfer at a nonce, raising the fee by the rule until the node takes it."""
        for _ in range(MOST_RAISES):
            transaction = {
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": account.address,
                "value": 0,
                "gas": TRANSFER_GAS,
                **offer.fields(),
            }
            raw, tx_hash = sign(account, transaction)
            try:
                await self._rpc.send_raw(raw)
            except RPCFailed as error:
                reply = judge(error)
                if reply is Reply.NONCE_TOO_LOW:
                    return  # mined meanwhile
                if reply is Reply.INSUFFICIENT_FUNDS:
                    raise InsufficientFunds(
                        f"{account.address} cannot pay to replace nonce {nonce}: {error.rpc_message}.",
                        hint=f"Send coin to {account.address}.",
                        facts={"account": account.address, "nonce": nonce},
                    ) from error
                if reply is Reply.ACCEPTED:
                    return
                if reply not in (Reply.NONCE_OCCUPIED, Reply.UNDERPRICED):
                    raise
                offer = fees.replacement(offer, offer)
                continue
            logger.info("nonce %d of %s: replaced by %s", nonce, account.address, tx_hash)
            return
        raise NonceConflict(
            f"No node takes a replacement at nonce {nonce} of {account.address}, even at {offer.max_fee} wei "
            "per gas.",
            facts={"address": account.address, "nonce": nonce},
        )

    async def _settled(self, address: str, end: int) -> None:
        deadline = asyncio.get_running_loop().time() + SETTLE_TIMEOUT
        while quantity(await self._rpc.call("eth_getTransactionCount", address, "latest")) < end:
            if asyncio.get_running_loop().time() > deadline:
                raise TransactionUndetermined(
                    f"The replacements for {address} are sent, and are not mined after {SETTLE_TIMEOUT:g} s.",
                    hint="Call fix_nonce() again: it raises their fees.",
                    facts={"address": address, "next_nonce": end},
                )
            await asyncio.sleep(SETTLE_POLL)


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
