"""Each view, function and event of contracts/interface.json has a typed call, or a reason why it has none."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from typing import Any

import pytest
from tests.support.surface import (
    CLASSES,
    CLOSED,
    EVENTS,
    INTERFACE,
    NAMES,
    OPEN,
    PYTHON,
    VIEWS,
    WRITES,
    call_of,
    ids,
    name_of,
    snake,
)

import ogpu.events
from ogpu import errors
from ogpu.events import ProtocolEvent
from ogpu.protocol.contract import Contract

NEVER_REVERT = {"setBaseData", "setLiveData", "setDefaultAgentDisabled", "deposit"}
WHO = re.compile(r"\bFor (?!all |0|it )|\b([Aa]nybody|[Aa]nyone) |the sender")


def test_the_seven_contracts_are_all_but_the_manager() -> None:
    assert {*CLASSES, "Manager"} == INTERFACE.keys()
    assert len(VIEWS) + len(WRITES) + len(INTERFACE["Manager"]["functions"]) == 175


@pytest.mark.parametrize(("contract", "signature"), [*VIEWS, *OPEN], ids=ids([*VIEWS, *OPEN]))
def test_each_function_has_a_typed_call(contract: str, signature: str) -> None:
    calls = [getattr(face, call_of(contract, signature)) for face in CLASSES[contract]]
    assert [inspect.iscoroutinefunction(call) for call in calls] == [True, False]
    asynchronous, synchronous = (inspect.signature(call) for call in calls)
    assert asynchronous == synchronous
    notes = [asynchronous.return_annotation]
    for parameter in list(asynchronous.parameters.values())[1:]:
        assert parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        notes.append(parameter.annotation)
    assert all(note is not inspect.Parameter.empty and "Any" not in str(note) for note in notes), notes


@pytest.mark.parametrize(("contract", "signature"), OPEN, ids=ids(OPEN))
def test_each_transaction_can_name_who_signs_and_a_key_of_its_own(contract: str, signature: str) -> None:
    parameters = inspect.signature(getattr(CLASSES[contract][0], call_of(contract, signature))).parameters
    for name in ("private_key", "role", "idempotency_key"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is None


@pytest.mark.parametrize(("contract", "signature"), VIEWS, ids=ids(VIEWS))
def test_each_view_declares_the_type_that_the_interface_has(contract: str, signature: str) -> None:
    entry = INTERFACE[contract]["functions"][signature]
    given = inspect.signature(getattr(CLASSES[contract][0], call_of(contract, signature))).return_annotation
    expected = declared_by(signature, entry["outputs"])
    assert given == expected or (given, expected) == ("str | None", "str")  # the zero address is nobody


def declared_by(signature: str, outputs: list[dict[str, str]]) -> str:
    """What a view returns in Python; `sourceParams` has one output for each field of SourceParams."""
    if len(outputs) > 1:
        return name_of(signature)[0].upper() + name_of(signature)[1:]
    (output,) = outputs
    if output["type"].endswith("[]"):
        item = "Response" if name_of(signature) == "getResponsesOf" else PYTHON[output["type"][:-2]]
        return f"list[{item}]"
    return output.get("enum") or output.get("struct") or PYTHON.get(output["type"], "Environment")


@pytest.mark.parametrize(("contract", "signature"), EVENTS, ids=ids(EVENTS))
def test_each_event_has_a_typed_value(contract: str, signature: str) -> None:
    kind: Any = getattr(ogpu.events, name_of(signature))
    assert issubclass(kind, ProtocolEvent)
    assert kind.__dataclass_params__.frozen
    inputs = INTERFACE[contract]["events"][signature]["inputs"]
    own = [field.name for field in dataclasses.fields(kind) if field.name not in ("place", "removed")]
    assert own == [snake(each["name"]) for each in inputs]
    hints = typing.get_type_hints(kind)
    for each in inputs:
        expected = each.get("enum") or each.get("struct") or PYTHON.get(each["type"], "Environment")
        assert hints[snake(each["name"])].__name__ == expected
    for face in CLASSES[contract]:
        assert "kind: type[E]" in str(inspect.signature(vars(face).get("events") or Contract.events)).replace(
            "'", ""
        )


def test_no_reason_and_no_name_stands_for_what_is_not_there() -> None:
    functions = {
        contract: {name_of(entry) for of, entry in [*VIEWS, *WRITES] if of == contract}
        for contract in CLASSES
    }
    writes = {contract: {name_of(entry) for of, entry in WRITES if of == contract} for contract in CLASSES}
    assert not [name for contract in CLOSED for name in CLOSED[contract].keys() - writes[contract]]
    assert not [name for contract in NAMES for name in NAMES[contract].keys() - functions[contract]]
    assert all(reason for reasons in CLOSED.values() for reason in reasons.values())


@pytest.mark.parametrize(("contract", "signature"), OPEN, ids=ids(OPEN))
def test_each_transaction_says_who_may_call_and_what_it_reverts_with(contract: str, signature: str) -> None:
    doc = inspect.getdoc(getattr(CLASSES[contract][0], call_of(contract, signature))) or ""
    assert WHO.search(doc), doc
    told = {getattr(errors, name, None) for name in re.findall(r"`([A-Z]\w+)`", doc)}
    assert any(isinstance(kind, type) and issubclass(kind, errors.ContractReverted) for kind in told) != (
        name_of(signature) in NEVER_REVERT
    ), doc
