"""`ogpu tx`: what the journal has of transactions, and mending them."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ogpu.cli.completing import networks
from ogpu.cli.exits import Exit
from ogpu.cli.intents import StateName, advice, attempt_line, document, facts_of, fate, shown_key, table
from ogpu.cli.options import AsJSON, NetworkName, Place, Role
from ogpu.cli.screen import logging_to, say
from ogpu.errors import IntentUnknown, NetworkError
from ogpu.text import shown

if TYPE_CHECKING:
    from ogpu.tx.journal import Intent, Journal

T = TypeVar("T")

MOST_LISTED = 10_000
PATIENCE, QUIET = 120.0, 1.0  # seconds


Key = Annotated[
    str,
    typer.Argument(metavar="KEY", help="Its key, or the hash of a transaction of it.", show_default=False),
]
OneNetwork = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NAME",
        help="This network's only; its node is asked which they are.",
        autocompletion=networks,
    ),
]
Signer = Annotated[
    Role, typer.Option("--role", help="Whose it is: {ROLE}_PRIVATE_KEY or {ROLE}_KEYSTORE signs.")
]
Timeout = Annotated[
    float,
    typer.Option("--timeout", metavar="S", help="Seconds to wait for the chain; what is open stays so."),
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def tx() -> None:
    """Look at transactions in the journal, and mend them."""


@app.command("ls", short_help="List transactions, newest first.")
def ls(
    network: OneNetwork = None,
    journal: Place = None,
    state: Annotated[StateName | None, typer.Option("--state", help="Only those in this state.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MOST_LISTED, metavar="N", help="At most so many.")
    ] = 20,
    as_json: AsJSON = False,
) -> None:
    """List what the journal has, of all networks and accounts, newest first. No node is needed, but for
    --network.
    """
    import asyncio

    intents = asyncio.run(_listed(journal, network, state, limit))
    if as_json:
        say(json.dumps([document(intent) for intent in intents]))
    elif intents:
        for line in table(intents):
            say(line)
    else:
        say(f"No transactions in the journal {_journal(journal).name}.")


@app.command("show", short_help="Show all that is known of one.")
def show(key: Key, journal: Place = None, as_json: AsJSON = False) -> None:
    """Show one transaction: every attempt, what became of it, and what to do. No node is needed."""
    import asyncio

    intent = asyncio.run(_found(journal, key))
    if as_json:
        say(json.dumps(document(intent)))
        return
    width = max(len(name) for name, _ in facts_of(intent))
    for name, value in facts_of(intent):
        say(f"{name:<{width}}  {value}")
    for number, attempt in enumerate(intent.attempts, 1):
        say(f"attempt {number}: {attempt_line(attempt)}")
    say(advice(intent))


@app.command("cancel", short_help="Put an empty transfer in its place.")
def cancel(
    key: Key,
    network: NetworkName = None,
    journal: Place = None,
    timeout: Timeout = PATIENCE,
    role: Signer = Role.client,
    as_json: AsJSON = False,
) -> None:
    """Cancel a transaction that is on its way: an empty transfer is offered at its nonce, for a higher fee,
    and the chain takes one of the two. It needs the account's key. The exit code is 0 when it was canceled.
    """
    intent = _mended("cancel", key, network, journal, role, timeout)
    say(json.dumps(document(intent)) if as_json else f"{shown_key(intent)}: {fate(intent)}")
    if intent.state.value != StateName.canceled.value:
        raise typer.Exit(Exit.FAILED)


@app.command("bump", short_help="Offer a higher fee for it.")
def bump(
    key: Key,
    network: NetworkName = None,
    journal: Place = None,
    role: Signer = Role.client,
    as_json: AsJSON = False,
) -> None:
    """Offer a higher fee for a transaction that is on its way, at the same nonce. It needs the account's key.
    The exit code is 0 when more was offered.
    """
    intent = _mended("bump", key, network, journal, role)
    offered = intent.state.value == StateName.pending.value
    if as_json:
        say(json.dumps(document(intent)))
    elif offered:
        say(f"{shown_key(intent)}: attempt {len(intent.attempts)}: {attempt_line(intent.attempts[-1])}")
    else:
        say(f"{shown_key(intent)}: nothing is offered. {fate(intent)}")
    if not offered:
        raise typer.Exit(Exit.FAILED)


@app.command("recover", short_help="Send again all that is open, and wait for it.")
def recover(
    network: NetworkName = None,
    journal: Place = None,
    timeout: Timeout = PATIENCE,
    as_json: AsJSON = False,
) -> None:
    """Send again all that the journal has open on a network, the same bytes, and wait for the chain's word.
    The exit code is 0 when nothing is open any more.
    """
    import asyncio

    with logging_to(lambda line: say(line, err=True)):
        intents = asyncio.run(_recovered(network, journal, timeout))
    if as_json:
        say(json.dumps([document(intent) for intent in intents]))
    elif not intents:
        say("Nothing is open.")
    for intent in () if as_json else intents:
        say(f"{shown_key(intent)}: {fate(intent)}")
    if any(intent.state.value == StateName.pending.value for intent in intents):
        raise typer.Exit(Exit.FAILED)


# --- reading and mending


def _journal(place: str | None) -> Journal:
    from ogpu.tx.journal import Journal, journal_place

    return Journal(journal_place(place))


async def _listed(
    place: str | None, network: str | None, state: StateName | None, limit: int
) -> list[Intent]:
    from ogpu.aio import AsyncClient
    from ogpu.tx.journal import State

    states = None if state is None else [State(state.value)]
    if network is None:
        journal = _journal(place)
        try:
            return await journal.list(states=states, limit=limit) if journal.exists else []
        finally:
            await journal.close()
    client = AsyncClient(network, journal=place)  # not opened: to look is not to send
    try:
        return await client.intents(limit, states=states)
    except NetworkError as error:
        error.hint = "Only the node knows which chain this is. Without --network all are listed, without it."
        raise
    finally:
        await client.close()


async def _found(place: str | None, key: str) -> Intent:
    """The intent of a key, or of an attempt's hash, of whichever network."""
    journal = _journal(place)
    try:
        if journal.exists:
            if found := await journal.find(key):
                return found
            for intent in await journal.list(limit=MOST_LISTED):
                if any(attempt.hash == key.lower() for attempt in intent.attempts):
                    return intent
    finally:
        await journal.close()
    raise IntentUnknown(
        f"The journal {journal.name} has no transaction by the name {shown(key)}.",
        hint="`ogpu tx ls` lists what it has; OGPU_JOURNAL or --journal names another journal.",
        facts={"journal": journal.name},
    )


def _mended(
    how: str, key: str, network: str | None, journal: str | None, role: Role, timeout: float = PATIENCE
) -> Intent:
    import asyncio

    with logging_to(lambda line: say(line, err=True)):
        return asyncio.run(_mend(how, key, network, journal, role, timeout))


async def _mend(
    how: str, key: str, network: str | None, place: str | None, role: Role, timeout: float
) -> Intent:
    from ogpu.aio import AsyncClient
    from ogpu.tx.signer import resolve_signer
    from ogpu.tx.state import Policy

    found = await _found(place, key)
    policy, signer = Policy(receipt_timeout=timeout), resolve_signer(None, role.value)
    async with AsyncClient(network, private_key=signer, journal=place, policy=policy) as client:
        return await _patiently((client.cancel if how == "cancel" else client.bump)(found.key))


async def _recovered(network: str | None, place: str | None, timeout: float) -> list[Intent]:
    from ogpu.aio import AsyncClient
    from ogpu.tx.state import Policy

    async with AsyncClient(network, journal=place, policy=Policy(receipt_timeout=timeout)) as client:
        return await _patiently(client.recover())


async def _patiently(work: Coroutine[Any, Any, T]) -> T:
    """Carry it out, and say so when that takes a while."""
    import asyncio

    task = asyncio.create_task(work)
    if not (await asyncio.wait({task}, timeout=QUIET))[0]:
        say("Waiting for the chain …", err=True)
    return await task
