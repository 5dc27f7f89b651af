"""`ogpu task map`: one task for each of many items."""

from __future__ import annotations

import math
import secrets
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.amounts import amount_of, duration_of, ogpu
from ogpu.cli.exits import Exit
from ogpu.cli.failures import error_document
from ogpu.cli.options import Sending, command
from ogpu.cli.output import json_text, show_json
from ogpu.cli.screen import say
from ogpu.cli.session import Act, interrupted, send
from ogpu.cli.task import Expires, Function, Payment, Source
from ogpu.cli.terms import map_file, task_terms
from ogpu.cli.work import Accept, Timeout
from ogpu.cli.work import app as app  # one more command of the same group
from ogpu.errors import OGPUError
from ogpu.text import printable

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient
    from ogpu.cli.schemas import MapFile


class Format(StrEnum):
    """How a file has its items."""

    jsonl = "jsonl"
    list = "list"
    text = "text"


ITEMS = "ITEMS"
IN_FLIGHT = 16


@app.command("map", short_help="Run a function on many items.")
@command
def map_(
    how: Sending,
    items: Annotated[
        Path | None,
        typer.Argument(
            metavar="ITEMS",
            help="A file with an item a line, or a list; - is standard input.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="The terms as YAML or JSON, also with items."),
    ] = None,
    source: Source = None,
    function: Function = None,
    payment: Payment = None,
    expires: Expires = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Of ITEMS. Default: by its name; .txt is text, .json and .yaml lists."),
    ] = None,
    field: Annotated[
        str, typer.Option("--field", metavar="NAME", help="The data's field that a line of text becomes.")
    ] = "text",
    in_flight: Annotated[
        int, typer.Option("--in-flight", min=1, max=10_000, metavar="N", help="Tasks at the same time.")
    ] = IN_FLIGHT,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="AMOUNT", help="Payments and gas together, at most.")
    ] = None,
    retries: Annotated[
        int, typer.Option("--attempts", min=1, max=100, metavar="N", help="Publishes for one item, at most.")
    ] = 1,
    timeout: Timeout = None,
    accept: Annotated[
        Accept, typer.Option("--accept", help="Which response is taken and paid.")
    ] = Accept.first,
) -> None:
    """Run a function of a service on many items, each a task: published, waited for, checked and paid. Their
    results are shown in the items' order, a line of JSON each; --json tells the item and its error as
    well. The exit code is 0 when every item has a result. With --once it goes on where it was.
    """
    given = task_terms(source, function, None, payment, expires)
    if items is not None:
        from ogpu.cli.items import read_items

        given["items"] = read_items(items, form.value if form else None, field)
    terms = map_file(file, given)
    limit = None if budget is None else amount_of(budget, "--budget")
    seconds = math.inf if timeout is None else duration_of(timeout, "--timeout")
    root = how.once or f"map-{secrets.token_hex(4)}"
    _Run(how, terms, root, limit, seconds, in_flight, retries, accept).run()


class _Run:
    """One run over all items."""

    def __init__(
        self,
        how: Sending,
        terms: MapFile,
        root: str,
        budget: int | None,
        timeout: float,
        in_flight: int,
        attempts: int,
        accept: Accept,
    ) -> None:
        self._how, self._terms, self._root = how, terms, root
        self._budget, self._timeout, self._in_flight = budget, timeout, in_flight
        self._attempts, self._accept = attempts, accept
        self._done = self._failed = 0

    def run(self) -> None:
        """Do it, and end with the exit code."""
        terms, count = self._terms, len(self._terms.items)
        most = ogpu(terms.payment * count * self._attempts)
        act = Act(
            f"Run {printable(terms.function, 60)!r} on {count} items for up to {most}",
            self._all,
            "client",
            asks=True,
            times=count * self._attempts,
            shows_itself=True,
            tells=self._interrupted,
        )
        send(self._how, act)
        if not self._how.as_json and sys.stderr.isatty():
            say(f"{self._done - self._failed} of {count} items have a result.", err=True)
        if self._failed:
            raise typer.Exit(Exit.FAILED)

    async def _all(self, client: AsyncClient, _: str) -> None:
        from ogpu.work.terms import Retry

        terms = self._terms
        results = client.map(
            terms.source,
            terms.function,
            terms.items,
            payment=terms.payment,
            return_exceptions=not client.chain.transactions.policy.dry_run,
            in_flight=self._in_flight,
            budget=self._budget,
            timeout=self._timeout,
            expires_in=terms.expires_in,
            accept=self._accept.value,
            retries=Retry(attempts=self._attempts),
            idempotency_key=self._root,
        )
        async for result in results:
            self._show(result)

    def _show(self, result: Any) -> None:
        """One item's result, or its error."""
        item, self._done = self._done, self._done + 1
        error = result if isinstance(result, OGPUError) else None
        self._failed += error is not None
        if self._how.as_json:
            told = {"error": error_document(error)} if error else {"result": result}
            show_json({"item": item, **told})
            return
        say("null" if error else json_text(result, None))
        if error:
            say(f"Item {item}: {error.message}", err=True)

    def _interrupted(self) -> typer.Exit:
        """Say after Ctrl+C how to go on: the very command, with the name by which it is known."""
        typed = [each for each in sys.argv[1:] if each not in ("--yes", "-y")]
        again = shlex.join(["ogpu", *typed, *([] if self._how.once else ["--once", self._root])])
        done = f"{self._done} of {len(self._terms.items)} items are done; tasks that are published go on."
        return interrupted(done, f"Go on with the rest: {again}")
