"""Intents and attempts as rows, and back. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ogpu.tx.fees import Fees
from ogpu.tx.journal.records import Attempt, Intent, Kind, Outcome, State

Row = dict[str, Any]

INTENT_COLUMNS = (
    "key",
    "named",
    "chain",
    "sender",
    "content",
    "label",
    "target",
    "data",
    "value",
    "payment",
    "expires",
    "owner",
    "nonce",
    "state",
    "final",
    "outcome",
    "created",
)
ATTEMPT_COLUMNS = (
    "kind",
    "nonce",
    "hash",
    "max_fee",
    "priority_fee",
    "gas",
    "raw",
    "first_block",
    "created",
)


def intent_row(intent: Intent) -> Row:
    """An intent without its attempts."""
    return {
        "key": intent.key,
        "named": intent.named,
        "chain": intent.chain,
        "sender": intent.sender,
        "content": intent.content,
        "label": intent.label,
        "target": intent.to,
        "data": intent.data,
        "value": str(intent.value),
        "payment": str(intent.payment),
        "expires": _text(intent.expires),
        "owner": intent.owner,
        "nonce": intent.nonce,
        "state": intent.state.value,
        "final": intent.final,
        "outcome": dumped(intent.outcome),
        "created": intent.created,
    }


def attempt_row(key: str, number: int, attempt: Attempt) -> Row:
    """An intent's attempt; the first one has number 0."""
    return {
        "key": key,
        "number": number,
        "kind": attempt.kind.value,
        "nonce": attempt.nonce,
        "hash": attempt.hash,
        "max_fee": str(attempt.fees.max_fee),
        "priority_fee": _text(attempt.fees.priority_fee),
        "gas": attempt.gas,
        "raw": attempt.raw,
        "first_block": attempt.first_block,
        "created": attempt.created,
    }


def outcome_row(outcome: Outcome) -> Row:
    """An outcome as the parameters of an update; the key has another name than its column."""
    return {
        "of": outcome.key,
        "state": outcome.state.value,
        "final": outcome.final,
        "outcome": dumped(outcome.outcome),
        "then": outcome.owner,
        "at": outcome.nonce,
    }


def intents_of(rows: Iterable[Sequence[Any]]) -> list[Intent]:
    """Intents from rows of an intent's columns and then one attempt's, an intent's rows in one run."""
    found: dict[str, Intent] = {}
    attempts: dict[str, list[Attempt]] = {}
    width = len(INTENT_COLUMNS)
    for row in rows:
        key = row[0]
        if key not in found:
            found[key] = _intent(row[:width])
            attempts[key] = []
        if row[width] is not None:
            attempts[key].append(_attempt(row[width:]))
    return [replace(intent, attempts=tuple(attempts[key])) for key, intent in found.items()]


def dumped(outcome: dict[str, Any] | None) -> str | None:
    """JSON by the standard library, since orjson turns whole numbers of over 64 bits into fractions."""
    return None if outcome is None else json.dumps(outcome, separators=(",", ":"))


def _intent(row: Sequence[Any]) -> Intent:
    key, named, chain, sender, content, label, to, data, value, payment, expires, owner, *rest = row
    nonce, state, final, outcome, created = rest
    return Intent(
        key=key,
        named=bool(named),
        chain=chain,
        sender=sender,
        content=content,
        label=label,
        to=to,
        data=data,
        value=int(value),
        payment=int(payment),
        expires=_number(expires),
        owner=owner,
        nonce=nonce,
        state=State(state),
        final=bool(final),
        outcome=None if outcome is None else json.loads(outcome),
        created=created,
    )


def _attempt(row: Sequence[Any]) -> Attempt:
    kind, nonce, tx_hash, max_fee, priority_fee, gas, raw, first_block, created = row
    fees = Fees(int(max_fee), _number(priority_fee))
    return Attempt(Kind(kind), nonce, tx_hash, fees, gas, bytes(raw), first_block, created)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits)
