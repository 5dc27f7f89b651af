"""The examples of each role's flow, unchanged, one after the other as a user would run them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.examples import EXAMPLES, found, run
from tests.support.localnet import RunningNetwork
from tests.support.market import PRICE, source_info, task_info
from tests.support.past import COIN, Person, chain_time, pair, pass_time, person

from ogpu import Client
from ogpu.types import Environment, TaskStatus

Example = Callable[..., str]
ADDRESS = r"(0x[0-9a-fA-F]{40})"


@pytest.fixture
def client(bare: RunningNetwork) -> Iterator[Client]:
    with Client(private_key=bare.key(), journal=":memory:") as found:
        yield found


@pytest.fixture
def example(bare: RunningNetwork, tmp_path: Path) -> Example:
    """Runs an example by its name; the network's own keys are those of the roles, unless one is given."""

    def as_user(name: str, *arguments: str, **keys: str) -> str:
        roles = {role: keys.get(role) or bare.key(role) for role in ("client", "provider", "master", "agent")}
        variables = {f"{role.upper()}_PRIVATE_KEY": key for role, key in roles.items()}
        variables["OGPU_JOURNAL"] = str(tmp_path / "journal.sqlite3")  # this chain is wound back
        return run(EXAMPLES / name, bare, *arguments, environment=variables)

    return as_user


@pytest.fixture
def source(client: Client) -> str:
    return client.publish_source(source_info())


def bid(client: Client, network: RunningNetwork, task: str, price: int) -> Person:
    """A new provider that has answered the task at a price."""
    master, worker = person(network), person(network)
    pair(client, master, worker)
    provider = client.provider(worker.address)
    provider.register(client.task(task).source(), Environment.CPU, private_key=worker.key)
    provider.attempt(task, price, private_key=worker.key)
    provider.submit_response(task, f"answer for {price}", price, private_key=worker.key)
    return worker


def test_stake_is_put_in_and_taken_out_after_its_time(bare: RunningNetwork, example: Example) -> None:
    saver = person(bare)
    said = example("stake.py", client=saver.key)
    assert said.startswith(f"Balance: {5 * COIN}, stake: {12 * COIN}, unbonding: {8 * COIN}\n")
    pass_time(bare, int(found(r"claimed in (\d+) seconds", said)))
    assert example("claim.py", client=saver.key) == f"Balance: {5 * COIN}, stake: {12 * COIN}, unbonding: 0\n"


def test_a_master_and_a_provider_are_paired_and_parted(bare: RunningNetwork, example: Example) -> None:
    boss, worker = person(bare), person(bare)
    said = example("pairing.py", boss.address, worker.address, master=boss.key, provider=worker.key)
    stake = f"stake: {20 * COIN}"
    assert said.splitlines() == [f"Master: {boss.address}, {stake}", f"Master: None, {stake}"]


def test_an_agent_acts_for_a_client(
    bare: RunningNetwork, client: Client, example: Example, source: str
) -> None:
    bid(client, bare, task := client.publish_task(task_info(source)), PRICE)
    (response,) = client.get_task_responses(task)
    said = example("client_agent.py", bare.address("agent"), response.address)
    published = found(f"Source of {bare.address()}: {ADDRESS}", said)
    assert client.get_source(published).client == bare.address()
    assert said.endswith("Task: CANCELED\nResponse: CONFIRMED\n")
    assert client.get_task(task).status is TaskStatus.FINALIZED


def test_an_agent_works_for_a_master_s_provider(
    bare: RunningNetwork, client: Client, example: Example, source: str
) -> None:
    task = client.publish_task(task_info(source))
    master, provider = bare.address("master"), bare.address("provider")
    said = example("master_agent.py", master, provider, task)
    assert said.splitlines() == ["The network's agent acts for it: False", f"Attempts: ['{provider}']"]


def test_a_service_is_changed_and_ended(bare: RunningNetwork, example: Example) -> None:
    assert example("source_life.py", bare.address("provider")).splitlines() == [
        f"Registered: ['{bare.address('provider')}']",
        f"Least payment: {2 * 10**15}",
        "Status: INACTIVE",
    ]


def test_payments_come_back_on_all_three_ways(
    bare: RunningNetwork, client: Client, example: Example, source: str
) -> None:
    provider, before = bare.address("provider"), client.vault.balance_of(bare.address())
    client.provider(provider).register(source, Environment.CPU, private_key=bare.key("provider"))
    dropped, abandoned, late = (client.publish_task(task_info(source, n=n)) for n in range(3))
    assert example("cancel.py", dropped) == "Status: CANCELED, held: 0\n"
    assert example("attempt.py", provider, abandoned) == "Attempts: 1\n"
    pass_time(bare, client.get_task(late).expiry_time - chain_time(bare))
    assert example("refund.py", abandoned) == "Status: EXPIRED, held: 0\n"
    assert example("attempt.py", provider, late).startswith("Too late: ")
    assert client.vault.balance_of(bare.address()) == before


def test_the_cheapest_bid_is_chosen(
    bare: RunningNetwork, client: Client, example: Example, source: str
) -> None:
    task = client.publish_task(task_info(source))
    prices = (PRICE, PRICE // 4, PRICE // 2)
    workers = [bid(client, bare, task, price) for price in prices]
    assert example("choose_bid.py", task).splitlines() == [
        *(f"{w.address} asks {p}: answer for {p}" for w, p in zip(workers, prices, strict=True)),
        f"Winner: {workers[1].address}",
    ]


def test_the_first_response_is_final(working_network: RunningNetwork) -> None:
    said = run(EXAMPLES / "first_response.py", working_network).splitlines()
    assert said[0] == "Status: FINALIZED, confirmed: True"
    assert ast.literal_eval(said[1]) == {"text": "Hello"}
