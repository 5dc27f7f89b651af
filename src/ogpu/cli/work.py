"""`ogpu task wait`, `result`, `explain` and `run`: from a task to its result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ogpu.cli.amounts import duration_of, ogpu
from ogpu.cli.failures import in_commands
from ogpu.cli.following import following
from ogpu.cli.jobs import BIDDING, Accept, Bidding, OneJob, Taking, Timeout, seconds_of
from ogpu.cli.options import Reading, Sending, Signing, command
from ogpu.cli.output import LONGEST_TEXT, document, json_text, show, show_json
from ogpu.cli.screen import say
from ogpu.cli.session import Act, interrupted, read, send, watched
from ogpu.cli.task import Task, published, response_document
from ogpu.cli.task import app as app  # more commands of the same group
from ogpu.errors import InvalidInput
from ogpu.text import printable
from ogpu.types import DeliveryMethod

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ogpu.aio import AsyncClient
    from ogpu.cli.schemas import TaskFile
    from ogpu.protocol.explaining import Explanation
    from ogpu.tx.signer import Signer
    from ogpu.types import Response

T = TypeVar("T")


@app.command("wait", short_help="Wait for a task's response.")
@command
def wait(how: Reading, task: Task, timeout: Timeout = None) -> None:
    """Wait until a task has a response, and show it: the confirmed one, else the first."""
    seconds = seconds_of(timeout)

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
    bidding: Bidding = BIDDING,
) -> None:
    """Wait for a task's confirmed response, fetch its result, check it against its CID, and show it as JSON.
    Under manual confirmation somebody must choose: with --accept this command does, and pays.
    """
    wanted = _Wanted(task, accept or Accept.first, duration_of(bidding, "--bidding"), seconds_of(timeout))
    if accept is None or _is_over(how, task):  # then there is nothing to choose
        value = waited(how, task, "result", lambda client: client.task(task).result(wanted.timeout))
    else:
        value = _accepted(how, wanted)
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
def run(job: OneJob, taking: Taking, how: Sending) -> None:
    """Publish a task, wait for responses, take one, check its result against its CID, pay for it, and show
    the result as JSON. The task is given as for `ogpu task publish`.
    """
    terms = job.terms()
    tasks: list[str] = []
    act = Act(
        f"Run {printable(terms.function, 60)!r} for up to {ogpu(terms.payment)}",
        lambda client, _: _run(client, terms, taking, how.once, tasks.append),
        "client",
        asks=True,
        confirms=True,
        back=f"ogpu task result {{task}} --accept {taking.accept.value}",
        waits_for=tasks,
    )
    if terms.extra:
        address, value = _run_with_extra(how, act, terms, taking)
    else:
        value = send(how, act).result
        address = tasks[-1]
    _show_result(how, address, value)


async def _run(
    client: AsyncClient, terms: TaskFile, taking: Taking, once: str | None, published: Callable[[str], None]
) -> Any:
    from ogpu.work.terms import Retry

    return await client.run(
        terms.source,
        terms.function,
        terms.data,
        payment=terms.payment,
        timeout=taking.seconds,
        expires_in=terms.expires_in,
        accept=taking.accept.value,
        bidding=taking.bid_seconds,
        retries=Retry(attempts=taking.attempts),
        idempotency_key=once,
        published=published,
    )


def _run_with_extra(how: Sending, act: Act[Any], terms: TaskFile, taking: Taking) -> tuple[str, Any]:
    """A task with more fields than a call has: published, and its result taken; and that."""
    if taking.attempts > 1:
        raise InvalidInput("A task with extra fields is published once.", hint="Leave --attempts away.")
    sent = send(how, replace(act, do=lambda client, _: published(client, terms, how.once), waits_for=()))
    task: str = sent.result.address
    wanted = _Wanted(task, taking.accept, taking.bid_seconds, taking.seconds)
    return task, _accepted(how, wanted, sent.signer)


def _is_over(how: Reading, task: str) -> bool:
    return read(how, lambda client: client.get_task(task)).status.final


def _reasons(found: Explanation) -> list[str]:
    return [in_commands(reason) for reason in found.reasons]


@dataclass(frozen=True)
class _Wanted:
    """Which response of a task is taken, and how long it is waited for."""

    task: str
    accept: Accept
    bidding: int
    timeout: float


def _accepted(how: Signing, wanted: _Wanted, signer: Signer | None = None) -> Any:
    """The result of a task whose response is chosen and paid by this command. With the signer who published
    it all is agreed to.
    """
    task, accept = wanted.task, wanted.accept.value
    timeout = 0 if how.dry_run else wanted.timeout  # then it is about the responses that are there
    act = Act(
        f"Take the {accept} usable response of task {task} and pay for it",
        lambda client, _: client.task(task).result(
            timeout, accept=wanted.accept.value, bidding=wanted.bidding
        ),
        "client",
        asks=signer is None,
        costs=False,
        back=f"ogpu task result {{task}} --accept {accept}",
        waits_for=(task,),
    )
    return send(how, act, signer).result


def waited(how: Reading, task: str, verb: str, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """What is waited for; Ctrl+C says how to come back to it."""

    async def waiting(client: AsyncClient, update: Callable[[str], None] | None) -> T:
        async with following(client, (task,), update):
            return await work(client)

    try:
        return watched(how, waiting, f"Waiting for task {task} …")
    except KeyboardInterrupt:
        raise interrupted("The task goes on.", f"Come back to it: ogpu task {verb} {task}") from None


def _show_result(how: Reading, task: str, value: Any) -> None:
    if not how.as_json:
        say(json_text(value))
        return
    show_json({**read(how, lambda client: _paid(client, task)), "result": value})


async def _paid(client: AsyncClient, task: str) -> dict[str, Any]:
    """Whose response was taken; what it asked for, and what was paid: all under first response (wei)."""
    found = await client.get_task(task)
    confirmed = next((each for each in await client.task(task).responses() if each.confirmed), None)
    if confirmed is None:
        return {"task": task, **dict.fromkeys(("response", "provider", "payment", "paid"))}
    asked = confirmed.payment
    whole = found.delivery_method is DeliveryMethod.FIRST_RESPONSE
    return {
        "task": task,
        "response": confirmed.address,
        "provider": confirmed.provider,
        "payment": asked,
        "paid": found.payment if whole else asked,
    }
