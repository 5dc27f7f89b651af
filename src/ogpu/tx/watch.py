"""Following a transaction until the chain has told its fate, sending the same bytes again meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ogpu.errors import ContractReverted, NetworkError, RPCFailed, TransactionUndetermined
from ogpu.rpc.codec import decode_revert
from ogpu.rpc.transport import RPC, mapping, quantity, raised
from ogpu.tx.state import Attempt, Receipt, parse_receipt

logger = logging.getLogger(__name__)

FIRST_POLL, LAST_POLL, POLL_GROWTH = 0.01, 1.0, 1.5  # seconds
FIRST_RESEND, LAST_RESEND = 0.3, 8.0
EVIDENCE_PAUSE = 1.0  # between two looks for the transaction that took a nonce


class Watch:
    """Waits for receipts on one chain."""

    def __init__(self, rpc: RPC, resend: Callable[[Attempt], Awaitable[Any]]) -> None:
        self._rpc = rpc
        self._resend = resend

    async def mined(self, attempt: Attempt, timeout: float) -> Receipt | None:
        """The receipt; None when the chain shows that another transaction has the nonce.

        A revert raises `ContractReverted`; no verdict in time, `TransactionUndetermined`.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        poll, resend = FIRST_POLL, FIRST_RESEND
        resend_at, evidence_at = clock() + resend, clock()
        while clock() < deadline:
            receipt, mined = await self._look(attempt)
            if receipt is not None:
                return await self._judged(attempt, receipt)
            if mined is not None and mined > attempt.nonce and clock() >= evidence_at:
                taken_by = await self._taken_by(attempt)
                if taken_by is not None and taken_by != attempt.hash:
                    logger.info("nonce %d of %s went to %s", attempt.nonce, attempt.sender, taken_by)
                    return None
                evidence_at = clock() + EVIDENCE_PAUSE
            elif clock() >= resend_at:
                resend = min(resend * 2, LAST_RESEND)
                resend_at = clock() + resend
                await self._resend(attempt)
            await asyncio.sleep(poll)
            poll = min(poll * POLL_GROWTH, LAST_POLL)
        raise TransactionUndetermined(
            f"{attempt.call.label}: transaction {attempt.hash} (nonce {attempt.nonce}) was sent, and is not "
            f"mined after {timeout:g} s. It still may be."
            + (f" The node said: {attempt.node_said}." if attempt.node_said else ""),
            hint="Call again with the same arguments on this same client: that waits on for this transaction "
            "and sends no other. From another client or program, look the hash up first.",
            facts={"hash": attempt.hash, "nonce": attempt.nonce, "address": attempt.sender},
        )

    async def _look(self, attempt: Attempt) -> tuple[Receipt | None, int | None]:
        """The receipt, and the account's mined count, as one node sees them; nothing when none answers."""
        try:
            receipt, mined = await self._rpc.batch(
                [
                    ("eth_getTransactionReceipt", [attempt.hash]),
                    ("eth_getTransactionCount", [attempt.sender, "latest"]),
                ]
            )
            if isinstance(receipt, dict):
                return parse_receipt(receipt), None
            if isinstance(receipt, RPCFailed):
                return None, None
            return None, quantity(raised(mined))
        except NetworkError as error:
            logger.info("no news of %s: %s", attempt.hash, error)
            return None, None

    async def _taken_by(self, attempt: Attempt) -> str | None:
        """The hash of the mined transaction with the attempt's nonce; None when that cannot be shown.

        A missing receipt shows nothing, since replicas lag and index late: the transaction itself is sought,
        in the block where the account's count passed the nonce.
        """
        try:
            low, high = attempt.first_block, quantity(await self._rpc.call("eth_blockNumber"))
            while low < high:
                middle = (low + high) // 2
                count = await self._rpc.call("eth_getTransactionCount", attempt.sender, hex(middle))
                if quantity(count) > attempt.nonce:
                    high = middle
                else:
                    low = middle + 1
            block = mapping(await self._rpc.call("eth_getBlockByNumber", hex(low), True))
            for transaction in block.get("transactions", ()):
                sender = str(mapping(transaction).get("from", "")).lower()
                if sender == attempt.sender.lower() and quantity(transaction.get("nonce")) == attempt.nonce:
                    return str(transaction.get("hash"))
        except NetworkError as error:
            logger.info("who took nonce %d cannot be shown: %s", attempt.nonce, error)
        return None

    async def _judged(self, attempt: Attempt, receipt: Receipt) -> Receipt:
        if receipt.succeeded:
            return receipt
        replay = [attempt.call.fields(attempt.sender), hex(receipt.block_number)]
        try:
            (answer,) = await self._rpc.batch([("eth_call", replay)])
            reason = decode_revert(answer.data) if isinstance(answer, RPCFailed) else ""
        except NetworkError:
            reason = ""  # the verdict is known; only its reason is not
        raise ContractReverted(
            f"{attempt.call.label}: transaction {receipt.hash} was mined and reverted"
            + (f": {reason}." if reason else "."),
            reason=reason,
            facts={"hash": receipt.hash, "block": receipt.block_number, "gas_used": receipt.gas_used},
        )
