"""`ogpu vault`: balance, stake and earnings."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ogpu.cli.accounts import Address, Looking, address_of, money_of
from ogpu.cli.amounts import amount_of, ogpu
from ogpu.cli.options import Sending, command
from ogpu.cli.output import facts, show, show_json
from ogpu.cli.session import Act, done, read, send

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient
    from ogpu.tx.state import Receipt

Amount = Annotated[
    str,
    typer.Argument(metavar="AMOUNT", help="0.01ogpu, 5gwei, 100wei, or whole wei.", show_default=False),
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def vault() -> None:
    """Balance, stake and earnings in the Vault. Who signs is named by --role; no key is guessed."""


@app.command("account", short_help="Show what the Vault holds for an account.")
@command
def account(how: Looking, address: Address = None) -> None:
    """Show what the Vault holds for an account: balance, stake, what unbonds, earnings, and its coin."""
    wanted = address_of(address, how.role)

    async def work(client: AsyncClient) -> tuple[Any, int, int]:
        found = await client.vault.account(wanted)
        coin = await client.chain.rpc.call("eth_getBalance", wanted, "latest")
        return found, int(coin, 16), (await client.chain.head()).timestamp

    found, coin, block_time = read(how, work)
    if how.as_json:
        show_json({**found.__dict__, "coin": coin})
        return
    now = max(block_time, time.time())
    show(facts([("account", found.address), ("coin", ogpu(coin)), *money_of(found, now)]))


@app.command("deposit", short_help="Move coin into a balance.")
@command
def deposit(
    how: Sending,
    amount: Amount,
    to: Annotated[
        str | None, typer.Option("--to", metavar="ADDRESS", help="Whose balance. Default: the signer's.")
    ] = None,
) -> None:
    """Move coin of whoever signs into a Vault balance; tasks are paid from it."""
    wei = amount_of(amount, "AMOUNT")
    whose = f"the Vault balance of {to}" if to else "the own Vault balance"
    _move(
        how,
        f"Deposit {ogpu(wei)} into {whose}",
        lambda client, _: client.vault.deposit(wei, to, idempotency_key=how.once),
        amount=wei,
    )


@app.command("withdraw", short_help="Take coin out of the balance.")
@command
def withdraw(how: Sending, amount: Amount) -> None:
    """Move coin out of the Vault balance of whoever signs, to that account."""
    wei = amount_of(amount, "AMOUNT")
    what = f"Withdraw {ogpu(wei)} from the Vault balance"
    _move(how, what, lambda client, _: client.vault.withdraw(wei, idempotency_key=how.once), amount=wei)


@app.command("lock", short_help="Make stake of balance.")
@command
def lock(how: Sending, amount: Amount) -> None:
    """Turn Vault balance of whoever signs into lockup: the stake that sources and providers need."""
    wei = amount_of(amount, "AMOUNT")
    what = f"Lock {ogpu(wei)} of the Vault balance as stake"
    _move(how, what, lambda client, _: client.vault.lock(wei, idempotency_key=how.once), amount=wei)


@app.command("unbond", short_help="Begin to take stake back.")
@command
def unbond(how: Sending, amount: Amount) -> None:
    """Begin to take stake back. `ogpu vault claim` gets it when the unbonding period is over; to unbond
    more meanwhile begins the wait anew.
    """
    wei = amount_of(amount, "AMOUNT")
    what = f"Unbond {ogpu(wei)} of the stake"
    _move(how, what, lambda client, _: client.vault.unbond(wei, idempotency_key=how.once), amount=wei)


@app.command("cancel-unbonding", short_help="Make stake again of all that unbonds.")
@command
def cancel_unbonding(how: Sending) -> None:
    """Turn all that unbonds back into stake. The testnet's Vault cannot."""
    what = "Turn all that unbonds back into stake"
    _move(how, what, lambda client, _: client.vault.cancel_unbonding(idempotency_key=how.once))


@app.command("claim", short_help="Make balance of what has unbonded.")
@command
def claim(how: Sending) -> None:
    """Turn stake that has unbonded into balance; `ogpu vault account` says when that is."""
    what = "Claim the stake that has unbonded"
    _move(how, what, lambda client, _: client.vault.claim(idempotency_key=how.once))


@app.command("release", short_help="Take an expired task's payment back.")
@command
def release(
    how: Sending,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's address.", show_default=False)],
) -> None:
    """Take the payment of an expired task that has no final response back into the balance. For its client
    itself, not an agent.
    """
    _move(
        how,
        f"Take the payment of the expired task {task} back into the Vault balance",
        lambda client, _: client.vault.force_release_payment(task, idempotency_key=how.once),
        task=task,
    )


def _move(
    how: Sending,
    what: str,
    do: Callable[[AsyncClient, str], Coroutine[Any, Any, Receipt]],
    **more: object,
) -> None:
    """Send what moves money of whoever signs, once that is agreed to."""
    done(how, f"Done: {what[0].lower()}{what[1:]}.", send(how, Act(what, do, asks=True)), **more)
