"""The index's tables. Addresses in EIP-55 spelling, amounts in wei, times in Unix seconds.

What the chain says lies in the tables of `PROJECTED`: two indexes of one chain at one block agree in each of
their bytes. The others say how the indexer came there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

metadata = MetaData()


def _sorted_by_bytes(length: int) -> String:
    """Text that sorts alike in every database, whatever language a PostgreSQL server speaks."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class Wei(TypeDecorator[int]):
    """An amount of up to 78 digits as text that sorts as the number does: how many digits it has, then they.

    No database has exact integers of 256 bits under one name; sums are made where rows are written.
    """

    impl = String(80)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        """`1500` as "041500"."""
        return None if value is None else f"{len(str(value)):02d}{value}"

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:
        """The number again."""
        return None if value is None else int(value[2:])


def _address(name: str, **options: Any) -> Column[str]:
    return Column(name, _sorted_by_bytes(42), **options)


def _hash(name: str, **options: Any) -> Column[str]:
    return Column(name, _sorted_by_bytes(66), **options)


def _number(name: str, **options: Any) -> Column[int]:
    return Column(name, BigInteger, **options)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, default=0)


def _wei(name: str, **options: Any) -> Column[int]:
    return Column(name, Wei, **options)


def _happened(what: str, *, nullable: bool = True) -> list[Column[Any]]:
    """When and where something happened: `…_block`, `…_index` (of the log), `…_at`, `…_tx`."""
    return [
        _number(f"{what}_block", nullable=nullable),
        _number(f"{what}_index", nullable=nullable),
        _number(f"{what}_at", nullable=nullable),
        _hash(f"{what}_tx", nullable=nullable),
    ]


# --- What the chain says

blocks = Table(  # those with events, and all that are not final
    "blocks",
    metadata,
    _number("number", primary_key=True, autoincrement=False),
    _hash("hash", nullable=False),
    _hash("parent_hash", nullable=False),
    _number("timestamp", nullable=False),
    _count("event_count"),
    Index("blocks_hash", "hash"),
    Index("blocks_time", "timestamp", "number"),
)

events = Table(
    "events",
    metadata,
    _number("block_number", primary_key=True, autoincrement=False),
    _number("log_index", primary_key=True, autoincrement=False),
    _hash("transaction_hash", nullable=False),
    _number("at", nullable=False),
    Column("contract", String(16), nullable=False),  # its name, such as "Nexus"
    Column("kind", String(32), nullable=False),  # such as "TaskPublished"
    _address("source"),
    _address("task"),
    _address("response"),
    _address("account"),  # whose doing it is, or whom it concerns: provider, client, master
    _address("other"),  # the second account: an agent, a master
    Column("arguments", Text, nullable=False),  # all of them, JSON by the names of `ogpu.events`, wei as text
    Index("events_source", "source", "block_number", "log_index"),
    Index("events_task", "task", "block_number", "log_index"),
    Index("events_account", "account", "block_number", "log_index"),
    Index("events_other", "other", "block_number", "log_index"),
    Index("events_kind", "kind", "block_number", "log_index"),
    Index("events_tx", "transaction_hash"),
)

sources = Table(
    "sources",
    metadata,
    _address("address", primary_key=True),
    _address("client", nullable=False),
    Column("metadata_url", Text, nullable=False),
    Column("environments", Integer, nullable=False),  # bits
    _wei("min_payment", nullable=False),
    _wei("min_available_lockup", nullable=False),
    _wei("max_expiry_duration", nullable=False),  # seconds; a source may name any number
    Column("privacy_enabled", Boolean, nullable=False),
    Column("optional_params_url", Text, nullable=False),
    Column("delivery_method", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    _wei("last_update_time", nullable=False),
    *_happened("published", nullable=False),
    _count("registrant_count"),  # registrations; that one ended no event says
    _count("task_count"),
    _count("finalized_count"),
    _wei("paid", nullable=False),  # to providers, for its tasks
    Index("sources_published", "published_block", "published_index"),
    Index("sources_client", "client", "published_block", "published_index"),
    Index("sources_tasks", "task_count", "address"),
)

registrations = Table(
    "registrations",
    metadata,
    _address("source", primary_key=True),
    _address("provider", primary_key=True),
    _number("registrant_id", nullable=False),
    Column("environment", Integer, nullable=False),
    *_happened("registered", nullable=False),
    Index("registrations_provider", "provider", "registered_block", "registered_index"),
)

tasks = Table(
    "tasks",
    metadata,
    _address("address", primary_key=True),
    _address("source", nullable=False),
    _address("client", nullable=False),
    Column("config_url", Text, nullable=False),
    _wei("expiry_time", nullable=False),
    _wei("payment", nullable=False),
    Column("delivery_method", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    _count("attempt_count"),
    _count("response_count"),
    _address("winning_provider"),
    _address("confirmed_response"),
    _wei("paid"),  # to the winner; null before
    *_happened("published", nullable=False),
    *_happened("attempted"),  # first
    *_happened("responded"),  # first
    *_happened("settled"),  # finalized, canceled or expired
    Index("tasks_published", "published_block", "published_index"),
    Index("tasks_source", "source", "published_block", "published_index"),
    Index("tasks_client", "client", "published_block", "published_index"),
    Index("tasks_status", "status", "published_block", "published_index"),
    Index("tasks_payment", "payment", "address"),
    Index("tasks_winner", "winning_provider", "published_block", "published_index"),
)

attempts = Table(
    "attempts",
    metadata,
    _address("task", primary_key=True),
    _address("provider", primary_key=True),
    _number("position", nullable=False),  # from 0, in the task
    _wei("suggested_payment", nullable=False),
    *_happened("attempted", nullable=False),
    Index("attempts_provider", "provider", "attempted_block", "attempted_index"),
)

responses = Table(
    "responses",
    metadata,
    _address("address", primary_key=True),
    _address("task", nullable=False),
    _address("source", nullable=False),
    _address("provider", nullable=False),
    Column("data", Text, nullable=False),  # what the provider gave, normally a link
    _wei("payment", nullable=False),  # what it asks
    Column("status", Integer, nullable=False),
    _wei("paid"),  # null before
    *_happened("submitted", nullable=False),
    *_happened("confirmed"),
    Index("responses_submitted", "submitted_block", "submitted_index"),
    Index("responses_task", "task", "submitted_block", "submitted_index"),
    Index("responses_provider", "provider", "submitted_block", "submitted_index"),
    Index("responses_source", "source", "submitted_block", "submitted_index"),
)

providers = Table(
    "providers",
    metadata,
    _address("address", primary_key=True),
    _address("master"),  # null when not paired
    _address("announced_master"),  # the provider's half of a pairing
    Column("base_data", Text, nullable=False, default=""),
    Column("live_data", Text, nullable=False, default=""),
    *_happened("seen", nullable=False),  # first
    _number("active_at", nullable=False),  # last attempt, response or registration
    _count("registration_count"),
    _count("attempt_count"),
    _count("response_count"),
    _count("confirmed_count"),
    _wei("earned", nullable=False),
    _count("answer_seconds"),  # from attempt to response, summed over its responses
    Index("providers_earned", "earned", "address"),
    Index("providers_active", "active_at", "address"),
    Index("providers_seen", "seen_block", "seen_index"),
)

masters = Table(
    "masters",
    metadata,
    _address("address", primary_key=True),
    _address("provider"),  # null when not paired
    _address("announced_provider"),
    Column("default_agent_disabled", Boolean, nullable=False, default=False),
    *_happened("seen", nullable=False),
    Index("masters_seen", "seen_block", "seen_index"),
)

agents = Table(
    "agents",
    metadata,
    _address("account", primary_key=True),
    _address("agent", primary_key=True),
    Column("active", Boolean, nullable=False),
    *_happened("set", nullable=False),
    Index("agents_agent", "agent"),
)

accounts = Table(  # whoever the Vault knows; its figures are the Vault's own, read at a block
    "accounts",
    metadata,
    _address("address", primary_key=True),
    _wei("balance", nullable=False),
    _wei("lockup", nullable=False),
    _wei("unbonding", nullable=False),
    _wei("unbonding_matures", nullable=False),  # Unix seconds; 0 when none
    _wei("sanctioned", nullable=False),
    _wei("earned", nullable=False),
    _count("source_count"),
    _count("task_count"),
    _wei("spent", nullable=False),  # paid to providers
    *_happened("seen", nullable=False),
    Index("accounts_seen", "seen_block", "seen_index"),
)

vault_movements = Table(
    "vault_movements",
    metadata,
    _number("moved_block", primary_key=True, autoincrement=False),
    _number("moved_index", primary_key=True, autoincrement=False),
    _number("moved_at", nullable=False),
    _hash("moved_tx", nullable=False),
    _address("account", nullable=False),
    Column("kind", String(32), nullable=False),  # the event's name, such as "Locked"
    _wei("amount", nullable=False),
    Index("vault_movements_account", "account", "moved_block", "moved_index"),
    Index("vault_movements_kind", "kind", "moved_block", "moved_index"),
)

payments = Table(  # one a task: held, then paid or given back
    "payments",
    metadata,
    _address("task", primary_key=True),
    _address("source", nullable=False),
    _address("client", nullable=False),
    _address("provider"),
    Column("state", String(8), nullable=False),  # "held", "paid" or "returned"
    _wei("amount", nullable=False),  # what the client gave
    _wei("paid", nullable=False),
    _wei("returned", nullable=False),
    *_happened("held", nullable=False),
    *_happened("settled"),
    Index("payments_client", "client", "held_block", "held_index"),
    Index("payments_state", "state", "held_block", "held_index"),
    Index("payments_provider", "provider", "settled_block", "settled_index"),
)

WIDTHS = (60, 3600, 86400)  # seconds
LATENCY_BINS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)  # seconds; the last bin is for all above

buckets = Table(  # what happened in an interval of time, for charts
    "buckets",
    metadata,
    Column("width", Integer, primary_key=True, autoincrement=False),  # of WIDTHS
    _number("start", primary_key=True, autoincrement=False),  # a multiple of the width
    _count("published"),
    _count("attempted"),  # attempts
    _count("responded"),  # responses
    _count("finalized"),
    _count("canceled"),
    _count("expired"),
    _count("active_providers"),  # that attempted or answered
    _wei("paid", nullable=False),
    _wei("returned", nullable=False),
    Column("first_response_bins", Text, nullable=False),  # JSON, a count for each of LATENCY_BINS and above
)

bucket_providers = Table(
    "bucket_providers",
    metadata,
    Column("width", Integer, primary_key=True, autoincrement=False),
    _number("start", primary_key=True, autoincrement=False),
    _address("provider", primary_key=True),
)

totals = Table(  # one row
    "totals",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _count("events"),
    _count("sources"),
    _count("active_sources"),
    _count("tasks"),
    _count("new"),  # tasks that are NEW now, and so on
    _count("attempted"),
    _count("responded"),
    _count("canceled"),
    _count("expired"),
    _count("finalized"),
    _count("responses"),
    _count("providers"),
    _wei("paid", nullable=False),
    _wei("held", nullable=False),
    _wei("returned", nullable=False),
)

PROJECTED = (
    blocks, events, sources, registrations, tasks, attempts, responses, providers, masters, agents, accounts,
    vault_movements, payments, buckets, bucket_providers, totals,
)  # fmt: skip

# --- How the indexer came there

cursor = Table(  # one row: the last block that is in the tables, written with its rows
    "cursor",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _number("chain_id", nullable=False),
    _hash("genesis", nullable=False),
    _address("nexus", nullable=False),
    _number("first_block", nullable=False),
    _number("number", nullable=False),
    _hash("hash", nullable=False),
    _number("timestamp", nullable=False),
    _number("finalized", nullable=False),  # blocks up to it stay
    _number("head", nullable=False),  # the newest block that the node told
    _number("changes", nullable=False),  # grows with every commit
)

undo = Table(  # rows of blocks that are not final, as they were before
    "undo",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _number("block_number", nullable=False),
    Column("table_name", String(32), nullable=False),
    Column("key", Text, nullable=False),  # JSON
    Column("before", Text),  # JSON; null when there was no row
    Index("undo_block", "block_number"),
)

reorganisations = Table(
    "reorganisations",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _number("seen_at", nullable=False),
    _number("fork_number", nullable=False),  # the last block that stayed
    _hash("fork_hash", nullable=False),
    _number("depth", nullable=False),
    Column("dropped", Text, nullable=False),  # JSON: number and hash of each block, newest first
)

documents = Table(  # content that items link to, by its CID
    "documents",
    metadata,
    Column("cid", String(128), primary_key=True),
    Column("role", String(16), nullable=False),  # "metadata", "config", "result", …: what first linked to it
    Column("state", String(8), nullable=False),  # "wanted", "kept", "failed" (to be tried again) or "refused"
    Column("body", LargeBinary),
    Column("size", BigInteger),
    Column("error", Text),
    Column("tries", Integer, nullable=False, default=0),
    _number("next_try", nullable=False),
    Index("documents_next", "state", "next_try"),
)

links = Table(  # what a link's document is; a link without a CID is never fetched
    "links",
    metadata,
    Column("url_hash", String(64), primary_key=True),  # SHA-256: an index cannot take a link of any length
    Column("url", Text, nullable=False),  # its beginning, when it is very long
    Column("cid", String(128)),
    Column("refused", Text),  # why it is never fetched; null when it has a CID
    ForeignKeyConstraint(["cid"], ["documents.cid"]),
)

link_scan = Table(  # one row: the event after which links are looked for, which is final
    "link_scan",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _number("block_number", nullable=False),
    _number("log_index", nullable=False),
)
