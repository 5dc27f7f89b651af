"""Which account a command looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ogpu.cli.amounts import ogpu
from ogpu.cli.options import Reading, Role
from ogpu.cli.output import distance, moment

if TYPE_CHECKING:
    from ogpu.types import Role as RoleName
    from ogpu.types import VaultAccount

Address = Annotated[
    str | None,
    typer.Argument(metavar="ADDRESS", help="Default: the address of a role's key.", show_default=False),
]


@dataclass(frozen=True)
class Looking(Reading):
    """Reading about an account, one's own when none is named."""

    role: Annotated[Role | None, typer.Option("--role", help="Whose address, where none is given.")] = None


def address_of(address: str | None, role: Role | None, usual: RoleName = "client") -> str:
    """The address that is given, else that of the key of a role."""
    if address is not None:
        from ogpu.rpc.codec import checked_address

        return checked_address(address)
    from ogpu.tx.signer import resolve_signer

    return resolve_signer(None, role.value if role else usual).address


def money_of(account: VaultAccount, now: float) -> list[tuple[str, str]]:
    """What the Vault holds for an account, for people."""
    unbonding = ogpu(account.unbonding)
    if account.unbonding:
        matures = account.unbonding_matures
        due = "can be claimed" if matures <= now else f"matures {distance(matures, now)}, {moment(matures)}"
        unbonding += f", {due}"
    eligible = "yes, whitelisted" if account.whitelisted else "yes" if account.eligible else "no"
    return [
        ("balance", ogpu(account.balance)),
        ("lockup", ogpu(account.lockup)),
        ("unbonding", unbonding),
        ("sanctioned", ogpu(account.sanctioned)),
        ("earned", ogpu(account.earned)),
        ("eligible", eligible),
    ]
