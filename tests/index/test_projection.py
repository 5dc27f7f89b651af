"""What events do to rows, on values alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_abi.abi import encode

from ogpu.indexer.effects import EFFECTS
from ogpu.indexer.happenings import CONTRACTS, LONGEST_TEXT, Decoder, Happening, arguments_json, stored_text
from ogpu.indexer.items import Facts, Figures, ResponseTerms, TaskTerms
from ogpu.indexer.project import KEYS, Added, Batch, linked_rows, named_rows, project
from ogpu.indexer.rows import Row, Rows
from ogpu.networks import TESTNET
from ogpu.rpc.codec import checksum, interface
from ogpu.rpc.steps import Block

TASK, SOURCE, RESPONSE = ("0x" + digit * 40 for digit in "123")
CLIENT, PROVIDER, OTHER = ("0x" + digit * 40 for digit in "456")
MANUAL, FIRST = 0, 1
PAYMENT, PRICE = 1000, 300
FIGURES = Figures(1, 2, 3, 4, 5, 6)


def happening(block: int, kind: str, contract: str = "Nexus", **arguments: Any) -> Happening:
    """An event of a block; a block lasts a minute."""
    return Happening(block, len(arguments), block * 60, f"0x{block:064x}", contract, kind, arguments)


def projected(happenings: list[Happening], facts: Facts, rows: Rows | None = None) -> tuple[Rows, Added]:
    """The rows after events, the first of which finds none."""
    numbers = sorted({each.block for each in happenings})
    blocks = [Block(number, f"0x{number:064x}", "0x", number * 60, ()) for number in numbers]
    batch = Batch(blocks, happenings, facts, numbers[-1], -1)
    rows = rows or Rows(KEYS)
    for wanted in (named_rows, lambda batch: linked_rows(batch, rows)):
        for table, keys in wanted(batch).items():
            rows.load(table, rows.missing(table, keys), [])
    return rows, project(batch, rows)


def life(delivery: int, *end: Happening) -> tuple[Rows, Added]:
    """A task that is attempted and answered, and then ends."""
    facts = Facts()
    facts.tasks[TASK] = TaskTerms(CLIENT, "ipfs://config", 10**9, PAYMENT, delivery)
    facts.responses[RESPONSE] = ResponseTerms(TASK, PROVIDER, "ipfs://result", PRICE)
    facts.owners = {(TASK, block): CLIENT for block in range(1, 9)}
    facts.accounts = {(who, block): FIGURES for who in (CLIENT, PROVIDER) for block in range(1, 9)}
    begun = [
        happening(1, "TaskPublished", task=TASK, source=SOURCE),
        happening(2, "Attempted", task=TASK, provider=PROVIDER, suggested_payment=PRICE),
        happening(2, "TaskStatusChanged", task=TASK, status=1),
        happening(4, "ResponseSubmitted", response=RESPONSE, task=TASK),
        happening(4, "TaskStatusChanged", task=TASK, status=2),
    ]
    return projected([*begun, *end], facts)


CONFIRMED = (
    happening(5, "ResponseStatusChanged", response=RESPONSE, status=1),
    happening(5, "TaskStatusChanged", task=TASK, status=5),
)


def row(rows: Rows, table: str, *key: Any) -> Row:
    found = rows.find(table, *key)
    assert found is not None
    return dict(found)


@pytest.mark.parametrize(("delivery", "paid"), [(MANUAL, PRICE), (FIRST, PAYMENT)])
def test_a_winner_gets_its_price_and_under_first_response_all(delivery: int, paid: int) -> None:
    rows, _ = life(delivery, *CONFIRMED)
    task, payment = row(rows, "tasks", TASK), row(rows, "payments", TASK)
    assert (task["status"], task["winning_provider"], task["confirmed_response"], task["paid"]) == (
        5, PROVIDER, RESPONSE, paid,
    )  # fmt: skip
    assert (payment["state"], payment["paid"], payment["returned"]) == ("paid", paid, PAYMENT - paid)
    assert row(rows, "responses", RESPONSE)["paid"] == paid
    assert row(rows, "providers", PROVIDER)["earned"] == paid
    assert row(rows, "accounts", CLIENT)["spent"] == paid
    totals = row(rows, "totals", 1)
    assert (totals["paid"], totals["returned"], totals["held"]) == (paid, PAYMENT - paid, 0)
    assert (totals["finalized"], totals["new"], totals["attempted"], totals["responded"]) == (1, 0, 0, 0)


@pytest.mark.parametrize(("status", "name"), [(3, "canceled"), (4, "expired")])
def test_what_was_not_paid_goes_back(status: int, name: str) -> None:
    rows, _ = life(MANUAL, happening(7, "TaskStatusChanged", task=TASK, status=status))
    payment, totals = row(rows, "payments", TASK), row(rows, "totals", 1)
    assert (payment["state"], payment["paid"], payment["returned"], payment["provider"]) == (
        "returned", 0, PAYMENT, None,
    )  # fmt: skip
    assert (totals[name], totals["held"], totals["returned"]) == (1, 0, PAYMENT)
    assert row(rows, "tasks", TASK)["paid"] is None
    assert row(rows, "buckets", 60, 7 * 60)[name] == 1


def test_times_of_a_task_are_those_of_its_events() -> None:
    rows, _ = life(MANUAL, *CONFIRMED)
    task = row(rows, "tasks", TASK)
    assert [task[f"{what}_at"] for what in ("published", "attempted", "responded", "settled")] == [
        60,
        120,
        240,
        300,
    ]
    assert row(rows, "providers", PROVIDER)["answer_seconds"] == 120
    bins = json.loads(row(rows, "buckets", 86400, 0)["first_response_bins"])
    assert bins == [0] * 8 + [1] + [0] * 4  # 180 s: more than 120 and at most 300


def test_a_provider_counts_once_in_an_interval() -> None:
    rows, _ = life(MANUAL)
    assert row(rows, "buckets", 3600, 0)["active_providers"] == 1
    assert row(rows, "buckets", 60, 120)["active_providers"] == 1


def test_figures_are_those_of_the_block() -> None:
    rows, _ = life(MANUAL)
    account = row(rows, "accounts", CLIENT)
    assert (account["balance"], account["earned"]) == (FIGURES.balance, FIGURES.earned)


def test_what_an_index_has_not_seen_the_beginning_of_stops_nothing() -> None:
    facts = Facts(owners={(TASK, 1): CLIENT})
    facts.responses[RESPONSE] = ResponseTerms(TASK, PROVIDER, "ipfs://result", PRICE)
    unknown = [
        happening(1, "Attempted", task=TASK, provider=PROVIDER, suggested_payment=PRICE),
        happening(1, "ResponseSubmitted", response=RESPONSE, task=TASK),
        happening(1, "ResponseStatusChanged", response=RESPONSE, status=1),
        happening(1, "TaskStatusChanged", task=TASK, status=5),
        happening(1, "SourceStatusChanged", source=SOURCE, status=1),
        happening(1, "ProviderRemoved", "Terminal", provider=OTHER),
    ]
    rows, added = projected(unknown, facts)
    assert len(added.rows["events"]) == len(unknown)
    assert rows.find("tasks", TASK) is None


def test_both_halves_make_a_pair_once() -> None:
    halves = [
        happening(1, "ProviderAnnounced", "Terminal", provider=PROVIDER, master=OTHER),
        happening(2, "MasterAnnounced", "Terminal", provider=PROVIDER, master=CLIENT),
        happening(3, "MasterAnnounced", "Terminal", provider=PROVIDER, master=OTHER),
    ]
    rows, _ = projected(halves[:2], Facts())
    assert row(rows, "providers", PROVIDER)["master"] is None
    rows, _ = projected(halves, Facts())
    assert row(rows, "providers", PROVIDER)["master"] == OTHER
    assert row(rows, "masters", OTHER)["provider"] == PROVIDER
    assert row(rows, "masters", OTHER)["announced_provider"] is None


def test_each_event_of_each_contract_has_an_effect() -> None:
    there = {(name, event) for name in CONTRACTS.values() for event in interface(name).events}
    assert set(EFFECTS) == there


def test_a_row_that_was_not_loaded_is_no_missing_row() -> None:
    with pytest.raises(KeyError):
        Rows(KEYS).find("tasks", TASK)


# --- What strangers write


def log_of(data: bytes) -> dict[str, Any]:
    """A log of Nexus: a source with other terms."""
    return {
        "address": TESTNET.contracts["NEXUS"],
        "topics": [interface("Nexus").events["SourceUpdated"].topic],
        "data": "0x" + data.hex(),
        "logIndex": "0x0",
        "transactionHash": "0x" + "ab" * 32,
    }


def terms_with(url: bytes) -> bytes:
    """The data of such an event whose link is these bytes."""
    kinds = "(address,bytes,uint8,uint256,uint256,uint256,bool,bytes,uint8,uint256)"
    terms = (CLIENT, url, 255, 2**256 - 1, 0, 0, True, b"", 255, 0)
    return encode(["address", kinds], [SOURCE, terms])


HOSTILE = {
    "a NUL": (b"ipfs://a\0b", "ipfs://a␀b"),
    "no UTF-8": (b"\xff\xfe\x80", "���"),
    "half a surrogate": ("\ud800".encode("utf-8", "surrogatepass"), "���"),
    "a megabyte": (b"x" * 10**6, "x" * LONGEST_TEXT + "…"),
    "a megabyte of NUL": (b"\0" * 10**6, "␀" * LONGEST_TEXT + "…"),
    "right to left": ("\u202etxt.exe".encode(), "\u202etxt.exe"),
    "a quote": (b"'; DROP TABLE tasks; --", "'; DROP TABLE tasks; --"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_stored_bounded_and_in_a_form_that_every_database_takes(name: str) -> None:
    raw, expected = HOSTILE[name]
    block = Block(1, "0x", "0x", 60, (log_of(terms_with(raw)),))
    (found,) = Decoder(TESTNET).of([block])
    assert found.source_params.image_metadata_url == expected
    said = json.loads(arguments_json(found))
    assert said["source_params"]["image_metadata_url"] == expected
    assert said["source_params"]["min_payment"] == str(2**256 - 1)
    assert said["source"] == checksum(SOURCE)


def test_lone_surrogates_are_never_stored() -> None:
    assert stored_text("a\ud800b") == "a?b"


@pytest.mark.parametrize(
    "change",
    [
        {"data": "0x"},
        {"data": "0x" + "ff" * 64},
        {"topics": []},
        {"topics": ["0x" + "12" * 32]},
    ],
    ids=["empty", "garbage", "anonymous", "unknown"],
)
def test_a_log_that_says_nothing_is_left_out(change: dict[str, Any]) -> None:
    block = Block(1, "0x", "0x", 60, ({**log_of(terms_with(b"ipfs://a")), **change},))
    assert Decoder(TESTNET).of([block]) == []
