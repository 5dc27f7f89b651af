"""From events to rows. Pure: rows as they are and what was read go in, changed rows come out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby

from ogpu.indexer.effects import EFFECTS
from ogpu.indexer.happenings import Happening, arguments_json
from ogpu.indexer.items import Facts, concerned, settles
from ogpu.indexer.market import source_terms
from ogpu.indexer.people import DATA_COLUMNS
from ogpu.indexer.rows import Key, Row, Rows
from ogpu.indexer.scene import Scene, account_row
from ogpu.indexer.tables import PROJECTED
from ogpu.indexer.tally import TOTALS, Tally, starts
from ogpu.rpc.steps import FINALITY, Block

KEYS: Mapping[str, Sequence[str]] = {
    table.name: [column.name for column in table.primary_key] for table in PROJECTED
}
# Rows that are only ever added, and go with their block.
BY_BLOCK = {"blocks": "number", "events": "block_number", "vault_movements": "moved_block"}
Wanted = Mapping[str, set[Key]]
# The empty blocks that are kept are twice as many as can be dropped: after a rollback to a shorter chain the
# last `FINALITY` must still be there.
KEPT_BLOCKS = 2 * FINALITY


@dataclass
class Batch:
    """Blocks in order, their events, and what was read for these. `final`: blocks up to it stay."""

    blocks: Sequence[Block]
    happenings: Sequence[Happening]
    facts: Facts
    head: int
    final: int


@dataclass
class Added:
    """Rows that are only ever added, by table."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in BY_BLOCK})


def named_rows(batch: Batch) -> Wanted:
    """The keys of rows that events name."""
    wanted: dict[str, set[Key]] = defaultdict(set)
    wanted["totals"].add((TOTALS,))
    for happening in batch.happenings:
        _named(happening, batch.facts, wanted)
        wanted["accounts"].update((account,) for account in concerned(happening, batch.facts))
        wanted["buckets"].update(starts(happening.at))
    return wanted


def _named(happening: Happening, facts: Facts, wanted: dict[str, set[Key]]) -> None:
    arguments = happening.arguments
    if (source := arguments.get("source")) is not None:
        wanted["sources"].add((source,))
    if (task := arguments.get("task")) is not None:
        wanted["tasks"].add((task,))
        wanted["payments"].add((task,))
    if (master := arguments.get("master")) is not None:
        wanted["masters"].add((master,))
    if (provider := arguments.get("provider")) is not None:
        wanted["providers"].add((provider,))
    if (response := arguments.get("response")) is not None:
        terms = facts.responses[response]
        wanted["responses"].add((response,))
        wanted["tasks"].add((terms.task,))
        wanted["providers"].add((terms.provider,))
        wanted["attempts"].add((terms.task, terms.provider))
        _active(happening, terms.provider, wanted)
    match happening.kind:
        case "Attempted":
            wanted["attempts"].add((task, provider))
            _active(happening, happening.provider, wanted)
        case "Registered":
            wanted["registrations"].add((source, provider))
        case "AgentSet":
            wanted["agents"].add((happening.account, happening.agent))


def _active(happening: Happening, provider: str, wanted: dict[str, set[Key]]) -> None:
    wanted["bucket_providers"].update((width, start, provider) for width, start in starts(happening.at))


def linked_rows(batch: Batch, rows: Rows) -> Wanted:
    """The keys of rows that the rows of `named_rows` name."""
    wanted: dict[str, set[Key]] = defaultdict(set)
    for happening in batch.happenings:
        if happening.kind == "ProviderRemoved":
            provider = rows.find("providers", happening.provider)
            if provider is not None and provider["master"] is not None:
                wanted["masters"].add((provider["master"],))
        task = _task_of(happening, batch.facts)
        row = rows.find("tasks", task) if task is not None else None
        if row is None:
            continue
        wanted["sources"].add((row["source"],))
        if settles(happening):
            wanted["accounts"].add((row["client"],))
            if row["winning_provider"] is not None:
                wanted["providers"].add((row["winning_provider"],))
                wanted["responses"].add((row["confirmed_response"],))
    return wanted


def _task_of(happening: Happening, facts: Facts) -> str | None:
    response = happening.arguments.get("response")
    task: str | None = happening.arguments.get("task") if response is None else facts.responses[response].task
    return task


def project(batch: Batch, rows: Rows) -> Added:
    """Let the events of a batch change the rows that they concern; the rows that they add."""
    added = Added()
    scene = Scene(rows, batch.facts, Tally(rows))
    counts: Counter[int] = Counter()
    for number, happenings in groupby(batch.happenings, lambda happening: happening.block):
        rows.begin(number, final=number <= batch.final)
        for happening in happenings:
            counts[number] += 1
            _apply(scene, happening, added)
    added.rows["blocks"] = [
        {
            "number": block.number,
            "hash": block.hash,
            "parent_hash": block.parent_hash,
            "timestamp": block.timestamp,
            "event_count": counts[block.number],
        }
        for block in batch.blocks
        if counts[block.number] or block.number > batch.blocks[-1].number - KEPT_BLOCKS
    ]
    return added


def doubted_rows(facts: Facts) -> Wanted:
    """The keys of rows that were read again."""
    return {
        "accounts": {(account,) for account, _ in facts.accounts},
        "sources": {(source,) for source in facts.sources},
        "providers": {(provider,) for _, provider, _ in facts.data},
    }


def correct(facts: Facts, rows: Rows) -> None:
    """Let rows say what was read again."""
    for (account, _), figures in facts.accounts.items():
        if (row := rows.edit("accounts", account)) is not None:
            row.update(asdict(figures))
    for source, terms in facts.sources.items():
        if (row := rows.edit("sources", source)) is not None:
            row.update(source_terms(terms))
    for (kind, provider, _), said in facts.data.items():
        if (row := rows.edit("providers", provider)) is not None:
            row[DATA_COLUMNS[kind]] = said


def _apply(scene: Scene, happening: Happening, added: Added) -> None:
    about = EFFECTS[happening.contract, happening.kind](scene, happening)
    scene.tally.total("events")
    added.rows["events"].append(
        {
            "block_number": happening.block,
            "log_index": happening.index,
            "transaction_hash": happening.tx,
            "at": happening.at,
            "contract": happening.contract,
            "kind": happening.kind,
            "source": about.source,
            "task": about.task,
            "response": about.response,
            "account": about.account,
            "other": about.other,
            "arguments": arguments_json(happening),
        }
    )
    if happening.contract == "Vault":
        added.rows["vault_movements"].append(
            {
                "moved_block": happening.block,
                "moved_index": happening.index,
                "moved_at": happening.at,
                "moved_tx": happening.tx,
                "account": happening.account,
                "kind": happening.kind,
                "amount": happening.amount,
            }
        )
    _note_figures(scene, happening, concerned(happening, scene.facts))


def _note_figures(scene: Scene, happening: Happening, accounts: Iterable[str]) -> None:
    """Set what the Vault holds for accounts; of final blocks only the last one was read."""
    for account in accounts:
        row = account_row(scene, account, happening)
        if (figures := scene.facts.accounts.get((account, happening.block))) is not None:
            row.update(asdict(figures))
