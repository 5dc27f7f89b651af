"""Transactions of the journal as text and as JSON."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ogpu.cli.amounts import COIN, GWEI, decimal, period
from ogpu.cli.output import aligned, moment
from ogpu.text import printable

if TYPE_CHECKING:
    from ogpu.tx.journal import Attempt, Intent

LONGEST_KEY = 200  # characters that are shown; keys of ours have no more
LONGEST_LABEL = 60
LONGEST_REASON = 500


class StateName(StrEnum):
    """The states of a transaction, by their names in the journal."""

    pending = "pending"
    done = "done"
    reverted = "reverted"
    canceled = "canceled"
    foreign = "foreign"
    refused = "refused"


def table(intents: Sequence[Intent]) -> Iterator[str]:
    """The lines of a listing with aligned columns."""
    now = time.time()
    rows = [("key", "chain", "state", "nonce", "call", "hash", "age")]
    for intent in intents:
        chain_id = intent.chain.partition(":")[0]
        age = period(now - intent.created)
        state, label = intent.state.value, printable(intent.label, LONGEST_LABEL)
        key = printable(intent.key, LONGEST_KEY)
        rows.append((key, chain_id, state, str(intent.nonce), label, intent.attempts[-1].hash, age))
    return aligned(rows)


def facts_of(intent: Intent) -> list[tuple[str, str]]:
    """What is known of an intent, but for its attempts: names and texts."""
    chain_id, _, genesis = intent.chain.partition(":")
    facts = [
        ("key", shown_key(intent) + ("" if intent.named else " (not chosen by the caller)")),
        ("call", printable(intent.label, LONGEST_LABEL)),
        ("state", intent.state.value + (", final" if intent.final else "")),
        ("chain", f"{chain_id}, genesis {printable(genesis, 66)}"),
        ("account", intent.sender),
        ("to", intent.to),
        ("nonce", str(intent.nonce)),
        ("value", f"{decimal(intent.value, COIN)} OGPU"),
        ("payment", f"{decimal(intent.payment, COIN)} OGPU"),
        ("begun", f"{moment(intent.created)}, {period(time.time() - intent.created)} ago"),
    ]
    if intent.expires is not None:
        facts.append(("expires", moment(intent.expires)))
    outcome = intent.outcome or {}
    if receipt := outcome.get("receipt"):
        cost = receipt["gas_used"] * receipt["gas_price"]
        price = f"{receipt['gas_used']} at {decimal(receipt['gas_price'], GWEI)} gwei"
        facts.append(("mined", f"block {receipt['block_number']}, {moment(receipt['block_time'])}"))
        facts.append(("by", receipt["hash"]))
        facts.append(("gas", f"{price}: {decimal(cost, COIN)} OGPU"))
    return facts


def attempt_line(attempt: Attempt) -> str:
    """What an attempt offers, and its hash."""
    fees = f"up to {decimal(attempt.fees.max_fee, GWEI)} gwei"
    if attempt.fees.priority_fee is not None:
        fees += f", {decimal(attempt.fees.priority_fee, GWEI)} of it priority fee"
    return f"{attempt.kind.value}, nonce {attempt.nonce}, gas {attempt.gas}, {fees}, {attempt.hash}"


def fate(intent: Intent) -> str:
    """In a sentence, what has become of an intent."""
    outcome = intent.outcome or {}
    receipt: dict[str, Any] = outcome.get("receipt") or {}
    where = f"{receipt['hash']} in block {receipt['block_number']}" if receipt else ""
    said = printable(str(outcome.get("reason") or outcome.get("said") or ""), LONGEST_REASON)
    match StateName(intent.state.value):
        case StateName.pending:
            return f"still open: {intent.attempts[-1].hash} at nonce {intent.nonce} may be mined yet."
        case StateName.done:
            return f"done: mined as {where}."
        case StateName.reverted:
            return f"reverted by the contract: {where}{said and f' ({said})'}."
        case StateName.canceled:
            return f"canceled: the empty transfer {where} has nonce {intent.nonce}."
        case StateName.foreign:
            theirs = (outcome.get("foreign") or {}).get("hash")
            return f"nonce {intent.nonce} went to {theirs}, which is not in this journal."
        case StateName.refused:
            return f"refused: no node took it{said and f' ({said})'}."


def advice(intent: Intent) -> str:
    """What to do about an intent."""
    again = "call again with another idempotency key" if intent.named else "call again"
    key, became = shlex.quote(shown_key(intent)), fate(intent)
    became = became[0].upper() + became[1:]
    match StateName(intent.state.value):
        case StateName.pending:
            return (
                f"It is open. `ogpu tx recover` sends it again and waits, `ogpu tx bump {key}` offers more, "
                f"`ogpu tx cancel {key}` puts an empty transfer in its place. The same call goes on with it."
            )
        case StateName.done if intent.final:
            return "It is done; there is nothing to do."
        case StateName.done:
            return "It is done. A client that is open watches its block until it is final."
        case StateName.reverted:
            return f"{became} Only its gas was paid. Mend what the contract refused, then {again}."
        case StateName.canceled:
            return f"{became} Only its gas was paid. To do it after all, {again}."
        case StateName.foreign:
            return (
                f"{became} Look at that transaction first: it may be the same call from another journal. "
                f"If it is not, {again}. Let all senders of a key share one journal."
            )
        case StateName.refused:
            return f"{became} Nothing was executed; its nonce and key are free. Mend the reason, call again."


def shown_key(intent: Intent) -> str:
    """An intent's key, fit for a terminal."""
    return printable(intent.key, LONGEST_KEY)


# --- as JSON


def document(intent: Intent) -> dict[str, Any]:
    """An intent without bytes and calldata; amounts in wei, Unix seconds."""
    outcome = dict(intent.outcome or {})
    if receipt := outcome.get("receipt"):
        kept = ("hash", "block_number", "block_hash", "block_time", "succeeded", "gas_used", "gas_price")
        outcome["receipt"] = {name: receipt.get(name) for name in kept}
    chain_id, _, genesis = intent.chain.partition(":")
    return {
        "key": intent.key,
        "named": intent.named,
        "chain_id": int(chain_id),
        "genesis": genesis,
        "sender": intent.sender,
        "label": intent.label,
        "to": intent.to,
        "value": intent.value,
        "payment": intent.payment,
        "expires": intent.expires,
        "nonce": intent.nonce,
        "state": intent.state.value,
        "final": intent.final,
        "outcome": outcome or None,
        "created": intent.created,
        "attempts": [
            {
                "kind": attempt.kind.value,
                "nonce": attempt.nonce,
                "hash": attempt.hash,
                "max_fee": attempt.fees.max_fee,
                "priority_fee": attempt.fees.priority_fee,
                "gas": attempt.gas,
                "created": attempt.created,
            }
            for attempt in intent.attempts
        ],
    }
