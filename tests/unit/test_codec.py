"""The codec beside web3 and eth-abi, and on what strangers and broken nodes give."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_abi.exceptions import DecodingError
from eth_abi.tools._strategies import get_abi_strategy
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import Web3

from ogpu.errors import InvalidAddress, RPCInvalidResponse
from ogpu.rpc import codec
from ogpu.rpc.codec import CONTRACTS, checked_address, checksum, decode_logs, interface
from ogpu.rpc.words import NotPlain, sequence

NEXUS = "0x2b0cC6058313801D5feb184a539e3a0C5A87a6a1"


DEPLOYED = Path(__file__).parents[2] / "contracts" / "interface.json"


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_selector_and_topic_is_the_deployed_one(contract: str) -> None:
    deployed = json.loads(DEPLOYED.read_text())["contracts"][contract]
    ours = interface(contract)
    selectors = {"0x" + function.selector.hex() for function in ours.functions.values()}
    assert selectors == {function["selector"] for function in deployed["functions"].values()}
    topics = {event.topic for event in ours.events.values()}
    assert topics == {event["topic"] for event in deployed.get("events", {}).values()}


@given(
    st.text(max_size=40),
    st.integers(0, 2**256 - 1),
    st.integers(0, 255),
    st.booleans(),
    st.binary(min_size=20, max_size=20),
)
def test_calldata_is_what_web3_makes(text: str, number: int, small: int, flag: bool, address: bytes) -> None:
    params = (checksum("0x" + address.hex()), text, small, number, number, number, flag, text, 1, number)
    abi = json.loads(resources.files("ogpu").joinpath("abi", "Nexus.json").read_text())["abi"]
    assert interface("Nexus").functions["publishSource"].encode(params) == Web3().eth.contract(
        abi=abi
    ).encode_abi("publishSource", args=[params])


@given(st.binary(min_size=20, max_size=20))
def test_addresses_are_spelled_as_eip_55_says(raw: bytes) -> None:
    address = "0x" + raw.hex()
    assert checksum(address) == Web3.to_checksum_address(address)
    assert checked_address(address) == Web3.to_checksum_address(address)


def test_a_mistyped_address_is_not_corrected() -> None:
    with pytest.raises(InvalidAddress, match="checksum"):
        checked_address(NEXUS[:-1] + "2")
    assert checked_address(NEXUS.lower()) == NEXUS
    assert checked_address("0x" + NEXUS[2:].upper()) == NEXUS


@pytest.mark.parametrize(
    "answer", ["0x", "0x12", "", None, 5, "0x" + "ff" * 32, "nonsense", "0x" + "00" * 31]
)
def test_an_answer_that_is_no_address_list(answer: object) -> None:
    with pytest.raises(RPCInvalidResponse, match="getSources"):
        interface("Nexus").functions["getSources"].decode(answer)


@given(st.binary(max_size=400))
def test_any_bytes_are_an_answer_or_a_typed_error(raw: bytes) -> None:
    try:
        interface("Source").functions["getSourceParams"].decode("0x" + raw.hex())
    except RPCInvalidResponse:
        pass


RESULTS = [
    interface(contract).functions[function].outputs
    for contract, function in (
        ("Source", "getSourceParams"),
        ("Response", "getResponseParams"),
        ("Task", "taskParams"),
        ("Task", "getResponsesOf"),
        ("Task", "getAttemptTimestamps"),
        ("Task", "getStatus"),
        ("Response", "confirmedFinal"),
        ("Manager", "CONTROLLER"),
    )
] + [interface("Nexus").events["SourceUpdated"].inputs]


@st.composite
def damaged(draw: st.DrawFn, raw: bytes) -> bytes:
    """The same data, or cut off, or followed by more, or with a byte or a word changed."""
    data, words = bytearray(raw), range(0, len(raw), 32)
    match draw(st.integers(0, 5)):
        case 1:
            del data[draw(st.integers(0, len(data))) :]
        case 2:
            data += draw(st.binary(max_size=70))
        case 3:
            data[draw(st.sampled_from(range(len(data))))] = draw(st.integers(0, 255))
        case 4:
            word = draw(st.integers(0, len(raw) + 33) | st.integers(2**255, 2**256 - 1))
            start = draw(st.sampled_from(words))
            data[start : start + 32] = word.to_bytes(32, "big")
        case 5:
            data[-1] = 1  # where a text is padded
    return bytes(data)


@settings(max_examples=300)
@given(st.data(), st.sampled_from(RESULTS))
def test_the_quick_decoding_says_what_eth_abi_says(
    data: st.DataObject, entries: Sequence[Mapping[str, Any]]
) -> None:
    types = [codec._type(entry) for entry in entries]
    raw = encode(types, data.draw(st.tuples(*map(get_abi_strategy, types))))
    values = codec._Values(entries)
    assert repr(sequence(entries, checksum)(raw)) == repr(values._exact(raw))  # True is not 1 there
    raw = data.draw(damaged(raw))
    try:
        exact = values._exact(raw)
    except (DecodingError, OverflowError) as error:
        with pytest.raises(type(error)):
            values.decode(raw)
    else:
        assert values.decode(raw) == exact


@pytest.mark.parametrize("contract", CONTRACTS)
def test_all_results_and_events_of_the_protocol_are_decoded_quickly(contract: str) -> None:
    functions, events = interface(contract).functions.values(), interface(contract).events.values()
    for entries in [*(f.outputs for f in functions if f.outputs), *(e.inputs for e in events)]:
        sequence(entries, checksum)  # raises NotPlain where it cannot


def test_lists_of_texts_are_left_to_eth_abi() -> None:
    entries = ({"type": "string[]", "name": ""}, {"type": "int8", "name": ""})
    with pytest.raises(NotPlain):
        sequence(entries, checksum)
    assert codec._Values(entries).decode(encode(["string[]", "int8"], [["a", "b"], -1])) == (["a", "b"], -1)


def test_only_the_contract_s_own_logs_count() -> None:
    event = interface("Nexus").events["SourcePublished"]
    log = {
        "address": NEXUS.lower(),
        "topics": [event.topic],
        "data": "0x" + encode(["address"], [NEXUS]).hex(),
    }
    stranger = {**log, "address": "0x" + "11" * 20}
    unknown = {**log, "topics": ["0x" + "22" * 32]}
    bare = {**log, "topics": []}
    assert decode_logs("Nexus", [stranger, log, unknown, bare], NEXUS) == [
        ("SourcePublished", {"source": NEXUS})
    ]
    with pytest.raises(RPCInvalidResponse, match="SourcePublished"):
        decode_logs("Nexus", [{**log, "data": "0x12"}], NEXUS)
