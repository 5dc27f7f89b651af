"""Hazards of several hosts that send from one account: with a common journal, and each with its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import rlp
from tests.support import postgres
from tests.support.calls import Threads
from tests.support.crash import child
from tests.support.hosts import Host, publishes_after_a_stop, publishes_what_it_can
from tests.support.journals import Rows, assert_journal_equals_chain, journal_rows
from tests.support.localnet import wait_until
from tests.support.many import dealt
from tests.support.postgres import PostgresServer
from tests.support.proxy import Proxy
from tests.support.stage import Case

from ogpu import Client
from ogpu.errors import ForeignNonce
from ogpu.tx.boundaries import Boundary

SEND = "eth_sendRawTransaction"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One server for all."""
    with postgres.running() as running:
        yield running


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty journal of the store that the test is for."""
    if request.param == "sqlite":
        return str(tmp_path / "journal.sqlite3")
    server: PostgresServer = request.getfixturevalue("server")
    return server.fresh_schema()


def nonces_sent(proxy: Proxy) -> list[int]:
    """The nonces of the different transactions that went through a proxy, as they came."""
    raws = dict.fromkeys(proxy.raw_sent)
    return [int.from_bytes(rlp.decode(bytes.fromhex(raw[4:]))[1]) for raw in raws]  # after 0x02: EIP-1559


def all_done(where: str, case: Case, keys: list[str]) -> Rows:
    """Each key is executed once, nothing is on its way, and the journal has all of it as the chain has."""
    found, rows = case.check(keys), journal_rows(where)
    assert not found.waiting
    assert_journal_equals_chain(rows, found)
    assert rows.states() == dict.fromkeys(keys, "done")
    assert [lane["next_nonce"] for lane in rows.lanes] == [found.next_nonce]
    return rows


# --- one journal


@pytest.mark.parametrize(
    ("where", "boundary", "nth"),
    [
        ("postgresql", Boundary.LEASED, 1),
        ("postgresql", Boundary.SIGNED, 1),
        ("postgresql", Boundary.JOURNAL_WRITTEN, 2),  # of the intents, after that of the lease
        ("sqlite", Boundary.SIGNED, 1),
    ],
    indirect=["where"],
)
def test_who_is_stopped_past_its_lease_and_goes_on_sends_nothing_of_what_it_signed(
    case: Case, where: str, boundary: Boundary, nth: int
) -> None:
    """Another host took the lane and the nonces meanwhile."""
    late, early = ["late 1", "late 2"], ["early 0", "early 1", "early 2", "early 3"]
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(case.proxy())
        other = stack.enter_context(Client(case.through(), private_key=case.key, journal=where))
        other.publish_task(case.task(early[0]), idempotency_key=early[0])  # both know the next nonce now
        host = Host(case.through(proxy.url), case.key, case.source, where)
        stopped = stack.enter_context(child(publishes_after_a_stop, host, late, boundary, nth))
        assert stopped.receive() == "there"
        stopped.stop()
        stopped.send("go on")
        for key in early[1:]:
            other.publish_task(case.task(key), idempotency_key=key)
        assert not proxy.raw_sent
        all_done(where, case, early)
        stopped.resume()
        addresses = stopped.receive()
        assert nonces_sent(proxy) == [case.found().next_nonce - 2, case.found().next_nonce - 1]
    all_done(where, case, [*early, *late])
    assert [case.found().executions[key][0].tasks[0] for key in late] == [a.lower() for a in addresses]


@pytest.mark.parametrize("boundary", [Boundary.STORED, Boundary.SENT])
def test_who_is_stopped_with_stored_transactions_does_not_hold_up_others(
    case: Case, server: PostgresServer, boundary: Boundary
) -> None:
    """Its nonces come before theirs, and it does not send them."""
    where = server.fresh_schema()
    host = Host(case.through(), case.key, case.source, where)
    with child(publishes_after_a_stop, host, ["first"], boundary) as stopped:
        assert stopped.receive() == "there"
        stopped.stop()
        stopped.send("go on")
        with Client(case.through(), private_key=case.key, journal=where) as other:
            for key in ("second", "third"):
                other.publish_task(case.task(key), idempotency_key=key)
        case.check(["first", "second", "third"])
        stopped.resume()
        (address,) = stopped.receive()
        assert case.found().executions["first"][0].tasks == (address.lower(),)
    all_done(where, case, ["first", "second", "third"])


# --- a journal each


def foreign(case: Case, rows: Rows) -> list[str]:
    """What the chain has of the account and a journal has not."""
    return sorted(
        {transaction.hash for transaction in case.found().mined} - {row["hash"] for row in rows.attempts}
    )


@pytest.mark.parametrize("many", [False, True], ids=["publish_task", "publish_tasks"])
def test_a_keyed_call_whose_nonce_went_to_a_host_with_another_journal_is_not_executed(
    case: Case, tmp_path: Path, many: bool
) -> None:
    ours, theirs = str(tmp_path / "ours.sqlite3"), str(tmp_path / "theirs.sqlite3")
    held, over = threading.Event(), threading.Event()

    def hold(method: str) -> None:
        if method == SEND:
            held.set()
            over.wait(60)

    with case.proxy() as proxy, contextlib.ExitStack() as stack:
        proxy.hold = hold
        client = stack.enter_context(Client(case.through(proxy.url), private_key=case.key, journal=ours))
        other = stack.enter_context(Client(case.through(), private_key=case.key, journal=theirs))
        stack.callback(over.set)

        def publish() -> object:
            if many:
                return client.publish_tasks([case.task("ours")], idempotency_keys=["ours"])
            return client.publish_task(case.task("ours"), idempotency_key="ours")

        call = Threads(publish)
        assert held.wait(60)
        other.publish_task(case.task("theirs"), idempotency_key="theirs")
        over.set()
        (error,) = call.outcomes()
        cause = error.__cause__ if many and isinstance(error, Exception) else error
        assert isinstance(cause, ForeignNonce)
        taker = case.found().mined[-1]
        assert (cause.facts["hash"], cause.facts["nonce"]) == (taker.hash, taker.nonce)
        sent = len(proxy.raw_sent)
        with pytest.raises(ForeignNonce):
            client.publish_task(case.task("ours"), idempotency_key="ours")
        assert len(proxy.raw_sent) == sent
        case.check(["theirs"], ["ours"])
        client.publish_task(case.task("next"), idempotency_key="next")
        found = case.check(["theirs", "next"], ["ours"])
        rows = journal_rows(ours)
        assert rows.states() == {"ours": "foreign", "next": "done"}
        assert_journal_equals_chain(rows, found, foreign=[taker.hash])
        assert_journal_equals_chain(journal_rows(theirs), found, foreign=foreign(case, journal_rows(theirs)))


def test_a_keyed_call_that_was_outbid_at_its_nonce_is_not_executed(case: Case, tmp_path: Path) -> None:
    """It waits in the pool, and somebody who knows of no journal puts a transaction in its place."""
    where = str(tmp_path / "ours.sqlite3")
    case.automine(False)
    with Client(case.through(), private_key=case.key, journal=where) as client:
        call = Threads(lambda: client.publish_task(case.task("ours"), idempotency_key="ours"))
        (nonce,) = wait_until(lambda: case.found().waiting, 60, "the send")
        case.network.rpc("anvil_impersonateAccount", case.sender)
        offer = {"nonce": hex(nonce), "maxFeePerGas": hex(10**13), "maxPriorityFeePerGas": hex(10**12)}
        transfer = {"from": case.sender, "to": case.sender, "gas": hex(21_000), **offer}
        stranger = case.network.rpc("eth_sendTransaction", transfer)
        case.automine(True)
        case.mine()
        (error,) = call.outcomes()
        assert isinstance(error, ForeignNonce)
        assert error.facts["hash"] == stranger
        client.publish_task(case.task("next"), idempotency_key="next")
    assert_journal_equals_chain(journal_rows(where), case.check(["next"], ["ours"]), foreign=[stranger])


def test_two_hosts_with_a_journal_each_execute_what_they_say_and_nothing_else(
    case: Case, tmp_path: Path
) -> None:
    """Their first sends wait for each other, and are at one nonce."""
    keys = [f"key {number}" for number in range(40)]
    journals = [str(tmp_path / f"{name}.sqlite3") for name in ("ours", "theirs")]
    told: dict[str, str] = {}
    sent = [threading.Event() for _ in journals]

    def hold(who: int, method: str) -> None:
        if method == SEND:
            sent[who].set()
            sent[1 - who].wait(60)

    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(case.proxy()) for _ in journals]
        hosts = [
            Host(case.through(proxy.url), case.key, case.source, journal)
            for proxy, journal in zip(proxies, journals, strict=True)
        ]
        for who, proxy in enumerate(proxies):
            proxy.hold = partial(hold, who)
        running = [
            stack.enter_context(child(publishes_what_it_can, host, threads))
            for host, threads in zip(hosts, dealt(keys, 2, 4), strict=True)
        ]
        for each in running:
            assert each.receive() == "ready"
        for each in running:
            each.send("go")
        for each in running:
            told |= each.receive()
    assert sorted(told) == sorted(keys)
    done = [key for key, result in told.items() if result.startswith("0x")]
    print(f"{len(keys) - len(done)} of {len(keys)} met a foreign transaction")
    assert {told[key] for key in keys if key not in done} == {"ForeignNonce"}
    found = case.check(done, [key for key in keys if key not in done])
    assert {key: executed.tasks for key, (executed,) in found.executions.items()} == {
        key: (told[key].lower(),) for key in done
    }
    for journal in journals:
        rows = journal_rows(journal)
        assert_journal_equals_chain(rows, found, foreign=foreign(case, rows))
