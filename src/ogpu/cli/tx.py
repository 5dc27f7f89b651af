"""`ogpu tx`: what the journal has of transactions, and mending them."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.screen import logging_to, say
from ogpu.errors import IntentUnknown, NetworkError
from ogpu.text import printable, shown

if TYPE_CHECKING:
    from ogpu.tx.journal import Attempt, Intent, Journal

COIN, GWEI = 18, 9  # decimal places
LONGEST_KEY = 200  # characters that are shown; keys of ours have no more
LONGEST_LABEL = 60
LONGEST_REASON = 500
MOST_LISTED = 10_000
AGES = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


class StateName(StrEnum):
    """The states of a transaction, by their names in the journal."""

    pending = "pending"
    done = "done"
    reverted = "reverted"
    canceled = "canceled"
    foreign = "foreign"
    refused = "refused"


Key = Annotated[
    str,
    typer.Argument(metavar="KEY", help="Its key, or the hash of a transaction of it.", show_default=False),
]
NetworkName = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NAME",
        help="testnet, mainnet, local, or a network file's name. Default: the default network.",
    ),
]
OneNetwork = Annotated[
    str | None,
    typer.Option("--network", metavar="NAME", help="This network's only; its node is asked which they are."),
]
Place = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="PLACE",
        help="A file, or a postgresql:// URL. Default: OGPU_JOURNAL, else the file in your state folder.",
    ),
]
AsJSON = Annotated[bool, typer.Option("--json", help="As JSON, on one line; amounts in wei.")]

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
        say(json.dumps([_document(intent) for intent in intents]))
    elif intents:
        _show_table(intents)
    else:
        say(f"No transactions in the journal {_journal(journal).name}.")


@app.command("show", short_help="Show all that is known of one.")
def show(key: Key, journal: Place = None, as_json: AsJSON = False) -> None:
    """Show one transaction: every attempt, what became of it, and what to do. No node is needed."""
    import asyncio

    intent = asyncio.run(_found(journal, key))
    if as_json:
        say(json.dumps(_document(intent)))
        return
    width = max(len(name) for name, _ in _facts(intent))
    for name, value in _facts(intent):
        say(f"{name:<{width}}  {value}")
    for number, attempt in enumerate(intent.attempts, 1):
        say(f"attempt {number}: {_attempt(attempt)}")
    say(_advice(intent))


@app.command("cancel", short_help="Put an empty transfer in its place.")
def cancel(key: Key, network: NetworkName = None, journal: Place = None) -> None:
    """Cancel a transaction that is on its way: an empty transfer is offered at its nonce, for a higher fee,
    and the chain takes one of the two. It needs the account's key, from CLIENT_PRIVATE_KEY or
    CLIENT_KEYSTORE. The exit code is 0 when it was canceled.
    """
    intent = _mended("cancel", key, network, journal)
    say(f"{_name(intent)}: {_became(intent)}")
    if intent.state.value != StateName.canceled.value:
        raise typer.Exit(1)


@app.command("bump", short_help="Offer a higher fee for it.")
def bump(key: Key, network: NetworkName = None, journal: Place = None) -> None:
    """Offer a higher fee for a transaction that is on its way, at the same nonce. It needs the account's key,
    from CLIENT_PRIVATE_KEY or CLIENT_KEYSTORE. The exit code is 0 when more was offered.
    """
    intent = _mended("bump", key, network, journal)
    if intent.state.value != StateName.pending.value:
        say(f"{_name(intent)}: nothing is offered. {_became(intent)}")
        raise typer.Exit(1)
    say(f"{_name(intent)}: attempt {len(intent.attempts)}: {_attempt(intent.attempts[-1])}")


@app.command("recover", short_help="Send again all that is open, and wait for it.")
def recover(network: NetworkName = None, journal: Place = None) -> None:
    """Send again all that the journal has open on a network, the same bytes, and wait for the chain's word.
    The exit code is 0 when nothing is open any more.
    """
    import asyncio

    with logging_to(lambda line: say(line, err=True)):
        intents = asyncio.run(_recovered(network, journal))
    for intent in intents:
        say(f"{_name(intent)}: {_became(intent)}")
    if not intents:
        say("Nothing is open.")
    if any(intent.state.value == StateName.pending.value for intent in intents):
        raise typer.Exit(1)


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


def _mended(how: str, key: str, network: str | None, journal: str | None) -> Intent:
    import asyncio

    with logging_to(lambda line: say(line, err=True)):
        return asyncio.run(_mend(how, key, network, journal))


async def _mend(how: str, key: str, network: str | None, place: str | None) -> Intent:
    from ogpu.aio import AsyncClient

    found = await _found(place, key)
    async with AsyncClient(network, journal=place) as client:
        return await (client.cancel if how == "cancel" else client.bump)(found.key)


async def _recovered(network: str | None, place: str | None) -> list[Intent]:
    from ogpu.aio import AsyncClient

    async with AsyncClient(network, journal=place) as client:
        return await client.recover()


# --- as text


def _show_table(intents: Sequence[Intent]) -> None:
    from rich.cells import cell_len  # names may be in scripts whose characters are two columns wide

    now = time.time()
    rows = [("key", "chain", "state", "nonce", "call", "hash", "age")]
    for intent in intents:
        chain_id = intent.chain.partition(":")[0]
        age = _age(now - intent.created)
        state, label = intent.state.value, printable(intent.label, LONGEST_LABEL)
        key = printable(intent.key, LONGEST_KEY)
        rows.append((key, chain_id, state, str(intent.nonce), label, intent.attempts[-1].hash, age))
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        say("  ".join(cells).rstrip())


def _facts(intent: Intent) -> list[tuple[str, str]]:
    """What is known of an intent, but for its attempts: names and texts."""
    chain_id, _, genesis = intent.chain.partition(":")
    facts = [
        ("key", _name(intent) + ("" if intent.named else " (not chosen by the caller)")),
        ("call", printable(intent.label, LONGEST_LABEL)),
        ("state", intent.state.value + (", final" if intent.final else "")),
        ("chain", f"{chain_id}, genesis {printable(genesis, 66)}"),
        ("account", intent.sender),
        ("to", intent.to),
        ("nonce", str(intent.nonce)),
        ("value", f"{_decimal(intent.value, COIN)} OGPU"),
        ("payment", f"{_decimal(intent.payment, COIN)} OGPU"),
        ("begun", f"{_moment(intent.created)}, {_age(time.time() - intent.created)} ago"),
    ]
    if intent.expires is not None:
        facts.append(("expires", _moment(intent.expires)))
    outcome = intent.outcome or {}
    if receipt := outcome.get("receipt"):
        cost = receipt["gas_used"] * receipt["gas_price"]
        price = f"{receipt['gas_used']} at {_decimal(receipt['gas_price'], GWEI)} gwei"
        facts.append(("mined", f"block {receipt['block_number']}, {_moment(receipt['block_time'])}"))
        facts.append(("by", receipt["hash"]))
        facts.append(("gas", f"{price}: {_decimal(cost, COIN)} OGPU"))
    return facts


def _attempt(attempt: Attempt) -> str:
    fees = f"up to {_decimal(attempt.fees.max_fee, GWEI)} gwei"
    if attempt.fees.priority_fee is not None:
        fees += f", {_decimal(attempt.fees.priority_fee, GWEI)} of it priority fee"
    return f"{attempt.kind.value}, nonce {attempt.nonce}, gas {attempt.gas}, {fees}, {attempt.hash}"


def _became(intent: Intent) -> str:
    """In a sentence, what has become of an intent."""
    outcome = intent.outcome or {}
    receipt: dict[str, Any] = outcome.get("receipt") or {}
    where = f"{receipt['hash']} in block {receipt['block_number']}" if receipt else ""
    said = printable(str(outcome.get("reason") or outcome.get("said") or ""), LONGEST_REASON)
    match StateName(intent.state.value):
        case StateName.pending:
            return f"still open: {intent.attempts[-1].hash} at nonce {intent.nonce} may be mined yet."
        case StateName.done:
            return f"done: mined as {where}."
        case StateName.reverted:
            return f"reverted by the contract: {where}{said and f' ({said})'}."
        case StateName.canceled:
            return f"canceled: the empty transfer {where} has nonce {intent.nonce}."
        case StateName.foreign:
            theirs = (outcome.get("foreign") or {}).get("hash")
            return f"nonce {intent.nonce} went to {theirs}, which is not in this journal."
        case StateName.refused:
            return f"refused: no node took it{said and f' ({said})'}."


def _advice(intent: Intent) -> str:
    """What to do about an intent."""
    again = "call again with another idempotency key" if intent.named else "call again"
    key, became = shlex.quote(_name(intent)), _became(intent)
    became = became[0].upper() + became[1:]
    match StateName(intent.state.value):
        case StateName.pending:
            return (
                f"It is open. `ogpu tx recover` sends it again and waits, `ogpu tx bump {key}` offers more, "
                f"`ogpu tx cancel {key}` puts an empty transfer in its place. The same call goes on with it."
            )
        case StateName.done if intent.final:
            return "It is done; there is nothing to do."
        case StateName.done:
            return "It is done. A client that is open watches its block until it is final."
        case StateName.reverted:
            return f"{became} Only its gas was paid. Mend what the contract refused, then {again}."
        case StateName.canceled:
            return f"{became} Only its gas was paid. To do it after all, {again}."
        case StateName.foreign:
            return (
                f"{became} Look at that transaction first: it may be the same call from another journal. "
                f"If it is not, {again}. Let all senders of a key share one journal."
            )
        case StateName.refused:
            return f"{became} Nothing was executed; its nonce and key are free. Mend the reason, call again."


def _name(intent: Intent) -> str:
    return printable(intent.key, LONGEST_KEY)


def _age(seconds: float) -> str:
    size, unit = next((each for each in AGES if seconds >= each[0]), AGES[-1])
    return f"{max(0, int(seconds / size))}{unit}"


def _moment(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):  # a task's expiry may be a number of 256 bits
        return f"{seconds} s after 1970"


def _decimal(amount: int, places: int) -> str:
    """A whole number of the smallest unit, in the large one, to the last digit."""
    whole, rest = divmod(amount, 10**places)
    return f"{whole}.{rest:0{places}d}".rstrip("0").rstrip(".")


# --- as JSON


def _document(intent: Intent) -> dict[str, Any]:
    """An intent without bytes and calldata; amounts in wei, Unix seconds."""
    outcome = dict(intent.outcome or {})
    if receipt := outcome.get("receipt"):
        kept = ("hash", "block_number", "block_hash", "block_time", "succeeded", "gas_used", "gas_price")
        outcome["receipt"] = {name: receipt.get(name) for name in kept}
    chain_id, _, genesis = intent.chain.partition(":")
    return {
        "key": intent.key,
        "named": intent.named,
        "chain_id": int(chain_id),
        "genesis": genesis,
        "sender": intent.sender,
        "label": intent.label,
        "to": intent.to,
        "value": intent.value,
        "payment": intent.payment,
        "expires": intent.expires,
        "nonce": intent.nonce,
        "state": intent.state.value,
        "final": intent.final,
        "outcome": outcome or None,
        "created": intent.created,
        "attempts": [
            {
                "kind": attempt.kind.value,
                "nonce": attempt.nonce,
                "hash": attempt.hash,
                "max_fee": attempt.fees.max_fee,
                "priority_fee": attempt.fees.priority_fee,
                "gas": attempt.gas,
                "created": attempt.created,
            }
            for attempt in intent.attempts
        ],
    }
