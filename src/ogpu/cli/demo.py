"""`ogpu demo`: real work through the whole network."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.exits import Exit
from ogpu.cli.screen import logging_to, say
from ogpu.errors import ConfigurationError
from ogpu.settings import NETWORK_FILE

if TYPE_CHECKING:
    from ogpu.demo.work import Outcome, Totals
    from ogpu.localnet.network import LocalNetwork

PLAIN_STEP = 10  # a line each so many tasks, where there is no terminal
MAX_TASKS = 10_000
NARROW, WIDE = 80, 120  # columns: the least that the table needs, and what it gets where there is no terminal


def demo(
    input: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", exists=True, dir_okay=False, help="A text a line, UTF-8."),
    ] = None,
    tasks: Annotated[
        int | None,
        typer.Option(
            "--tasks", min=1, max=MAX_TASKS, metavar="N", help="How many tasks. Default: one a line."
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the network up, to look at its page, until Ctrl+C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Start a network, publish a sentiment service on it, send a task for each line of the input, check
    the results against their CIDs, and stop the network. The exit code is 0 when every task gave a result.
    """
    from ogpu.demo.work import read_texts

    if find_spec("vaderSentiment") is None:
        raise ConfigurationError(
            "The demonstration's model, vaderSentiment, is not installed.",
            hint="Install the extra: pip install 'opengpu[demo]'",
        )
    texts = read_texts(input, tasks, MAX_TASKS)

    outcomes, totals = _done(texts, keep=keep, table=not as_json)
    if as_json:
        say(json.dumps(_document(outcomes, totals), ensure_ascii=False))
    elif not keep:
        _show(outcomes, totals)
    if not all(outcome.verified for outcome in outcomes):
        raise typer.Exit(Exit.FAILED)


def _done(texts: Sequence[str], *, keep: bool, table: bool) -> tuple[list[Outcome], Totals]:
    """The work, ended by a signal only when the network is stopped, so that no process is left behind.

    What is to `keep` is up until a signal, and shows the `table` meanwhile.
    """
    import asyncio

    from ogpu.localnet.signals import Stopped

    reports: list[str] = []

    def report(line: str) -> None:
        """Kept for a failure's sake, but what takes a newcomer's time is said at once."""
        reports.append(line)
        if line.startswith("Installing"):
            typer.echo(line)

    try:
        with logging_to(reports.append):
            outcomes, totals = asyncio.run(_work(texts, report, keep=keep, table=table))
    except Stopped as stopped:
        say("Interrupted; the network is stopped.", err=True)
        raise typer.Exit(128 + stopped.number) from None
    if not all(outcome.verified for outcome in outcomes):
        for line in reports:
            if "provider" in line:
                say(line)
    return outcomes, totals


async def _work(
    texts: Sequence[str], report: Callable[[str], None], *, keep: bool, table: bool
) -> tuple[list[Outcome], Totals]:
    from ogpu.localnet.network import LocalNetwork, Options
    from ogpu.localnet.signals import Stopped, StopSignals

    started = time.monotonic()
    with StopSignals() as signals:
        async with contextlib.AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ogpu-demo-")))
            say("Starting a network: node, contracts, content service, page, a provider …")
            file = folder / "network.json"
            running = LocalNetwork(Options(file, page_at_once=keep), report)
            await signals.first_of(stack.enter_async_context(running))
            say(f"It is up after {time.monotonic() - started:.1f} s (node {running.services['node']}).")
            outcomes, totals = await signals.first_of(_tasks(running, texts))
            if keep:
                if table:
                    _show(outcomes, totals)
                say(f"Page: {running.services['management']}")
                say(f"Use it: export {NETWORK_FILE}={shlex.quote(str(file))}")
                say("Stop it: Ctrl+C")
                with contextlib.suppress(Stopped):
                    await signals.first_of(running.watch())
        say("The network is stopped.")
    return outcomes, totals


async def _tasks(running: LocalNetwork, texts: Sequence[str]) -> tuple[list[Outcome], Totals]:
    import asyncio

    from ogpu.aio import AsyncClient
    from ogpu.demo.work import run_tasks

    key = running.network.accounts["client"][0].private_key
    async with AsyncClient(running.network, private_key=key, journal=":memory:") as client:
        with _progress(len(texts)) as done:
            work = asyncio.create_task(run_tasks(client, texts, done))
            watching = asyncio.create_task(running.watch())
            try:
                await asyncio.wait([work, watching], return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    watching.result()  # raises: a part of the network failed
                return await work
            finally:
                for task in (work, watching):
                    task.cancel()
                await asyncio.gather(work, watching, return_exceptions=True)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[Outcome], None]]:
    """A moving bar on a terminal; else a plain line now and then."""
    if not sys.stdout.isatty():
        count = 0

        def counted(_: Outcome) -> None:
            nonlocal count
            count += 1
            if count % PLAIN_STEP == 0 or count == total:
                say(f"{count} of {total} tasks done")

        yield counted
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Tasks"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("tasks", total=total)
        yield lambda _: bar.advance(task)


def _document(outcomes: Sequence[Outcome], totals: Totals) -> dict[str, Any]:
    return {
        "tasks": [outcome.to_dict() for outcome in outcomes],
        "verified": sum(outcome.verified for outcome in outcomes),
        **totals.__dict__,
    }


def _show(outcomes: Sequence[Outcome], totals: Totals) -> None:
    """The table and the summary; texts and results are shown as text, never as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ogpu.text import printable

    console = Console(highlight=False)
    console = Console(width=max(console.width, NARROW) if console.is_terminal else WIDE, highlight=False)
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("text", no_wrap=True, ratio=1, overflow="ellipsis")
    table.add_column("result", no_wrap=True, min_width=14)
    table.add_column("provider", no_wrap=True, min_width=10)
    table.add_column("OGPU", no_wrap=True, justify="right")
    table.add_column("seconds", no_wrap=True, justify="right")
    for outcome in outcomes:
        table.add_row(
            Text(printable(outcome.text, 200)),
            Text(printable(_worded(outcome), 60), style="" if outcome.verified else "red"),
            (outcome.provider or "")[:10],
            "" if outcome.price is None else _amount(outcome.price),
            "" if outcome.seconds is None else f"{outcome.seconds:.2f}",
        )
    console.print(table)
    verified = sum(outcome.verified for outcome in outcomes)
    console.print(f"\n{verified} of {len(outcomes)} tasks gave a result that is what its CID names.")
    spent, gas = (_amount(wei) for wei in (totals.spent, totals.gas))
    console.print(f"{len(outcomes)} tasks, {spent} OGPU spent, {gas} OGPU gas, {totals.seconds:.1f} s.")
    for outcome in outcomes:
        if outcome.error:
            console.print(Text(f"Failed: {printable(outcome.text, 60)}: {printable(outcome.error, 400)}"))


def _amount(wei: int) -> str:
    return f"{wei / 10**18:.6f}".rstrip("0").rstrip(".")


def _worded(outcome: Outcome) -> str:
    if not outcome.verified:
        return "failed"
    if isinstance(outcome.result, dict) and {"label", "score"} <= outcome.result.keys():
        return f"{outcome.result['label']} {outcome.result['score']:+.2f}"
    return json.dumps(outcome.result)
