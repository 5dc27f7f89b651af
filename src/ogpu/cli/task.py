"""`ogpu task`: have work done, step by step: published, looked at, confirmed or canceled."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.accounts import address_of
from ogpu.cli.amounts import COIN, decimal, ogpu
from ogpu.cli.jobs import OneJob
from ogpu.cli.options import Limit, Reading, Sending, command
from ogpu.cli.output import (
    LONGEST_TEXT,
    aligned,
    distance,
    document,
    facts,
    moment,
    show,
    show_json,
    word,
)
from ogpu.cli.screen import say
from ogpu.cli.session import Act, done, read, send
from ogpu.cli.terms import TaskStatusName, task_info
from ogpu.errors import ContentError
from ogpu.text import printable

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient
    from ogpu.cli.schemas import TaskFile
    from ogpu.types import Response, TaskSnapshot

Task = Annotated[str, typer.Argument(metavar="TASK", help="The task's address.", show_default=False)]
USUAL_EXPIRY = 3_600  # seconds
OF_PUBLISHED = ("source", "client", "payment", "expiry_time")
PAGE = 200  # tasks that are read at once

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def task() -> None:
    """Have work done, and get its results."""


@app.command("publish", short_help="Publish a task, and do not wait for it.")
@command
def publish(job: OneJob, how: Sending) -> None:
    """Publish a task, from a file, or from options, which win over the file. Its payment comes from the Vault
    balance of whoever signs: the client, unless --role says otherwise.
    """
    terms = job.terms()
    act = Act(
        f"Publish a task of {printable(terms.function, 60)!r} for up to {ogpu(terms.payment)}",
        lambda client, _: published(client, terms, how.once),
        "client",
        asks=True,
    )
    task = send(how, act).result
    if how.as_json:
        show_json({"task": task.address, **{name: getattr(task, name) for name in OF_PUBLISHED}})
        return
    say(f"Published task {task.address}.")
    say(f"`ogpu task wait {task.address}` waits for its response.")


@app.command("ls", short_help="List tasks.")
@command
def ls(
    how: Reading,
    source: Annotated[
        str | None, typer.Option("--source", metavar="ADDRESS", help="Only those of this service.")
    ] = None,
    client: Annotated[
        str | None, typer.Option("--client", metavar="ADDRESS", help="Only those of this client.")
    ] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only those of the client's key.")] = False,
    status: Annotated[
        list[TaskStatusName] | None,
        typer.Option("--status", help="Only those in this state; may be repeated."),
    ] = None,
    limit: Limit = 50,
) -> None:
    """List tasks, service by service, the newest first."""
    owner = address_of(client, None) if client or mine else None
    states = {each.value for each in status or ()}

    def wanted(each: TaskSnapshot) -> bool:
        return (owner is None or each.client == owner) and (not states or document(each.status) in states)

    async def work(api: AsyncClient) -> tuple[list[TaskSnapshot], float]:
        found: list[TaskSnapshot] = []
        async for each in _tasks(api, source):
            if wanted(each):
                found.append(each)
                if len(found) == limit:
                    break
        return found, max(time.time(), (await api.chain.head()).timestamp)

    found, now = read(how, work)
    if how.as_json:
        show_json(found)
    elif not found:
        say("No tasks.")
    else:
        _show_tasks(found, now)


@app.command("show", short_help="Show a task.")
@command
def show_(
    how: Reading,
    task: Task,
    config: Annotated[
        bool, typer.Option("--config/--no-config", help="Whether to fetch its function and data.")
    ] = True,
) -> None:
    """Show a task: its state, payment and time, and what it asks for, which is checked against its CID."""

    async def work(api: AsyncClient) -> tuple[TaskSnapshot, Any, float]:
        found = await api.get_task(task)
        text: Any = None
        if config:
            try:
                text = await api.content.get_json(found.config_url)
            except ContentError as error:
                text = {"error": error.message}
        return found, text, max(time.time(), (await api.chain.head()).timestamp)

    found, text, now = read(how, work)
    if how.as_json:
        show_json({**document(found), "config": text})
        return
    asked = text if isinstance(text, dict) else {}
    texts = [
        ("function", asked.get("function_name")),
        ("data", asked.get("data")),
        ("config", asked.get("error")),
    ]
    pairs = [
        ("task", found.address),
        ("status", word(found.status)),
        ("source", found.source),
        ("client", found.client),
        *((name, printable(_one_line(value), LONGEST_TEXT)) for name, value in texts if value is not None),
        ("payment", f"up to {ogpu(found.payment)}"),
        ("delivery", word(found.delivery_method)),
        ("expires", f"{distance(found.expiry_time, now)}, {moment(found.expiry_time)}"),
        ("attempts", str(found.attempt_count)),
    ]
    if found.winning_provider:
        pairs.append(("winner", found.winning_provider))
    show(facts(pairs))


@app.command("responses", short_help="List what providers answered, and their prices.")
@command
def responses(how: Reading, task: Task) -> None:
    """List the responses of a task in the order of its attempts: who asks which price for what result."""

    async def work(api: AsyncClient) -> list[Response]:
        return await api.task(task).responses()

    found = read(how, work)
    if how.as_json:
        show_json([response_document(each) for each in found])
    elif not found:
        say("No responses yet.")
    else:
        _show_responses(found)


@app.command("confirm", short_help="Pay for a response, which finishes its task.")
@command
def confirm(
    how: Sending,
    response: Annotated[
        str, typer.Argument(metavar="RESPONSE", help="The response's address.", show_default=False)
    ],
) -> None:
    """Confirm a response: its provider gets its price, the client the rest, and the task is done. For the
    task's client, or an agent with --role agent.
    """
    found = read(how, lambda client: client.get_response(response))
    act = Act(
        f"Pay {ogpu(found.payment)} to {found.provider} for task {found.task}",
        lambda client, _: client.response(response).confirm(idempotency_key=how.once),
        "client",
        asks=True,
    )
    said = f"Confirmed response {found.address}: {ogpu(found.payment)} to {found.provider}."
    more = {"response": found.address, "task": found.task, "provider": found.provider}
    done(how, said, send(how, act), **more, payment=found.payment, paid=found.payment)


@app.command("cancel", short_help="Cancel a task that nobody has taken.")
@command
def cancel(how: Sending, task: Task) -> None:
    """Cancel a task that nobody has attempted; its payment goes back to its client's Vault balance."""
    act = Act(
        f"Cancel task {task}",
        lambda client, _: client.task(task).cancel(idempotency_key=how.once),
        "client",
    )
    done(how, f"Canceled task {task}; its payment is back in the Vault.", send(how, act), task=task)


async def published(client: AsyncClient, terms: TaskFile, once: str | None) -> TaskSnapshot:
    """Publish a task, and read it."""
    if terms.extra:
        longest = (await client.get_source(terms.source)).max_expiry_duration
        info = task_info(terms, min(USUAL_EXPIRY, longest))
        return await client.get_task(await client.publish_task(info, idempotency_key=once))
    task = await client.submit(
        terms.source,
        terms.function,
        terms.data,
        payment=terms.payment,
        expires_in=terms.expires_in,
        idempotency_key=once,
    )
    return await task.snapshot()


def response_document(response: Response) -> dict[str, Any]:
    """A response for programs, its status by name."""
    return {**response.to_dict(), "status": "confirmed" if response.status else "submitted"}


async def _tasks(client: AsyncClient, source: str | None) -> AsyncIterator[TaskSnapshot]:
    """The tasks of a source, or of all, newest first in each."""
    wanted = [await client.get_source(source)] if source else list(reversed(await client.sources()))
    for each in wanted:
        for end in range(each.task_count, 0, -PAGE):
            addresses = await client.source(each.address).tasks(max(0, end - PAGE), end)
            for found in reversed(await client.tasks(addresses)):
                yield found


def _show_tasks(found: list[TaskSnapshot], now: float) -> None:
    """A table; the tasks of each source below its address."""
    rows = [("task", "status", "OGPU", "expires", "attempts")]
    for each in found:
        expires = "" if each.status.final else distance(each.expiry_time, now)
        amount = decimal(each.payment, COIN)
        rows.append((each.address, word(each.status), amount, expires, str(each.attempt_count)))
    lines = list(aligned(rows, (2, 4)))
    say(lines[0])
    last = ""
    for each, line in zip(found, lines[1:], strict=True):
        if each.source != last:
            say(f"source {each.source}:")
            last = each.source
        say(line)


def _show_responses(found: list[Response]) -> None:
    named: list[Callable[[Response], str]] = [
        lambda each: each.address,
        lambda each: "confirmed" if each.status else "submitted",
        lambda each: decimal(each.payment, COIN),
        lambda each: moment(each.timestamp)[:16],
    ]
    rows = [
        ("response", "status", "OGPU", "answered"),
        *(tuple(one(each) for one in named) for each in found),
    ]
    lines = list(aligned(rows, (2,)))
    say(lines[0])
    for each, line in zip(found, lines[1:], strict=True):
        show([line, f"  by {each.provider}", f"  {printable(each.data, LONGEST_TEXT)}"])


def _one_line(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
