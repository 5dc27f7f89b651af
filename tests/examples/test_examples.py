"""Every example, unchanged, as a program of its own against a network that stands in for the testnet."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.examples import EXAMPLES, found, run
from tests.support.localnet import RunningNetwork, rpc, started, wait_until

ADDRESS = r"0x[0-9a-fA-F]{40}"
HASH = r"0x[0-9a-f]{64}"


def has_code(network: RunningNetwork, address: str) -> bool:
    """Whether there is a contract, asked without our own client."""
    return len(rpc(network.url, "eth_getCode", address, "latest")) > 2


@pytest.fixture(scope="module")
def source(working_network: RunningNetwork) -> str:
    return found(f"Source published at: ({ADDRESS})", run(EXAMPLES / "publish_source.py", working_network))


@pytest.fixture(scope="module")
def task(working_network: RunningNetwork, source: str) -> str:
    out = run(EXAMPLES / "publish_task.py", working_network, source)
    return found(f"Task published at: ({ADDRESS})", out)


def listed_responses(network: RunningNetwork, task: str) -> str:
    """What the example says of a task's responses, once there is one."""

    def said() -> str | None:
        out = run(EXAMPLES / "list_responses.py", network, task)
        return None if out == "0 responses\n" else out

    return str(wait_until(said, 60, f"an answer to {task}"))


def test_a_source_is_published(working_network: RunningNetwork, source: str) -> None:
    assert has_code(working_network, source)


def test_a_task_is_published_and_answered_and_its_response_confirmed(
    working_network: RunningNetwork, task: str
) -> None:
    assert has_code(working_network, task)

    listed = listed_responses(working_network, task)
    response = found(f"Response: ({ADDRESS})", listed)
    assert listed.startswith("1 responses\n")
    assert f"Provider: {working_network.address('provider')}" in listed
    assert "Status: 0" in listed
    link = found(r"Data: (http://127\.0\.0\.1:\d+/ipfs/Qm\w{44})", listed)

    none_yet = run(EXAMPLES / "confirmed_response.py", working_network, task, fails=True)
    assert "NotConfirmed" in none_yet
    assert task in none_yet

    confirmed = run(EXAMPLES / "confirm.py", working_network, response)
    transaction = found(f"Confirmed in transaction: ({HASH})\n", confirmed)
    assert rpc(working_network.url, "eth_getTransactionReceipt", transaction)["status"] == "0x1"

    assert "Status: 1" in run(EXAMPLES / "list_responses.py", working_network, task)
    shown = run(EXAMPLES / "confirmed_response.py", working_network, task)
    assert f"Response: {response}" in shown
    data = ast.literal_eval(found(r"Data: (\{.*\})", shown))
    assert data["address"] == response
    assert data["data"] == link


def test_chains(working_network: RunningNetwork) -> None:
    out = run(EXAMPLES / "chains.py", working_network)
    assert out.splitlines() == [
        "Current chain: OGPU_TESTNET",
        "Now: OGPU_MAINNET",
        "And again: OGPU_TESTNET",
        "OGPU_MAINNET: 1071",
        "OGPU_TESTNET: 200820172034",
        "OGPU_LOCAL: 1337",
    ]


def test_contracts(working_network: RunningNetwork) -> None:
    out = run(EXAMPLES / "contracts.py", working_network)
    contracts = working_network.document["contracts"]
    expected = [f"{name}: {contracts[name]}" for name in ("NEXUS", "CONTROLLER", "TERMINAL")]
    assert out.splitlines() == expected
    assert all(has_code(working_network, line.partition(": ")[2]) for line in expected)


def test_nonces(working_network: RunningNetwork, source: str) -> None:
    out = run(EXAMPLES / "nonces.py", working_network)
    mined = int(rpc(working_network.url, "eth_getTransactionCount", working_network.address(), "latest"), 16)
    assert f"Address: {working_network.address()}" in out
    assert f"Mined: {mined}, pending: {mined}, cached: {mined}" in out
    assert "are pending" not in out
    assert f"Next nonce: {mined}" in out
    assert out.endswith("Caches are cleared\n")


def test_the_first_program(working_network: RunningNetwork) -> None:
    assert run(EXAMPLES / "first_program.py", working_network) == "{'text': 'Hello, GPU'}\n"


def test_code_that_uses_an_executor(working_network: RunningNetwork) -> None:
    out = run(EXAMPLES / "executor.py", working_network)
    assert out.splitlines() == ["['one', 'three', 'two']", "['four', 'five']"]


def test_one_call_and_many_go_on_when_they_are_run_again(working_network: RunningNetwork) -> None:
    for _ in range(2):
        out = run(EXAMPLES / "run_map.py", working_network)
        assert out.splitlines() == ["Hello, GPU", "130 characters came back"]


def test_the_first_program_has_ten_lines() -> None:
    """As the README says: statements, with the imports and blank lines apart."""
    body = ast.parse((EXAMPLES / "first_program.py").read_text(encoding="utf-8")).body
    block = body[-1]
    assert isinstance(block, ast.With)
    assert block.end_lineno is not None
    assert block.end_lineno - block.lineno + 1 <= 10


@pytest.fixture(scope="module")
def own_handlers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    folder = tmp_path_factory.mktemp("handlers")
    with started(folder, "--handlers", str(EXAMPLES / "handlers.py")) as network:
        yield network


@pytest.mark.parametrize(
    ("function", "result"),
    [("shout", {"text": "HELLO, GPU"}), ("count_words", {"words": 2, "longest": "Hello,"})],
)
def test_the_handlers(own_handlers: RunningNetwork, function: str, result: dict[str, object]) -> None:
    """The first program, with another function's name, gets what `examples/handlers.py` makes of its text."""
    program = (EXAMPLES / "first_program.py").read_text(encoding="utf-8").replace('"echo"', f'"{function}"')
    assert ast.literal_eval(run(program, own_handlers)) == result


def test_the_handlers_prepare_themselves(own_handlers: RunningNetwork) -> None:
    assert "This runs once, before the first task" in own_handlers.said()


def test_every_example_is_tested() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    untested = [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in text]
    assert not untested
