"""Each call is signed by the key of its role, or by the one that it names; no key is guessed for money."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.localnet import RunningNetwork
from tests.support.market import PRICE, source_info, task_info
from tests.support.past import COIN, pass_time, person
from tests.support.surface import CORE, OPEN, call_of, ids

from ogpu import Client
from ogpu.errors import ContractMissing, InvalidInput, KeyMissing
from ogpu.sync import Master, Provider
from ogpu.types import Environment, ResponseParams, SourceParams, TaskParams

ROLES = ("client", "provider", "master", "agent")
NO_ROLE = [entry for entry in OPEN if entry[0] == "Vault" or entry[1].startswith("setAgent")]


@pytest.fixture
def keys(bare: RunningNetwork, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The keys of all four roles in the environment; the addresses."""
    for role in ROLES:
        monkeypatch.setenv(f"{role.upper()}_PRIVATE_KEY", bare.key(role))
    return {role: bare.address(role) for role in ROLES}


@pytest.fixture
def client(keys: dict[str, str]) -> Iterator[Client]:
    with Client() as found:
        yield found


def head(network: RunningNetwork) -> int:
    return int(network.rpc("eth_blockNumber"), 16)


def sender_of(network: RunningNetwork, call: Callable[[], Any]) -> tuple[str, Any]:
    """Who has signed the one transaction that a call sends, as the chain says; and what the call gives."""
    before = head(network)
    given = call()
    blocks = [network.rpc("eth_getBlockByNumber", hex(n), True) for n in range(before + 1, head(network) + 1)]
    (transaction,) = [transaction for block in blocks for transaction in block["transactions"]]
    return str(transaction["from"]), given


class Signed:
    """Calls one after the other, and whose signature each is found to have."""

    def __init__(self, network: RunningNetwork, keys: dict[str, str]) -> None:
        self._network = network
        self._keys = keys
        self.roles: list[str] = []

    def __call__(self, role: str, call: Callable[[], Any]) -> Any:
        sender, given = sender_of(self._network, call)
        assert sender == self._keys[role].lower(), f"call {len(self.roles)} is not signed by the {role}"
        self.roles.append(role)
        return given


def terms(client: str) -> SourceParams:
    return SourceParams(client, "ipfs://metadata", Environment.CPU, 10**15, 0, 86400)


def due() -> int:
    return int(time.time()) + 3600


def test_each_call_is_signed_by_the_key_of_its_role(
    bare: RunningNetwork, keys: dict[str, str], client: Client
) -> None:
    signed = Signed(bare, keys)
    me, provider, master, agent = (keys[role] for role in ROLES)
    nexus, controller, terminal, vault = client.nexus, client.controller, client.terminal, client.vault

    source = signed("client", lambda: client.publish_source(source_info()))
    other = signed("client", lambda: nexus.publish_source(terms(me)))
    signed("client", lambda: nexus.update_source(other, terms(me)))
    signed("client", lambda: client.source(other).update(source_info()))
    signed("client", lambda: terminal.set_agent(agent, True, role="client"))
    signed("agent", lambda: nexus.update_source(other, terms(me), role="agent"))
    signed("client", lambda: client.source(other).transfer_ownership(me))
    signed("client", lambda: client.source(other).renounce_ownership())
    signed("agent", lambda: client.source(other).inactivate(role="agent"))

    signed("provider", lambda: nexus.register(source, provider, Environment.CPU))
    signed("master", lambda: nexus.unregister(source, provider, role="master"))
    signed("agent", lambda: client.provider(provider).register(source, Environment.CPU, role="agent"))
    signed("provider", lambda: client.provider(provider).unregister(source))
    signed("provider", lambda: client.provider(provider).register(source, Environment.CPU))

    task = signed("client", lambda: client.publish_task(task_info(source)))
    signed("provider", lambda: nexus.attempt(task, provider, PRICE))
    response = signed("provider", lambda: nexus.submit_response(ResponseParams(task, provider, "a", PRICE)))
    signed("client", lambda: controller.confirm_response(response))
    task = signed("client", lambda: controller.publish_task(TaskParams(source, "ipfs://c", due(), PRICE)))
    signed("master", lambda: client.provider(provider).attempt(task, PRICE, role="master"))
    response = signed("provider", lambda: client.provider(provider).submit_response(task, "b", PRICE))
    signed("agent", lambda: client.response(response).confirm(role="agent"))
    task = signed("client", lambda: client.publish_task(task_info(source, n=2)))
    signed("client", lambda: controller.cancel_task(task))
    task = signed("client", lambda: client.publish_task(task_info(source, n=3)))
    signed("agent", lambda: client.task(task).cancel(role="agent"))
    task = signed("client", lambda: client.publish_task(task_info(source, n=4)))
    signed("client", lambda: client.cancel_task(task))
    task = signed("client", lambda: client.publish_task(task_info(source, n=5)))
    signed("client", lambda: client.task(task).transfer_ownership(master))

    signed("provider", lambda: terminal.set_base_data("base"))
    signed("provider", lambda: client.provider(provider).set_live_data("live"))
    signed("master", lambda: terminal.set_default_agent_disabled(True))
    signed("master", lambda: client.master(master).set_default_agent_disabled(False))
    signed("master", lambda: client.master(master).set_agent(agent, False))
    signed("master", lambda: terminal.set_agent(agent, True, role="master"))
    signed("master", lambda: terminal.remove_container(provider, source))
    signed("master", lambda: client.master(master).remove_container(provider, source))
    signed("master", lambda: terminal.remove_provider(provider))
    signed("master", lambda: terminal.announce_provider(provider, COIN))
    signed("provider", lambda: terminal.announce_master(master))
    signed("master", lambda: client.master(master).remove_provider(provider))
    signed("provider", lambda: client.provider(provider).announce_master(master))
    signed("master", lambda: client.master(master).announce_provider(provider, 0))

    signed("client", lambda: vault.deposit(5, role="client"))
    signed("provider", lambda: vault.deposit(5, role="provider"))
    signed("master", lambda: vault.deposit(5, role="master"))
    signed("agent", lambda: vault.deposit(5, role="agent"))
    signed("agent", lambda: vault.lock(4, role="agent"))
    signed("agent", lambda: vault.unbond(3, role="agent"))
    signed("agent", lambda: vault.cancel_unbonding(role="agent"))
    signed("agent", lambda: vault.withdraw(1, role="agent"))
    signed("master", lambda: vault.lock(2, role="master"))
    signed("master", lambda: vault.unbond(2, role="master"))
    pass_time(bare, vault.unbonding_period())
    signed("master", lambda: vault.claim(role="master"))
    signed("master", lambda: vault.force_release_payment(task, role="master"))
    assert vault.account(me).lockup == 0
    assert vault.account(agent).balance == 0
    assert set(signed.roles) == set(ROLES)


@pytest.mark.parametrize(("contract", "signature"), NO_ROLE, ids=ids(NO_ROLE))
def test_what_moves_money_or_rights_guesses_no_key(
    bare: RunningNetwork, keys: dict[str, str], client: Client, contract: str, signature: str
) -> None:
    call = getattr(getattr(client, contract.lower()), call_of(contract, signature))
    before = head(bare)
    with pytest.raises(KeyMissing) as failed:
        call(*values_for(call, keys["agent"]))
    assert "role='client'" in failed.value.hint
    assert "private_key=" in failed.value.hint
    assert head(bare) == before
    assert [int(bare.rpc("eth_getTransactionCount", a, "pending"), 16) for a in keys.values()] == [
        int(bare.rpc("eth_getTransactionCount", a, hex(before)), 16) for a in keys.values()
    ]


def test_a_client_with_a_key_of_its_own_signs_everything_with_it(
    bare: RunningNetwork, keys: dict[str, str]
) -> None:
    mine = person(bare)
    with Client(private_key=mine.key) as client:
        signed = Signed(bare, {**keys, "own": mine.address})
        signed("own", lambda: client.terminal.set_agent(keys["agent"], True))
        signed("own", lambda: client.terminal.set_base_data("base"))
        signed("own", lambda: client.provider(mine.address).set_live_data("live"))
        signed("own", lambda: client.terminal.set_default_agent_disabled(True))
        signed("own", lambda: client.master(mine.address).set_agent(keys["agent"], False))
        signed("own", lambda: client.master(mine.address).set_default_agent_disabled(False))
        signed("own", lambda: client.vault.deposit(20 * COIN))
        assert client.vault.balance_of(mine.address) == 20 * COIN
        signed("own", lambda: client.vault.lock(20 * COIN))
        signed("own", lambda: client.nexus.publish_source(terms(mine.address)))
        signed("provider", lambda: client.vault.deposit(1, role="provider"))
        signed("agent", lambda: client.vault.deposit(1, private_key=bare.key("agent")))


def test_a_call_s_own_key_is_used_whatever_the_environment_says(
    bare: RunningNetwork, keys: dict[str, str], client: Client
) -> None:
    mine = person(bare)
    signed = Signed(bare, {**keys, "own": mine.address})
    signed("own", lambda: client.vault.deposit(7, private_key=mine.key))
    signed("own", lambda: client.terminal.set_live_data("live", private_key=mine.key))
    signed("own", lambda: client.master(mine.address).set_agent(keys["agent"], True, private_key=mine.key))
    assert client.vault.balance_of(mine.address) == 7


@pytest.mark.parametrize("role", ROLES)
def test_a_role_without_a_key_says_which_variable_to_set(
    bare: RunningNetwork, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch, role: Any
) -> None:
    monkeypatch.delenv(f"{role.upper()}_PRIVATE_KEY")
    with Client() as client, pytest.raises(KeyMissing, match=f"{role.upper()}_PRIVATE_KEY"):
        client.vault.deposit(1, role=role)


def test_a_key_that_changes_in_the_environment_is_noticed(
    bare: RunningNetwork, keys: dict[str, str], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = person(bare)
    signed = Signed(bare, {**keys, "own": mine.address})
    signed("provider", lambda: client.terminal.set_live_data("1"))
    monkeypatch.setenv("PROVIDER_PRIVATE_KEY", mine.key)
    signed("own", lambda: client.terminal.set_live_data("2"))


@pytest.mark.parametrize(("contract", "signature"), OPEN, ids=ids(OPEN))
def test_a_key_and_a_role_are_too_much(
    bare: RunningNetwork, keys: dict[str, str], client: Client, contract: str, signature: str
) -> None:
    space = getattr(client, contract.lower())
    space = space if contract in CORE else space(keys["client"])
    call = getattr(space, call_of(contract, signature))
    before = head(bare)
    with pytest.raises(InvalidInput, match="both say who signs"):
        call(*values_for(call, keys["client"]), private_key=bare.key(), role="client")
    with pytest.raises(InvalidInput, match="role is"):
        call(*values_for(call, keys["client"]), role="nobody")
    assert head(bare) == before


def test_an_update_by_two_keys_uploads_nothing(
    bare: RunningNetwork, keys: dict[str, str], client: Client
) -> None:
    nowhere = client.source(keys["client"])  # reading it would fail, and so would an upload of this
    with pytest.raises(InvalidInput, match="both say who signs"):
        nowhere.update(source_info(), private_key=bare.key(), role="client")
    with pytest.raises(ContractMissing):
        nowhere.update(source_info())


def test_people_s_calls_refuse_a_key_and_a_role_too(
    bare: RunningNetwork, keys: dict[str, str], client: Client
) -> None:
    provider, tried = client.provider(keys["provider"]), 0
    for name, method in inspect.getmembers(Provider, inspect.isfunction):
        if "role" in inspect.signature(method).parameters:
            call = getattr(provider, name)
            with pytest.raises(InvalidInput, match="both say who signs"):
                call(*values_for(call, keys["client"]), private_key=bare.key(), role="client")
            tried += 1
    assert tried == 4
    masters = [m for _, m in inspect.getmembers(Master, inspect.isfunction)]
    assert not any("role" in inspect.signature(method).parameters for method in masters)


def values_for(call: Any, address: str) -> list[Any]:
    """Arguments that are right in kind, for those that have no default."""
    kinds = {"str": address, "int": 1, "bool": True, "Environment": Environment.CPU}
    kinds |= {"SourceParams": terms(address), "TaskParams": TaskParams(address, "ipfs://c", due(), 1)}
    kinds |= {"ResponseParams": ResponseParams(address, address, "data", 1), "SourceInfo": source_info()}
    needed = [p for p in inspect.signature(call).parameters.values() if p.default is p.empty]
    return [kinds[str(parameter.annotation)] for parameter in needed]
