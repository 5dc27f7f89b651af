"""Providers, masters, agents, and the accounts of the Vault."""

from __future__ import annotations

from sqlalchemy import Connection, null

from ogpu.indexer import tables
from ogpu.web.paging import FIRST, Paging
from ogpu.web.queries.lists import Condition, Listing, equal
from ogpu.web.values import Account, AccountLife, Agent, Master, Movement, Page, Provider

SHOWN = 100  # agents of an account

_providers = Listing(
    Provider,
    tables.providers,
    {
        "earned": ("earned", "address"),
        "active": ("active_at", "address"),
        "seen": ("seen_block", "seen_index"),
    },
)
_masters = Listing(Master, tables.masters, {"seen": ("seen_block", "seen_index")})
_agents = Listing(Agent, tables.agents, {"account": ("account", "agent")}, rising=True)
_accounts = Listing(Account, tables.accounts, {"seen": ("seen_block", "seen_index")})
_movements = Listing(Movement, tables.vault_movements, {"moved": ("moved_block", "moved_index")})


def providers(
    connection: Connection,
    *,
    master: str | None = None,
    paired: bool | None = None,
    paging: Paging = FIRST,
) -> Page[Provider]:
    """Providers; sorted by `earned`, `active` or `seen`."""
    column = tables.providers.c.master
    where = equal((column, master))
    if paired is not None:
        where.append(Condition(column.is_not(null()) if paired else column.is_(null()), f"paired={paired}"))
    return _providers.read(connection, where, paging)


def provider(connection: Connection, address: str) -> Provider | None:
    """A provider."""
    return _providers.one(connection, tables.providers.c.address == address)


def masters(connection: Connection, *, provider: str | None = None, paging: Paging = FIRST) -> Page[Master]:
    """Masters; sorted by `seen`."""
    return _masters.read(connection, equal((tables.masters.c.provider, provider)), paging)


def master(connection: Connection, address: str) -> Master | None:
    """A master."""
    return _masters.one(connection, tables.masters.c.address == address)


def agents(
    connection: Connection,
    *,
    account: str | None = None,
    agent: str | None = None,
    active: bool | None = None,
    paging: Paging = FIRST,
) -> Page[Agent]:
    """Agents, of an account or all; sorted by `account`."""
    columns = tables.agents.c
    where = equal((columns.account, account), (columns.agent, agent), (columns.active, active))
    return _agents.read(connection, where, paging)


def accounts(connection: Connection, *, paging: Paging = FIRST) -> Page[Account]:
    """Accounts that the Vault knows; sorted by `seen`."""
    return _accounts.read(connection, [], paging)


def account(connection: Connection, address: str) -> Account | None:
    """What the Vault knows of an account."""
    return _accounts.one(connection, tables.accounts.c.address == address)


def account_life(connection: Connection, address: str) -> AccountLife | None:
    """All that an address is on the network; None when it is nothing."""
    first = Paging(limit=SHOWN)
    life = AccountLife(
        address,
        account(connection, address),
        provider(connection, address),
        master(connection, address),
        agents(connection, account=address, paging=first).items,
        agents(connection, agent=address, paging=first).items,
    )
    is_something = life.account or life.provider or life.master or life.agents or life.agent_of
    return life if is_something else None


def movements(
    connection: Connection, *, account: str | None = None, kind: str | None = None, paging: Paging = FIRST
) -> Page[Movement]:
    """Coin that moved in the Vault; sorted by `moved`."""
    columns = tables.vault_movements.c
    return _movements.read(connection, equal((columns.account, account), (columns.kind, kind)), paging)
