"""The transaction manager: one process, right nonces over threads, the same bytes re-sent, nothing twice.

It rests on one rule: a second transaction for the same call is signed only when the chain shows that
the first can never be mined, because another one has its nonce.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ogpu.errors import (
    InsufficientFunds,
    NetworkError,
    NonceConflict,
    RPCFailed,
    TransactionDropped,
    TransactionError,
)
from ogpu.rpc.transport import RPC, quantity
from ogpu.tx.book import AttemptBook
from ogpu.tx.fees import Fees
from ogpu.tx.quote import Quote, quote
from ogpu.tx.replies import Reply, judge
from ogpu.tx.signer import sign
from ogpu.tx.state import Attempt, Call, Receipt, SendOptions, next_nonce
from ogpu.tx.watch import FIRST_RESEND, Watch

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

logger = logging.getLogger(__name__)

RECEIPT_TIMEOUT = 120.0  # seconds; after it the caller is told that the fate is open
CHAIN_BEHIND_SECONDS = 3.0  # a chain that stays behind our cache for so long was started anew


class TransactionManager:
    """Sends transactions for any account; owned by one client, used on one event loop."""

    def __init__(self, rpc: RPC, chain_id: int, *, receipt_timeout: float = RECEIPT_TIMEOUT) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._receipt_timeout = receipt_timeout
        self._watch = Watch(rpc, self._broadcast)
        self.book = AttemptBook(chain_id)
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # one signs at a time

    async def send(self, call: Call, account: LocalAccount, options: SendOptions | None = None) -> Receipt:
        """Send a call and wait until it is mined; a revert raises `ContractReverted`.

        A call that is the same as one whose fate was left open goes on with that transaction.
        """
        options = options or SendOptions()
        if receipt := await self.resume(account.address, call.fingerprint, options):
            return receipt
        return await self._send_new(call, account, options)

    async def resume(self, sender: str, fingerprint: str, options: SendOptions) -> Receipt | None:
        """The receipt of such a call whose fate was left open, once it is mined; None when there is none."""
        while attempt := self.book.open_for(sender, fingerprint, options.nonce):
            if attempt.call.expires is not None and attempt.call.expires <= time.time():
                self.book.close(attempt)  # mined or not, it is not what is asked for now
                continue
            logger.info("%s goes on with transaction %s", attempt.call.label, attempt.hash)
            with self.book.responsible(attempt):
                if receipt := await self._watch.mined(attempt, self._receipt_timeout):
                    return receipt
        return None

    async def simulate(self, call: Call, sender: str) -> None:
        """Raise what sending the call would raise now: a revert, or too little coin for gas and value."""
        await quote(self._rpc, call, sender, None)

    async def _send_new(self, call: Call, account: LocalAccount, options: SendOptions) -> Receipt:
        attempt: Attempt | None = None
        conflict: Reply | None = None
        for _ in range(options.max_retries):
            async with self.locks[account.address]:
                refused = attempt.fees if attempt and conflict is Reply.UNDERPRICED else None
                attempt = await self._prepare(call, account, options.nonce, refused)
                with self.book.responsible(attempt):
                    conflict = await self._offer(attempt)
            if conflict is None:
                with self.book.responsible(attempt):
                    if receipt := await self._watch.mined(attempt, self._receipt_timeout):
                        return receipt
                conflict = Reply.NONCE_TOO_LOW
            if attempt.given_up:
                raise TransactionDropped(
                    f"{call.label}: fix_nonce(force=True) replaced its transaction {attempt.hash}.",
                    facts={"hash": attempt.hash, "nonce": attempt.nonce},
                )
            _check_mendable(attempt, conflict, options)
        assert attempt is not None
        assert conflict is not None
        raise _exhausted(attempt, conflict, options)

    async def _prepare(
        self, call: Call, account: LocalAccount, nonce: int | None, refused: Fees | None
    ) -> Attempt:
        """Simulate, price and sign; raises what would fail before a nonce is taken."""
        quoted = await quote(self._rpc, call, account.address, refused)
        if nonce is None:
            nonce = await self._choose_nonce(account.address, quoted.pending_nonce)
        else:
            self._check_nonce(account.address, nonce, quoted)
        transaction: dict[str, Any] = {
            "chainId": self._chain_id,
            "nonce": nonce,
            "to": call.to,
            "data": call.data,
            "value": call.value,
            "gas": quoted.gas,
            **quoted.fees.fields(),
        }
        raw, tx_hash = sign(account, transaction)
        return Attempt(call, account.address, nonce, quoted.fees, raw, tx_hash, quoted.block)

    def _check_nonce(self, sender: str, nonce: int, quoted: Quote) -> None:
        """A nonce that the caller chose must be neither used nor leave a gap."""
        facts = {"nonce": nonce, "address": sender, "next": quoted.pending_nonce}
        if nonce < quoted.mined_nonce:
            raise NonceConflict(
                f"Nonce {nonce} of {sender} is used already; the next one is {quoted.pending_nonce}.",
                hint="Leave nonce= out.",
                facts=facts,
            )
        if nonce > max(quoted.pending_nonce, self.book.next_nonce(sender) or 0):
            raise NonceConflict(
                f"Nonce {nonce} of {sender} leaves a gap: the next one is {quoted.pending_nonce}.",
                hint="A transaction after a gap is not mined. Leave nonce= out.",
                facts=facts,
            )

    async def _choose_nonce(self, sender: str, pending: int) -> int:
        """The next nonce; one of an open transaction that no node keeps is given anew.

        That is safe: of two transactions with one nonce the chain takes one, and shows which.
        """
        if open_attempts := self.book.open_of(sender, pending):
            for attempt in open_attempts:
                await self._broadcast(attempt)
            pending = await self._pending(sender)
        deadline = asyncio.get_running_loop().time() + CHAIN_BEHIND_SECONDS
        while True:
            ours = [attempt.nonce for attempt in self.book.waiting(sender)]
            nonce = next_nonce(pending, self.book.next_nonce(sender), ours)
            if nonce is not None:
                return nonce
            if asyncio.get_running_loop().time() > deadline:
                self.book.forget(sender)
            await asyncio.sleep(0.2)
            pending = await self._pending(sender)

    async def _pending(self, sender: str) -> int:
        return quantity(await self._rpc.call("eth_getTransactionCount", sender, "pending"))

    async def _offer(self, attempt: Attempt) -> Reply | None:
        """Send for the first time; a reply that proves the bytes were not taken is returned or raised."""
        reply = await self._broadcast(attempt)
        if reply in (Reply.REFUSED, Reply.INSUFFICIENT_FUNDS):
            kind = InsufficientFunds if reply is Reply.INSUFFICIENT_FUNDS else TransactionError
            raise kind(
                f"{attempt.call.label}: the node refuses the transaction: {attempt.node_said}.",
                facts={"hash": attempt.hash, "nonce": attempt.nonce, "account": attempt.sender},
            )
        if reply is Reply.NONCE_OCCUPIED:
            await asyncio.sleep(FIRST_RESEND)  # let the node's pending count catch up
        if reply in (Reply.NONCE_OCCUPIED, Reply.UNDERPRICED):
            return reply
        # Also when the nonce is used: a proxy may have sent our bytes twice, and the chain decides.
        self.book.sent(attempt)
        return None

    async def _broadcast(self, attempt: Attempt) -> Reply:
        try:
            await self._rpc.send_raw(attempt.raw)
        except RPCFailed as error:
            attempt.node_said = error.rpc_message
            reply = judge(error)
            logger.info("send of %s: %s (%s)", attempt.hash, reply.value, error.rpc_message)
            return reply
        except NetworkError as error:
            if not error.retryable:
                raise
            logger.info("send of %s: no answer to trust (%s)", attempt.hash, error)
            return Reply.UNDETERMINED
        attempt.node_said = ""
        return Reply.ACCEPTED


def _check_mendable(attempt: Attempt, conflict: Reply, options: SendOptions) -> None:
    """Raise unless the caller lets us sign another transaction after this conflict."""
    if conflict is Reply.UNDERPRICED or (options.auto_fix_nonce and options.nonce is None):
        return
    raise NonceConflict(
        f"{attempt.call.label}: nonce {attempt.nonce} of {attempt.sender} is taken: {conflict.value}.",
        hint="Leave nonce= out, or call fix_nonce().",
        facts={"nonce": attempt.nonce, "address": attempt.sender},
    )


def _exhausted(attempt: Attempt, conflict: Reply, options: SendOptions) -> TransactionError:
    """Why no transaction was taken."""
    facts = {"nonce": attempt.nonce, "address": attempt.sender}
    if conflict is Reply.UNDERPRICED:
        return TransactionError(
            f"{attempt.call.label}: the node finds {attempt.fees.max_fee} wei per gas too little: "
            f"{attempt.node_said}.",
            hint="Nothing was sent. Try again later, or with a higher max_retries=: each try offers more.",
            facts=facts,
        )
    return NonceConflict(
        f"{attempt.call.label}: {options.max_retries} transactions in a row lost their nonce to others of "
        f"{attempt.sender}.",
        hint="Another program sends from this account; stop it, or let one of them send.",
        facts=facts,
    )
