"""`ogpu task map`: one task for each of many items."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shlex
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.amounts import amount_of, ogpu
from ogpu.cli.exits import Exit
from ogpu.cli.failures import error_document
from ogpu.cli.jobs import Job, Taking
from ogpu.cli.options import Sending, command
from ogpu.cli.output import json_text, show_json
from ogpu.cli.screen import say
from ogpu.cli.session import Act, interrupted, send
from ogpu.cli.terms import Given, map_file
from ogpu.cli.work import app as app  # one more command of the same group
from ogpu.errors import InvalidInput, OGPUError
from ogpu.text import printable

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient
    from ogpu.cli.moving import Moving
    from ogpu.cli.schemas import MapFile

IN_FLIGHT = 16


class Format(StrEnum):
    """How a file has its items."""

    jsonl = "jsonl"
    list = "list"
    text = "text"


@dataclass(frozen=True)
class ManyJobs(Job):
    """Many tasks: an item each."""

    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="The terms as YAML or JSON, also with items."),
    ] = None
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Of ITEMS. Default: by its name; .txt is text, .json and .yaml lists."),
    ] = None
    field: Annotated[
        str, typer.Option("--field", metavar="NAME", help="The data's field that a line of text becomes.")
    ] = "text"
    in_flight: Annotated[
        int, typer.Option("--in-flight", min=1, max=10_000, metavar="N", help="Tasks at the same time.")
    ] = IN_FLIGHT
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="AMOUNT", help="Payments and gas together, at most.")
    ] = None
    again: Annotated[
        bool, typer.Option("--again", help="Begin a new run, and pay again, though it was begun before.")
    ] = False

    def terms(self, items: Path | None) -> MapFile:
        """The tasks, checked."""
        given: Given = self.given()
        if items is not None:
            from ogpu.cli.items import read_items

            given["items"] = read_items(items, self.form.value if self.form else None, self.field)
        return map_file(self.file, given)


@app.command("map", short_help="Run a function on many items.")
@command
def map_(
    jobs: ManyJobs,
    taking: Taking,
    how: Sending,
    items: Annotated[
        Path | None,
        typer.Argument(
            metavar="ITEMS",
            help="A file with an item a line, or a list; - is standard input.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a function of a service on many items, each a task: published, waited for, checked and paid. Their
    results are shown in the items' order, a line of JSON each; --json tells the item and its error as
    well. The exit code is 0 when every item has a result. The same command again goes on where it was, and
    pays for nothing twice; --again begins anew.
    """
    if jobs.again and how.once:
        raise InvalidInput("--again and --once both say which run it is.", hint="Give one of them.")
    _Run(how, jobs, taking, jobs.terms(items)).run()


class _Run:
    """One run over all items."""

    def __init__(self, how: Sending, jobs: ManyJobs, taking: Taking, terms: MapFile) -> None:
        self._how, self._jobs, self._taking, self._terms = how, jobs, taking, terms
        self._budget = None if jobs.budget is None else amount_of(jobs.budget, "--budget")
        self._timeout, self._bidding = taking.seconds, taking.bid_seconds
        self._root = how.once or (f"map-{secrets.token_hex(8)}" if jobs.again else "")  # else made of it all
        self._told = bool(how.once)
        self._done = self._failed = 0
        self._line: Moving | None = None

    def run(self) -> None:
        """Do it, and end with the exit code."""
        terms, count = self._terms, len(self._terms.items)
        times = count * self._taking.attempts
        act = Act(
            f"Run {printable(terms.function, 60)!r} on {count} items for up to {ogpu(terms.payment * times)}",
            self._all,
            "client",
            asks=True,
            times=times,
            confirms=True,
            line=self._take_line,
            tells=self._interrupted,
        )
        send(self._how, act)
        if not self._how.as_json and sys.stderr.isatty():
            say(f"{self._done - self._failed} of {count} items have a result.", err=True)
        if self._failed:
            raise typer.Exit(Exit.FAILED)

    async def _all(self, client: AsyncClient, sender: str) -> None:
        from ogpu.work.terms import Retry

        terms = self._terms
        await self._find_root(client, sender)
        results = client.map(
            terms.source,
            terms.function,
            terms.items,
            payment=terms.payment,
            return_exceptions=not client.chain.transactions.policy.dry_run,
            in_flight=self._jobs.in_flight,
            budget=self._budget,
            timeout=self._timeout,
            expires_in=terms.expires_in,
            accept=self._taking.accept.value,
            bidding=self._bidding,
            retries=Retry(attempts=self._taking.attempts),
            idempotency_key=self._root,
        )
        async for result in results:
            self._show(result)

    async def _find_root(self, client: AsyncClient, sender: str) -> None:
        """The name of the run: by whom, where, what. So the same command, also after a crash that nobody saw,
        goes on with the same tasks, and says so.
        """
        transactions = client.chain.transactions
        if not self._root:
            terms = self._terms
            asked = [terms.source.lower(), terms.function, terms.payment, terms.expires_in, terms.items]
            told = json.dumps([await transactions.context.chain(), sender, *asked], sort_keys=True)
            self._root = f"map-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
        if self._told:
            return
        self._told = True
        if self._jobs.again:
            say(f"A new run: --once {self._root} in place of --again goes on with it.", err=True)
            return
        for item in range(min(len(self._terms.items), self._jobs.in_flight)):  # what was begun first
            if await transactions.knows(f"{self._root}/map/{item}/1"):
                told = "Goes on with the run that was begun before, and pays for nothing twice."
                say(f"{told} --again begins a new one.", err=True)
                break

    def _take_line(self, line: Moving | None) -> None:
        self._line = line
        self._count()

    def _count(self) -> None:
        """Say how far it is, on a terminal."""
        if self._line is not None:
            failed = f", {self._failed} failed" if self._failed else ""
            self._line(f"{self._done} of {len(self._terms.items)} items are done{failed} …")

    def _show(self, result: Any) -> None:
        """One item's result, or its error."""
        item, self._done = self._done, self._done + 1
        error = result if isinstance(result, OGPUError) else None
        self._failed += error is not None
        with self._line.aside() if self._line else contextlib.nullcontext():
            self._write(item, result, error)
        self._count()

    def _write(self, item: int, result: Any, error: OGPUError | None) -> None:
        if self._how.as_json:
            told = {"error": error_document(error)} if error else {"result": result}
            show_json({"item": item, **told})
            return
        say("null" if error else json_text(result, None))
        if error:
            say(f"Item {item}: {error.message}", err=True)

    def _interrupted(self) -> typer.Exit:
        """Say how to go on: by the very command; a new run has a name, by which it is known."""
        typed = [each for each in sys.argv[1:] if each not in ("--yes", "-y", "--again")]
        again = shlex.join(["ogpu", *typed, *(["--once", self._root] if self._jobs.again else [])])
        done = f"{self._done} of {len(self._terms.items)} items are done; tasks that are published go on."
        return interrupted(done, f"Go on with the rest: {again}")
