"""What the journal does within a transaction; all of it may run again after a lost reply.

Imports SQLAlchemy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from ogpu.tx.journal import statements
from ogpu.tx.journal.owner import is_gone
from ogpu.tx.journal.records import Attempt, Intent, Lease, Outcome, State
from ogpu.tx.journal.refusals import IntentMoved, KeyTaken, LeaseLost
from ogpu.tx.journal.rows import attempt_row, intent_row, intents_of, outcome_row
from ogpu.tx.journal.schema import intents

MANY_KEYS = 5_000  # in one statement; SQLite takes 32,766 parameters, PostgreSQL 65,535
EXECUTED = (State.DONE, State.REVERTED, State.CANCELED)


class Operations:
    """What can be done within the transaction that is open on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done within it is undone when something is raised, and nothing else."""
        savepoint = self._connection.begin_nested()
        try:
            yield
        except BaseException:
            # When the disk is full, SQLite has undone the whole transaction, and knows no savepoint any more.
            with suppress(DBAPIError):
                savepoint.rollback()
            raise
        savepoint.commit()

    def find(self, key: str) -> Intent | None:
        """The intent of that key."""
        found = intents_of(self._connection.execute(statements.FIND, {"of": key}))
        return found[0] if found else None

    def open_like(self, chain: str, sender: str, content: str) -> list[Intent]:
        """Intents of that content, pending or done, whose key nobody chose and of which nobody was told."""
        where = {"of_chain": chain, "of_sender": sender, "of_content": content}
        return intents_of(self._connection.execute(statements.OPEN_LIKE, where))

    def unsettled(self, chain: str, sender: str | None) -> list[Intent]:
        """Intents that are still looked at, by nonce."""
        if sender is None:
            return intents_of(self._connection.execute(statements.UNSETTLED, {"of_chain": chain}))
        return intents_of(
            self._connection.execute(statements.UNSETTLED_OF, {"of_chain": chain, "of_sender": sender})
        )

    def listed(
        self,
        chain: str | None,
        sender: str | None,
        states: Sequence[State] | None,
        limit: int,
    ) -> list[Intent]:
        """Intents, newest first."""
        chosen = select(intents).order_by(intents.c.id.desc()).limit(limit)
        if chain is not None:
            chosen = chosen.where(intents.c.chain == chain)
        if sender is not None:
            chosen = chosen.where(intents.c.sender == sender)
        if states is not None:
            chosen = chosen.where(intents.c.state.in_([state.value for state in states]))
        return intents_of(self._connection.execute(statements.with_attempts(chosen, newest_first=True)))

    def lane(self, chain: str, sender: str) -> int | None:
        """The remembered next nonce."""
        remembered: int | None = self._connection.execute(
            statements.NEXT_NONCE, _lane(chain, sender)
        ).scalar()
        return remembered

    def forget(self, chain: str, sender: str | None) -> None:
        """Drop remembered next nonces."""
        if sender is None:
            self._connection.execute(statements.FORGET, {"of_chain": chain})
        else:
            self._connection.execute(statements.FORGET_ONE, _lane(chain, sender))

    def acquire(self, chain: str, sender: str, owner: str, seconds: float) -> Lease | None:
        """The lane's lease, unless another owner's has not run out and its process may still run."""
        where = {**_lane(chain, sender), "owner": owner, "gone": owner, "seconds": seconds}
        for _ in range(3):
            if self._connection.dialect.name == "sqlite":
                where["now"] = time.time()
            row = self._connection.execute(
                statements.ACQUIRE_BY[self._connection.dialect.name], where
            ).one_or_none()
            if row is not None:
                return Lease(chain, sender, owner, fence=row.fence, next_nonce=row.next_nonce)
            held = self._connection.execute(statements.HOLDER, _lane(chain, sender)).one_or_none()
            if held is None:
                self._connection.execute(statements.NEW_LANE, _lane(chain, sender))
            elif held.owner is None or is_gone(held.owner):
                where["gone"] = held.owner or owner
            else:
                return None
        return None

    def release(self, lease: Lease) -> None:
        """Let the lane go, when it is still ours."""
        self._connection.execute(statements.RELEASE, _lease(lease))

    def add(self, lease: Lease, added: Sequence[Intent], next_nonce: int, released: bool) -> None:
        """New intents and the lane's next nonce, or nothing at all."""
        try:
            try:
                self._insert(lease, added, next_nonce, released)
            except IntegrityError:
                if not self._free_refused(added):
                    raise
                self._insert(lease, added, next_nonce, released)
        except (LeaseLost, IntegrityError) as error:
            self._check_added(added, error)
            if released:
                self.release(lease)

    def _insert(self, lease: Lease, added: Sequence[Intent], next_nonce: int, released: bool) -> None:
        with self.savepoint():
            self._advance(lease, next_nonce, released)
            self._connection.execute(statements.ADD_INTENTS, [intent_row(intent) for intent in added])
            self._connection.execute(statements.ADD_ATTEMPTS, _attempt_rows(added))

    def _free_refused(self, added: Sequence[Intent]) -> bool:
        """Forget intents of these keys that no node ever took: their keys may be used again."""
        freed = False
        for intent in added:
            seen = self._connection.execute(statements.SEEN, {"of": intent.key}).one_or_none()
            if seen is not None and seen.state == State.REFUSED:
                self._connection.execute(statements.DROP_ATTEMPTS, {"of": intent.key})
                self._connection.execute(statements.DROP_INTENT, {"of": intent.key})
                freed = True
        return freed

    def add_attempt(
        self,
        lease: Lease,
        key: str,
        attempt: Attempt,
        next_nonce: int | None,
        instead_of: int | None,
        released: bool,
    ) -> None:
        """One more transaction for an intent."""
        known = self._connection.execute(statements.HASHES, {"of": key}).scalars().all()
        if attempt.hash in known:
            if released:
                self.release(lease)
            return
        self._advance(lease, next_nonce, released)
        seen = self._connection.execute(statements.SEEN, {"of": key}).one_or_none()
        if seen is None:
            raise LookupError(f"no intent of the key {key!r}")
        if seen.state == State.REFUSED:
            raise IntentMoved(key)  # its nonce and its key are free for others
        if attempt.nonce != seen.nonce:
            if seen.state in EXECUTED or instead_of not in (None, seen.nonce):
                raise IntentMoved(key)
            self._connection.execute(statements.MOVE, {"of": key, "then": attempt.nonce})
        self._connection.execute(statements.ADD_ATTEMPTS, attempt_row(key, len(known), attempt))

    def give_back(self, lease: Lease, outcome: Outcome, nonce: int, released: bool) -> bool:
        """Settle a refused intent, and free its nonce: only when that is the last one that was given."""
        held = self._connection.execute(statements.HELD, _lease(lease)).one_or_none()
        seen = self._connection.execute(statements.SEEN, {"of": outcome.key}).one_or_none()
        done_before = seen is not None and seen.state == State.REFUSED  # and the reply was lost
        if held is None:
            return done_before
        given_back = (
            seen is not None
            and (seen.state, seen.nonce) == (State.PENDING, nonce)
            and (held.next_nonce or 0) <= nonce + 1
            and not self._connection.execute(
                statements.LATER, {**_lane(lease.chain, lease.sender), "after": nonce}
            ).first()
        )
        if given_back:
            self._connection.execute(statements.SETTLE, outcome_row(outcome))
            if held.next_nonce == nonce + 1:
                self._connection.execute(statements.ADVANCE, {**_lease(lease), "then": nonce})
        if released:
            self.release(lease)
        return given_back or done_before

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Store what the chain has shown."""
        # In the order of keys, so that two who do it never wait for each other.
        rows = [outcome_row(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.key)]
        if rows:
            self._connection.execute(statements.SETTLE, rows)

    def adopt(self, key: str, was: str, owner: str) -> bool:
        """Make `owner` responsible, unless somebody else has become so since it was `was`."""
        found = self._connection.execute(statements.ADOPT, {"of": key, "was": was, "then": owner})
        return found.rowcount == 1

    def take_over(self, keys: Sequence[str], owner: str) -> None:
        """Make `owner` responsible."""
        if keys:
            self._connection.execute(
                statements.TAKE_OVER, [{"of": key, "then": owner} for key in sorted(keys)]
            )

    def _advance(self, lease: Lease, next_nonce: int | None, released: bool) -> None:
        """Set the next nonce under the fence, which also locks the lane until COMMIT."""
        statement = statements.ADVANCE_AND_RELEASE if released else statements.ADVANCE
        if self._connection.execute(statement, {**_lease(lease), "then": next_nonce}).rowcount != 1:
            raise LeaseLost(f"{lease.sender} on {lease.chain}, fence {lease.fence}")

    def _check_added(self, added: Sequence[Intent], error: Exception) -> None:
        """Nothing when all of it is there from before; else raise why it cannot be added."""
        first = {intent.key: intent.attempts[0].hash for intent in added}
        there: dict[str, str] = {}
        keys = list(first)
        for start in range(0, len(keys), MANY_KEYS):
            found = self._connection.execute(
                statements.FIRST_HASHES, {"keys": keys[start : start + MANY_KEYS]}
            )
            there.update((row.key, row.hash) for row in found)
        if there == first:
            return
        if isinstance(error, LeaseLost) or not there:
            raise error
        raise KeyTaken(there) from error


def _lane(chain: str, sender: str) -> dict[str, object]:
    return {"of_chain": chain, "of_sender": sender}


def _lease(lease: Lease) -> dict[str, object]:
    return {**_lane(lease.chain, lease.sender), "of_fence": lease.fence, "of_owner": lease.owner}


def _attempt_rows(added: Sequence[Intent]) -> list[dict[str, object]]:
    return [
        attempt_row(intent.key, number, attempt)
        for intent in added
        for number, attempt in enumerate(intent.attempts)
    ]
