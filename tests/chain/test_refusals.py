"""What a contract refuses is an error of its own kind, with what the chain had at that block."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.localnet import RunningNetwork
from tests.support.market import PRICE, core_of, through
from tests.support.proxy import Fault, Proxy, proxied
from tests.support.world import COIN, World, peopled

from ogpu import Client, errors
from ogpu.errors import ContractReverted, OGPUError
from ogpu.protocol.reverts import explained
from ogpu.types import Environment, ResponseParams, TaskParams, TaskStatus

NOBODY = "0x" + "11" * 20


@pytest.fixture(scope="module")
def world(bare_network: RunningNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """It is built once, and wound back at the end."""
    snapshot = bare_network.rpc("evm_snapshot")
    with peopled(bare_network, tmp_path_factory.mktemp("refusals") / "journal.sqlite3") as made:
        yield made
    bare_network.rpc("evm_revert", snapshot)


Refused = Callable[[World], Any]


def answer(world: World, task: str, who: str = "provider", data: str = "x", price: int = 1) -> Any:
    params = ResponseParams(task, world.people["provider"], data, price)
    return world.client.nexus.submit_response(params, **world.by(who))


def task_of(world: World, source: str, payment: int = PRICE, ahead: int = 600) -> Any:
    params = TaskParams(source, "https://h/x", int(time.time()) + ahead, payment)
    return world.client.controller.publish_task(params)


def register(world: World, source: str, who: str = "provider", environment: int = 1) -> Any:
    return world.client.nexus.register(
        source, world.people[who], Environment(environment), **world.by(who if who != "client" else "client")
    )


def attempt(world: World, task: str, price: int = 1, who: str = "provider") -> Any:
    return world.client.nexus.attempt(task, world.people["provider"], price, **world.by(who))


def balance_of(world: World, who: str = "client") -> int:
    return int(world.network.view("Vault", "getBalanceOf", world.people[who]), 16)


def stake(world: World, who: str) -> int:
    return int(world.network.view("Vault", "getLockupOf", world.people[who]), 16)


def terms(world: World, who: str) -> Any:
    return replace(world.client.source(world.source).params(), client=world.people[who])


# What is refused: the error, and the facts that it must have. Names of people stand for their addresses.
REFUSED: dict[str, tuple[Refused, type[OGPUError], dict[str, Any]]] = {
    "withdraw": (
        lambda w: w.client.vault.withdraw(10**30, **w.by("client")),
        errors.InsufficientVaultBalance,
        {"account": "client", "needed": 10**30, "available": balance_of},
    ),
    "lock": (
        lambda w: w.client.vault.lock(10**30, **w.by("stranger")),
        errors.InsufficientVaultBalance,
        {"account": "stranger", "needed": 10**30},
    ),
    "unbond": (
        lambda w: w.client.vault.unbond(10**30, **w.by("provider")),
        errors.InsufficientLockup,
        {"account": "provider", "needed": 10**30, "available": lambda w: stake(w, "provider")},
    ),
    "unbond nothing": (
        lambda w: w.client.vault.unbond(0, **w.by("provider")),
        errors.InsufficientLockup,
        {"needed": 0},
    ),
    "claim nothing": (
        lambda w: w.client.vault.claim(**w.by("client")),
        errors.NoUnbonding,
        {"account": "client", "unbonding": 0},
    ),
    "cancel nothing": (lambda w: w.client.vault.cancel_unbonding(**w.by("client")), errors.NoUnbonding, {}),
    "take back early": (
        lambda w: w.client.vault.force_release_payment(w.new, **w.by("client")),
        errors.TaskNotExpired,
        {"task": "new", "expiry": lambda w: w.client.task(w.new).expiry_time()},
    ),
    "take back another's": (
        lambda w: w.client.vault.force_release_payment(w.new, **w.by("stranger")),
        errors.NotClient,
        {"client": "client", "sender": "stranger", "task": "new"},
    ),
    "cancel another's": (
        lambda w: w.client.cancel_task(w.new, w.keys["stranger"]),
        errors.NotClient,
        {"client": "client", "sender": "stranger", "task": "new"},
    ),
    "cancel an attempted one": (
        lambda w: w.client.cancel_task(w.attempted),
        errors.InvalidStatus,
        {"task": "attempted", "status": TaskStatus.ATTEMPTED},
    ),
    "cancel a final one": (
        lambda w: w.client.cancel_task(w.final),
        errors.AlreadyFinalized,
        {"status": TaskStatus.FINALIZED},
    ),
    "confirm another's": (
        lambda w: w.client.confirm_response(w.response, w.keys["stranger"]),
        errors.NotClient,
        {"client": "client", "sender": "stranger", "task": "answered"},
    ),
    "confirm twice": (
        lambda w: w.client.confirm_response(w.paid),
        errors.AlreadyConfirmed,
        {"response": "paid", "task": "final", "confirmed": True, "status": TaskStatus.FINALIZED},
    ),
    "confirm nothing": (
        lambda w: w.client.controller.confirm_response(NOBODY),
        errors.ContractMissing,
        {"address": NOBODY, "expected": "Response"},
    ),
    "confirm a task": (
        lambda w: w.client.controller.confirm_response(w.new),
        errors.WrongContract,
        {"address": "new", "expected": "Response"},
    ),
    "attempt nothing": (lambda w: attempt(w, NOBODY), errors.ContractMissing, {"expected": "Task"}),
    "attempt a source": (lambda w: attempt(w, w.source), errors.WrongContract, {"expected": "Task"}),
    "attempt twice": (
        lambda w: attempt(w, w.attempted),
        errors.AlreadyAttempted,
        {"task": "attempted", "provider": "provider", "status": TaskStatus.ATTEMPTED},
    ),
    "attempt a canceled one": (
        lambda w: attempt(w, w.canceled),
        errors.InvalidStatus,
        {"status": TaskStatus.CANCELED},
    ),
    "attempt a final one": (lambda w: attempt(w, w.final), errors.AlreadyFinalized, {"task": "final"}),
    "attempt for more": (
        lambda w: attempt(w, w.new, PRICE + 1),
        errors.PriceTooHigh,
        {"price": PRICE + 1, "payment": PRICE},
    ),
    "attempt for another": (
        lambda w: attempt(w, w.new, who="stranger"),
        errors.NotAgent,
        {"provider": "provider", "sender": "stranger", "master": "master"},
    ),
    "attempt unregistered": (
        lambda w: w.client.nexus.attempt(w.new, w.people["stranger"], 1, **w.by("stranger")),
        errors.NotRegistered,
        {"provider": "stranger", "source": "source"},
    ),
    "answer unattempted": (
        lambda w: answer(w, w.new),
        errors.NotAttempted,
        {"task": "new", "provider": "provider", "status": TaskStatus.NEW},
    ),
    "answer twice": (
        lambda w: answer(w, w.answered),
        errors.AlreadySubmitted,
        {"provider": "provider", "response": "response"},
    ),
    "answer as another": (
        lambda w: answer(w, w.attempted, "stranger"),
        errors.NotProvider,
        {"provider": "provider", "sender": "stranger"},
    ),
    "answer for more": (
        lambda w: answer(w, w.attempted, price=PRICE * 2),
        errors.PriceTooHigh,
        {"price": PRICE * 2, "payment": PRICE},
    ),
    "register twice": (
        lambda w: register(w, w.source),
        errors.AlreadyRegistered,
        {"provider": "provider", "source": "source", "number": 1},
    ),
    "register unpaired": (
        lambda w: register(w, w.source, "stranger"),
        errors.NotProvider,
        {"provider": "stranger", "master": None},
    ),
    "register at an inactive source": (
        lambda w: register(w, w.closed),
        errors.SourceInactive,
        {"source": "closed"},
    ),
    "register at nothing": (lambda w: register(w, NOBODY), errors.ContractMissing, {"expected": "Source"}),
    "register at a task": (lambda w: register(w, w.new), errors.WrongContract, {"expected": "Source"}),
    "leave what one is not in": (
        lambda w: w.client.nexus.unregister(w.closed, w.people["provider"], **w.by("provider")),
        errors.NotRegistered,
        {"provider": "provider", "source": "closed"},
    ),
    "a task for too little": (
        lambda w: task_of(w, w.source, 5),
        errors.PaymentTooLow,
        {"payment": 5, "min_payment": 10**15},
    ),
    "a task for too much": (
        lambda w: task_of(w, w.source, 10**30),
        errors.InsufficientVaultBalance,
        {"account": "client", "needed": 10**30, "available": balance_of},
    ),
    "a task that is past": (lambda w: task_of(w, w.source, ahead=-5000), errors.InvalidExpiry, {}),
    "a task too far ahead": (
        lambda w: task_of(w, w.source, ahead=10**6),
        errors.InvalidExpiry,
        {"max_expiry_duration": 7200},
    ),
    "a task of an inactive source": (
        lambda w: task_of(w, w.closed),
        errors.SourceInactive,
        {"source": "closed"},
    ),
    "a source without stake": (
        lambda w: w.client.nexus.publish_source(terms(w, "agent"), **w.by("agent")),
        errors.NotEligible,
        {"account": "agent", "needed": 10 * COIN, "available": 0, "sources": 0},
    ),
    "a source for another": (
        lambda w: w.client.nexus.publish_source(terms(w, "client"), **w.by("stranger")),
        errors.NotClient,
        {"client": "client", "sender": "stranger"},
    ),
    "another's source": (
        lambda w: w.client.nexus.inactivate_source(w.source, **w.by("stranger")),
        errors.NotClient,
        {"client": "client", "sender": "stranger"},
    ),
    "end a source twice": (
        lambda w: w.client.nexus.inactivate_source(w.closed),
        errors.SourceInactive,
        {"source": "closed"},
    ),
    "pair again": (
        lambda w: w.client.terminal.announce_master(w.people["stranger"], **w.by("provider")),
        errors.AlreadyPaired,
        {"paired": "provider", "with": "master"},
    ),
    "pair with a paired one": (
        lambda w: w.client.terminal.announce_provider(w.people["provider"], 0, **w.by("stranger")),
        errors.AlreadyPaired,
        {"paired": "provider", "with": "master", "sender": "stranger"},
    ),
    "pair with oneself": (
        lambda w: w.client.terminal.announce_master(w.people["client"], **w.by("client")),
        errors.NotMaster,
        {"master": "client", "sender": "client"},
    ),
    "remove another's provider": (
        lambda w: w.client.terminal.remove_provider(w.people["provider"], **w.by("stranger")),
        errors.NotMaster,
        {"master": "master", "sender": "stranger"},
    ),
    "remove who is none": (
        lambda w: w.client.terminal.remove_provider(w.people["stranger"], **w.by("master")),
        errors.NotMaster,
        {"master": None, "provider": "stranger"},
    ),
    "an agent of a provider": (
        lambda w: w.client.terminal.set_agent(w.people["agent"], True, **w.by("provider")),
        errors.NotMaster,
        {"sender": "provider", "master": "master"},
    ),
    "give away another's task": (
        lambda w: w.client.task(w.new).transfer_ownership(w.people["agent"], **w.by("stranger")),
        errors.NotOwner,
        {"account": "stranger", "owner": "client"},
    ),
    "give a task to nobody": (
        lambda w: w.client.task(w.new).transfer_ownership("0x" + "00" * 20),
        errors.InvalidOwner,
        {"owner": "0x" + "00" * 20},
    ),
    "give away what is not there": (
        lambda w: w.client.task(NOBODY).transfer_ownership(NOBODY),
        errors.ContractMissing,
        {"address": NOBODY},
    ),
    "give away a source as a task": (
        lambda w: w.client.task(w.source).transfer_ownership(NOBODY),
        errors.WrongContract,
        {"expected": "Task"},
    ),
    "look past the last source": (lambda w: w.client.nexus.source_at(10**6), ContractReverted, {}),
    "look past the last attempt": (
        lambda w: w.client.task(w.new).attempter_at(0),
        ContractReverted,
        {"address": "new"},
    ),
}


def meant(world: World, value: Any) -> Any:
    """A fact of the table: the name of somebody or something stands for its address."""
    if callable(value):
        return value(world)
    return world.people.get(value) or getattr(world, value, value) if isinstance(value, str) else value


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_is_told_with_what_the_chain_had(world: World, what: str) -> None:
    call, kind, facts = REFUSED[what]
    block = world.network.rpc("eth_blockNumber")
    with pytest.raises(kind) as caught:
        call(world)
    error = caught.value
    assert type(error) is kind
    assert {name: error.facts.get(name, "missing") for name in facts} == {
        name: meant(world, value) for name, value in facts.items()
    }
    assert str(error).isprintable()
    if isinstance(error, ContractReverted) and not what.startswith("look"):  # which is no transaction
        assert error.facts["block"] == int(block, 16)
        assert error.hint.startswith("Nothing was sent.")
        assert error.reason
    assert world.network.rpc("eth_blockNumber") == block


# --- what depends on time


def test_what_unbonds_says_when_it_matures(world: World) -> None:
    world.client.vault.unbond(COIN, **world.by("provider"))
    with pytest.raises(errors.UnbondingNotElapsed, match="1 OGPU") as caught:
        world.client.vault.claim(**world.by("provider"))
    facts = caught.value.facts
    assert facts["unbonding"] == COIN
    assert facts["matures"] == world.client.vault.unbonding_timestamp(world.people["provider"])
    assert facts["matures"] - facts["now"] == world.client.vault.unbonding_period()
    assert caught.value.retryable
    world.client.vault.cancel_unbonding(**world.by("provider"))


def test_an_answer_after_the_end_says_when_that_was(world: World) -> None:
    expiry = world.client.task(world.attempted).expiry_time()
    snapshot = world.network.rpc("evm_snapshot")
    world.network.rpc("evm_setNextBlockTimestamp", expiry + 7)
    world.network.rpc("evm_mine")
    with pytest.raises(errors.SubmittedTooLate, match="expired 7 s before") as caught:
        answer(world, world.attempted)
    assert caught.value.facts["expiry"] == expiry
    assert caught.value.facts["now"] == expiry + 7
    assert isinstance(caught.value, errors.TaskExpired)
    world.network.rpc("evm_revert", snapshot)


# --- what was mined and failed, or cannot be explained


@dataclass
class Emptied:
    """A proxy before the node, and an account that the Vault's admin pays out just before its first send."""

    client: Client
    proxy: Proxy
    account: str
    balance: int


@pytest.fixture
def emptied(world: World, tmp_path: Path) -> Iterator[Emptied]:
    """What has been simulated with success fails on chain."""
    account, network = world.people["stranger"], world.network
    snapshot, balance = network.rpc("evm_snapshot"), balance_of(world, "stranger")
    done: list[str] = []

    def empty(method: str) -> None:
        if method == "eth_sendRawTransaction" and not done:
            done.append(method)
            network.transact("Vault", "emergencyExit", account, sender=network.admin())

    with proxied(network.url) as proxy:
        proxy.hold = empty
        settings: dict[str, Any] = {"private_key": world.keys["stranger"], "journal": tmp_path / "j.sqlite3"}
        with Client(through(network, proxy.url), **settings) as client:
            yield Emptied(client, proxy, account, balance)
    network.rpc("evm_revert", snapshot)


def test_a_call_that_failed_on_chain_is_explained_by_its_own_block(emptied: Emptied) -> None:
    with pytest.raises(errors.InsufficientVaultBalance, match="was mined and reverted") as caught:
        emptied.client.vault.withdraw(emptied.balance)
    error = caught.value
    assert error.reason == "InsufficientBalance"
    assert (
        error.facts.items() >= {"needed": emptied.balance, "available": 0, "account": emptied.account}.items()
    )
    assert error.facts["hash"].startswith("0x")
    assert error.data.startswith("0x08c379a0")
    assert "The Vault balance of" in error.message


def test_a_fact_that_cannot_be_read_is_left_out(world: World, emptied: Emptied) -> None:
    for _ in range(2):  # the first time it looks whether there is a Vault, too
        with pytest.raises(errors.InsufficientVaultBalance) as caught:
            emptied.client.vault.withdraw(10 * emptied.balance)
        emptied.proxy.order("eth_call", Fault.HTML, times=99)
    assert caught.value.facts.keys() == {"from", "to", "block"}
    assert caught.value.message == "Vault.withdraw would fail: InsufficientBalance."


CONTRADICTED: list[tuple[str, str, tuple[Any, ...], str]] = [
    ("Vault", "withdraw", (1,), "InsufficientBalance"),
    ("Vault", "unbond", (1,), "InsufficientLockup"),
    ("Vault", "claim", (), "UnbondingNotElapsed"),
    ("Nexus", "register", ("source", "provider", 1), "InsufficientLockup"),
    ("Nexus", "register", ("source", "provider", 1), "SourceInactive"),
    ("Nexus", "attempt", ("new", "provider", 1), "NotEligible"),
    ("Nexus", "attempt", ("new", "provider", 1), "InsufficientPayment"),
    ("Nexus", "attempt", ("new", "provider", 1), "NotProvider"),
    ("Nexus", "submitResponse", (("new", "provider", "x", 1),), "Expired"),
    ("Nexus", "submitResponse", (("new", "provider", "x", 1),), "AlreadySubmitted"),
    ("Nexus", "submitResponse", (("new", "provider", "x", 1),), "NotProvider"),
    ("Controller", "publishTask", (("source", "x", 2**32, PRICE),), "InsufficientPayment"),
    ("Controller", "cancelTask", ("new",), "NotClient"),
    ("Terminal", "announceMaster", ("stranger",), "AlreadyRegistered"),
]


@pytest.mark.parametrize(("contract", "function", "arguments", "reason"), CONTRADICTED)
def test_a_fact_that_explains_nothing_is_left_out(
    world: World, contract: str, function: str, arguments: tuple[Any, ...], reason: str
) -> None:
    """A later transaction of the same block may have changed what ours has met."""
    chain = core_of(world.client).chain
    who = "client" if function in ("cancelTask", "announceMaster", "publishTask") else "provider"
    call = chain.call(contract, function, *named(world, arguments))
    block = int(world.network.rpc("eth_blockNumber"), 16)
    refused = ContractReverted("It failed.", reason=reason, facts={"block": block})
    error = asyncio.run_coroutine_threadsafe(
        explained(chain, call, world.people[who], refused), world.client._portal._running()[1]
    ).result(10)
    assert isinstance(error, ContractReverted)
    assert (error.message, error.hint, error.reason) == ("It failed.", "", reason)
    assert not error.facts.keys() & {"available", "matures", "now", "min_payment", "response", "master"}


def named(world: World, values: tuple[Any, ...]) -> list[Any]:
    return [named(world, each) if isinstance(each, tuple) else meant(world, each) for each in values]


def test_what_nobody_knows_is_a_plain_revert_with_all_that_was_said(world: World) -> None:
    data = "0xdeadbeef" + "17" * 500
    chain = core_of(world.client).chain
    refused = ContractReverted("It failed.", reason="?", data=data, facts={"block": 1})
    call = chain.call("Vault", "withdraw", 1)
    error = asyncio.run_coroutine_threadsafe(
        explained(chain, call, NOBODY, refused), world.client._portal._running()[1]
    ).result(10)
    assert type(error) is ContractReverted
    assert (error.data, error.reason) == (data, "?")
