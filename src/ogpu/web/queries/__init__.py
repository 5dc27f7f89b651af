"""What can be asked of the index: functions of a connection and plain arguments that give frozen values.

Addresses are given in EIP-55 spelling and hashes in lower case. Lists are pages (`ogpu.web.paging`);
`sort` is a name, or `-` and a name for the newest or largest first. A list that cannot be meant is
`InvalidInput`.
"""

from ogpu.web.queries.chain import block, block_by_hash, blocks, events, position, reorganisations
from ogpu.web.queries.content import body, documents
from ogpu.web.queries.market import (
    attempts,
    payment,
    payments,
    registrations,
    response,
    responses,
    source,
    sources,
    task,
    task_life,
    tasks,
)
from ogpu.web.queries.people import (
    account,
    account_life,
    accounts,
    agents,
    master,
    masters,
    movements,
    provider,
    providers,
)
from ogpu.web.queries.search import search
from ogpu.web.queries.statistics import buckets, statistics, totals

__all__ = [
    "account",
    "account_life",
    "accounts",
    "agents",
    "attempts",
    "block",
    "block_by_hash",
    "blocks",
    "body",
    "buckets",
    "documents",
    "events",
    "master",
    "masters",
    "movements",
    "payment",
    "payments",
    "position",
    "provider",
    "providers",
    "registrations",
    "reorganisations",
    "response",
    "responses",
    "search",
    "source",
    "sources",
    "statistics",
    "task",
    "task_life",
    "tasks",
    "totals",
]
