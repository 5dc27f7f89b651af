"""`ogpu config doctor`: whether what commands need is there and works, and what to do when it does not."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ogpu import settings
from ogpu.cli.amounts import ogpu
from ogpu.errors import ConfigurationError, ContentError, ContractReverted, OGPUError, WrongContract
from ogpu.networks import Network, redact

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient

TIMEOUT = 10.0  # seconds for each request
STARTING = 40.0  # seconds for what a local network starts only when it is first asked, or makes anew
AGAIN = 0.5  # seconds until a service that is not ready is asked again
CLOCK_SLACK = 60  # seconds that the clock may be ahead of the chain's, or the chain's ahead of it
NO_TASK = "0x" + "0" * 39 + "1"  # an address where there is no task, to ask a service by
CONTENT_TODO = f"Try again later, or name another store: {settings.CONTENT_STORE}."
GATEWAY_TODO = f"Try again later, or name other gateways: {settings.CONTENT_GATEWAYS}."
PROBE = b"ogpu config doctor --write\n"


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is as it should be, what was seen, and what to do."""

    check: str
    ok: bool
    seen: str
    todo: str = ""
    warning: bool = False  # it works, but somebody should look at it


async def findings(network: Network, journal: str | Path, write: bool) -> AsyncIterator[Finding]:
    """Look at all of it, one after the other, since what fails first is the cause of what fails next."""
    from ogpu.aio import AsyncClient

    addresses: dict[str, str] = {}
    for finding in keys(addresses):
        yield finding
    reachable = False
    for url in network.rpc_urls:
        finding = await node(network, url)
        reachable = reachable or finding.ok
        yield finding
    try:
        client = AsyncClient(network, timeout=TIMEOUT, journal=":memory:")  # not opened: only to look
    except OGPUError as error:
        yield Finding("content settings", False, error.message, error.hint or CONTENT_TODO)
        return
    try:
        if reachable:
            async for finding in on_chain(client, addresses):
                yield finding
        async for finding in content(client, write):
            yield finding
        yield await management(client)
    finally:
        await client.close()
    yield await journal_at(journal)


def keys(addresses: dict[str, str]) -> list[Finding]:
    """The keys that variables name, by their addresses, which are also put into `addresses`."""
    from ogpu.tx.signer import resolve_signer

    found = []
    for role, variable in settings.ROLE_KEYS.items():
        names = [name for name in (variable, settings.ROLE_KEYSTORES[role]) if settings.variable(name)]
        if not names:
            continue
        try:
            addresses[role] = resolve_signer(None, role).address
        except ConfigurationError as error:
            todo = error.hint or f"Correct {names[0]}."
            found.append(Finding(f"{role} key", False, error.message, todo))
        else:
            both = f" ({names[1]} is set too, and not used)" if len(names) > 1 else ""
            found.append(Finding(f"{role} key", True, f"{addresses[role]}, from {names[0]}{both}"))
    if not found:
        todo = "Set CLIENT_PRIVATE_KEY, or make a key with `ogpu key new` and set CLIENT_KEYSTORE."
        found.append(Finding("keys", False, "no role's variable is set: nothing can be sent", todo))
    return found


async def node(network: Network, url: str) -> Finding:
    """One node: whether it answers, how quickly, and whether it serves this chain."""
    from ogpu.rpc.transport import RPC

    rpc, name = RPC((url,), network.chain_id, timeout=TIMEOUT), f"node {redact(url)}"
    started = time.monotonic()
    try:
        block = int(await rpc.call("eth_blockNumber"), 16)
    except OGPUError as error:
        return Finding(name, False, error.message, error.hint or "Check the network's rpc_urls.")
    finally:
        await rpc.close()
    milliseconds = (time.monotonic() - started) * 1000
    return Finding(name, True, f"chain {network.chain_id}, block {block}, {milliseconds:.0f} ms")


async def on_chain(client: AsyncClient, addresses: dict[str, str]) -> AsyncIterator[Finding]:
    """What the chain says: its clock, the contracts, and the money of each key."""
    head = await _tried("clock", lambda: _clock(client))
    yield head
    for name, address in client.network.contracts.items():
        yield await _tried(f"contract {name}", lambda name=name, at=address: _contract(client, name, at))  # type: ignore[misc]
    for role, address in addresses.items():
        yield await _tried(f"{role} money", lambda role=role, at=address: _money(client, role, at))  # type: ignore[misc]


async def _tried(check: str, look: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        return await look()
    except OGPUError as error:
        return Finding(check, False, error.message, error.hint or "Mend first what fails above.")


async def _clock(client: AsyncClient) -> Finding:
    ahead = int(time.time()) - (await client.chain.head()).timestamp
    if ahead < -CLOCK_SLACK:
        seen = f"the chain's last block is {-ahead} s in this machine's future"
        return Finding("clock", False, seen, "Set this machine's clock; expiry times are made with it.")
    seen = f"the last block is {max(0, ahead)} s old"
    if ahead > CLOCK_SLACK:
        todo = "Either the chain is idle or stands still, or this machine's clock is ahead."
        return Finding("clock", True, seen, todo, warning=True)
    return Finding("clock", True, seen)


async def _contract(client: AsyncClient, name: str, address: str) -> Finding:
    todo = f"Correct the address of {name} in the network file, or name another network."
    code = await client.chain.rpc.call("eth_getCode", address, "latest")
    if code in ("0x", "0x0", "", None):
        return Finding(f"contract {name}", False, f"there is none at {address}", todo)
    try:
        seen = await _said_by(client, name)
    except (WrongContract, ContractReverted) as error:
        return Finding(f"contract {name}", False, error.message, todo)
    if name in ("CONTROLLER", "TERMINAL") and seen not in client.network.contracts.values():
        return Finding(f"contract {name}", False, f"{address} belongs to another network's contracts", todo)
    return Finding(f"contract {name}", True, address)


async def _said_by(client: AsyncClient, name: str) -> object:
    """What only such a contract answers; its neighbour's address where it knows one."""
    match name:
        case "NEXUS":
            return await client.nexus.source_count()
        case "CONTROLLER":
            return await client.controller.nexus()
        case "TERMINAL":
            return await client.terminal.vault()
        case "VAULT":
            return await client.vault.min_lockup_per_source()
    return None


async def _money(client: AsyncClient, role: str, address: str) -> Finding:
    coin = int(await client.chain.rpc.call("eth_getBalance", address, "latest"), 16)
    account = await client.vault.account(address)
    seen = f"{ogpu(coin)} coin, {ogpu(account.balance)} in the Vault, {ogpu(account.lockup)} stake"
    if not coin:
        return Finding(f"{role} money", False, seen, f"Send coin to {address}: gas is paid with it.")
    if role == "client" and not account.balance:
        todo = "Tasks are paid from the Vault: `ogpu vault deposit 1ogpu --role client`."
        return Finding(f"{role} money", True, seen, todo, warning=True)
    return Finding(f"{role} money", True, seen)


async def content(client: AsyncClient, write: bool) -> AsyncIterator[Finding]:
    """The content store and each gateway: whether somebody is there, or whether what is stored comes back."""
    from ogpu.content.options import Folder, KuboNode, parse_store, resolve_options

    options = resolve_options(None)
    match parse_store(options.store):
        case KuboNode() as node:
            yield await _answers("content store", f"{node.url}/version", CONTENT_TODO, "POST")
        case Folder() as folder:
            yield _folder(folder.path)
        case None:
            yield await _answers("content store", client.network.upload_url, CONTENT_TODO)
    for url in (client.network.gateway_url, *options.gateways):
        yield await _answers(f"gateway {redact(url)}", url, GATEWAY_TODO)
    if write:
        yield await _stored(client)


def _folder(path: Path) -> Finding:
    """A folder in place of a service: it must be writable, and nobody else can read it."""
    inner = _existing(path)
    if not (inner.is_dir() and os.access(inner, os.W_OK)):
        todo = f"Mend that, or change {settings.CONTENT_STORE}."
        return Finding("content store", False, f"{path} is no folder that can be written", todo)
    todo = f"Providers cannot read it: unset {settings.CONTENT_STORE} to publish sources and tasks."
    return Finding("content store", True, f"the folder {path}", todo, warning=True)


async def _stored(client: AsyncClient) -> Finding:
    """Whether something stored comes back."""
    started = time.monotonic()
    try:
        link = await client.content.put_bytes(PROBE, "doctor.txt", "text/plain")
        came = await client.content.get_bytes(link)
    except ContentError as error:
        return Finding("content", False, error.message, error.hint or CONTENT_TODO)
    milliseconds = (time.monotonic() - started) * 1000
    if came != PROBE:  # checked by its CID before, too
        return Finding("content", False, "what came back is not what was stored", "Use another store.")
    return Finding("content", True, f"stored and came back in {milliseconds:.0f} ms")


async def management(client: AsyncClient) -> Finding:
    """The management service, which tells of confirmed responses; one that is not ready yet is waited for."""
    todo = "Only get_confirmed_response needs it; everything else asks the chain."
    url = f"{client.network.management_url}/api/tasks/{NO_TASK}"
    deadline = time.monotonic() + STARTING
    while True:
        left = max(1.0, deadline - time.monotonic())
        finding, status = await _asked("management service", url, todo, "GET", left)
        if status != 503 or left <= 1:
            return finding
        await asyncio.sleep(AGAIN)


async def _answers(check: str, url: str, todo: str, method: str = "GET") -> Finding:
    """Whether an HTTP server answers at all; what it answers does not matter."""
    return (await _asked(check, url, todo, method, TIMEOUT))[0]


async def _asked(check: str, url: str, todo: str, method: str, timeout: float) -> tuple[Finding, int | None]:
    """The same, with the status of the answer."""
    import aiohttp

    started, where = time.monotonic(), redact(url)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout)) as session,
            session.request(method, url, allow_redirects=False) as response,
        ):
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return Finding(check, False, f"{where} does not answer: {type(error).__name__}", todo), None
    milliseconds = (time.monotonic() - started) * 1000
    if status >= 500:
        return Finding(check, False, f"{where} answers HTTP {status}", todo), status
    return Finding(check, True, f"{where} answers, {milliseconds:.0f} ms"), status


async def journal_at(where: str | Path) -> Finding:
    """The journal: whether it can be written, and what is open in it."""
    from ogpu.tx.journal import Journal, State
    from ogpu.tx.journal.place import place_of

    place = place_of(where)
    if place.path is not None and not _can_be_written(place.path):
        return Finding(
            "journal", False, f"{place.name} cannot be written", "Change its rights, or OGPU_JOURNAL."
        )
    if not place.exists:
        return Finding("journal", True, f"{place.name}, not made yet")
    journal = Journal(where)
    try:
        pending: list[Any] = await journal.list(states=[State.PENDING], limit=1000)
    except OGPUError as error:
        return Finding("journal", False, error.message, error.hint or "Name another: OGPU_JOURNAL.")
    finally:
        await journal.close()
    if pending:
        todo = "`ogpu tx ls --state pending` lists them, `ogpu tx recover` sends them again and waits."
        return Finding("journal", True, f"{place.name}, {len(pending)} open transactions", todo, warning=True)
    return Finding("journal", True, f"{place.name}, nothing is open")


def _existing(path: Path) -> Path:
    """A path, or the innermost of the folders above it that is there."""
    return next((each for each in (path, *path.parents) if each.exists()), Path("/"))


def _can_be_written(path: Path) -> bool:
    """Whether a file can be written, or made with the folders above it."""
    there = _existing(path)
    return os.access(there, os.W_OK) and (there == path or there.is_dir())
