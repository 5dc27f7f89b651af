"""Rows put into an index by hand, for what a network would take long to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, insert

from ogpu.indexer import tables
from ogpu.indexer.place import place_of
from ogpu.rpc.codec import checksum
from ogpu.types import TaskStatus

BEGIN = 1_700_000_000
PAYMENT = 12_345_678_901_234_567_890_123  # wei, more than a float holds


def address(kind: str, number: int) -> str:
    """An address that nothing else has."""
    return checksum("0x" + hashlib.sha256(f"{kind} {number}".encode()).hexdigest()[:40])


def hashed(kind: str, number: int) -> str:
    """A hash that nothing else has."""
    return "0x" + hashlib.sha256(f"{kind} {number}".encode()).hexdigest()


def moment(name: str, block: int, index: int = 0) -> dict[str, Any]:
    """The four columns of something that happened."""
    return {
        f"{name}_block": block,
        f"{name}_index": index,
        f"{name}_at": BEGIN + block,
        f"{name}_tx": hashed("tx", block * 100 + index),
    }


@contextmanager
def writing(index: Path | str) -> Iterator[Connection]:
    """A transaction that writes into an index, which is a file or a URL."""
    place = place_of(index)
    engine = create_engine(place.url or f"sqlite:///{place.path}")

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        if place.path:
            connection.execute("PRAGMA journal_mode = WAL")

    tables.metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def cursor_row(number: int, changes: int, **other: Any) -> dict[str, Any]:
    """The cursor at a block."""
    return {
        "id": 1,
        "chain_id": 31337,
        "genesis": hashed("block", 0),
        "nexus": address("nexus", 0),
        "first_block": 0,
        "number": number,
        "hash": hashed("block", number),
        "timestamp": BEGIN + number,
        "finalized": 0,
        "head": number,
        "changes": changes,
        **other,
    }


def source_row(number: int) -> dict[str, Any]:
    """A source."""
    return {
        "address": address("source", number),
        "client": address("client", number % 3),
        "metadata_url": f"https://x.example/ipfs/s{number}",
        "environments": 3,
        "min_payment": 5,
        "min_available_lockup": 0,
        "max_expiry_duration": 2**200,
        "privacy_enabled": False,
        "optional_params_url": "",
        "delivery_method": 0,
        "status": number % 2,
        "last_update_time": BEGIN,
        **moment("published", number + 1),
        "registrant_count": 1,
        "task_count": number,
        "finalized_count": 0,
        "paid": 0,
    }


def task_row(number: int, **other: Any) -> dict[str, Any]:
    """A task, two in a block."""
    finalized = number % 4 == 0
    return {
        "address": address("task", number),
        "source": address("source", number % 5),
        "client": address("client", number % 3),
        "config_url": f"https://x.example/ipfs/t{number}",
        "expiry_time": BEGIN + 10_000,
        "payment": PAYMENT + number,
        "delivery_method": 0,
        "status": TaskStatus.FINALIZED if finalized else TaskStatus.NEW,
        "attempt_count": int(finalized),
        "response_count": int(finalized),
        "winning_provider": address("provider", 0) if finalized else None,
        "confirmed_response": address("response", number) if finalized else None,
        "paid": PAYMENT if finalized else None,
        **moment("published", 10 + number // 2, number % 2),
        **(moment("attempted", 500) if finalized else {}),
        **(moment("responded", 501) if finalized else {}),
        **(moment("settled", 502) if finalized else {}),
        **other,
    }


def response_row(number: int) -> dict[str, Any]:
    """The confirmed response of a task."""
    return {
        "address": address("response", number),
        "task": address("task", number),
        "source": address("source", number % 5),
        "provider": address("provider", 0),
        "data": f"https://x.example/ipfs/r{number}",
        "payment": PAYMENT,
        "status": 1,
        "paid": PAYMENT,
        **moment("submitted", 501, number),
        **moment("confirmed", 502, number),
    }


def event_row(block: int, index: int = 0, **other: Any) -> dict[str, Any]:
    """The publishing of a task."""
    return {
        "block_number": block,
        "log_index": index,
        "transaction_hash": hashed("tx", block * 100 + index),
        "at": BEGIN + block,
        "contract": "Nexus",
        "kind": "TaskPublished",
        "source": address("source", 0),
        "task": address("task", block),
        "arguments": '{"task":"0x"}',
        **other,
    }


def fill(index: Path | str, tasks: int = 60) -> None:
    """An index with some of everything."""
    finalized = [number for number in range(tasks) if number % 4 == 0]
    with writing(index) as connection:
        connection.execute(insert(tables.cursor), cursor_row(600, 7))
        connection.execute(insert(tables.sources), [source_row(number) for number in range(5)])
        connection.execute(
            insert(tables.tasks),
            [{**dict.fromkeys(tables.tasks.c.keys()), **task_row(number)} for number in range(tasks)],
        )
        connection.execute(insert(tables.responses), [response_row(number) for number in finalized])
        connection.execute(
            insert(tables.events),
            [{**dict.fromkeys(tables.events.c.keys()), **event_row(block)} for block in range(10, 40)],
        )
        connection.execute(
            insert(tables.blocks),
            [
                {
                    "number": number,
                    "hash": hashed("block", number),
                    "parent_hash": hashed("block", number - 1),
                    "timestamp": BEGIN + number,
                    "event_count": 1,
                }
                for number in range(10, 40)
            ],
        )
