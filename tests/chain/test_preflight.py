"""What would fail is found before anything is uploaded or sent, and said as a typed error with its facts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import PRICE, source_info, task_info

from ogpu.client import ImageEnvironments, TaskInfo, TaskInput, publish_source, publish_task
from ogpu.errors import (
    ConfigurationError,
    ContractMissing,
    InsufficientFunds,
    InsufficientVaultBalance,
    InvalidAddress,
    InvalidExpiry,
    InvalidInput,
    KeyMalformed,
    KeyMissing,
    NoEnvironment,
    NotEligible,
    NotJSON,
    OGPUError,
    PaymentTooLow,
    SourceInactive,
    TransactionError,
    WrongContract,
)

MISTYPED = "0xF87bb2f3edB991a998992f14d35fE142e6Bb50b2"  # the last digit is wrong
STRANGER = "0x" + "5a" * 32  # a key whose account has nothing


@pytest.fixture
def untouched(
    bare: RunningNetwork, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[], str]]:
    """Publishes a source to work with; from then on nothing may be sent, and an upload would fail."""
    blocks: list[str] = []

    def begin() -> str:
        source = publish_source(source_info())
        deaf = bare.document
        deaf["content"]["upload_url"] = "http://127.0.0.1:9/file/create"
        file = tmp_path / "deaf.json"
        file.write_text(json.dumps(deaf))
        monkeypatch.setenv("OGPU_NETWORK_FILE", str(file))
        blocks.append(bare.rpc("eth_blockNumber"))
        return source

    yield begin
    assert blocks == [bare.rpc("eth_blockNumber")]
    assert int(bare.rpc("txpool_status")["pending"], 16) == 0


def test_a_payment_under_the_price(untouched: Callable[[], str]) -> None:
    info = task_info(untouched())
    info.payment = 5
    with pytest.raises(PaymentTooLow, match=r"0\.001 OGPU") as caught:
        publish_task(info)
    assert caught.value.facts == {"payment": 5, "min_payment": 10**15}
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(("ahead", "text"), [(-10, "in the past"), (10**6, "allows at most 86400 s")])
def test_an_expiry_that_is_past_or_too_far(untouched: Callable[[], str], ahead: int, text: str) -> None:
    info = task_info(untouched())
    info.expiryTime = int(time.time()) + ahead
    with pytest.raises(InvalidExpiry, match=text) as caught:
        publish_task(info)
    assert caught.value.facts["max_expiry_duration"] == 86400


def test_an_expiry_at_the_limit_is_taken_on_a_chain_that_was_idle(working: RunningNetwork) -> None:
    source = publish_source(source_info(maxExpiryDuration=3600))
    latest = int(working.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    wait_until(lambda: time.time() > latest + 2)  # by more than a second of rounding on either side
    info = task_info(source)
    info.expiryTime = int(time.time()) + 3600
    publish_task(info)


def test_a_source_that_is_inactive(bare: RunningNetwork) -> None:
    source = publish_source(source_info())
    bare.transact("Nexus", "inactivateSource", source)
    with pytest.raises(SourceInactive, match=source):
        publish_task(task_info(source))


def test_an_address_without_a_contract(untouched: Callable[[], str]) -> None:
    untouched()
    with pytest.raises(ContractMissing, match="no contract at 0x1111"):
        publish_task(task_info("0x" + "11" * 20))


@pytest.mark.parametrize("other", ["VAULT", "NEXUS", "MANAGER", "CONTROLLER", "TERMINAL"])
def test_a_contract_that_is_no_source(bare: RunningNetwork, untouched: Callable[[], str], other: str) -> None:
    untouched()
    with pytest.raises(WrongContract, match="is no Source"):
        publish_task(task_info(bare.document["contracts"][other]))


def test_a_task_in_place_of_a_source(bare: RunningNetwork) -> None:
    task = publish_task(task_info(publish_source(source_info())))
    with pytest.raises(WrongContract):
        publish_task(task_info(task))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "0x",
        "0x12",
        "hello",
        "0x" + "g" * 40,
        "0x" + "1" * 41,
        None,
        5,
        "0xF87bb2f3edB991a998992f14d35fE142e6Bb50b2",
    ],
)
def test_what_is_no_address(untouched: Callable[[], str], address: str) -> None:
    untouched()
    with pytest.raises(InvalidAddress):
        publish_task(task_info(address))


def test_a_vault_balance_that_is_short(bare: RunningNetwork, untouched: Callable[[], str]) -> None:
    info = task_info(untouched())
    info.payment = 10**24
    with pytest.raises(
        InsufficientVaultBalance, match=r"client\.vault\.deposit\(\d+, role='client'\)"
    ) as caught:
        publish_task(info)
    facts = caught.value.facts
    assert facts["account"] == bare.address()
    assert facts["needed"] == 10**24
    assert facts["available"] == 10**22


def test_a_client_without_stake_may_not_publish_a_source(untouched: Callable[[], str]) -> None:
    untouched()
    with pytest.raises(NotEligible, match="lock") as caught:
        publish_source(source_info(), private_key=STRANGER)
    assert caught.value.facts["needed"] == 10 * 10**18
    assert caught.value.facts["available"] == 0


def test_a_client_with_stake_but_no_coin_for_gas(bare: RunningNetwork, untouched: Callable[[], str]) -> None:
    from eth_account import Account

    poor = Account.from_key(STRANGER).address
    bare.transact("Vault", "setWhitelist", poor, True, sender=bare.admin())
    untouched()
    with pytest.raises(InsufficientFunds, match=poor):
        publish_source(source_info(), private_key=STRANGER)


def test_a_task_s_client_with_a_balance_but_no_coin_for_gas(
    bare: RunningNetwork, untouched: Callable[[], str]
) -> None:
    from eth_account import Account

    poor = Account.from_key(STRANGER).address
    bare.transact("Vault", "deposit", poor, value=10**18)
    info = task_info(untouched())
    with pytest.raises(InsufficientFunds, match=poor):
        publish_task(info, private_key=STRANGER)


def test_gas_that_would_cost_a_fortune_is_not_paid(bare: RunningNetwork) -> None:
    source = publish_source(source_info())
    bare.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**15))  # a million gwei
    bare.rpc("evm_mine")
    block = bare.rpc("eth_blockNumber")
    with pytest.raises(TransactionError, match="its gas would cost up to") as caught:
        publish_task(task_info(source))
    assert caught.value.facts["cost"] > caught.value.facts["most"] == 100 * 10**18
    assert bare.rpc("eth_blockNumber") == block
    bare.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))  # winding the chain back does not undo it
    bare.rpc("evm_mine")


def test_a_source_without_an_environment(untouched: Callable[[], str]) -> None:
    untouched()
    with pytest.raises(NoEnvironment):
        publish_source(source_info(imageEnvs=ImageEnvironments()))


class Model(BaseModel):
    text: str


@pytest.mark.parametrize(
    "data",
    [{"a": {1, 2}}, {"a": [1, {"b": object()}]}, {"a": float("nan")}, {"a": b"bytes"}, {1: "number as key"}],
)
def test_data_that_is_no_json(untouched: Callable[[], str], data: dict[str, object]) -> None:
    source = untouched()
    with pytest.raises(NotJSON, match="data"):
        publish_task(TaskInfo(source, TaskInput("echo", data), int(time.time()) + 60, PRICE))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payment", 0.01),
        ("payment", "1"),
        ("payment", -1),
        ("payment", 2**256),
        ("expiryTime", 1e9),
        ("payment", True),
    ],
)
def test_amounts_that_are_no_whole_numbers(untouched: Callable[[], str], field: str, value: object) -> None:
    info = task_info(untouched())
    setattr(info, field, value)
    with pytest.raises(InvalidInput, match=field):
        publish_task(info)


def test_data_that_is_neither_dictionary_nor_model(untouched: Callable[[], str]) -> None:
    info = task_info(untouched())
    info.config = TaskInput("echo", ["a", "list"])  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="list"):
        publish_task(info)


@pytest.mark.parametrize(
    "key", ["secret-canary", "0x" + "zz" * 32, "0x" + "00" * 32, "0x" + "ff" * 32, "", "0x12"]
)
def test_a_malformed_key_is_never_shown(untouched: Callable[[], str], key: str) -> None:
    source = untouched()
    with pytest.raises(KeyMalformed) as caught:
        publish_task(task_info(source), private_key=key)
    assert isinstance(caught.value, ValueError)
    assert not key or key not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_key_says_which_variable_and_how(bare: RunningNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIENT_PRIVATE_KEY")
    with pytest.raises(KeyMissing, match="CLIENT_PRIVATE_KEY") as caught:
        publish_source(source_info())
    assert isinstance(caught.value, ValueError)


def test_a_dotenv_file_sets_the_key_and_the_environment_wins(
    bare: RunningNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_text(f"CLIENT_PRIVATE_KEY={bare.key()}\n")
    monkeypatch.delenv("CLIENT_PRIVATE_KEY")
    assert publish_source(source_info())
    monkeypatch.setenv("CLIENT_PRIVATE_KEY", "nonsense")
    with pytest.raises(KeyMalformed):
        publish_source(source_info())


def test_an_account_object_is_a_key(bare: RunningNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    from eth_account import Account

    monkeypatch.delenv("CLIENT_PRIVATE_KEY")
    assert publish_source(source_info(), private_key=Account.from_key(bare.key()))


def test_every_error_is_an_ogpu_error() -> None:
    assert issubclass(ConfigurationError, OGPUError)
    assert issubclass(ConfigurationError, ValueError)
