"""A transaction as it is encoded, signed and checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ogpu.errors import InvalidInput
from ogpu.rpc.codec import checksum, keccak
from ogpu.text import shown

if TYPE_CHECKING:
    import coincurve

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2, secp256k1: n
HIGHEST_S = CURVE_ORDER // 2  # EIP-2: nodes refuse a signature with a higher s
DYNAMIC_FEE = b"\x02"  # EIP-1559: the transaction's type, as EIP-2718 puts it before the payload
LEGACY_V = 35  # EIP-155: v is this, plus twice the chain id, plus the parity of y


@dataclass(frozen=True)
class Envelope:
    """A transaction as it is signed: by EIP-1559, or by EIP-155 on a legacy chain."""

    chain_id: int
    prefix: bytes
    names: tuple[str, ...]
    fields: tuple[bytes | tuple[()], ...]

    @classmethod
    def of(cls, transaction: Mapping[str, Any]) -> Envelope:
        """Raises `InvalidInput` for a transaction that has other fields than `Signer` says."""
        dynamic = "maxFeePerGas" in transaction
        fees = ("maxPriorityFeePerGas", "maxFeePerGas") if dynamic else ("gasPrice",)
        names = ("nonce", *fees, "gas", "to", "value", "data")
        unknown = transaction.keys() - {*names, "chainId"} - ({"type"} if dynamic else set())
        if unknown or transaction.get("type", 2) != 2:
            raise InvalidInput(f"A transaction with {shown(min(unknown, default='type'))} cannot be signed.")
        fields = tuple(_field(transaction, name) for name in names)
        chain_id = int.from_bytes(_field(transaction, "chainId"))
        if not dynamic:
            return cls(chain_id, b"", names, fields)
        names = ("chainId", *names, "accessList")
        return cls(chain_id, DYNAMIC_FEE, names, (_number(chain_id), *fields, ()))

    @property
    def lowest_v(self) -> int:
        """v of a signature with even y."""
        return 0 if self.prefix else LEGACY_V + 2 * self.chain_id

    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        chain = () if self.prefix else (_number(self.chain_id), b"", b"")
        return keccak(self._rlp(chain))

    def encode(self, parity: int, r: int, s: int) -> bytes:
        """The raw transaction with its signature."""
        return self._rlp((_number(self.lowest_v + parity), _number(r), _number(s)))

    def _rlp(self, more: tuple[bytes, ...]) -> bytes:
        import rlp

        return self.prefix + bytes(rlp.encode(self.fields + more))


def _field(transaction: Mapping[str, Any], name: str) -> bytes:
    """A field as RLP has it."""
    value = transaction.get(name)
    if name in ("to", "data"):
        if value is None and name == "to":
            return b""
        try:
            content = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else value
        except ValueError:
            content = None
        if isinstance(content, bytes) and (name == "data" or len(content) in (0, 20)):
            return content
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**256:
        return _number(value)
    raise InvalidInput(f"A transaction cannot be signed with {name}={shown(value)}.")


def _number(value: int) -> bytes:
    """A whole number as RLP has it: no leading zeros, and nothing for zero."""
    return value.to_bytes((value.bit_length() + 7) // 8)


def problem_of(envelope: Envelope, raw: object, address: str) -> str:
    """What keeps bytes from being that transaction, signed by that address; empty when nothing does."""
    if not isinstance(raw, bytes):
        return "not bytes"
    items = _items(bytes(raw), envelope.prefix)
    names = envelope.names
    if len(items) != len(names) + 3:
        return "not a signed transaction of that type"
    changed = [
        n for n, asked, got in zip(names, envelope.fields, items, strict=False) if (asked or b"") != got
    ]
    if changed:
        return f"another {' and '.join(changed)}"
    v, r, s = (int.from_bytes(item) for item in items[-3:])
    parity = v - envelope.lowest_v
    if parity not in (0, 1):
        return "v is of another chain"
    if not (0 < r < CURVE_ORDER and 0 < s <= HIGHEST_S):
        return "its signature is out of range"
    if envelope.encode(parity, r, s) != raw:
        return "its encoding is not canonical"
    if recover(envelope.digest(), parity, r, s) != address:
        return "signed by another key"
    return ""


def recover(digest: bytes, parity: int, r: int, s: int) -> str | None:
    """The address whose key made a signature; None when no key can have."""
    import coincurve

    signature = r.to_bytes(32) + s.to_bytes(32) + bytes([parity])
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001 - what coincurve raises is an Exception itself
        return None
    return address_of(key)


def address_of(key: coincurve.PublicKey) -> str:
    """The checksummed address of a public key (Yellow paper, appendix F)."""
    return checksum("0x" + keccak(key.format(compressed=False)[1:])[12:].hex())


def _items(raw: bytes, prefix: bytes) -> list[bytes]:
    """The contents of an encoded transaction's fields, in order; empty when it is none."""
    from rlp.codec import consume_length_prefix
    from rlp.exceptions import DecodingError

    if not raw.startswith(prefix):
        return []
    items = []
    try:
        _, kind, length, at = consume_length_prefix(raw, len(prefix))
        if kind is not list or at + length != len(raw):
            return []
        while at < len(raw):  # not rlp.decode, which follows nesting as deep as it goes
            _, kind, length, start = consume_length_prefix(raw, at)
            at = start + length
            items.append(raw[start:at])
    except (DecodingError, IndexError):
        return []
    return items
