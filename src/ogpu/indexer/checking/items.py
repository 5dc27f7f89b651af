"""Sources, tasks, attempts, responses and payments beside their contracts, and which of them there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, select

from ogpu.indexer.checking.findings import Difference, Finding, Note, Pairing, compared, extra, missing
from ogpu.indexer.checking.views import NOTHING, PAGE, Chain, View, pages, rows_of
from ogpu.indexer.happenings import plain, present, stored_text
from ogpu.indexer.tables import attempts, payments, responses, sources, tasks
from ogpu.rpc.codec import interface

Row = dict[str, Any]


async def check_sources(connection: Connection, chain: Chain) -> AsyncIterator[Finding]:
    """Every source and its terms, and that there are no others."""
    (count,) = await chain.read([chain.core("Nexus", "getSourceCount")])
    pairing = Pairing()
    for start in range(0, count, PAGE):
        places = range(start, min(count, start + PAGE))
        pairing.take((), await chain.read([chain.core("Nexus", "sources", place) for place in places]))
    for page in pages(connection, sources):
        pairing.take([row["address"] for row in page], ())
        found = await chain.read_each([_source_views(row["address"]) for row in page])
        for row, values in zip(page, found, strict=True):
            if NOTHING not in values:
                for difference in compared(sources, row, _source_columns(values)):
                    yield difference
                async for finding in _check_tasks_of(connection, chain, row["address"], values[2]):
                    yield finding
    for difference in pairing.left(sources):
        yield difference


def _source_views(address: str) -> list[View]:
    names = ("getSourceParams", "getStatus", "getTaskCount", "getRegistrantCount")
    return [View("Source", address, name) for name in names]


def _source_columns(values: Sequence[Any]) -> dict[str, Any]:
    terms, status, task_count, registrant_count = values
    told = plain(terms)
    return {
        "client": told.client,
        "metadata_url": told.image_metadata_url,
        "environments": told.image_environments,
        "min_payment": told.min_payment,
        "min_available_lockup": told.min_available_lockup,
        "max_expiry_duration": told.max_expiry_duration,
        "privacy_enabled": told.privacy_enabled,
        "optional_params_url": told.optional_params_url,
        "delivery_method": told.delivery_method,
        "last_update_time": told.last_update_time,
        "status": status,
        "task_count": task_count,
        "registrant_count": registrant_count,  # with holes, as no event tells of one that ended
    }


async def _check_tasks_of(
    connection: Connection, chain: Chain, source: str, count: int
) -> AsyncIterator[Finding]:
    """That the tasks of a source are those that it lists."""
    pairing = Pairing()
    listed = select(tasks.c.address).where(tasks.c.source == source)
    order = (tasks.c.published_block, tasks.c.published_index)
    ours = connection.execute(listed.order_by(*order)).scalars()
    for start in range(0, count, PAGE):
        places = range(start, min(count, start + PAGE))
        theirs = await chain.read([View("Source", source, "tasks", (place,)) for place in places])
        pairing.take([address for _, address in zip(places, ours, strict=False)], theirs)
    pairing.take(list(ours), ())
    for difference in pairing.left(tasks):
        yield difference


async def check_tasks(connection: Connection, chain: Chain) -> AsyncIterator[Finding]:
    """Every task with its attempts, responses and payment."""
    for page in pages(connection, tasks):
        found = await chain.read_each([_task_views(chain, row["address"]) for row in page])
        held = {row["task"]: row for row in rows_of(connection, payments, "task", _addresses(page))}
        there = []
        for row, values in zip(page, found, strict=True):
            if NOTHING in values:
                yield extra(tasks, row["address"])
                continue
            there.append((row["address"], values[4]))
            for difference in _compared_task(row, values, held.get(row["address"])):
                yield await _explained(chain, difference, row)
        async for finding in _check_attempts(connection, chain, there):
            yield finding
    for table in (attempts, responses, payments):
        orphans = select(table).where(table.c.task.not_in(select(tasks.c.address)))
        for orphan in connection.execute(orphans).mappings():
            yield extra(table, *(orphan[column.name] for column in table.primary_key))


def _addresses(page: Sequence[Row]) -> list[str]:
    return [row["address"] for row in page]


def _task_views(chain: Chain, address: str) -> list[View]:
    names = ("taskParams", "owner", "getDeliveryMethod", "getStatus", "getAttemptCount", "winningProvider")
    return [
        *(View("Task", address, name) for name in names),
        chain.core("Vault", "frozenPayment", address),
    ]


def _compared_task(row: Row, values: Sequence[Any], payment: Row | None) -> Iterator[Difference]:
    terms, owner, delivery, status, attempt_count, winner, frozen = values
    source, config, expiry, amount = terms
    told = {
        "source": source,
        "config_url": stored_text(config),
        "expiry_time": expiry,
        "payment": amount,
        "client": owner,
        "delivery_method": delivery,
        "status": status,
        "attempt_count": attempt_count,
        "winning_provider": present(winner),
    }
    yield from compared(tasks, row, told)
    if payment is None:
        yield missing(payments, row["address"])
        return
    yield from compared(payments, payment, {"source": source, "client": row["client"], "amount": amount})
    if (frozen if payment["state"] == "held" else 0) != frozen or (payment["state"] == "held" and not frozen):
        yield Difference("payments", (row["address"],), "state", payment["state"], f"{frozen} wei are held")


async def _explained(chain: Chain, finding: Difference, row: Row) -> Finding:
    """A task that was handed over after it was published has another owner than its client."""
    if finding.table != "tasks" or finding.column != "client":
        return finding
    handed = interface("Task").events["OwnershipTransferred"]
    blocks = {"fromBlock": hex(row["published_block"]), "toBlock": hex(chain.block)}
    logs = await chain.rpc.call(
        "eth_getLogs", {"address": finding.key[0], "topics": [handed.topic], **blocks}
    )
    owners = [handed.decode(log)["previousOwner"] for log in logs]
    if finding.index in owners:
        return Note("tasks", finding.key, f"was handed over to {finding.chain} by its client")
    return finding


async def _check_attempts(
    connection: Connection, chain: Chain, there: Sequence[tuple[str, int]]
) -> AsyncIterator[Finding]:
    """The attempts of some tasks, of which the chain has so many, and the responses to them."""
    names = [task for task, _ in there]
    index = {(row["task"], row["provider"]): row for row in rows_of(connection, attempts, "task", names)}
    places = [(task, place) for task, count in there for place in range(count)]
    told = await chain.read_each(
        [
            [View("Task", task, name, (place,)) for name in ("attempters", "attemptTimestamps")]
            for task, place in places
        ]
    )
    listed = []
    for (task, place), (provider, at) in zip(places, told, strict=True):
        row = index.pop((task, provider), None)
        listed.append((task, provider))
        if row is None:
            yield missing(attempts, task, provider)
            continue
        for difference in compared(attempts, row, {"position": place, "attempted_at": at}):
            yield difference
    for key in index:
        yield extra(attempts, *key)
    async for finding in _check_responses(connection, chain, names, listed):
        yield finding


async def _check_responses(
    connection: Connection, chain: Chain, names: Sequence[str], listed: Sequence[tuple[str, str]]
) -> AsyncIterator[Finding]:
    told = await chain.read([View("Task", task, "responseOf", (provider,)) for task, provider in listed])
    theirs = {address: key for key, address in zip(listed, told, strict=True) if present(address)}
    by_task = rows_of(connection, responses, "task", names)
    by_address = rows_of(connection, responses, "address", list(theirs))
    ours = {row["address"]: row for row in (*by_task, *by_address)}
    for address in theirs.keys() - ours.keys():
        yield missing(responses, address)
    for address in ours.keys() - theirs.keys():
        yield extra(responses, address)
    both = [row for address, row in ours.items() if address in theirs]
    counts: dict[str, int] = defaultdict(int)
    for task, _ in theirs.values():
        counts[task] += 1
    for row in rows_of(connection, tasks, "address", names):
        for difference in compared(tasks, row, {"response_count": counts[row["address"]]}):
            yield difference
    functions = ("getResponseParams", "getStatus", "responseTimestamp")
    views = [[View("Response", row["address"], name) for name in functions] for row in both]
    for row, (terms, status, at) in zip(both, await chain.read_each(views), strict=True):
        task, provider, data, payment = terms
        columns = {"task": task, "provider": provider, "data": stored_text(data), "payment": payment}
        for difference in compared(responses, row, columns | {"status": status, "submitted_at": at}):
            yield difference
