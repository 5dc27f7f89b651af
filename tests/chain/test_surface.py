"""Every view, function and event of the protocol has its call, and the call says what the contract says."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import itertools
import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import pytest
from tests.support.localnet import RunningNetwork
from tests.support.past import DEFAULT_AGENT, Past, lived
from tests.support.surface import (
    CLASSES,
    EVENTS,
    INTERFACE,
    OPEN,
    VIEWS,
    WRITES,
    call_of,
    name_of,
    namespace,
)
from web3 import Web3
from web3.exceptions import ContractLogicError, ContractPanicError

import ogpu.events
from ogpu import AsyncClient
from ogpu.errors import ContractReverted, InvalidInput
from ogpu.events import ProtocolEvent
from ogpu.networks import load_network_file
from ogpu.rpc.codec import ZERO_ADDRESS
from ogpu.types import Response

MISSING = (ContractLogicError, ContractPanicError)


def named(entries: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("contract", "signature"),
        entries,
        ids=[f"{contract}.{name_of(entry)}" for contract, entry in entries],
    )


@pytest.fixture(scope="module")
def world(bare_network: RunningNetwork) -> Iterator[Past]:
    with lived(bare_network) as found:
        yield found


@pytest.fixture(scope="module")
def web3(bare_network: RunningNetwork) -> Web3:
    return Web3(Web3.HTTPProvider(bare_network.url, cache_allowed_requests=True))  # the chain id


@cache
def abi(contract: str) -> Any:
    return json.loads(resources.files("ogpu").joinpath("abi", f"{contract}.json").read_text())["abi"]


def deployed_at(web3: Web3, contract: str, address: str) -> Any:
    return web3.eth.contract(address=Web3.to_checksum_address(address), abi=abi(contract))


def addresses(world: Past, contract: str) -> list[str]:
    """Where the world has contracts of a kind."""
    items = {"Source": world.sources, "Task": world.tasks, "Response": world.responses}
    core: str = world.network.document["contracts"].get(contract.upper(), "")
    return items.get(contract) or [core]


# --- a call for each entry


def test_the_interface_is_the_deployed_one(world: Past) -> None:
    """What is walked through here is in the code that the network runs, selector by selector."""
    for contract in CLASSES:
        code = world.network.rpc("eth_getCode", addresses(world, contract)[0], "latest")
        for signature, entry in INTERFACE[contract]["functions"].items():
            assert entry["selector"] == "0x" + Web3.keccak(text=signature)[:4].hex()
            assert entry["selector"][2:].lstrip("0") in code, signature


def filler(parameter: dict[str, Any], world: Past) -> Any:
    """An argument that is right in kind."""
    match parameter["type"]:
        case "address":
            return world.address("stranger")
        case "bool":
            return True
        case "string":
            return "text"
        case "tuple":
            return tuple(filler(part, world) for part in parameter["components"])
    return 1


@named([entry for entry in WRITES if entry not in OPEN])
def test_what_has_no_call_is_refused_to_every_user(
    world: Past, web3: Web3, contract: str, signature: str
) -> None:
    for address in addresses(world, contract):
        function = deployed_at(web3, contract, address).get_function_by_signature(signature)
        call = function(*(filler(each, world) for each in function.abi["inputs"]))
        for name in ("client", "other", "provider", "master", "agent", "stranger"):
            with pytest.raises(ContractLogicError) as failed:
                call.call({"from": world.address(name)})
            said = str(failed.value)
            own = web3.keccak(text="OwnableUnauthorizedAccount(address)")[:4].hex()
            stranded = web3.keccak(text="OwnableInvalidOwner(address)")[:4].hex()
            assert "NotOwner" in said or own in said or (contract == "Task" and stranded in said), said


def test_each_function_that_users_may_call_has_reached_the_chain_from_a_call_of_ours(world: Past) -> None:
    kinds = {address.lower(): contract for contract in CLASSES for address in addresses(world, contract)}
    by_selector = {
        (contract, entry["selector"]): (contract, signature)
        for contract in CLASSES
        for signature, entry in INTERFACE[contract]["functions"].items()
    }
    users = {user.address.lower() for user in world.people.values()}
    sent = set()
    for number in range(world.first_block, int(world.network.rpc("eth_blockNumber"), 16) + 1):
        for transaction in world.network.rpc("eth_getBlockByNumber", hex(number), True)["transactions"]:
            receipt = world.network.rpc("eth_getTransactionReceipt", transaction["hash"])
            if transaction["from"] in users and receipt["status"] == "0x1":
                sent.add(by_selector[kinds[transaction["to"]], transaction["input"][:10]])
    assert sent == set(OPEN)


# --- what the views say


def arguments(world: Past, web3: Web3, contract: str, address: str, signature: str) -> list[tuple[Any, ...]]:
    """What to ask a view for: everybody and every item, each place of a list and the one past it."""
    inputs = INTERFACE[contract]["functions"][signature]["inputs"]
    there = [user.address for user in world.people.values()] + [
        world.sources[0],
        world.tasks[0],
        world.tasks[-1],
    ]
    who = [*there, addresses(world, "Controller")[0], DEFAULT_AGENT]
    places = list(range(longest(world, web3, contract, address) + 1))
    pools: dict[str, list[Any]] = {
        "address": who,
        "uint256": places,
        "bytes32": ["ipfs://answer 0 ünïcode", "ipfs://answer 1 ünïcode", ""],
    }
    wanted: list[list[Any]] = [pools[each["type"]] for each in inputs]
    return list(itertools.product(*wanted))


COUNTS = {"Nexus": "getSourceCount", "Source": "getTaskCount", "Task": "getAttemptCount"}


def longest(world: Past, web3: Web3, contract: str, address: str) -> int:
    if contract not in COUNTS:
        return 0
    counts = [COUNTS[contract], "getRegistrantCount"] if contract == "Source" else [COUNTS[contract]]
    deployed = deployed_at(web3, contract, address)
    return max(int(getattr(deployed.functions, count)().call()) for count in counts)


def plain(value: Any) -> Any:
    """What our client gave, in the words of web3; its type is checked on the way."""
    if isinstance(value, enum.IntEnum | enum.IntFlag):
        return int(value)
    if isinstance(value, Response):
        return value.address
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(plain(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, list):
        return [plain(each) for each in value]
    assert type(value) in (str, int, bool, bytes, type(None)), value
    return ZERO_ADDRESS if value is None else value


def asked(call: Any, *given: Any) -> Any:
    """A call's answer in plain words, or that there is nothing."""
    try:
        return plain(call(*given))
    except ContractReverted:
        return "nothing"


def told(function: Any, *given: Any) -> Any:
    """What web3 says of the same."""
    try:
        found = function(*given).call()
    except MISSING:
        return "nothing"
    return tuple(found) if isinstance(found, list) else found


RANGES = [(c, s) for c, s in VIEWS if s.endswith("(uint256,uint256)")]
OTHERS = [entry for entry in VIEWS if entry not in RANGES]


@named(OTHERS)
def test_a_view_says_what_web3_reads(world: Past, web3: Web3, contract: str, signature: str) -> None:
    answers = set()
    few = 2 if "address" in signature else None  # items of which everybody is asked for
    for address in addresses(world, contract)[:few]:
        ours = getattr(namespace(world.client, contract, address), call_of(contract, signature))
        deployed = deployed_at(web3, contract, address)
        theirs = deployed.get_function_by_signature(signature)
        for given in arguments(world, web3, contract, address, signature):
            hashed = [web3.keccak(text=each) for each in given] if "bytes32" in signature else given
            answer = asked(ours, *given)
            assert answer == told(theirs, *hashed), (address, given)
            answers.add(answer)
    assert answers - {"nothing"}


@named(RANGES)
def test_a_range_is_half_open_and_without_holes(
    world: Past, web3: Web3, contract: str, signature: str
) -> None:
    lengths = set()
    for address in addresses(world, contract):
        ours = getattr(namespace(world.client, contract, address), call_of(contract, signature))
        deployed = deployed_at(web3, contract, address)
        most = longest(world, web3, contract, address)
        whole: list[Any] = []
        for last in reversed(range(most)):
            found = told(deployed.get_function_by_signature(signature), 0, last)
            if found != "nothing":
                whole = list(found)
                break
        lengths.add(len(whole))
        there = [each for each in whole if each != ZERO_ADDRESS]
        assert plain(ours()) == there
        cut = there if name_of(signature) == "getResponsesOf" else whole
        for lower, upper in itertools.product(range(len(whole) + 2), [*range(len(whole) + 2), None]):
            if upper is not None and lower > upper:
                with pytest.raises(InvalidInput):
                    ours(lower, upper)
                continue
            assert plain(ours(lower, upper)) == [each for each in cut[lower:upper] if each != ZERO_ADDRESS]
    assert max(lengths) > 2 or contract == "Source"


def test_the_asynchronous_face_says_the_same(world: Past) -> None:
    async def compare() -> int:
        network, compared = load_network_file(world.network.file), 0
        async with AsyncClient(network, journal=":memory:") as client:
            for contract, signature in VIEWS:
                given = [each["type"] for each in INTERFACE[contract]["functions"][signature]["inputs"]]
                pools = {
                    "address": world.address("client"),
                    "bytes32": "ipfs://answer 0 ünïcode",
                    "uint256": 0,
                }
                values = [pools[kind] for kind in given]
                if (contract, signature) in RANGES:
                    values = []
                name, address = call_of(contract, signature), addresses(world, contract)[0]
                answer = await getattr(namespace(client, contract, address), name)(*values)
                assert answer == getattr(namespace(world.client, contract, address), name)(*values), signature
                compared += 1
        return compared

    assert asyncio.run(compare()) == len(VIEWS)


def test_snapshots_are_what_the_views_say_one_by_one(world: Past) -> None:
    client = world.client
    for user in world.people.values():
        account, vault, who = client.vault.account(user.address), client.vault, user.address
        assert (account.address, account.balance) == (who, vault.balance_of(who))
        assert (account.lockup, account.unbonding) == (vault.lockup_of(who), vault.unbonding_of(who))
        assert account.unbonding_matures == vault.unbonding_timestamp(who)
        assert (account.sanctioned, account.earned) == (vault.sanction_of(who), vault.total_earnings_of(who))
        assert (account.whitelisted, account.eligible) == (vault.is_whitelisted(who), vault.is_eligible(who))
        provider, terminal = client.provider(who).snapshot(), client.terminal
        assert (provider.address, provider.master) == (who, terminal.master_of(who))
        assert (provider.base_data, provider.live_data) == (
            terminal.base_data_of(who),
            terminal.live_data_of(who),
        )
        registered = [each for each in world.sources if client.source(each).registrant_id(who)]
        assert (list(provider.sources), provider.vault) == (registered, account)
        master = client.master(who).snapshot()
        assert (master.address, master.provider) == (who, terminal.provider_of(who))
        assert (master.default_agent_disabled, master.vault) == (
            terminal.default_agent_disabled(who),
            account,
        )
    for source in map(client.source, world.sources):
        there, params = source.snapshot(), source.params()
        assert there.status is source.status()
        assert (there.client, there.task_count, there.registrant_count) == (
            source.client(),
            source.task_count(),
            source.registrant_count(),
        )
        assert {name: getattr(there, name) for name in vars(there) if hasattr(params, name)} == {
            name: value for name, value in vars(params).items() if hasattr(there, name)
        }
        assert (there.metadata_url, there.environments) == (
            params.image_metadata_url,
            params.image_environments,
        )
    assert client.sources() == [client.source(each).snapshot() for each in world.sources]
    for task in map(client.task, world.tasks):
        now, terms = task.snapshot(), task.params()
        assert (now.source, now.config_url, now.expiry_time, now.payment) == dataclasses.astuple(terms)
        assert (now.client, now.delivery_method) == (task.owner(), task.delivery_method())
        assert (now.status, now.attempt_count) == (task.status(), task.attempt_count())
        assert now.winning_provider == task.winning_provider()
    for response in map(client.response, world.responses):
        told = response.snapshot()
        assert (told.task, told.provider, told.data, told.payment) == dataclasses.astuple(response.params())
        assert (told.status, told.timestamp) == (response.status(), response.timestamp())
        assert (told.confirmed, told.address) == (response.confirmed_final(), response.address)


# --- events


@named(EVENTS)
def test_events_are_read_back_as_web3_reads_them(
    world: Past, web3: Web3, contract: str, signature: str
) -> None:
    kind: Any = getattr(ogpu.events, name_of(signature))
    seen = 0
    for address in addresses(world, contract):
        ours = namespace(world.client, contract, address).events(kind)
        deployed = deployed_at(web3, contract, address)
        logs = deployed.events[name_of(signature)]().get_logs(from_block=0)
        assert [(place(each), plain_event(each)) for each in ours] == [
            (
                (
                    log.address,
                    log.blockNumber,
                    "0x" + log.blockHash.hex(),
                    "0x" + log.transactionHash.hex(),
                    log.logIndex,
                ),
                tuple(as_tuple(value) for value in log.args.values()),
            )
            for log in logs
        ]
        assert all(type(each) is kind for each in ours)
        seen += len(ours)
    assert seen


def as_tuple(value: Any) -> Any:
    """A struct in an event, which web3 gives by names."""
    return tuple(value.values()) if hasattr(value, "values") else value


def place(event: ProtocolEvent) -> tuple[Any, ...]:
    return dataclasses.astuple(event.place)[:-1]  # its time, that only a stream knows


def plain_event(event: Any) -> tuple[Any, ...]:
    return tuple(
        plain(getattr(event, field.name))
        for field in dataclasses.fields(event)
        if field.name not in ("place", "removed")
    )
