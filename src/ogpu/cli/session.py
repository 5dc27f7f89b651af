"""How commands reach the network: reading, and sending after what it costs was shown and agreed to."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer

from ogpu.cli.amounts import COIN, GWEI, about, ogpu
from ogpu.cli.exits import Exit
from ogpu.cli.failures import describe, wants_json
from ogpu.cli.following import following
from ogpu.cli.keys import signer_of
from ogpu.cli.moving import Moving, progress
from ogpu.cli.options import Reading, Sending, Signing
from ogpu.cli.output import facts, show, show_json
from ogpu.cli.running import carried_out
from ogpu.cli.screen import say
from ogpu.errors import DryRun, InvalidInput

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
    work: Callable[[AsyncClient, Moving | None], Awaitable[T]],
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
    back: str = ""  # the command that comes back to its {task} after Ctrl+C
    waits_for: Sequence[str] = ()  # the tasks that it may wait for at length, the present one last
    times: int = 1  # how often it sends what a rehearsal finds
    confirms: bool = False  # whether it pays for a response later, which takes gas again
    line: Callable[[Moving | None], None] | None = None  # takes the moving line, to keep it up to date
    tells: Callable[[], typer.Exit] | None = None  # what is said after Ctrl+C, where more can be said


@dataclass(frozen=True)
class Sent(Generic[T]):
    """What came of it, and who signed."""

    signer: Signer = field(repr=False)
    result: T

    @property
    def sender(self) -> str:
        """The address of who signed."""
        return self.signer.address


@dataclass(frozen=True)
class Nothing(Generic[T]):
    """That nothing is to be sent, since what is wanted is there already."""

    result: T


def send(how: Signing, act: Act[T], signer: Signer | None = None) -> Sent[T]:
    """Do it; with --dry-run, only say what would be sent, and end the command. A signer that a command has
    already is used again, so that a password is asked for once.
    """
    if act.asks and not (how.yes or how.dry_run or sys.stdin.isatty()):
        raise InvalidInput(
            f"{act.what}: there is no terminal to ask on, and nobody has agreed to it. Nothing was sent.",
            hint="Give --yes to go ahead, or --dry-run to see what it costs.",
        )
    signer = signer or signer_of(how, act.usual)
    asks = act.asks and not how.yes
    if how.dry_run or (asks and act.costs):
        plan = rehearse(how, act, signer)
        if isinstance(plan, Nothing):
            return Sent(signer, plan.result)
        if how.dry_run:
            show_plan(how, act, plan)
            raise typer.Exit(Exit.OK)
        _ask(plan_lines(act, plan))
    elif asks:
        _ask([f"{act.what}, as {signer.address}."])
    return Sent(signer, _sent(how, act, signer))


def _ask(told: Iterable[str]) -> None:
    """Go on only when whoever is told this agrees."""
    for line in told:
        say(line, err=True)
    if not typer.confirm("Go ahead?", err=True):
        say("Nothing was sent.", err=True)
        raise typer.Exit(Exit.USAGE)


def rehearse(how: Signing, act: Act[T], signer: Signer) -> DryRun | Nothing[T]:
    """What the act would send first, and its cost; raises what would make it fail."""

    async def rehearsal() -> DryRun | Nothing[T]:
        from ogpu.aio import AsyncClient
        from ogpu.tx.state import Policy

        client = AsyncClient(
            how.network, private_key=signer, journal=how.journal, policy=Policy(dry_run=True)
        )
        try:
            result = await act.do(client, signer.address)
        except DryRun as plan:
            return plan
        finally:
            await client.close()
        return Nothing(result)

    try:
        with progress("Asking what it costs …"):
            return carried_out(rehearsal())
    except KeyboardInterrupt:
        raise interrupted("Nothing was sent.") from None


def _sent(how: Signing, act: Act[T], signer: Signer) -> T:
    left: list[str] = []  # the hashes of what an interruption leaves open

    async def sending() -> T:
        import asyncio

        from ogpu.aio import AsyncClient

        async with AsyncClient(how.network, private_key=signer, journal=how.journal) as client:
            known = await _open_hashes(client)
            try:
                async with following(client, act.waits_for, update if act.back else None):
                    return await act.do(client, signer.address)
            except asyncio.CancelledError:
                left.extend(sorted(await _open_hashes(client) - known))
                raise

    try:
        with progress(f"{act.what} …") as update:
            if act.line is not None:
                act.line(update)
            return carried_out(sending())
    except KeyboardInterrupt:
        if act.tells is not None:
            raise act.tells() from None
        raise _left_open(left, act) from None


def interrupted(message: str, hint: str = "") -> typer.Exit:
    """Say what goes on after Ctrl+C or SIGTERM, and end with the exit code of that."""
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


def _left_open(left: list[str], act: Act[T]) -> typer.Exit:
    """Say what goes on after an interruption, and how to come back to it."""
    said = [f"Task {act.waits_for[-1]} goes on."] if act.waits_for else []
    if left:
        listed = f"{left[0]} is" if len(left) == 1 else f"{len(left)} transactions are"
        said.append(f"{listed} in the journal, and may be mined yet: `ogpu tx recover` waits for that.")
    if not said:
        return interrupted("Nothing was sent.")
    back = f"Come back to it: {act.back.format(task=act.waits_for[-1])}" if act.waits_for else ""
    return interrupted(" ".join(said), back or "The same command goes on with it.")


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
        total = known["total"] + confirming(act, plan)
        if act.confirms:
            pairs.append(("pay later", f"at most {about(confirming(act, plan), COIN)} OGPU of gas"))
        pairs.append(("together", f"at most {about(total, COIN)} OGPU"))
        if act.times > 1:
            pairs.append((f"{act.times} times", f"at most about {about(total * act.times, COIN)} OGPU"))
    for line in facts(pairs):
        yield f"  {line}"


def confirming(act: Act[T], plan: DryRun) -> int:
    """What it costs in gas at most (wei) to pay for the response, or to take the payment back: less than
    publishing takes, which makes a contract.
    """
    return int(plan.facts.get("gas_cost", 0)) if act.confirms else 0


def show_plan(how: Reading, act: Act[T], plan: DryRun) -> None:
    """Show what --dry-run has found."""
    if how.as_json:
        later = confirming(act, plan)
        most = {"confirming": later, "at_most": (plan.facts.get("total", 0) + later) * act.times}
        show_json({"dry_run": True, "what": act.what, "times": act.times, **plan.facts, **most})
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
