"""An intent on its way: what this process knows of it, and what its state means to the caller."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

from ogpu.errors import (
    ContractReverted,
    FeeTooLow,
    ForeignNonce,
    InsufficientFunds,
    NonceConflict,
    TransactionDropped,
    TransactionError,
    TransactionUndetermined,
)
from ogpu.rpc.reverts import Revert
from ogpu.tx.fees import Fees
from ogpu.tx.journal import Attempt, Intent, Kind, Outcome, State
from ogpu.tx.replies import Reply
from ogpu.tx.state import Receipt, SendOptions

FIRST_RESEND, LAST_RESEND = 0.3, 8.0  # seconds, while no node has said that it has the transaction
LONGEST_DATA = 10_000  # characters of revert data that the journal keeps; a contract may say megabytes
CALM_RESEND = 15.0  # once one has: it may still lose it


class Flight:
    """One intent that is followed here; `settled` is done once the chain has told what became of it."""

    def __init__(self, intent: Intent, options: SendOptions, now: float) -> None:
        self.intent = intent
        self.options = options
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters = 0
        self.left = False  # whoever waited stopped waiting, and was not told
        self.mending = False  # it fills or frees a nonce, and outbids whatever holds it
        self.offered = False  # a node may have one of its attempts
        self.node_said = ""  # the error of the last send
        self.resending = False  # its attempts are on their way once more
        self.judged = False  # a refusal is being dealt with, and until then nothing of it is sent
        self.refusal: TransactionError | None = None  # why it is being canceled by ourselves
        self.moved_at = now  # when its last attempt was made, or it became the next to be mined
        self.passed_at: float | None = None  # since when its nonce is used and no receipt is there
        self._known = False
        self._pause = FIRST_RESEND
        self.resend_at = math.inf  # not before the first send was answered

    @property
    def key(self) -> str:
        return self.intent.key

    @property
    def pending(self) -> bool:
        return self.intent.state is State.PENDING

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts at the intent's present nonce: the only ones that may be sent."""
        return [attempt for attempt in self.intent.attempts if attempt.nonce == self.intent.nonce]

    @property
    def sendable(self) -> list[Attempt]:
        """What is sent again: once it is being canceled, the empty transfers and not the call."""
        attempts = self.attempts
        cancels = [attempt for attempt in attempts if attempt.kind is Kind.CANCEL]
        return cancels or attempts

    @property
    def fees(self) -> Fees:
        """The highest that was offered at the present nonce, which a replacement must outbid."""
        return max((attempt.fees for attempt in self.attempts), key=lambda fees: fees.max_fee)

    def heard(self, reply: Reply, said: str, now: float) -> None:
        """Note what a node said to a send, and when to send again."""
        self._known = reply is Reply.ACCEPTED
        if reply in (Reply.ACCEPTED, Reply.UNDETERMINED, Reply.NONCE_TOO_LOW):
            self.offered = True
        self.node_said = "" if self._known else said
        if self._known:
            self.resend_at = now + CALM_RESEND
        else:
            self.resend_at = now + self._pause
            self._pause = min(2 * self._pause, LAST_RESEND)

    def add(self, attempt: Attempt, now: float) -> None:
        """One more attempt is stored; what is known of the intent holds, unless it is at another nonce."""
        intent = replace(self.intent, attempts=(*self.intent.attempts, attempt))
        if attempt.nonce != intent.nonce:
            intent = replace(intent, nonce=attempt.nonce, state=State.PENDING, outcome=None)
        self.become(intent)
        self.moved_at, self.resend_at, self._pause = now, math.inf, FIRST_RESEND
        self.passed_at = None

    def learn(self, outcome: Outcome) -> None:
        """What the chain has shown."""
        self.become(replace(self.intent, state=outcome.state, final=outcome.final, outcome=outcome.outcome))

    def become(self, intent: Intent) -> None:
        """What is known of the intent now; a reorganisation or a new attempt may have unsettled it."""
        self.intent = intent
        if self.pending and self.settled.done():
            self.settled = asyncio.get_running_loop().create_future()
        elif not self.pending and not self.settled.done():
            self.settled.set_result(None)

    async def until_settled(self) -> None:
        """Wait for the chain's word, and on when it is taken back before anybody was told."""
        await asyncio.shield(self.settled)
        while self.pending:
            await asyncio.shield(self.settled)


def recovered(intent: Intent, now: float) -> Flight:
    """An intent from the journal: nobody knows who has its bytes, so they are sent again at once."""
    flight = Flight(intent, SendOptions(), now)
    flight.offered, flight.resend_at = True, now
    if not flight.pending:
        flight.settled.set_result(None)
    return flight


def receipt_outcome(
    intent: Intent, attempt: Attempt, receipt: Receipt, revert: Revert, *, final: bool, owner: str | None
) -> Outcome:
    """What a mined attempt means for its intent."""
    record: dict[str, Any] = {"receipt": receipt.record()}
    if attempt.kind is Kind.CANCEL:
        state = State.CANCELED
    elif receipt.succeeded:
        state = State.DONE
    else:
        state = State.REVERTED
        record["reason"] = revert.words
        if len(revert.data) <= LONGEST_DATA:
            record["data"] = revert.data
    return Outcome(intent.key, state, final, record, owner)


def block_of(intent: Intent) -> tuple[int, str] | None:
    """Number and hash of the block that settled an intent; None when none did."""
    outcome = intent.outcome or {}
    found = outcome.get("receipt") or outcome.get("foreign")
    return (found["block_number"], found["block_hash"]) if found else None


def spent(intent: Intent) -> int:
    """What a settled intent has cost: gas, and payment and value when it was done; in wei."""
    record = (intent.outcome or {}).get("receipt")
    gas = record["gas_used"] * record["gas_price"] if record else 0
    return gas + (intent.value + intent.payment if intent.state is State.DONE else 0)


def result_of(intent: Intent) -> Receipt:
    """The receipt of an intent that is done; raises what became of any other one."""
    outcome = intent.outcome or {}
    facts: dict[str, Any] = {"key": intent.key, "nonce": intent.nonce, "address": intent.sender}
    if intent.state is State.DONE:
        return Receipt(**outcome["receipt"])
    if intent.state is State.REVERTED:
        receipt, reason = outcome["receipt"], outcome.get("reason", "")
        raise ContractReverted(
            f"{intent.label}: transaction {receipt['hash']} was mined and reverted"
            + (f": {reason}." if reason else "."),
            reason=reason,
            data=outcome.get("data", ""),
            facts={
                **facts,
                "hash": receipt["hash"],
                "block": receipt["block_number"],
                "gas_used": receipt["gas_used"],
                "gas_cost": receipt["gas_used"] * receipt["gas_price"],
            },
        )
    if intent.state is State.CANCELED:
        raise TransactionDropped(
            f"{intent.label} was canceled: an empty transfer of ours was mined at nonce {intent.nonce}.",
            hint="Nothing was executed or paid but the transfer's gas. To do it after all, call again"
            + (" with another idempotency_key." if intent.named else "."),
            facts={**facts, "hash": outcome["receipt"]["hash"]},
        )
    if intent.state is State.FOREIGN:
        theirs = outcome["foreign"]["hash"]
        raise ForeignNonce(
            f"{intent.label}: nonce {intent.nonce} of {intent.sender} is taken by {theirs}, which is not in "
            "this journal: another program or host sends from the account.",
            hint="Ours can not be mined any more. Look at that transaction first: it may be the same call, "
            "sent from another journal. Let all senders of a key share one journal.",
            facts={**facts, "hash": theirs},
        )
    if intent.state is State.REFUSED:
        raise refused(intent, Reply[outcome["reply"]], outcome["said"])
    raise undetermined(intent, "", 0)


def refused(intent: Intent, reply: Reply, said: str) -> TransactionError:
    """Why no node took a transaction at its first send."""
    attempt = intent.attempts[-1]
    facts: dict[str, Any] = {
        "key": intent.key,
        "hash": attempt.hash,
        "nonce": intent.nonce,
        "address": intent.sender,
    }
    if reply is Reply.INSUFFICIENT_FUNDS:
        return InsufficientFunds(
            f"{intent.label}: the node refuses the transaction: {said}.",
            hint=f"Nothing was executed. Send coin to {intent.sender}.",
            facts={**facts, "account": intent.sender},
        )
    if reply is Reply.UNDERPRICED:
        return FeeTooLow(
            f"{intent.label}: the node finds {attempt.fees.max_fee} wei per gas too little: {said}.",
            hint="Nothing was executed. Try again later, or with a higher fee_cap or max_retries=.",
            facts={**facts, "max_fee": attempt.fees.max_fee},
        )
    if reply is Reply.NONCE_OCCUPIED:
        return NonceConflict(
            f"{intent.label}: nonce {intent.nonce} of {intent.sender} is taken: {reply.value}.",
            hint="Leave nonce= out, or call fix_nonce().",
            facts=facts,
        )
    return TransactionError(
        f"{intent.label}: the node refuses the transaction: {said}.",
        hint="Nothing was executed.",
        facts=facts,
    )


def undetermined(intent: Intent, said: str, waited: float) -> TransactionUndetermined:
    """That the chain has not told in time."""
    attempt = intent.attempts[-1]
    return TransactionUndetermined(
        f"{intent.label}: transaction {attempt.hash} (nonce {intent.nonce}) was sent, and is not mined after "
        f"{waited:g} s. It still may be." + (f" The node said: {said}." if said else ""),
        hint="The same call again waits on for this transaction and sends no other"
        + (", since its idempotency_key is the same." if intent.named else ", in this program or the next."),
        facts={"key": intent.key, "hash": attempt.hash, "nonce": intent.nonce, "address": intent.sender},
    )
