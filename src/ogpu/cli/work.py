"""`ogpu task wait`, `result`, `explain` and `run`: from a task to its result."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ogpu.cli.amounts import duration_of, ogpu
from ogpu.cli.failures import in_commands
from ogpu.cli.following import following
from ogpu.cli.options import Reading, Sending, Signing, command
from ogpu.cli.output import LONGEST_TEXT, document, json_text, show, show_json
from ogpu.cli.screen import say
from ogpu.cli.session import Act, interrupted, read, send, watched
from ogpu.cli.task import (
    Data,
    Expires,
    File,
    Function,
    Payment,
    Source,
    Task,
    published,
    response_document,
)
from ogpu.cli.task import app as app  # more commands of the same group
from ogpu.cli.terms import task_file, task_terms
from ogpu.text import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ogpu.aio import AsyncClient
    from ogpu.protocol.explaining import Explanation
    from ogpu.types import Response

T = TypeVar("T")


class Accept(StrEnum):
    """Which response is taken where its client must choose."""

    first = "first"
    cheapest = "cheapest"


Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout", metavar="DURATION", help="How long to wait: 5m. Default: until the task expires."
    ),
]
BIDDING = "30s"


@app.command("wait", short_help="Wait for a task's response.")
@command
def wait(how: Reading, task: Task, timeout: Timeout = None) -> None:
    """Wait until a task has a response, and show it: the confirmed one, else the first."""
    seconds = _seconds(timeout)

    async def work(client: AsyncClient) -> Response:
        return await client.task(task).wait(seconds)

    found = waited(how, task, "wait", work)
    if how.as_json:
        show_json(response_document(found))
        return
    state = "confirmed" if found.confirmed else "not confirmed yet"
    show(
        [
            f"Response {found.address}, {state}.",
            f"  by {found.provider} for {ogpu(found.payment)}",
            f"  {printable(found.data, LONGEST_TEXT)}",
        ]
    )


@app.command("result", short_help="Get a task's result, which is checked.")
@command
def result(
    how: Signing,
    task: Task,
    timeout: Timeout = None,
    accept: Annotated[
        Accept | None,
        typer.Option("--accept", help="Confirm and pay this response, where the client must choose."),
    ] = None,
    bidding: Annotated[
        str, typer.Option("--bidding", metavar="DURATION", help="How long cheapest waits for more bids.")
    ] = BIDDING,
) -> None:
    """Wait for a task's confirmed response, fetch its result, check it against its CID, and show it as JSON.
    Under manual confirmation somebody must choose: with --accept this command does, and pays.
    """
    seconds = _seconds(timeout)
    if accept is None:
        value = waited(how, task, "result", lambda client: client.task(task).result(seconds))
    else:
        value = _accepted(how, task, accept, duration_of(bidding, "--bidding"), seconds)
    _show_result(how, task, value)


@app.command("explain", short_help="Say why a task is not done.")
@command
def explain(how: Reading, task: Task) -> None:
    """Say why a task is where it is: who could take it, with what stake, at what price, and what it waits
    for.
    """
    found = read(how, lambda client: client.task(task).explain())
    if how.as_json:
        show_json({**document(found), "expires_in": found.expires_in, "reasons": _reasons(found)})
    else:
        show(printable(line, LONGEST_TEXT) for line in in_commands(str(found)).splitlines())


@app.command("run", short_help="Publish a task, wait, pay, and show its result.")
@command
def run(
    how: Sending,
    file: File = None,
    source: Source = None,
    function: Function = None,
    data: Data = None,
    payment: Payment = None,
    expires: Expires = None,
    timeout: Timeout = None,
    accept: Annotated[
        Accept, typer.Option("--accept", help="Which response is taken and paid.")
    ] = Accept.first,
    bidding: Annotated[
        str, typer.Option("--bidding", metavar="DURATION", help="How long cheapest waits for more bids.")
    ] = BIDDING,
) -> None:
    """Publish a task, wait for responses, take one, check its result against its CID, pay for it, and show
    the result as JSON. The task is given as for `ogpu task publish`.
    """
    seconds, bid_seconds = _seconds(timeout), duration_of(bidding, "--bidding")
    terms = task_file(file, task_terms(source, function, data, payment, expires))
    act = Act(
        f"Run {printable(terms.function, 60)!r} for up to {ogpu(terms.payment)}",
        lambda client, _: published(client, terms, how.once),
        "client",
        asks=True,
    )
    address = send(how, act).result.address
    value = _accepted(how, address, accept, bid_seconds, seconds, agreed=True)
    _show_result(how, address, value)


def _reasons(found: Explanation) -> list[str]:
    return [in_commands(reason) for reason in found.reasons]


def _accepted(
    how: Signing, task: str, accept: Accept, bidding: int, timeout: float, *, agreed: bool = False
) -> Any:
    """The result of a task whose response is chosen and paid by this command."""
    timeout = 0 if how.dry_run else timeout  # then it is about the responses that are there
    back = f"ogpu task result {task} --accept {accept.value}"
    act = Act(
        f"Take the {accept.value} usable response of task {task} and pay for it",
        lambda client, _: client.task(task).result(timeout, accept=accept.value, bidding=bidding),
        "client",
        asks=not agreed,
        costs=False,
        back=back,
        waits_for=task,
    )
    return send(how, act).result


def waited(how: Reading, task: str, verb: str, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """What is waited for; Ctrl+C says how to come back to it."""

    async def waiting(client: AsyncClient, update: Callable[[str], None] | None) -> T:
        async with following(client, task, update):
            return await work(client)

    try:
        return watched(how, waiting, f"Waiting for task {task} …")
    except KeyboardInterrupt:
        raise interrupted("The task goes on.", f"Come back to it: ogpu task {verb} {task}") from None


def _show_result(how: Reading, task: str, value: Any) -> None:
    if not how.as_json:
        say(json_text(value))
        return
    found = read(how, lambda client: client.task(task).responses())
    confirmed = next((each for each in found if each.confirmed), None)
    paid = confirmed.payment if confirmed else None
    provider, response = (confirmed.provider, confirmed.address) if confirmed else (None, None)
    show_json({"task": task, "response": response, "provider": provider, "price": paid, "result": value})


def _seconds(timeout: str | None) -> float:
    return math.inf if timeout is None else duration_of(timeout, "--timeout")
