"""The compiled ABI is the deployed interface, contracts/interface.json: nothing missing, nothing extra."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

ROOT = Path(__file__).parents[2]
INTERFACE: dict[str, Any] = json.loads((ROOT / "contracts" / "interface.json").read_text())
ABI_FILES = {path.stem: path for path in (ROOT / "src" / "ogpu" / "abi").glob("*.json")}
CONTRACTS: list[str] = sorted(INTERFACE["contracts"])
STRUCTS: dict[str, list[dict[str, str]]] = INTERFACE["structs"]
# A field of a struct is listed there by its ABI type alone; this is the one that is an enum.
STRUCT_ENUMS = {"deliveryMethod": "DeliveryMethod"}


def load(contract: str) -> dict[str, Any]:
    artifact: dict[str, Any] = json.loads(ABI_FILES[contract].read_text())
    return artifact


def canonical(parameter: dict[str, Any]) -> str:
    """The type as it stands in a signature, tuples spelt out."""
    if not parameter["type"].startswith("tuple"):
        return str(parameter["type"])
    inner = ",".join(canonical(component) for component in parameter["components"])
    return f"({inner}){parameter['type'].removeprefix('tuple')}"


def signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(canonical(parameter) for parameter in entry['inputs'])})"


def declared(parameter: dict[str, Any], kind: str) -> str | None:
    """The name of the struct or enum that a parameter is, from its internalType such as `enum TaskStatus`."""
    word, _, name = str(parameter["internalType"]).partition(" ")
    return name.split(".")[-1].removesuffix("[]") if word == kind else None


def described(parameter: dict[str, Any], *, event: bool = False) -> dict[str, Any]:
    """A compiled parameter in the words of interface.json."""
    facts: dict[str, Any] = {"name": parameter["name"], "type": canonical(parameter)}
    facts |= {kind: name for kind in ("struct", "enum") if (name := declared(parameter, kind))}
    if event:
        facts["indexed"] = parameter["indexed"]
    return facts


def entries(contract: str, kind: str) -> dict[str, dict[str, Any]]:
    found = [entry for entry in load(contract)["abi"] if entry["type"] == kind]
    by_signature = {signature(entry): entry for entry in found}
    assert len(by_signature) == len(found)
    return by_signature


def tuples(value: Any) -> Iterator[dict[str, Any]]:
    """Every tuple parameter anywhere in an ABI."""
    if isinstance(value, list):
        for item in value:
            yield from tuples(item)
    elif isinstance(value, dict):
        if str(value.get("type", "")).startswith("tuple"):
            yield value
        for item in value.values():
            yield from tuples(item)


def test_interface_file_is_the_whole_protocol() -> None:
    contracts = INTERFACE["contracts"].values()
    assert len(contracts) == 8
    assert sum(len(contract["functions"]) for contract in contracts) == 175
    assert sum(len(contract["events"]) for contract in contracts) == 34


def test_there_is_one_artifact_for_each_contract() -> None:
    assert sorted(ABI_FILES) == CONTRACTS


@pytest.mark.parametrize("contract", CONTRACTS)
def test_artifact_says_on_its_first_line_that_it_is_generated(contract: str) -> None:
    first = ABI_FILES[contract].read_text().splitlines()[0]
    assert first == '{"generated": "by scripts/contracts.mjs from contracts/src, do not edit",'
    assert list(load(contract)) == ["generated", "abi", "bytecode"]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_bytecode_is_linked_and_carries_no_metadata(contract: str) -> None:
    bytecode = load(contract)["bytecode"]
    assert bytecode.startswith("0x")
    code = bytes.fromhex(bytecode[2:])
    assert code
    assert b"\x64solc\x43" not in code


@pytest.mark.parametrize("contract", CONTRACTS)
def test_constructor(contract: str) -> None:
    expected = INTERFACE["contracts"][contract]
    (entry,) = [entry for entry in load(contract)["abi"] if entry["type"] == "constructor"] or [None]
    inputs = [described(parameter) for parameter in entry["inputs"]] if entry else []
    assert inputs == expected["constructor"]
    assert (entry is not None and entry["stateMutability"] == "payable") is expected["constructor_payable"]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_functions(contract: str) -> None:
    compiled = {
        name: {
            "selector": "0x" + keccak(text=name)[:4].hex(),
            "mutability": entry["stateMutability"],
            "inputs": [described(parameter) for parameter in entry["inputs"]],
            "outputs": [described(parameter) for parameter in entry["outputs"]],
        }
        for name, entry in entries(contract, "function").items()
    }
    assert compiled == INTERFACE["contracts"][contract]["functions"]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_events(contract: str) -> None:
    compiled = {
        name: {
            "topic": "0x" + keccak(text=name).hex(),
            "inputs": [described(parameter, event=True) for parameter in entry["inputs"]],
        }
        for name, entry in entries(contract, "event").items()
    }
    assert compiled == INTERFACE["contracts"][contract]["events"]
    assert not any(entry["anonymous"] for entry in entries(contract, "event").values())


@pytest.mark.parametrize("contract", CONTRACTS)
def test_errors(contract: str) -> None:
    compiled = {
        name: {
            "selector": "0x" + keccak(text=name)[:4].hex(),
            "inputs": [described(parameter) for parameter in entry["inputs"]],
        }
        for name, entry in entries(contract, "error").items()
    }
    assert compiled == INTERFACE["contracts"][contract]["errors"]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_no_other_kind_of_entry(contract: str) -> None:
    """No fallback and no receive: coin that is merely sent must be refused."""
    kinds = {entry["type"] for entry in load(contract)["abi"]}
    assert kinds <= {"constructor", "function", "event", "error"}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_struct_fields(contract: str) -> None:
    for parameter in tuples(load(contract)["abi"]):
        name = declared(parameter, "struct")
        assert name is not None
        fields = [{"name": part["name"], "type": canonical(part)} for part in parameter["components"]]
        assert fields == STRUCTS[name]
        for part in parameter["components"]:
            assert declared(part, "enum") == STRUCT_ENUMS.get(part["name"])


def test_every_struct_is_used() -> None:
    abis = [load(contract)["abi"] for contract in CONTRACTS]
    used = {declared(parameter, "struct") for abi in abis for parameter in tuples(abi)}
    assert used == set(STRUCTS)


def test_forge_compiles_as_the_script_does() -> None:
    """What forge tests is the bytecode that is shipped."""
    profile = tomllib.loads((ROOT / "contracts" / "foundry.toml").read_text())["profile"]["default"]
    optimizer = f"enabled: {json.dumps(profile['optimizer'])}, runs: {profile['optimizer_runs']}"
    metadata = (
        f'bytecodeHash: "{profile["bytecode_hash"]}", appendCBOR: {json.dumps(profile["cbor_metadata"])}'
    )
    settings = (
        f"  optimizer: {{ {optimizer} }},\n"
        f'  evmVersion: "{profile["evm_version"]}",\n'
        f"  metadata: {{ {metadata} }},\n"
    )
    assert settings in (ROOT / "scripts" / "contracts.mjs").read_text()
