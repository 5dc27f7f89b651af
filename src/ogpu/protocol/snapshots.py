"""Sources, tasks, responses and accounts as frozen values, many at once, each call at one block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ogpu.protocol.contract import ITEMS_PER_READ, MOST_ITEMS, present
from ogpu.protocol.vault import account_reads
from ogpu.protocol.views import Contracts, Read, View
from ogpu.rpc.codec import ZERO_ADDRESS
from ogpu.types import (
    DeliveryMethod,
    MasterSnapshot,
    ProviderSnapshot,
    Response,
    SourceParams,
    SourceSnapshot,
    SourceStatus,
    TaskSnapshot,
    TaskStatus,
    VaultAccount,
)

T = TypeVar("T")

_SOURCE = ("getSourceParams", "getStatus", "getTaskCount", "getRegistrantCount")
_TASK = ("taskParams", "owner", "getDeliveryMethod", "getStatus", "getAttemptCount", "winningProvider")
_RESPONSE = ("getResponseParams", "getStatus", "responseTimestamp", "confirmedFinal")


def source_reads(address: str) -> list[Read]:
    """What a `SourceSnapshot` is made of."""
    return [Read("Source", address, function) for function in _SOURCE]


def source_snapshot(chain: Contracts, address: str, values: Sequence[Any]) -> SourceSnapshot:
    """A source from what `source_reads` brought."""
    terms, status, tasks, registrants = values
    try:
        params = SourceParams.of(terms)
        return SourceSnapshot(
            address=address,
            client=params.client,
            metadata_url=params.image_metadata_url,
            environments=params.image_environments,
            min_payment=params.min_payment,
            min_available_lockup=params.min_available_lockup,
            max_expiry_duration=params.max_expiry_duration,
            delivery_method=params.delivery_method,
            status=SourceStatus(status),
            task_count=tasks,
            registrant_count=registrants,
            last_update_time=params.last_update_time,
            privacy_enabled=params.privacy_enabled,
            optional_params_url=params.optional_params_url,
        )
    except ValueError as error:  # a number outside its enumeration
        raise chain.wrong_contract("Source", address) from error


def _task_reads(address: str) -> list[Read]:
    return [Read("Task", address, function) for function in _TASK]


def _task_snapshot(chain: Contracts, address: str, values: Sequence[Any]) -> TaskSnapshot:
    params, owner, delivery, status, attempts, winner = values
    source, config, expiry, payment = params
    try:
        return TaskSnapshot(
            address=address,
            client=owner,
            source=source,
            config_url=config,
            expiry_time=expiry,
            payment=payment,
            delivery_method=DeliveryMethod(delivery),
            status=TaskStatus(status),
            attempt_count=attempts,
            winning_provider=None if winner == ZERO_ADDRESS else winner,
        )
    except ValueError as error:  # a number outside its enumeration
        raise chain.wrong_contract("Task", address) from error


def _response_reads(address: str) -> list[Read]:
    return [Read("Response", address, function) for function in _RESPONSE]


def _response(chain: Contracts, address: str, values: Sequence[Any]) -> Response:
    (task, provider, data, payment), status, timestamp, confirmed = values
    return Response(address, task, provider, data, payment, status, timestamp, confirmed)


async def _all(
    view: View,
    addresses: Sequence[str],
    reads: Callable[[str], list[Read]],
    made: Callable[[Contracts, str, Sequence[Any]], T],
) -> list[T]:
    """The items at these addresses; each distinct one is read once."""
    distinct = list(dict.fromkeys(addresses))
    values = await view.read_each([reads(address) for address in distinct])
    found = {address: made(view.chain, address, item) for address, item in zip(distinct, values, strict=True)}
    return [found[address] for address in addresses]


async def sources(chain: Contracts, addresses: Sequence[str] | None) -> list[SourceSnapshot]:
    """The sources at these addresses, or all that the Nexus has."""

    async def reading(view: View) -> list[SourceSnapshot]:
        return await sources_in(view, await all_sources(view) if addresses is None else addresses)

    return await chain.at_one_block(reading)


async def sources_in(view: View, addresses: Sequence[str]) -> list[SourceSnapshot]:
    """The sources at these addresses, in a view."""
    return await _all(view, addresses, source_reads, source_snapshot)


async def tasks(chain: Contracts, addresses: Sequence[str]) -> list[TaskSnapshot]:
    """The tasks at these addresses."""
    return await chain.at_one_block(lambda view: tasks_in(view, addresses))


async def tasks_in(view: View, addresses: Sequence[str]) -> list[TaskSnapshot]:
    """The tasks at these addresses, in a view."""
    return await _all(view, addresses, _task_reads, _task_snapshot)


async def responses_at(chain: Contracts, addresses: Sequence[str]) -> list[Response]:
    """The responses at these addresses."""
    return await chain.at_one_block(lambda view: _all(view, addresses, _response_reads, _response))


async def responses_of(chain: Contracts, task: str, lower: int, upper: int | None) -> list[Response]:
    """The responses `[lower, upper)` of a task, in the order of its attempts."""

    async def reading(view: View) -> list[Response]:
        (slots,) = await view.read(Read("Task", task, "getAttemptCount"))
        return await responses_in(view, task, slots, lower, upper)

    return await chain.at_one_block(reading)


async def responses_in(
    view: View, task: str, attempts: int, lower: int = 0, upper: int | None = None
) -> list[Response]:
    """The responses `[lower, upper)` among so many attempts of a task, in a view."""
    if attempts > MOST_ITEMS:
        raise view.chain.wrong_contract("Task", task)
    pages = await view.read(*_pages("Task", task, "getResponsesOf", attempts))
    # A slot is an attempter's; it is zero where that one has not responded.
    addresses = present([address for page in pages for address in page])
    return await _all(view, addresses[lower:upper], _response_reads, _response)


async def all_sources(view: View) -> list[str]:
    """The addresses of all sources."""
    nexus = view.chain.network.contract("NEXUS")
    (count,) = await view.read(Read("Nexus", nexus, "getSourceCount"))
    if count > MOST_ITEMS:
        raise view.chain.wrong_contract("Nexus", nexus)
    pages = await view.read(*_pages("Nexus", nexus, "getSources", count))
    return present([address for page in pages for address in page])


async def provider(chain: Contracts, address: str) -> ProviderSnapshot:
    """A provider, and where it is registered."""
    core = chain.core

    async def reading(view: View) -> ProviderSnapshot:
        wanted = await all_sources(view)
        (master, base, live), account, numbers = await view.read_each(
            [
                [
                    core("Terminal", "getMasterOf", address),
                    core("Terminal", "baseDataOf", address),
                    core("Terminal", "liveDataOf", address),
                ],
                account_reads(chain.network.contract("VAULT"), address),
                [Read("Source", source, "getRegistrantId", (address,)) for source in wanted],
            ]
        )
        return ProviderSnapshot(
            address=address,
            master=None if master == ZERO_ADDRESS else master,
            base_data=base,
            live_data=live,
            vault=VaultAccount(address, *account),
            sources=tuple(source for source, number in zip(wanted, numbers, strict=True) if number),
        )

    return await chain.at_one_block(reading)


async def master(chain: Contracts, address: str) -> MasterSnapshot:
    """A master and its money."""
    core = chain.core

    async def reading(view: View) -> MasterSnapshot:
        (paired, disabled), account = await view.read_each(
            [
                [
                    core("Terminal", "providerOf", address),
                    core("Terminal", "defaultAgentDisabled", address),
                ],
                account_reads(chain.network.contract("VAULT"), address),
            ]
        )
        found = None if paired == ZERO_ADDRESS else paired
        return MasterSnapshot(address, found, disabled, VaultAccount(address, *account))

    return await chain.at_one_block(reading)


def _pages(contract: str, address: str, function: str, count: int) -> list[Read]:
    """A whole list in pages; both bounds are inclusive on the deployed contracts."""
    return [
        Read(contract, address, function, (first, min(first + ITEMS_PER_READ, count) - 1))
        for first in range(0, count, ITEMS_PER_READ)
    ]
