"""`ogpu tx` on a real node and journal: in this process, and where it waits in one of its own."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ogpu import Client
from ogpu.cli.intents import StateName
from ogpu.cli.main import run
from ogpu.errors import ContractReverted, TransactionUndetermined
from ogpu.tx.fees import Fees
from ogpu.tx.journal import TOLD, Attempt, Intent, Journal, Kind, Outcome, State
from ogpu.tx.state import Policy
from tests.localnet.commands import lines, ogpu, running
from tests.support.calls import MENDED as KEY
from tests.support.calls import (
    in_pool,
    inactivate_at_the_send,
    new_source,
    observed,
    on_its_way,
    until,
)
from tests.support.stage import Case

JOURNAL = "journal.sqlite3"  # in the test's folder; tests/conftest.py sets it
CHAIN = "1337:0x" + "ab" * 32
SENDER = "0x" + "A1" * 20


@dataclass
class Here:
    """The command in this process, which saves the second that Python takes to start."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, variables: dict[str, str] | None = None) -> tuple[int, str]:
        """Its exit code and all that it said."""
        self.capture.readouterr()
        with self.patch.context() as patch:
            for name, value in (variables or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["ogpu", "tx", *arguments])
            try:
                code = run()
            except SystemExit as ended:
                code = int(ended.code or 0)
            out, errors = self.capture.readouterr()
        return code, errors + out


@pytest.fixture
def tx(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(monkeypatch, capsys)


def settings(case: Case, **more: str) -> dict[str, str]:
    """What a user exports."""
    return {"OGPU_NETWORK_FILE": str(case.network.file), "CLIENT_PRIVATE_KEY": case.key, **more}


def table(said: str) -> list[list[str]]:
    """The cells of a listing, in which none is empty and none has two spaces in a row."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines(said)]


def results(said: str) -> list[str]:
    """The lines but for the one that comes when it takes a while."""
    return [line for line in lines(said) if line != "Waiting for the chain …"]


def left_open(case: Case, *keys: str) -> list[str]:
    """Tasks that a program has sent and not waited for; their hashes."""
    hashes = []
    with Client(case.through(), private_key=case.key, policy=Policy(receipt_timeout=0.2)) as client:
        for key in keys:
            with pytest.raises(TransactionUndetermined) as caught:
                client.publish_task(case.task(key), idempotency_key=key)
            hashes.append(str(caught.value.facts["hash"]))
    return hashes


def stored(place: Path, *intents: Intent, outcomes: Sequence[Outcome] = ()) -> None:
    """Put intents into a journal without any chain."""

    async def store() -> None:
        journal = Journal(place)
        lease = await journal.acquire(CHAIN, SENDER, "me", 60)
        assert lease
        await journal.add(lease, intents, len(intents))
        await journal.settle(outcomes)
        await journal.close()

    asyncio.run(store())


def intent(key: str, nonce: int = 0, *, label: str = "Controller.publishTask", named: bool = True) -> Intent:
    """An intent of an hour ago, with one attempt."""
    created = time.time() - 3_700
    fees = Fees(3 * 10**9 + 1, 10**9)
    return Intent(
        key=key,
        named=named,
        chain=CHAIN,
        sender=SENDER,
        content="c",
        label=label,
        to="0x" + "B2" * 20,
        data="0x1234",
        value=10**18 + 1,
        payment=5 * 10**15,
        expires=2**200,
        owner=TOLD,
        nonce=nonce,
        created=created,
        attempts=(Attempt(Kind.CALL, nonce, f"0x{nonce + 1:064x}", fees, 90_000, b"raw", 7, created),),
    )


# --- ls


def test_an_empty_journal_lists_nothing_and_is_not_made(tx: Here, tmp_path: Path) -> None:
    said = f"No transactions in the journal {tmp_path / JOURNAL}.\n"
    assert tx("ls") == ogpu(tmp_path, "tx", "ls") == (0, said)
    assert tx("ls", "--json") == (0, "[]\n")
    assert not (tmp_path / JOURNAL).exists()


def test_a_listing_has_a_line_for_each_newest_first_without_a_node(tx: Here, slow: Case) -> None:
    with Client(slow.through(), private_key=slow.key) as client:
        on_its_way(slow, client, "a key")
        slow.mine()
        until(lambda: client.intent("a key").state is State.DONE, "the settling")
        on_its_way(slow, client, None)
        newest, oldest = client.intents()
    code, said = tx("ls")
    assert code == 0
    rows = table(said)
    assert rows[0] == ["key", "chain", "state", "nonce", "call", "hash", "age"]
    expected = [
        [i.key, "1337", i.state.value, str(i.nonce), "Controller.publishTask", i.attempts[-1].hash]
        for i in (newest, oldest)
    ]
    assert [row[:-1] for row in rows[1:]] == expected
    assert [i.state for i in (newest, oldest)] == [State.PENDING, State.DONE]
    assert all(row[-1][:-1].isdigit() and row[-1][-1] in "sm" for row in rows[1:])
    starts = {line.index(row[5]) for line, row in zip(lines(said), rows, strict=True)}
    assert len(starts) == 1, "the columns are not aligned"


def test_a_listing_by_state_and_up_to_a_limit(tx: Here, tmp_path: Path) -> None:
    intents = [intent(f"key {number}", number) for number in range(30)]
    done = [Outcome(f"key {number}", State.REFUSED, True, {}) for number in range(0, 30, 3)]
    stored(tmp_path / JOURNAL, *intents, outcomes=done)
    for arguments, numbers in (
        ((), range(29, 9, -1)),
        (("--limit", "3"), range(29, 26, -1)),
        (("--state", "refused"), range(27, -1, -3)),
        (("--state", "pending", "--limit", "2"), (29, 28)),
        (("--state", "canceled"), ()),
    ):
        code, said = tx("ls", "--json", *arguments)
        assert code == 0
        assert [each["key"] for each in json.loads(said)] == [f"key {number}" for number in numbers]


def test_options_that_cannot_be(tx: Here) -> None:
    for arguments in (("--limit", "0"), ("--limit", "10001"), ("--state", "lost"), ("--network", "nowhere")):
        code, said = tx("ls", *arguments)
        assert code == 2
        assert "Traceback" not in said


def test_every_state_can_be_asked_for() -> None:
    assert [state.value for state in StateName] == [state.value for state in State]


def test_a_listing_of_one_network_asks_its_node_which_chain_it_is(tx: Here, case: Case, slow: Case) -> None:
    """Both chains have one id; nothing is sent by looking."""
    with Client(case.through(), private_key=case.key) as client:
        client.publish_task(case.task("here"), idempotency_key="here")
    left_open(slow, "there")
    slow.network.rpc("anvil_dropAllTransactions")
    for one, key in ((case, "here"), (slow, "there")):
        code, said = tx("ls", "--network", "local", "--json", variables=settings(one))
        assert (code, [each["key"] for each in json.loads(said)]) == (0, [key])
    assert len(json.loads(tx("ls", "--json")[1])) == 2
    assert in_pool(slow) == 0


def test_a_network_whose_node_is_gone_is_said_with_what_to_do(tx: Here, case: Case, tmp_path: Path) -> None:
    stored(tmp_path / JOURNAL, intent("a"))
    document = {**case.network.document, "rpc_urls": ["http://127.0.0.1:9"]}
    (tmp_path / "gone.json").write_text(json.dumps(document))
    variables = settings(case, OGPU_NETWORK_FILE="gone.json")
    code, said = tx("ls", "--network", "local", variables=variables)
    assert code == 1
    assert said.startswith("Error: No connection to the node at http://127.0.0.1:9")
    assert "Without --network all are listed" in said
    assert tx("ls", variables=variables)[0] == 0
    assert tx("show", "a", variables=variables)[0] == 0


def test_another_journal_is_named_by_an_option(tx: Here, tmp_path: Path) -> None:
    stored(tmp_path / "other", intent("elsewhere"))
    code, said = tx("ls", "--journal", "other")
    assert (code, table(said)[1][0]) == (0, "elsewhere")
    assert tx("show", "elsewhere", "--journal", "other")[0] == 0
    code, said = tx("ls", "--journal", "mysql://user:secret@host/db")
    assert code == 2
    assert "postgresql://" in said
    assert "secret" not in said


def test_a_file_that_is_no_journal_is_left_as_it_is(tx: Here, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("not a database, " * 100)
    for command in (("ls",), ("show", "a")):
        code, said = tx(*command, "--journal", "notes")
        assert code == 1
        assert said.startswith(f"Error: The journal {tmp_path / 'notes'} ")
        assert "Traceback" not in said
    assert (tmp_path / "notes").read_text() == "not a database, " * 100


ODD = "\x1b[31mred\x07\n\t\u202egnp.exe \N{SNOWMAN} 鍵" + "x" * 5_000


def test_keys_and_labels_of_any_kind_are_shown_on_one_line_each(tx: Here, tmp_path: Path) -> None:
    """A journal that others write to may hold what commands a terminal."""
    stored(tmp_path / JOURNAL, intent(ODD, 0, label=ODD), intent("plain", 1))
    code, said = tx("ls")
    assert code == 0
    assert len(lines(said)) == 3
    assert len({line.index("1337") for line in lines(said)[1:2]}) == 1
    assert max(map(len, lines(said))) < 600
    _, shown = tx("show", f"0x{1:064x}")
    _, listed = tx("ls", "--json")
    _, document = tx("show", f"0x{1:064x}", "--json")
    for text in (said, shown, listed, document):
        assert all(character.isprintable() or character == "\n" for character in text)
    assert json.loads(listed)[1]["key"] == json.loads(document)["label"] == ODD
    assert len(shown) < 3_000


# --- show


def test_all_that_is_known_of_a_transaction_that_was_bumped(tx: Here, slow: Case) -> None:
    with Client(slow.through(), private_key=slow.key, policy=Policy(finality=0)) as client:
        caller = on_its_way(slow, client)
        first = client.intent(KEY).attempts[0]
        second = client.bump(KEY).attempts[1]
        until(lambda: slow.network.rpc("eth_getTransactionByHash", first.hash) is None, "the replacement")
        slow.mine()
        caller.results()
    (mined,) = slow.check([KEY]).mined
    receipt = slow.network.rpc("eth_getTransactionReceipt", mined.hash)
    for name in (KEY, first.hash, second.hash.upper().replace("0X", "0x")):
        code, said = tx("show", name)
        assert code == 0
    facts = dict(line.split(None, 1) for line in lines(said) if not line.startswith(("attempt", "It")))
    assert facts["key"] == KEY
    assert facts["state"] == "done, final"
    assert facts["account"] == slow.sender
    assert facts["nonce"] == str(mined.nonce)
    assert (facts["value"], facts["payment"]) == ("0 OGPU", "0.01 OGPU")
    assert facts["mined"].startswith(f"block {mined.block}, 20")
    assert facts["by"] == mined.hash
    gas, price = int(receipt["gasUsed"], 16), int(receipt["effectiveGasPrice"], 16)
    cost = f"{gas * price / 10**18:.18f}".rstrip("0")
    assert facts["gas"].startswith(f"{gas} at {price / 10**9:.9f}".rstrip("0"))
    assert abs(float(facts["gas"].split()[-2]) - float(cost)) < 1e-15
    attempts = [line for line in lines(said) if line.startswith("attempt")]
    assert [line.split(": ")[1].split(",")[0] for line in attempts] == ["call", "call"]
    for line, attempt in zip(attempts, (first, second), strict=True):
        assert line.endswith(attempt.hash)
        assert f"up to {attempt.fees.max_fee / 10**9:.9f}".rstrip("0") in line
        assert f"gas {attempt.gas}" in line
    assert lines(said)[-1] == "It is done; there is nothing to do."


RECEIPT = {
    "hash": "0x" + "77" * 32,
    "block_number": 42,
    "block_hash": "0x" + "88" * 32,
    "succeeded": True,
    "gas_used": 70_000,
    "gas_price": 2 * 10**9,
    "logs": [],
    "block_time": 1_700_000_000,
}

ENDS: list[tuple[State, bool, dict[str, Any] | None, str]] = [
    (State.PENDING, False, None, "`ogpu tx cancel 'a key'` puts an empty transfer in its place"),
    (State.DONE, True, {"receipt": RECEIPT}, "It is done; there is nothing to do."),
    (State.DONE, False, {"receipt": RECEIPT}, "watches its block until it is final"),
    (State.REVERTED, True, {"receipt": RECEIPT, "reason": "too \x1b late"}, r"(too \x1b late). Only its gas"),
    (State.CANCELED, True, {"receipt": RECEIPT}, "call again with another idempotency key"),
    (
        State.FOREIGN,
        True,
        {"foreign": {"hash": "0xf0"}},
        "nonce 0 went to 0xf0, which is not in this",
    ),
    (State.REFUSED, True, {"reply": "REFUSED", "said": "no coin"}, "no node took it (no coin). Nothing was"),
]


@pytest.mark.parametrize(("state", "final", "outcome", "said"), ENDS, ids=lambda value: str(value)[:12])
def test_what_to_do_is_said_for_every_state(
    tx: Here, tmp_path: Path, state: State, final: bool, outcome: dict[str, Any] | None, said: str
) -> None:
    stored(tmp_path / JOURNAL, intent("a key"), outcomes=[Outcome("a key", state, final, outcome)])
    code, text = tx("show", "a key")
    assert code == 0
    assert said.lower() in lines(text)[-1].lower()
    assert ("gas      70000 at 2 gwei: 0.00014 OGPU" in text) == ("receipt" in (outcome or {}))
    facts = dict(line.split(None, 1) for line in lines(text)[:11])
    assert (facts["value"], facts["payment"]) == ("1.000000000000000001 OGPU", "0.005 OGPU")
    assert facts["expires"] == f"{2**200} s after 1970"
    assert "1h ago" in facts["begun"]
    assert "up to 3.000000001 gwei, 1 of it priority fee" in text
    document = json.loads(tx("show", "a key", "--json")[1])
    assert (document["state"], document["final"], document["expires"]) == (state.value, final, 2**200)
    assert "raw" not in document["attempts"][0]


def test_every_state_has_its_advice() -> None:
    assert {state for state, *_ in ENDS} == set(State)


def test_what_the_journal_does_not_know(tx: Here, tmp_path: Path) -> None:
    private_key = "0x" + "7e57" * 16
    for make in (False, True):
        if make:
            stored(tmp_path / JOURNAL, intent("a"))
        for name in ("b", private_key, "\x1b[31m", ""):
            code, said = tx("show", name)
            assert code == 3
            assert said.startswith(f"Error: The journal {tmp_path / JOURNAL} has no transaction by the name")
            assert "7e57" not in said
            assert "\x1b" not in said


# --- mending


def until_replaced(case: Case, tx_hash: str) -> None:
    until(lambda: case.network.rpc("eth_getTransactionByHash", tx_hash) is None, "the replacement")


def test_cancel_puts_an_empty_transfer_in_its_place(tx: Here, slow: Case, tmp_path: Path) -> None:
    (tx_hash,) = left_open(slow, KEY)
    with running(tmp_path, "tx", "cancel", KEY, variables=settings(slow)) as command:
        until_replaced(slow, tx_hash)
        slow.mine()
        assert command.end() == 0
        said = command.said()
    (mined,) = slow.check([], [KEY]).mined
    told = f"{KEY}: canceled: the empty transfer {mined.hash} in block {mined.block} has nonce 1."
    assert results(said) == [told]
    code, said = tx("cancel", tx_hash, variables=settings(slow))
    assert (code, said.split(": ")[1]) == (0, "canceled")
    code, said = tx("cancel", tx_hash, "--json", variables=settings(slow))
    assert (code, json.loads(said)["state"]) == (0, "canceled")


def test_cancel_comes_too_late_for_what_is_done(tx: Here, case: Case) -> None:
    with Client(case.through(), private_key=case.key) as client:
        client.publish_task(case.task(KEY), idempotency_key=KEY)
    code, said = tx("cancel", KEY, variables=settings(case))
    (mined,) = case.check([KEY]).mined
    assert (code, said) == (1, f"{KEY}: done: mined as {mined.hash} in block {mined.block}.\n")
    code, said = tx("bump", KEY, variables=settings(case))
    assert (code, said.startswith(f"{KEY}: nothing is offered. done: mined")) == (1, True)


def test_bump_offers_more_and_does_not_wait(tx: Here, slow: Case) -> None:
    (tx_hash,) = left_open(slow, KEY)
    for number in (2, 3):
        code, said = tx("bump", KEY, variables=settings(slow))
        assert (code, said.startswith(f"{KEY}: attempt {number}: call, nonce 1, gas ")) == (0, True)
    until_replaced(slow, tx_hash)
    own = {"CLIENT_PRIVATE_KEY": "0x" + "11" * 32, "AGENT_PRIVATE_KEY": slow.key}  # whichever role it was
    code, told = tx("bump", KEY, "--role", "agent", "--json", variables=settings(slow) | own)
    assert (code, len(json.loads(told)["attempts"])) == (0, 4)
    until_replaced(slow, said.split()[-1])
    slow.mine()
    assert json.loads(told)["attempts"][-1]["hash"] == slow.check([KEY]).mined[0].hash


def test_bump_uses_a_keystore(tx: Here, slow: Case, tmp_path: Path) -> None:
    from eth_account import Account

    left_open(slow, KEY)
    content = Account.encrypt(bytes.fromhex(slow.key[2:]), "pass", kdf="scrypt", iterations=2)
    (tmp_path / "key.json").write_text(json.dumps(content))
    (tmp_path / "key.json").chmod(0o600)
    variables = settings(slow, CLIENT_PRIVATE_KEY="", CLIENT_KEYSTORE="key.json")
    code, said = tx("bump", KEY, variables=variables)
    assert (code, "CLIENT_KEYSTORE is set, but no password" in said) == (2, True)
    variables["CLIENT_KEYSTORE_PASSWORD"] = "pass"
    code, said = tx("bump", KEY, variables=variables)
    assert (code, said.startswith(f"{KEY}: attempt 2: ")) == (0, True)


def test_mending_needs_the_account_s_own_key(tx: Here, slow: Case) -> None:
    left_open(slow, KEY)
    for key, code, words in (
        ("", 2, "Error: No private key: CLIENT_PRIVATE_KEY is not set."),
        ("0x" + "7e57" * 16, 2, f"Error: Controller.publishTask is a transaction of {slow.sender}"),
    ):
        for command in ("cancel", "bump"):
            found, said = tx(command, KEY, variables=settings(slow, CLIENT_PRIVATE_KEY=key))
            assert found == code, said
            assert said.startswith(words)
            assert "7e57" not in said
    slow.mine()
    slow.check([KEY])


def test_recover_sends_again_what_the_node_lost_and_says_what_became_of_each(
    tx: Here, slow: Case, tmp_path: Path
) -> None:
    hashes = left_open(slow, "a", "b")
    slow.network.rpc("anvil_dropAllTransactions")
    with running(tmp_path, "tx", "recover", variables=settings(slow, CLIENT_PRIVATE_KEY="")) as command:
        until(lambda: in_pool(slow) == 2, "the sends")
        slow.mine()
        assert command.end() == 0
        said = command.said()
    block = slow.block_number()
    expected = [f"{key}: done: mined as {h} in block {block}." for key, h in zip("ab", hashes, strict=True)]
    assert results(said) == expected
    assert tx("recover", variables=settings(slow)) == (0, "Nothing is open.\n")
    slow.check(["a", "b"])


def test_what_is_still_open_is_said_so_and_is_no_success(tx: Here, slow: Case) -> None:
    (tx_hash,) = left_open(slow, KEY)
    told = f"{KEY}: still open: {tx_hash} at nonce 1 may be mined yet."
    code, said = tx("recover", "--timeout", "0.3", variables=settings(slow))
    assert (code, results(said)) == (1, [told])
    code, said = tx("cancel", KEY, "--timeout", "0.3", variables=settings(slow))
    assert (code, ": still open: 0x" in results(said)[0]) == (1, True)
    assert tx("recover", "--timeout", "0", variables=settings(slow))[0] == 2
    slow.mine()
    slow.check([], [KEY])


def test_recover_without_a_journal_has_nothing_to_do(tx: Here, case: Case) -> None:
    assert tx("recover", variables=settings(case)) == (0, "Nothing is open.\n")


def test_a_revert_is_told_with_its_reason(tx: Here, case: Case) -> None:
    source = new_source(case)
    with observed(case) as (client, proxy):
        inactivate_at_the_send(case, proxy, source)
        with pytest.raises(ContractReverted):
            client.publish_task(replace(case.task(KEY), source=source), idempotency_key=KEY)
    code, said = tx("show", KEY)
    assert code == 0
    assert "Reverted by the contract: 0x" in lines(said)[-1]
    assert "SourceInactive). Only its gas was paid." in lines(said)[-1]
