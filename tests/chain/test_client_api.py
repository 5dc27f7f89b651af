"""The functional API against a network with a provider, as programs use it."""

from __future__ import annotations

import time

import pytest
from pydantic import BaseModel
from tests.support.localnet import RunningNetwork, wait_until
from tests.support.market import PRICE, source_info, task_info

import ogpu.client as api
from ogpu import Client
from ogpu.errors import ContractMissing, ContractReverted, InvalidInput, NotConfirmed, TaskUnknown


def answered(task: str) -> list[api.Response]:
    found: list[api.Response] = wait_until(lambda: api.get_task_responses(task), what="the response")
    return found


def test_a_task_goes_from_publication_to_the_confirmed_result(working: RunningNetwork) -> None:
    source = api.publish_source(source_info())
    info = api.TaskInfo(
        source=source,
        config=api.TaskInput("analyze_sentiment", {"text": "What a wonderful day!"}),
        expiryTime=int(time.time()) + 3600,
        payment=PRICE,
    )
    task = api.publish_task(info)
    (response,) = answered(task)
    assert (response.task, response.provider, response.payment) == (task, working.address("provider"), PRICE)
    assert (response.status, response.confirmed) == (0, False)
    assert abs(response.timestamp - time.time()) < 60
    with pytest.raises(NotConfirmed, match="RESPONDED"):
        api.get_confirmed_response(task)

    tx_hash = api.confirm_response(response.address)
    assert working.rpc("eth_getTransactionReceipt", tx_hash)["status"] == "0x1"
    confirmed = api.get_confirmed_response(task)
    assert confirmed.address == response.address
    assert confirmed.data["data"] == response.data
    assert confirmed.data["address"] == response.address
    (now,) = api.get_task_responses(task)
    assert (now.status, now.confirmed) == (1, True)
    with Client() as client:
        assert client.fetch_result(now)["label"] == "positive"


def test_the_first_response_is_confirmed_by_itself(working: RunningNetwork) -> None:
    source = api.publish_source(source_info(deliveryMethod=api.DeliveryMethod.FIRST_RESPONSE))
    task = api.publish_task(task_info(source, n=[1, {"deep": "ünïcode ☂"}]))
    with Client() as client:
        response = client.wait_for_response(task, timeout=30)
        assert response.confirmed
        assert client.fetch_result(response) == {"n": [1, {"deep": "ünïcode ☂"}]}
    assert api.get_confirmed_response(task).address == response.address
    with pytest.raises(ContractReverted) as caught:
        api.confirm_response(response.address)
    assert caught.value.reason in ("AlreadyConfirmed", "AlreadyFinalized")


class Numbers(BaseModel):
    values: list[int]


def test_a_model_and_extra_fields_reach_the_config(working: RunningNetwork) -> None:
    source = api.publish_source(source_info())
    config = api.TaskInput("echo", Numbers(values=[1, 2**70]), model="small", seed=5)
    task = api.publish_task(api.TaskInfo(source, config, int(time.time()) + 600, PRICE))
    with Client() as client:
        link = client.get_task(task).config_url
        response = client.wait_for_response(task, timeout=30)
        assert client.fetch_result(response) == {"values": [1, 2**70]}
    assert link.startswith(working.document["content"]["gateway_url"])
    assert config.to_dict() == {
        "function_name": "echo",
        "data": {"values": [1, 2**70]},
        "model": "small",
        "seed": 5,
    }


def test_a_function_that_no_handler_has_is_said_and_the_task_stays_new(working: RunningNetwork) -> None:
    task = api.publish_task(task_info(api.publish_source(source_info()), "no_such_function"))
    wait_until(lambda: "no_such_function" in working.said(), what="the reason")
    assert "echo" in working.said().split("no_such_function")[1].splitlines()[0]
    assert api.get_task_responses(task) == []
    with Client() as client:
        client.cancel_task(task)
        assert client.get_task(task).status.name == "CANCELED"


def test_what_is_not_there_is_said(working: RunningNetwork) -> None:
    nowhere = "0x" + "11" * 20
    with pytest.raises(TaskUnknown):
        api.get_confirmed_response(nowhere)
    with pytest.raises(ContractMissing):
        api.get_task_responses(nowhere)
    with pytest.raises(ContractMissing):
        api.confirm_response(nowhere)
    with pytest.raises(TaskUnknown):
        api.get_confirmed_response(working.document["contracts"]["NEXUS"])


@pytest.mark.parametrize(("lower", "upper"), [(-1, None), (2, 1), (0, -1)])
def test_bounds_that_cannot_be(working: RunningNetwork, lower: int, upper: int | None) -> None:
    with pytest.raises(InvalidInput):
        api.get_task_responses("0x" + "11" * 20, lower, upper)


def test_another_s_task_cannot_be_confirmed(working: RunningNetwork) -> None:
    task = api.publish_task(task_info(api.publish_source(source_info())))
    (response,) = answered(task)
    with pytest.raises(ContractReverted, match="NotClient"):
        api.confirm_response(response.address, private_key=working.key("client", 1))


def test_chains_and_contracts(working: RunningNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    config = api.ChainConfig
    assert config.get_current_chain() is api.ChainId.OGPU_TESTNET  # the network file's name
    for name in ("NEXUS", "CONTROLLER", "TERMINAL", "VAULT", "MANAGER"):
        assert config.get_contract_address(name) == working.document["contracts"][name]
    config.set_chain(api.ChainId.OGPU_MAINNET)
    assert config.get_current_chain() is api.ChainId.OGPU_MAINNET
    assert config.get_contract_address("NEXUS") == "0x2b0cC6058313801D5feb184a539e3a0C5A87a6a1"
    config.set_chain(api.ChainId.OGPU_TESTNET)
    assert config.get_contract_address("NEXUS") == working.document["contracts"]["NEXUS"]
    with pytest.raises(ValueError, match="NEXUSS"):
        config.get_contract_address("NEXUSS")
    with pytest.raises(ValueError, match="ogpu up"):
        config.set_chain(api.ChainId.OGPU_LOCAL)  # no network file names it now
    with pytest.raises(ValueError, match="42"):
        config.set_chain(42)  # type: ignore[arg-type]
    assert config.get_all_supported_chains() == list(api.ChainId)
    monkeypatch.delenv("OGPU_NETWORK_FILE")
    monkeypatch.setattr(api.default, "_selected", None)
    assert config.get_contract_address("NEXUS") == "0xF87bb2f3edB991a998992f14d35fE142e6Bb50b1"
