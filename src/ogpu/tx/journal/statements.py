"""The statements of the journal, made once: building one costs more than running it. Imports SQLAlchemy."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, func, select, text

from ogpu.tx.journal.records import NOBODY, TOLD, State
from ogpu.tx.journal.rows import ATTEMPT_COLUMNS, INTENT_COLUMNS
from ogpu.tx.journal.schema import attempts, intents, lanes

_of_lane = (lanes.c.chain == bindparam("of_chain"), lanes.c.sender == bindparam("of_sender"))
_of_lease = (*_of_lane, lanes.c.fence == bindparam("of_fence"), lanes.c.owner == bindparam("of_owner"))
_of_intent = intents.c.key == bindparam("of")

NEXT_NONCE = select(lanes.c.next_nonce).where(*_of_lane)
HELD = select(lanes.c.next_nonce).where(*_of_lease).with_for_update()
ADVANCE = (
    lanes.update().where(*_of_lease).values(next_nonce=func.coalesce(bindparam("then"), lanes.c.next_nonce))
)
FREED = {"owner": None, "expires": 0.0}
ADVANCE_AND_RELEASE = ADVANCE.values(**FREED)
RELEASE = lanes.update().where(*_of_lease).values(**FREED)
FORGET = lanes.update().where(lanes.c.chain == bindparam("of_chain")).values(next_nonce=None)
FORGET_ONE = lanes.update().where(*_of_lane).values(next_nonce=None)
NEW_LANE = text(
    "INSERT INTO ogpu_lanes (chain, sender, fence, expires) VALUES (:of_chain, :of_sender, 0, 0)"
    " ON CONFLICT DO NOTHING"
)
# The condition is looked at again, clock and all, by whoever had to wait for the row's lock.
ACQUIRE = """
    UPDATE ogpu_lanes SET owner = :owner, fence = fence + 1, expires = {now} + :seconds
    WHERE chain = :of_chain AND sender = :of_sender
      AND (owner IS NULL OR owner IN (:owner, :gone) OR expires <= {now})
    RETURNING fence, next_nonce"""
ACQUIRE_BY = {
    "sqlite": text(ACQUIRE.format(now="CAST(:now AS REAL)")),
    "postgresql": text(ACQUIRE.format(now="CAST(extract(epoch FROM clock_timestamp()) AS double precision)")),
}
HOLDER = select(lanes.c.owner).where(*_of_lane)
ADD_INTENTS = intents.insert()
ADD_ATTEMPTS = attempts.insert()
DROP_ATTEMPTS = attempts.delete().where(attempts.c.key == bindparam("of"))
DROP_INTENT = intents.delete().where(_of_intent)
FIRST_HASHES = select(attempts.c.key, attempts.c.hash).where(
    attempts.c.number == 0, attempts.c.key.in_(bindparam("keys", expanding=True))
)
HASHES = select(attempts.c.hash).where(attempts.c.key == bindparam("of"))
SEEN = select(intents.c.nonce, intents.c.state).where(_of_intent).with_for_update()
MOVE = (
    intents.update()
    .where(_of_intent)
    .values(nonce=bindparam("then"), state=State.PENDING.value, final=False, outcome=None)
)
# What is final stays, and what has another nonce by now: somebody slower may report what was seen before.
SETTLE = (
    intents.update()
    .where(
        _of_intent,
        intents.c.final.is_(False),
        intents.c.nonce == func.coalesce(bindparam("at"), intents.c.nonce),
    )
    .values(
        state=bindparam("state"),
        final=bindparam("final"),
        outcome=bindparam("outcome"),
        owner=func.coalesce(bindparam("then"), intents.c.owner),
    )
)
LATER = (
    select(intents.c.id)
    .where(
        intents.c.chain == bindparam("of_chain"),
        intents.c.sender == bindparam("of_sender"),
        intents.c.final.is_(False),
        intents.c.state == State.PENDING.value,
        intents.c.nonce > bindparam("after"),
    )
    .limit(1)
)
ADOPT = (
    intents.update()
    .where(_of_intent, intents.c.owner.in_([bindparam("was"), bindparam("then"), NOBODY]))
    .values(owner=bindparam("then"))
)
TAKE_OVER = intents.update().where(_of_intent).values(owner=bindparam("then"))


def with_attempts(chosen: Select[Any], *, newest_first: bool = False) -> Select[Any]:
    """Intents by nonce with their attempts: one statement, so that both are of one moment."""
    found = chosen.subquery()
    ordered = [found.c.id.desc()] if newest_first else [found.c.nonce, found.c.id]
    columns = [found.c[name] for name in INTENT_COLUMNS] + [attempts.c[name] for name in ATTEMPT_COLUMNS]
    joined = select(*columns).outerjoin_from(found, attempts, attempts.c.key == found.c.key)
    return joined.order_by(*ordered, attempts.c.number)


FIND = with_attempts(select(intents).where(_of_intent))
OPEN_LIKE = with_attempts(
    select(intents).where(
        intents.c.chain == bindparam("of_chain"),
        intents.c.sender == bindparam("of_sender"),
        intents.c.content == bindparam("of_content"),
        intents.c.state.in_([State.PENDING.value, State.DONE.value]),
        intents.c.owner != TOLD,
        intents.c.named.is_(False),
    )
)
_unsettled = select(intents).where(intents.c.chain == bindparam("of_chain"), intents.c.final.is_(False))
UNSETTLED = with_attempts(_unsettled)
UNSETTLED_OF = with_attempts(_unsettled.where(intents.c.sender == bindparam("of_sender")))
