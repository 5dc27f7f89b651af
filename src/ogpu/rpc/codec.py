"""Pure encoding and decoding: calls, results, logs and addresses, through the contracts' ABIs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from ogpu.errors import InvalidAddress, RPCInvalidResponse
from ogpu.rpc.words import NotPlain, sequence
from ogpu.text import printable, shown

if TYPE_CHECKING:
    from eth_abi.codec import ABICodec

ZERO_ADDRESS = "0x" + "00" * 20
CONTRACTS = ("Manager", "Nexus", "Controller", "Terminal", "Vault", "Source", "Task", "Response")

SPELLINGS = 1 << 14  # addresses whose EIP-55 spelling is remembered, in 4 MB at most

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def keccak(data: bytes) -> bytes:
    """Keccak-256."""
    from eth_hash.auto import keccak as keccak_256

    return keccak_256(data)


def checksum(address: str) -> str:
    """The EIP-55 spelling of an address that a node gave."""
    digits = address[2:].lower()
    hashed = keccak(digits.encode()).hex()
    return "0x" + "".join(
        [digit.upper() if nibble >= "8" else digit for digit, nibble in zip(digits, hashed, strict=False)]
    )


_remembered = lru_cache(SPELLINGS)(checksum)


def checked_address(address: object, what: str = "address") -> str:
    """A caller's address in its EIP-55 spelling; a wrong checksum is an error, not corrected."""
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        raise InvalidAddress(
            f"The {what} is no address: {shown(address)}.",
            hint="An address is 0x and 40 hexadecimal digits.",
        )
    spelled = _remembered(address)
    digits = address[2:]
    if address != spelled and digits not in (digits.lower(), digits.upper()):
        raise InvalidAddress(
            f"The {what} {address} has a wrong checksum: a character is mistyped.",
            hint="Copy it again, or write it all in lower case if you are sure.",
        )
    return spelled


@cache
def _codec() -> ABICodec:
    """eth-abi's codec, but text that is not UTF-8 is replaced: a stranger's string must not stop a read."""
    from eth_abi.codec import ABICodec
    from eth_abi.decoding import StringDecoder
    from eth_abi.encoding import TextStringEncoder
    from eth_abi.registry import BaseEquals, registry

    class LenientStringDecoder(StringDecoder):
        def __init__(self) -> None:
            super().__init__(handle_string_errors="replace")  # type: ignore[no-untyped-call]

    lenient = registry.copy()
    lenient.unregister("string")
    lenient.register(BaseEquals("string"), TextStringEncoder, LenientStringDecoder, label="string")
    return ABICodec(lenient)


def _type(entry: Mapping[str, Any]) -> str:
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(_type, entry['components']))}){kind[5:]}"


def _spelled(value: Any, entry: Mapping[str, Any]) -> Any:
    """A decoded value with its addresses in EIP-55 spelling."""
    kind: str = entry["type"]
    if kind.endswith("[]"):
        inner = {**entry, "type": kind[:-2]}
        return [_spelled(item, inner) for item in value]
    if kind == "address":
        return _remembered(value)
    if kind == "tuple":
        return tuple(map(_spelled, value, entry["components"]))
    return value


class _Values:
    """How values of some types are decoded, one after the other."""

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self._entries = entries
        self._types = list(map(_type, entries))
        try:
            self._plain = sequence(entries, _remembered)
        except NotPlain:
            self._plain = self._exact

    def decode(self, raw: bytes) -> tuple[Any, ...]:
        """The values, with addresses in EIP-55 spelling; raises eth-abi's errors."""
        try:
            return self._plain(raw)
        except NotPlain:
            return self._exact(raw)

    def _exact(self, raw: bytes) -> tuple[Any, ...]:
        return tuple(map(_spelled, _codec().decode(self._types, raw), self._entries))


@dataclass(frozen=True)
class Function:
    """A contract's function: what it takes and gives, in the ABI's terms."""

    name: str
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]

    @cached_property
    def selector(self) -> bytes:
        signature = f"{self.name}({','.join(map(_type, self.inputs))})"
        return keccak(signature.encode())[:4]

    @cached_property
    def _bare(self) -> str:
        return "0x" + self.selector.hex()

    @cached_property
    def _types(self) -> list[str]:
        return list(map(_type, self.inputs))

    @cached_property
    def _results(self) -> _Values:
        return _Values(self.outputs)

    @cached_property
    def _arguments(self) -> _Values:
        return _Values(self.inputs)

    def arguments(self, calldata: str) -> tuple[Any, ...]:
        """What calldata of our own asks for."""
        return self._arguments.decode(bytes.fromhex(calldata[10:]))

    def encode(self, *arguments: Any) -> str:
        """Calldata as 0x-prefixed hex."""
        if not arguments and not self.inputs:
            return self._bare
        return self._bare + _codec().encode(self._types, arguments).hex()

    def decode(self, data: object) -> Any:
        """The result: one value, or a tuple of several."""
        from eth_abi.exceptions import DecodingError

        try:
            values = self._results.decode(bytes.fromhex(str(data)[2:]))
        except (DecodingError, ValueError, OverflowError) as error:
            raise RPCInvalidResponse(
                f"The answer to {self.name}() cannot be decoded: {printable(str(error), 200)}"
            ) from error
        return values[0] if len(values) == 1 else values


@dataclass(frozen=True)
class Event:
    """A contract's event."""

    name: str
    inputs: tuple[Mapping[str, Any], ...]

    @cached_property
    def topic(self) -> str:
        return "0x" + keccak(f"{self.name}({','.join(map(_type, self.inputs))})".encode()).hex()

    @cached_property
    def _in_data(self) -> _Values:
        return _Values([entry for entry in self.inputs if not entry["indexed"]])

    @cached_property
    def _in_topics(self) -> list[_Values]:
        return [_Values([entry]) for entry in self.inputs if entry["indexed"]]

    def decode(self, log: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name. Indexed ones are of static types in this protocol."""
        from eth_abi.exceptions import DecodingError

        try:
            plain = iter(self._in_data.decode(bytes.fromhex(log["data"][2:])))
            given = zip(self._in_topics, log["topics"][1:], strict=False)
            indexed = (values.decode(bytes.fromhex(topic[2:]))[0] for values, topic in given)
            decoded = {entry["name"]: next(indexed if entry["indexed"] else plain) for entry in self.inputs}
        except (DecodingError, ValueError, OverflowError, StopIteration) as error:
            raise RPCInvalidResponse(
                f"A log of {self.name} cannot be decoded: {printable(str(error), 200)}"
            ) from error
        return decoded


@dataclass(frozen=True)
class Interface:
    """What one kind of contract offers."""

    name: str
    functions: Mapping[str, Function]
    events: Mapping[str, Event]
    errors: Mapping[str, Function]  # by selector, in hex


@cache
def interface(contract: str) -> Interface:
    """The interface of a contract by its name, such as "Nexus"."""
    text = resources.files("ogpu").joinpath("abi", f"{contract}.json").read_text(encoding="utf-8")
    functions, events, errors = {}, {}, {}
    for entry in json.loads(text)["abi"]:
        inputs = tuple(entry.get("inputs", ()))
        if entry["type"] == "function":
            functions[entry["name"]] = Function(entry["name"], inputs, tuple(entry["outputs"]))
        elif entry["type"] == "event":
            events[entry["name"]] = Event(entry["name"], inputs)
        elif entry["type"] == "error":
            error = Function(entry["name"], (), inputs)
            signature = f"{entry['name']}({','.join(map(_type, inputs))})"
            errors[keccak(signature.encode())[:4].hex()] = error
    return Interface(contract, functions, events, errors)


def decode_logs(
    contract: str, logs: Sequence[Mapping[str, Any]], address: str
) -> list[tuple[str, dict[str, Any]]]:
    """The events of one contract among logs, each as its name and arguments."""
    by_topic = {event.topic: event for event in interface(contract).events.values()}
    found = []
    for log in logs:
        if str(log["address"]).lower() != address.lower() or not log["topics"]:
            continue
        if event := by_topic.get(log["topics"][0]):
            found.append((event.name, event.decode(log)))
    return found


@dataclass(frozen=True)
class DecodedEvent:
    """An event of the protocol in a receipt; whose it is, only `address` says: anyone can emit the like."""

    address: str
    name: str
    arguments: Mapping[str, Any]


@cache
def _events_by_topic() -> Mapping[str, Event]:
    return {event.topic: event for name in CONTRACTS for event in interface(name).events.values()}


def decoded_events(logs: Sequence[Mapping[str, Any]]) -> list[DecodedEvent]:
    """The protocol's events among logs, in order; what cannot be decoded is a stranger's, and left out."""
    found = []
    for log in logs:
        topics = log.get("topics") or ()
        if topics and (event := _events_by_topic().get(topics[0])):
            try:
                found.append(DecodedEvent(checksum(log["address"]), event.name, event.decode(log)))
            except (RPCInvalidResponse, KeyError, TypeError):
                continue
    return found
