"""Reverts in all forms that contracts and nodes give them, and what becomes of the protocol's reasons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ogpu import errors
from ogpu.errors import ContractReverted, OGPUError, RPCFailed
from ogpu.protocol.reverts import KINDS, OF_FUNCTIONS, kind_of
from ogpu.rpc.codec import CONTRACTS, interface
from ogpu.rpc.reverts import decoded_revert, revert_of

NEXUS = "0x2b0cC6058313801D5feb184a539e3a0C5A87a6a1"
ROLE = "0x" + "ab" * 32


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("0x08c379a0" + encode(["string"], ["NotOwner"]).hex(), "NotOwner"),
        ("0x4e487b71" + encode(["uint256"], [0x32]).hex(), "Panic(0x32): index out of bounds"),
        ("0x4e487b71" + encode(["uint256"], [0x99]).hex(), "Panic(0x99): unknown code"),
        (
            "0x118cdaa7" + encode(["address"], [NEXUS]).hex(),
            f"OwnableUnauthorizedAccount({NEXUS})",
        ),
        ("0xdeadbeef", "unknown error 0xdeadbeef"),
        ("0x08c379a0ffff", "unknown error 0x08c379a0ffff"),
        ("0x", ""),
        (None, ""),
        ("zz", ""),
        ({"a": 1}, ""),
    ],
)
def test_reverts_in_words(data: object, words: str) -> None:
    assert decoded_revert(data).words == words


def test_a_stranger_s_reason_is_one_bounded_line() -> None:
    said = decoded_revert("0x08c379a0" + encode(["string"], ["\x1b[2J\n" + "a" * 5000]).hex()).words
    assert said.startswith(r"\x1b[2J\naaa")
    assert said.isprintable()
    assert len(said) < 330


def test_a_custom_error_s_arguments_have_their_names() -> None:
    data = "0xe2517d3f" + encode(["address", "bytes32"], [NEXUS, bytes.fromhex(ROLE[2:])]).hex()
    found = decoded_revert(data)
    assert (found.name, found.data) == ("AccessControlUnauthorizedAccount", data)
    assert found.arguments == {"account": NEXUS, "neededRole": ROLE}


@pytest.mark.parametrize("code", [0, 0x11, 0x32, 2**255])
def test_a_panic_s_code_is_a_number(code: int) -> None:
    assert decoded_revert("0x4e487b71" + encode(["uint256"], [code]).hex()).panic == code


def test_what_nobody_knows_is_kept_whole() -> None:
    data = "0xdeadbeef" + "17" * 5000
    found = decoded_revert(data)
    assert found.data == data
    assert len(found.words) < 310


REASON = "0x08c379a0" + encode(["string"], ["NotOwner"]).hex()


@pytest.mark.parametrize(
    ("said", "text", "words"),
    [
        (REASON, "execution reverted", "NotOwner"),
        (REASON.upper().replace("0X", "0x"), "execution reverted", "NotOwner"),
        ("Reverted " + REASON, "VM execution error.", "NotOwner"),
        ({"data": REASON, "message": "x"}, "VM Exception", "NotOwner"),
        (None, "execution reverted: NotOwner", "NotOwner"),
        (None, "execution reverted", ""),
        ("0x", "execution reverted", ""),
        (None, "execution reverted: \x1b[2J" + "a" * 1000, None),
    ],
)
def test_a_refusal_is_known_in_the_form_of_any_node(said: object, text: str, words: str | None) -> None:
    found = revert_of(RPCFailed("x", code=3, rpc_message=text, data=said))
    assert found is not None
    assert found.words.isprintable()
    assert len(found.words) < 330
    if words is not None:
        assert found.words == words


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: bytes.fromhex("08c379a0") + rest))
def test_any_bytes_are_words_and_no_exception(raw: bytes) -> None:
    found = decoded_revert("0x" + raw.hex())
    assert (found.words + found.name).isprintable()
    assert bool(found.words) <= (len(raw) >= 4)


# --- the protocol's reasons


def reasons() -> set[str]:
    """What the local network's contracts may say, found in their sources."""
    found: set[str] = set()
    for file in (Path(__file__).parents[2] / "contracts" / "src").rglob("*.sol"):
        text = file.read_text(encoding="utf-8")
        found |= set(re.findall(r'(?:require\([^;]*?, |revert\()"(\w+)"\)', text, re.DOTALL))
    return found


def test_every_reason_of_the_contracts_has_an_error_of_its_category() -> None:
    assert len(reasons()) >= 23
    custom = {error.name for name in CONTRACTS for error in interface(name).errors.values()}
    assert set(KINDS) == reasons() | custom


@pytest.mark.parametrize("error", dict.fromkeys([*KINDS.values(), *OF_FUNCTIONS.values()]))
def test_it_is_caught_as_a_revert_and_as_its_category(error: type[ContractReverted]) -> None:
    assert issubclass(error, ContractReverted)
    categories = (errors.InvalidInput, errors.StateError, errors.NotPermitted, errors.VaultError)
    assert sum(issubclass(error, category) for category in categories) == 1
    assert issubclass(error, ValueError) == issubclass(error, errors.InvalidInput)


def test_an_unknown_reason_is_just_a_revert() -> None:
    assert kind_of("withdraw", "Something") is ContractReverted


def test_every_error_that_is_a_revert_is_raised_for_a_reason() -> None:
    known = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, OGPUError)}
    reverts = {one for one in known if issubclass(one, ContractReverted)} - {ContractReverted}
    assert reverts == {*KINDS.values(), *OF_FUNCTIONS.values()}
