"""Amounts for people, and the checks that need no chain."""

from __future__ import annotations

import pickle

import pytest

from ogpu.errors import ContractReverted, InvalidInput, NotConfirmed, RPCFailed
from ogpu.protocol.checks import check_amount, coins
from ogpu.provider.runtime import chosen_environment, parse_order
from ogpu.types import Environment, ImageEnvironments, TaskInput, TaskStatus


@pytest.mark.parametrize(
    ("wei", "shown"),
    [
        (0, "0 OGPU (0 wei)"),
        (1, "0.000000000000000001 OGPU (1 wei)"),
        (10**16, "0.01 OGPU (10000000000000000 wei)"),
        (15 * 10**17, "1.5 OGPU (1500000000000000000 wei)"),
        (10**21, "1000 OGPU (1000000000000000000000 wei)"),
    ],
)
def test_amounts_are_exact(wei: int, shown: str) -> None:
    assert coins(wei) == shown


def test_a_fraction_says_what_is_meant() -> None:
    with pytest.raises(InvalidInput, match="wei"):
        check_amount(0.01, "payment")


def test_environments_follow_from_the_urls() -> None:
    assert ImageEnvironments(cpu="x", amd="y").environments == Environment.CPU | Environment.AMD
    assert not ImageEnvironments().environments


@pytest.mark.parametrize(
    ("offered", "own", "chosen"),
    [(7, 7, 1), (6, 7, 2), (4, 7, 4), (6, 1, None), (0, 7, None), (5, 4, 4)],
)
def test_a_provider_registers_with_one_environment(offered: int, own: int, chosen: int | None) -> None:
    assert chosen_environment(Environment(offered), Environment(own)) == chosen


@pytest.mark.parametrize(
    "config", [None, [], "x", {}, {"function_name": "f"}, {"function_name": 1, "data": {}}]
)
def test_a_config_that_is_no_order(config: object) -> None:
    from ogpu.errors import ContentInvalid

    with pytest.raises(ContentInvalid):
        parse_order(config)


def test_extra_fields_do_not_replace_the_two() -> None:
    assert TaskInput("f", {"a": 1}, seed=3).to_dict() == {"function_name": "f", "data": {"a": 1}, "seed": 3}
    with pytest.raises(TypeError):
        TaskInput("f", {}, function_name="g")  # type: ignore[misc]


def test_which_states_are_final() -> None:
    assert [status.name for status in TaskStatus if status.final] == ["CANCELED", "EXPIRED", "FINALIZED"]


@pytest.mark.parametrize(
    "error",
    [
        ContractReverted("a", reason="b", hint="c", facts={"d": 1}),
        NotConfirmed("a", facts={"b": 2}),
        RPCFailed("a", code=3, rpc_message="b", data="0x"),
    ],
)
def test_errors_go_between_processes_whole(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.__dict__ == error.__dict__
    assert str(again) == str(error)
