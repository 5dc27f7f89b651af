"""Each operation may be carried out twice, as the reply to its COMMIT can be lost: that changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal, Lease, Outcome, State
from tests.journal.values import (
    CHAIN,
    LONG,
    ME,
    SENDER,
    YOU,
    attempt,
    done,
    intent,
    leased,
    on_a_loop,
    opened,
    refused,
    stored,
)
from tests.support.journals import Row, journal_rows
from tests.support.postgres import PostgresServer

Operation = Callable[[Journal, Lease], Awaitable[Any]]

OPERATIONS: dict[str, Operation] = {
    "release": lambda journal, lease: journal.release(lease),
    "forget": lambda journal, lease: journal.forget(CHAIN),
    "forget one": lambda journal, lease: journal.forget(CHAIN, SENDER),
    "add": lambda journal, lease: journal.add(lease, [intent("c", 2), intent("d", 3)], 4),
    "add and keep the lease": lambda journal, lease: journal.add(lease, [intent("c", 2)], 3, release=False),
    "bump": lambda journal, lease: journal.add_attempt(lease, "b", attempt(1, "bump")),
    "bump and keep the lease": lambda journal, lease: journal.add_attempt(
        lease, "b", attempt(1, "bump"), release=False
    ),
    "another nonce": lambda journal, lease: journal.add_attempt(
        lease, "a", attempt(2, "new"), 3, instead_of=0
    ),
    "give back": lambda journal, lease: journal.give_back(lease, refused("b"), 1),
    "give back and keep the lease": lambda journal, lease: journal.give_back(
        lease, refused("b"), 1, release=False
    ),
    "give back in vain": lambda journal, lease: journal.give_back(lease, refused("a"), 0),
    "settle": lambda journal, lease: journal.settle([done("a"), Outcome("b", State.FOREIGN, False, None)]),
    "take over": lambda journal, lease: journal.take_over(["a", "b"], YOU),
}


class LosesReplies:
    """Loses the reply to the next COMMIT, each time it is armed."""

    def __init__(self) -> None:
        self.armed = False
        self.begun = 0

    def __call__(self, boundary: Boundary) -> None:
        self.begun += boundary is Boundary.JOURNAL_BEGUN
        if self.armed and boundary is Boundary.JOURNAL_COMMITTED:
            self.armed = False
            raise OperationalError("COMMIT", None, ConnectionResetError("the reply is lost"))


@pytest.fixture
def wheres(request: pytest.FixtureRequest, where: str, tmp_path: Path) -> tuple[str, str]:
    """Two places of one kind."""
    if where.startswith("postgresql"):
        server: PostgresServer = request.getfixturevalue("server")
        return where, server.fresh_schema()
    return where, str(tmp_path / "other.sqlite3")


@pytest.mark.parametrize("name", OPERATIONS)
@on_a_loop
async def test_a_lost_reply_changes_nothing(wheres: tuple[str, str], name: str) -> None:
    seen = []
    for where, lossy in zip(wheres, (False, True), strict=True):
        loses = LosesReplies()
        async with opened(where, at=loses) as journal:
            await stored(journal, "a", "b")
            lease = await leased(journal)
            loses.armed, loses.begun = lossy, 0
            result = await OPERATIONS[name](journal, lease)
            assert loses.begun == (2 if lossy else 1)
        seen.append((result, everything(where)))
    assert seen[0] == seen[1]


@on_a_loop
async def test_a_lease_whose_reply_was_lost_is_had_all_the_same(where: str) -> None:
    loses = LosesReplies()
    async with opened(where, at=loses) as journal:
        for owner in (ME, YOU):
            loses.armed = True
            lease = await journal.acquire(CHAIN, SENDER, owner, LONG)
            assert lease is not None
            await journal.add(lease, [intent(owner, lease.next_nonce or 0)], (lease.next_nonce or 0) + 1)


def everything(where: str) -> tuple[tuple[Row, ...], tuple[Row, ...], list[Row]]:
    rows = journal_rows(where)
    lanes = [{name: row[name] for name in row if name != "expires"} for row in rows.lanes]
    for lane in lanes:
        lane["leased"] = lane["owner"] is not None
    return rows.intents, rows.attempts, lanes
