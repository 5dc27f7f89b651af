"""What the effects of events work on, and the rows of people, which are made when they are first heard of."""

from __future__ import annotations

from dataclasses import dataclass

from ogpu.indexer.happenings import Happening
from ogpu.indexer.items import Facts
from ogpu.indexer.rows import Row, Rows
from ogpu.indexer.tally import Tally

_HAPPENED = ("block", "index", "at", "tx")


@dataclass(slots=True)
class About:
    """Whom and what an event concerns, for its row."""

    source: str | None = None
    task: str | None = None
    response: str | None = None
    account: str | None = None
    other: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What the effects of a batch's events work on."""

    rows: Rows
    facts: Facts
    tally: Tally


def happened(what: str, happening: Happening) -> Row:
    """The columns that say when and where something happened."""
    return {f"{what}_{name}": getattr(happening, name) for name in _HAPPENED}


def not_yet(what: str) -> Row:
    """The same columns before it happens."""
    return {f"{what}_{name}": None for name in _HAPPENED}


def account_row(scene: Scene, address: str, happening: Happening) -> Row:
    """An account's row; a new one has no figures yet."""
    row = scene.rows.edit("accounts", address)
    if row is not None:
        return row
    amounts = ("balance", "lockup", "unbonding", "unbonding_matures", "sanctioned", "earned", "spent")
    return scene.rows.put(
        "accounts",
        {
            "address": address,
            **dict.fromkeys((*amounts, "source_count", "task_count"), 0),
            **happened("seen", happening),
        },
    )


def provider_row(scene: Scene, address: str, happening: Happening) -> Row:
    """A provider's row, made at the first thing that it does."""
    row = scene.rows.edit("providers", address)
    if row is not None:
        return row
    scene.tally.total("providers")
    counts = (
        "registration_count",
        "attempt_count",
        "response_count",
        "confirmed_count",
        "earned",
        "answer_seconds",
    )
    return scene.rows.put(
        "providers",
        {
            "address": address,
            "master": None,
            "announced_master": None,
            "base_data": "",
            "live_data": "",
            "active_at": happening.at,
            **dict.fromkeys(counts, 0),
            **happened("seen", happening),
        },
    )


def master_row(scene: Scene, address: str, happening: Happening) -> Row:
    """A master's row, made at the first thing that it does."""
    row = scene.rows.edit("masters", address)
    if row is not None:
        return row
    return scene.rows.put(
        "masters",
        {
            "address": address,
            "provider": None,
            "announced_provider": None,
            "default_agent_disabled": False,
            **happened("seen", happening),
        },
    )
