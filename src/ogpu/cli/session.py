"""How commands reach the network: reading, and sending after what it costs was shown and agreed to."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer

from ogpu.cli.amounts import COIN, GWEI, about, ogpu
from ogpu.cli.exits import Exit
from ogpu.cli.failures import describe, wants_json
from ogpu.cli.following import following
from ogpu.cli.keys import signer_of
from ogpu.cli.options import Reading, Sending, Signing
from ogpu.cli.output import facts, show, show_json
from ogpu.cli.screen import logging_to, say
from ogpu.errors import DryRun, InvalidInput, OGPUError

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient
    from ogpu.tx.signer import Signer
    from ogpu.tx.state import Receipt
    from ogpu.types import Role

T = TypeVar("T")


# --- reading


def read(
    how: Reading,
    work: Callable[[AsyncClient], Awaitable[T]],
    waiting: str = "Reading …",
    *,
    journal: str | None = None,
) -> T:
    """The result of reads; nothing is sent, also not what the journal has open."""
    return watched(how, lambda client, _: work(client), waiting, journal=journal)


def watched(
    how: Reading,
    work: Callable[[AsyncClient, Callable[[str], None] | None], Awaitable[T]],
    waiting: str,
    *,
    journal: str | None = None,
) -> T:
    """The same for what takes longer, and tells meanwhile what becomes of it."""

    async def reading() -> T:
        from ogpu.aio import AsyncClient

        client = AsyncClient(how.network, journal=journal)  # not opened: to look is not to send
        try:
            return await work(client, update)
        finally:
            await client.close()

    with progress(waiting) as update:
        return carried_out(reading())


def carried_out(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; what libraries warn of is shown on stderr."""
    import asyncio

    with logging_to(lambda line: say(line, err=True)):
        return asyncio.run(work)


@contextlib.contextmanager
def progress(text: str) -> Iterator[Callable[[str], None] | None]:
    """A moving line on a terminal, with a way to change its text; None where there is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    spinner, console = Spinner("dots", Text(text)), Console(stderr=True)
    # What goes to stdout stays there, where it may be a file.
    with Live(spinner, console=console, transient=True, redirect_stdout=False):
        yield lambda line: spinner.update(text=Text(line))


# --- sending


@dataclass(frozen=True)
class Act(Generic[T]):
    """What a command sends: in words, as in "Deposit 1 OGPU", and as calls of a client that has the key."""

    what: str
    do: Callable[[AsyncClient, str], Coroutine[Any, Any, T]]  # the client, and the signer's address
    usual: Role | None = None  # who signs when no option says so
    asks: bool = False  # whether it moves money or cannot be undone, so that somebody must agree
    costs: bool = (
        True  # whether its costs can be told when it is asked for; else they come with what it awaits
    )
    back: str = ""  # the command that comes back to it after Ctrl+C
    waits_for: str = ""  # the task that it may wait for at length
    times: int = 1  # how often it sends what a rehearsal finds
    shows_itself: bool = False  # whether it writes results while it goes on
    tells: Callable[[], typer.Exit] | None = None  # what is said after Ctrl+C, where more can be said


@dataclass(frozen=True)
class Sent(Generic[T]):
    """What came of it, and who signed."""

    sender: str
    result: T


def send(how: Signing, act: Act[T]) -> Sent[T]:
    """Do it; with --dry-run, only say what would be sent, and end the command."""
    if act.asks and not (how.yes or how.dry_run or sys.stdin.isatty()):
        raise InvalidInput(
            f"{act.what}: there is no terminal to ask on, and nobody has agreed to it. Nothing was sent.",
            hint="Give --yes to go ahead, or --dry-run to see what it costs.",
        )
    signer = signer_of(how, act.usual)
    if how.dry_run:
        with progress("Asking what it costs …"):
            plan = rehearse(how, act, signer)
        show_plan(how, act, plan)
        raise typer.Exit(Exit.OK)
    if act.asks and not how.yes:
        for line in _told_before(how, act, signer):
            say(line, err=True)
        if not typer.confirm("Go ahead?", err=True):
            say("Nothing was sent.", err=True)
            raise typer.Exit(Exit.USAGE)
    return Sent(signer.address, _sent(how, act, signer))


def _told_before(how: Signing, act: Act[T], signer: Signer) -> Iterator[str]:
    """What whoever is asked should know."""
    if not act.costs:
        yield f"{act.what}, as {signer.address}."
        return
    with progress("Asking what it costs …"):
        plan = rehearse(how, act, signer)
    yield from plan_lines(act, plan)


def rehearse(how: Signing, act: Act[T], signer: Signer) -> DryRun:
    """What the act would send first, and its cost; raises what would make it fail."""

    async def rehearsal() -> DryRun:
        from ogpu.aio import AsyncClient
        from ogpu.tx.state import Policy

        client = AsyncClient(
            how.network, private_key=signer, journal=how.journal, policy=Policy(dry_run=True)
        )
        try:
            await act.do(client, signer.address)
        except DryRun as plan:
            return plan
        finally:
            await client.close()
        raise OGPUError(f"{act.what}: there is nothing to send.")

    return carried_out(rehearsal())


def _sent(how: Signing, act: Act[T], signer: Signer) -> T:
    left: list[str] = []  # the hashes of what an interruption leaves open

    async def sending() -> T:
        import asyncio

        from ogpu.aio import AsyncClient

        async with AsyncClient(how.network, private_key=signer, journal=how.journal) as client:
            known = await _open_hashes(client)
            try:
                async with following(client, act.waits_for, update if act.waits_for else None):
                    return await act.do(client, signer.address)
            except asyncio.CancelledError:
                left.extend(sorted(await _open_hashes(client) - known))
                raise

    try:
        with _progress_of(act) as update:
            return carried_out(sending())
    except KeyboardInterrupt:
        if act.tells is not None:
            raise act.tells() from None
        raise _left_open(left, act) from None


def interrupted(message: str, hint: str = "") -> typer.Exit:
    """Say what goes on after Ctrl+C, and end with its exit code."""
    if wants_json():
        describe("Interrupted", message, hint, Exit.INTERRUPTED)
    else:
        say(f"\nInterrupted. {message}", err=True)
        if hint:
            say(hint, err=True)
    return typer.Exit(Exit.INTERRUPTED)


async def _open_hashes(client: AsyncClient) -> set[str]:
    """The transactions that the journal has open on this network."""
    from ogpu.tx.journal import State

    intents = await client.intents(1_000, states=[State.PENDING])
    return {intent.attempts[-1].hash for intent in intents}


def _progress_of(act: Act[T]) -> contextlib.AbstractContextManager[Callable[[str], None] | None]:
    """The moving line while it is done; none where the results themselves come line by line."""
    if act.shows_itself and sys.stdout.isatty():
        return contextlib.nullcontext()
    return progress(f"{act.what} …")


def _left_open(left: list[str], act: Act[T]) -> typer.Exit:
    """Say what goes on after an interruption, and how to come back to it."""
    said = [f"Task {act.waits_for} goes on."] if act.waits_for else []
    if left:
        listed = f"{left[0]} is" if len(left) == 1 else f"{len(left)} transactions are"
        said.append(f"{listed} in the journal, and may be mined yet: `ogpu tx recover` waits for that.")
    if not said:
        return interrupted("Nothing was sent.")
    return interrupted(
        " ".join(said), f"Come back to it: {act.back}" if act.back else "The same command goes on with it."
    )


# --- what is shown of it


def plan_lines(act: Act[T], plan: DryRun) -> Iterator[str]:
    """What would be sent, by whom, at what cost."""
    known = plan.facts
    if not known:
        yield plan.message
        return
    yield act.what + "."
    pairs = [("call", f"{known['call']} at {known['to']}"), ("from", known["sender"])]
    if known["state"]:
        pairs.append(("state", f"asked for before by this key: {known['state']}"))
    else:
        if known["value"]:
            pairs.append(("coin", ogpu(known["value"])))
        if known["payment"]:
            pairs.append(("payment", f"{ogpu(known['payment'])} of the Vault balance"))
        price = f"{known['gas']} at up to {about(known['max_fee'], GWEI)} gwei"
        pairs.append(("gas", f"at most {about(known['gas_cost'], COIN)} OGPU ({price})"))
        pairs.append(("together", f"at most {about(known['total'], COIN)} OGPU"))
        if act.times > 1:
            pairs.append(
                (f"{act.times} times", f"at most about {about(known['total'] * act.times, COIN)} OGPU")
            )
    for line in facts(pairs):
        yield f"  {line}"


def show_plan(how: Reading, act: Act[T], plan: DryRun) -> None:
    """Show what --dry-run has found."""
    if how.as_json:
        show_json({"dry_run": True, "what": act.what, "times": act.times, **plan.facts})
        return
    show(plan_lines(act, plan))
    say("This was a dry run: nothing was uploaded or sent.")


def done(how: Sending, said: str, sent: Sent[Receipt], **more: object) -> None:
    """Show a transaction that was mined: what it did, and what it cost."""
    receipt = sent.result
    if how.as_json:
        show_json({**receipt_document(sent.sender, receipt), **more})
        return
    show([said, receipt_line(receipt)])


def receipt_line(receipt: Receipt) -> str:
    """Where a transaction is, and its gas."""
    gas = about(receipt.gas_cost, COIN)
    return f"Transaction {receipt.hash} in block {receipt.block_number}, gas {gas} OGPU."


def receipt_document(sender: str, receipt: Receipt) -> dict[str, object]:
    """A mined transaction; amounts in wei, Unix seconds."""
    return {
        "transaction": receipt.hash,
        "from": sender,
        "block": receipt.block_number,
        "block_time": receipt.block_time,
        "gas_used": receipt.gas_used,
        "gas_price": receipt.gas_price,
        "gas_cost": receipt.gas_cost,
    }
