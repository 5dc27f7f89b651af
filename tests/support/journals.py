"""The journal read by plain SQL, and held against the chain."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from tests.support.invariants import Found, Mined

INTENTS = "SELECT * FROM ogpu_intents ORDER BY id"
ATTEMPTS = "SELECT * FROM ogpu_attempts ORDER BY key, number"
LANES = "SELECT * FROM ogpu_lanes"

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """All rows of a journal, at one moment."""

    intents: tuple[Row, ...]  # the outcome is decoded
    attempts: tuple[Row, ...]
    lanes: tuple[Row, ...]

    def intents_of(self, sender: str) -> list[Row]:
        return [row for row in self.intents if row["sender"].lower() == sender.lower()]

    def attempts_of(self, key: str) -> dict[str, Row]:
        """An intent's attempts by their transaction's hash."""
        return {row["hash"]: row for row in self.attempts if row["key"] == key}

    def states(self) -> dict[str, str]:
        """The state of each intent by its key."""
        return {row["key"]: row["state"] for row in self.intents}


def journal_rows(where: str | Path) -> Rows:
    """Read a journal, an SQLite file or a PostgreSQL database, by its driver alone."""
    read = _postgresql if str(where).startswith("postgres") else _sqlite
    intents, attempts, lanes = read(str(where))
    for row in intents:
        row["outcome"] = json.loads(row["outcome"]) if row["outcome"] else None
    return Rows(tuple(intents), tuple(attempts), tuple(lanes))


def _sqlite(path: str) -> list[list[Row]]:
    with closing(
        sqlite3.connect(f"{Path(path).as_uri()}?mode=rw", uri=True, isolation_level=None)
    ) as database:
        database.row_factory = sqlite3.Row
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert not database.execute("PRAGMA foreign_key_check").fetchall()
        database.execute("BEGIN")
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'ogpu_intents'").fetchone():
            return [[], [], []]  # whoever makes it has got no further, or was killed there
        return [[dict(row) for row in database.execute(query)] for query in (INTENTS, ATTEMPTS, LANES)]


def _postgresql(url: str) -> list[list[Row]]:
    import psycopg
    from psycopg.rows import dict_row

    address = "postgresql://" + url.partition("://")[2]
    with psycopg.connect(address, row_factory=dict_row) as database:
        database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return [database.execute(query).fetchall() for query in (INTENTS, ATTEMPTS, LANES)]


def assert_journal_equals_chain(
    journal: Rows, found: Found, *, pending: Collection[str] = (), foreign: Collection[str] = ()
) -> None:
    """Each intent is what the chain has of it, and the chain has nothing that the journal has not.

    `pending` are the keys of intents that may be on their way, `foreign` the hashes of transactions
    that somebody else has sent from the account.
    """
    intents = journal.intents_of(found.sender)
    _check_attempts(journal, intents)
    by_nonce = {transaction.nonce: transaction for transaction in found.mined}
    for intent in intents:
        attempts = journal.attempts_of(intent["key"])
        if intent["state"] == "pending":
            assert intent["key"] in pending, f"{intent['key']} is still on its way"
            assert not intent["final"]
        else:
            _check_intent(intent, attempts, by_nonce.get(intent["nonce"]))
    known = {row["hash"] for intent in intents for row in journal.attempts_of(intent["key"]).values()}
    assert {transaction.hash for transaction in found.mined} - known == set(foreign)
    _check_nonces(journal, intents, found)


def _check_attempts(journal: Rows, intents: list[Row]) -> None:
    """An attempt is what its bytes are; an intent keeps its nonce."""
    for intent in intents:
        attempts = journal.attempts_of(intent["key"]).values()
        assert [row["number"] for row in attempts] == list(range(len(attempts)))
        assert attempts, f"{intent['key']} has no attempt"
        for row in attempts:
            assert "0x" + keccak(bytes(row["raw"])).hex() == row["hash"]
    hashes = Counter(row["hash"] for row in journal.attempts)
    assert hashes.total() == len(hashes), "two intents with the same transaction"


def _check_intent(intent: Row, attempts: dict[str, Row], mined: Mined | None) -> None:
    key, state = intent["key"], intent["state"]
    attempt = attempts.get(mined.hash) if mined else None
    if state == "refused":
        assert attempt is None, f"{key} is mined, and the journal says that it was refused"
        return
    assert mined, f"{key} is {state}, and the chain has nothing at nonce {intent['nonce']}"
    if state == "foreign":
        assert attempt is None, f"{key}: the transaction at its nonce is ours"
        return
    assert attempt, f"{key} is {state}, and the transaction at nonce {intent['nonce']} is another's"
    assert attempt["nonce"] == intent["nonce"]
    assert attempt["kind"] == ("cancel" if state == "canceled" else "call"), key
    assert mined.empty == (state == "canceled" or intent["label"] == "fix_nonce")
    assert mined.succeeded == (state != "reverted"), f"{key} is {state}"
    if intent["named"] and mined.key is not None:
        assert mined.key == key
        assert (int(intent["value"]), int(intent["payment"])) == (mined.value, mined.payment)
    said = json.dumps(intent["outcome"])
    assert mined.hash in said, f"{key}'s outcome is not of the transaction that was mined"


def _check_nonces(journal: Rows, intents: list[Row], found: Found) -> None:
    """A nonce has one intent, and the next one to be given is not used."""
    used = Counter(intent["nonce"] for intent in intents if intent["state"] != "refused")
    assert [nonce for nonce, count in used.items() if count > 1] == [], "a nonce with several intents"
    for lane in journal.lanes:
        if lane["sender"].lower() == found.sender.lower() and lane["next_nonce"] is not None:
            assert lane["next_nonce"] > max(used, default=-1)
