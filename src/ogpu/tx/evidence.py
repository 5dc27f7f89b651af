"""What the chain shows of transactions: receipts, the times of their blocks, reverts, and who has a nonce."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ogpu.errors import NetworkError, RPCFailed
from ogpu.rpc.reverts import Revert, revert_of
from ogpu.rpc.transport import RPC, Request, mapping, quantity
from ogpu.tx.flight import Flight
from ogpu.tx.journal import Attempt, Intent
from ogpu.tx.state import Receipt

MOST_BLOCK_TIMES = 256  # that are remembered


class Evidence:
    """Reads the chain, and concludes nothing."""

    def __init__(self, rpc: RPC) -> None:
        self._rpc = rpc
        self._block_times: dict[str, int] = {}

    async def receipts(self, flights: Sequence[Flight]) -> dict[str, dict[str, Any]]:
        """The receipts of all their attempts that are mined, by hash."""
        asked = [asks_receipt(attempt) for flight in flights for attempt in flight.intent.attempts]
        return by_hash(await self._rpc.batch(asked)) if asked else {}

    async def times(self, receipts: Iterable[dict[str, Any]]) -> dict[str, int]:
        """The times of the receipts' blocks, by hash; a block that is gone has none."""
        wanted = {str(receipt.get("blockHash")).lower() for receipt in receipts}
        missing = sorted(wanted - self._block_times.keys())
        if missing:
            answers = await self._rpc.batch([("eth_getBlockByHash", [block, False]) for block in missing])
            for answer in answers:
                if isinstance(answer, dict):
                    self.note_block(answer)
        return {block: self._block_times[block] for block in wanted if block in self._block_times}

    def note_block(self, block: dict[str, Any]) -> None:
        """Remember a block's time."""
        if len(self._block_times) > MOST_BLOCK_TIMES:
            self._block_times.clear()
        self._block_times[str(block.get("hash")).lower()] = quantity(block.get("timestamp"))

    async def reasons(self, reverted: Sequence[tuple[Flight, Receipt]]) -> dict[str, Revert]:
        """Why transactions reverted, by hash, as far as the node tells: the calls are made again."""
        if not reverted:
            return {}
        calls: list[Request] = []
        for flight, receipt in reverted:
            intent = flight.intent
            fields = {"from": intent.sender, "to": intent.to, "data": intent.data, "value": hex(intent.value)}
            calls.append(("eth_call", [fields, hex(receipt.block_number)]))
        try:
            answers = await self._rpc.batch(calls)
        except NetworkError:
            return {}  # the verdict is known; only its reason is not
        return {
            receipt.hash: found
            for (_, receipt), answer in zip(reverted, answers, strict=True)
            if isinstance(answer, RPCFailed) and (found := revert_of(answer))
        }

    async def takers(self, intent: Intent) -> dict[tuple[str, int], dict[str, Any]]:
        """The mined transaction at the intent's nonce, and the others of its block, by sender and nonce.

        It is in the block where the account's count passed the nonce.
        """
        call = self._rpc.call
        low = min(attempt.first_block for attempt in intent.attempts)
        high = quantity(await call("eth_blockNumber"))
        while low < high:
            middle = (low + high) // 2
            if quantity(await call("eth_getTransactionCount", intent.sender, hex(middle))) > intent.nonce:
                high = middle
            else:
                low = middle + 1
        block = mapping(await call("eth_getBlockByNumber", hex(low), True))
        found = {}
        for transaction in map(mapping, block.get("transactions", ())):
            place = (str(transaction.get("from", "")).lower(), quantity(transaction.get("nonce")))
            found[place] = {
                "hash": str(transaction.get("hash")).lower(),
                "block_number": low,
                "block_hash": str(block.get("hash")).lower(),
            }
        return found


def asks_receipt(attempt: Attempt) -> Request:
    """The question for an attempt's receipt."""
    return ("eth_getTransactionReceipt", [attempt.hash])


def by_hash(answers: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Receipts by their transaction's hash; what is none is left out."""
    found = [answer for answer in answers if isinstance(answer, dict) and answer.get("blockHash")]
    return {str(answer.get("transactionHash")).lower(): answer for answer in found}
