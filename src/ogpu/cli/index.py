"""`ogpu index`: an index of the network, kept up to date, looked at and checked."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.amounts import ogpu, period
from ogpu.cli.exits import Exit
from ogpu.cli.moving import Moving, progress
from ogpu.cli.options import Reading, command
from ogpu.cli.output import document, facts, moment, show, show_json
from ogpu.cli.running import carried_out
from ogpu.cli.screen import report, say
from ogpu.errors import InvalidInput, NetworkError
from ogpu.text import printable

if TYPE_CHECKING:
    from ogpu.indexer.check import Finding, Where
    from ogpu.indexer.keep import Keeping
    from ogpu.indexer.place import Place
    from ogpu.indexer.run import Progress
    from ogpu.indexer.status import Status
    from ogpu.networks import Network

LOOK = 0.25  # seconds between two looks at how far it is
LONGEST_VALUE = 80  # characters of a value that differs

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="PLACE",
        help="The index: a file, or a postgresql:// URL. Default: OGPU_INDEX, else a file of yours.",
    ),
]


@dataclass(frozen=True)
class Which(Reading):
    """Which index a command means."""

    database: Database = None

    def found(self) -> tuple[Network, Place]:
        """The network and where its index is."""
        from ogpu.indexer.place import index_place
        from ogpu.networks import resolve_network

        network = resolve_network(self.network)
        return network, index_place(network, self.database)


@dataclass(frozen=True)
class Filling:
    """How an index is filled."""

    first_block: Annotated[
        int, typer.Option("--first-block", min=0, metavar="N", help="Where a new index begins.")
    ] = 0
    no_documents: Annotated[
        bool, typer.Option("--no-documents", help="Do not fetch what sources, tasks and responses link to.")
    ] = False


@dataclass(frozen=True)
class Kept(Filling):
    """How an index is kept."""

    once: Annotated[bool, typer.Option("--once", help="End when it is at the newest block.")] = False


@app.callback(invoke_without_command=True)
@command
def index(context: typer.Context, how: Which, filling: Kept) -> None:
    """Keep an index of the network: a database of what its events say, which can be asked anything. It goes
    on where it was, until Ctrl+C.
    """
    if context.invoked_subcommand is not None:
        if how != Which() or filling != Kept():
            raise InvalidInput(f"Give the options after {context.invoked_subcommand}: they are its own.")
        return
    network, place = how.found()
    if how.as_json:
        show_json({"index": place.name, "network": network.name, "chain_id": network.chain_id})
    else:
        say(f"Index of {network.name}: {place.name}", err=True)
    try:
        _keep(_job(network, place, filling), until_head=filling.once)
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def _job(network: Network, place: Place, filling: Filling) -> Keeping:
    from ogpu.indexer.documents import Bounds
    from ogpu.indexer.keep import Keeping

    bounds = None if filling.no_documents else Bounds.from_settings()
    return Keeping(network, place, filling.first_block, bounds)


def _keep(job: Keeping, *, until_head: bool) -> None:
    """Fill the index and keep it, or only fill it; where it was stopped is said."""
    telling = _Telling(until_head=until_head)
    with progress("Looking at the chain …") as line:
        try:
            carried_out(telling.told(job, line))
        finally:
            telling.ended()


class _Telling:
    """Says how far an index is: all the time on a terminal, else when it has caught up; and where it ends."""

    def __init__(self, *, until_head: bool) -> None:
        self._until_head = until_head
        self._progress: Progress | None = None
        self._caught_up = False

    async def told(self, job: Keeping, line: Moving | None) -> None:
        """Keep the index, and say how far it is meanwhile."""
        import asyncio

        from ogpu.indexer.keep import keep_index

        keeping = asyncio.create_task(keep_index(job, self._watch))
        try:
            while not keeping.done():
                await asyncio.wait([keeping], timeout=LOOK)
                self._look(line)
                if self._until_head and self._caught_up:
                    return
            keeping.result()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    def _watch(self, progress: Progress) -> None:
        self._progress = progress

    def _look(self, line: Moving | None) -> None:
        at = self._progress
        if at is None or at.head < 0:
            return
        behind = max(0, at.head - at.number)
        if line is not None:
            line(f"Block {at.number:,} of {at.head:,}" + (f", {behind:,} to go …" if behind else ""))
        if not behind and not self._caught_up:
            self._caught_up = True
            if line is None:
                report(f"the index is at block {at.number:,}, the newest one", err=True)

    def ended(self) -> None:
        """Say where it is."""
        if self._progress is not None and self._progress.number >= 0:
            say(f"The index is at block {self._progress.number:,}.", err=True)


@app.command("status", short_help="Show how far an index is, and what is in it.")
@command
def status(how: Which) -> None:
    """Show how far an index is, what is in it, and how large it is."""
    from ogpu.indexer.status import status_of

    network, place = how.found()
    found = status_of(place)
    head = _head(network)
    behind = None if head is None else max(0, head - found.block)
    if how.as_json:
        show_json({**asdict(found), "chain_head": head, "behind": behind})
        return
    show(facts(list(_status_pairs(network, found, head))))


def _head(network: Network) -> int | None:
    """The newest block; None when no node tells."""
    from ogpu.rpc.transport import RPC, quantity

    async def asked() -> int:
        rpc = RPC(network.rpc_urls, network.chain_id, timeout=5)
        try:
            return quantity(await rpc.call("eth_blockNumber"))
        finally:
            await rpc.close()

    try:
        return carried_out(asked())
    except NetworkError:
        return None


def _status_pairs(network: Network, found: Status, head: int | None) -> Iterator[tuple[str, str]]:
    if head is None:
        where = "no node tells how far behind"
    else:
        where = f"{max(0, head - found.block):,} behind" if head > found.block else "the newest one"
    counts, kept = found.counts, found.documents
    yield "index", f"{found.index} (schema {found.version})"
    yield "network", f"{network.name}, chain {found.chain_id}"
    yield "block", f"{found.block:,}, {where}"
    if found.timestamp:
        yield "of", f"{moment(found.timestamp)}, {period(max(0, time.time() - found.timestamp))} ago"
    yield "final up to", f"{found.finalized:,}; {found.reorganisations:,} reorganisations seen"
    names = ("events", "sources", "tasks", "responses", "providers")
    yield "items", ", ".join(f"{counts.get(name, 0):,} {name}" for name in names)
    yield "paid", f"{ogpu(counts.get('paid', 0))}, and {ogpu(counts.get('held', 0))} held"
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(kept.items())) or "none"
    yield "documents", f"{states}; {_mega(found.document_bytes)}; {found.refused_links:,} links refused"
    yield "size", _mega(found.size)


def _mega(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


@app.command("rebuild", short_help="Empty an index, and fill it anew.")
@command
def rebuild(
    how: Which,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go ahead without asking.")] = False,
    no_documents: Annotated[
        bool, typer.Option("--no-documents", help="Do not fetch what sources, tasks and responses link to.")
    ] = False,
) -> None:
    """Empty an index and fill it anew from the chain, up to its newest block. Documents are kept: their names
    say what they are. `ogpu index` goes on with it, also when it was interrupted.
    """
    from ogpu.indexer.keep import emptied
    from ogpu.indexer.status import no_index

    network, place = how.found()
    if place.path is not None and not place.path.exists():
        raise no_index(place)
    _ask_to_empty(place, yes=yes)
    first = emptied(place)
    try:
        _keep(_job(network, place, Filling(first, no_documents)), until_head=True)
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    if how.as_json:
        from ogpu.indexer.status import status_of

        show_json(asdict(status_of(place)))


def _ask_to_empty(place: Place, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"Emptying the index {place.name}: there is no terminal to ask on, and nobody has agreed to it.",
            hint="Give --yes to go ahead.",
        )
    if not typer.confirm(f"Empty the index {place.name}, and read the chain anew?", err=True):
        raise typer.Exit(Exit.USAGE)


@app.command("check", short_help="Compare an index with the chain.")
@command
def check(
    how: Which,
    at_head: Annotated[
        bool,
        typer.Option(
            "--at-head", help="Compare with the newest state, where the node lacks that of the index's block."
        ),
    ] = False,
) -> None:
    """Compare every table of an index with the chain's own views, logs and headers at the index's block, and
    say each difference. The exit code is 1 when there is one.
    """
    from ogpu.indexer.check import Difference

    network, place = how.found()
    with progress("Comparing with the chain …") as line:
        where, found = carried_out(_checked(network, place, line, at_head=at_head))
    differences = [finding for finding in found if isinstance(finding, Difference)]
    notes = [finding for finding in found if not isinstance(finding, Difference)]
    if how.as_json:
        told = {"block": where.index, "compared_with": where.block}
        show_json({**told, "differences": document(differences), "notes": document(notes)})
    else:
        show(_told(where, differences, notes))
    if differences:
        raise typer.Exit(Exit.FAILED)


async def _checked(
    network: Network, place: Place, line: Moving | None, *, at_head: bool
) -> tuple[Where, list[Finding]]:
    from ogpu.indexer.check import check, where_to_check
    from ogpu.indexer.database import engine
    from ogpu.indexer.status import status_of
    from ogpu.rpc.transport import RPC

    status_of(place)  # raises where there is none
    rpc = RPC(network.rpc_urls, network.chain_id)
    found: list[Finding] = []
    try:
        with engine(place).connect().execution_options(reading=True) as connection, connection.begin():
            where = await where_to_check(connection, rpc, network, at_head=at_head)
            async for finding in check(connection, rpc, network, where):
                found.append(finding)
                if line is not None:
                    line(f"Comparing with the chain … {len(found):,} found")
    finally:
        await rpc.close()
    return where, found


def _told(where: Where, differences: list[Any], notes: list[Any]) -> Iterator[str]:
    for each in differences:
        key = "/".join(map(str, each.key))
        ours, theirs = (_shown(value) for value in (each.index, each.chain))
        yield f"{each.table} {key} {each.column}: the index has {ours}, the chain {theirs}"
    for note in notes:
        yield f"Note: {note.table} {'/'.join(map(str, note.key))} {note.text}."
    later = f" (with the state of block {where.block:,})" if where.block != where.index else ""
    count = len(differences)
    said = "no difference" if not count else f"{count:,} {'difference' if count == 1 else 'differences'}"
    yield f"Compared at block {where.index:,}{later}: {said}."


def _shown(value: Any) -> str:
    return printable(str(value), LONGEST_VALUE) or '""'
