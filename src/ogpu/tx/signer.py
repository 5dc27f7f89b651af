"""Keys: where they come from, and signing with them. No message, log or repr ever holds one."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar, final

from ogpu import settings
from ogpu.errors import InvalidInput, KeyMalformed, KeyMissing, KeystoreError, SignerFailed
from ogpu.rpc.codec import checksum, keccak
from ogpu.safejson import parse_json
from ogpu.text import printable, shown

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_HEX_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"(0x)?[0-9a-fA-F]{40}")
_KEYSTORE_LIMIT = 64 * 1024  # bytes; a keystore has about 500

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2, secp256k1: n
HIGHEST_S = CURVE_ORDER // 2  # EIP-2: nodes refuse a signature with a higher s
DYNAMIC_FEE = b"\x02"  # EIP-1559: the transaction's type, as EIP-2718 puts it before the payload
LEGACY_V = 35  # EIP-155: v is this, plus twice the chain id, plus the parity of y


class Signer(Protocol):
    """What signs for one address; the key may be anywhere."""

    @property
    def address(self) -> str:
        """The checksummed address; always the same."""
        ...

    async def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """The raw signed transaction, exactly as asked for.

        It has chainId, nonce, to (missing or None when it creates a contract), value, data, gas, and either
        gasPrice or maxFeePerGas, maxPriorityFeePerGas and type 2. Amounts are whole numbers, in wei.
        """
        ...


@final
class LocalSigner:
    """A key in this process; it cannot be pickled."""

    __slots__ = ("_address", "_key")

    def __init__(self, account: LocalAccount) -> None:
        import coincurve

        self._address: str = account.address
        # Not account.sign_transaction: it parses the key and encodes the transaction again each time, which
        # takes four times as long, and ECC_BACKEND_CLASS can make it sign in pure Python.
        self._key = coincurve.PrivateKey(bytes(account.key))

    @property
    def address(self) -> str:
        """The checksummed address."""
        return self._address

    async def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """The raw signed transaction."""
        envelope = Envelope.of(transaction)
        signature: bytes = self._key.sign_recoverable(envelope.digest(), hasher=None)  # its s is low
        return envelope.encode(signature[64], *_two_numbers(signature[:64]))

    def __repr__(self) -> str:
        return f"LocalSigner({self._address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A LocalSigner holds a key and cannot be pickled or copied.")


class DigestSigner(ABC):
    """A key in a KMS or an HSM, which signs digests and knows nothing of transactions."""

    @property
    @abstractmethod
    def address(self) -> str:
        """The checksummed address; always the same."""

    @abstractmethod
    async def sign_digest(self, digest: bytes) -> tuple[int, int] | bytes:
        """The signature of a 32-byte digest: r and s, or both as 64 bytes; s may be high.

        What it raises is reported as `SignerFailed` by the name of its type, since texts may hold secrets.
        """

    async def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """The raw signed transaction; raises `SignerFailed` when the signature is not the address's."""
        envelope = Envelope.of(transaction)
        digest = envelope.digest()
        signature = await _from_outside(self, lambda: self.sign_digest(digest))
        r, s = _signature(signature, self.address)
        s = min(s, CURVE_ORDER - s)
        for parity in (0, 1):
            if recover(digest, parity, r, s) == self.address:
                return envelope.encode(parity, r, s)
        raise SignerFailed(
            f"The signature is not one of {self.address}.",
            hint="The digest must be signed as it is, without hashing it again, with that address's key.",
        )


async def signed(signer: Signer, transaction: Mapping[str, Any]) -> tuple[bytes, str]:
    """The raw signed transaction and its hash.

    What another signer than a `LocalSigner` returns is checked to be the transaction that was asked for, from
    its address; else, and when it raises, `SignerFailed`.
    """
    if isinstance(signer, LocalSigner):
        raw = await signer.sign_transaction(transaction)
    else:
        envelope = Envelope.of(transaction)  # before the signer has it

        async def ask() -> tuple[str, bytes]:
            return signer.address, await signer.sign_transaction(dict(transaction))

        ours = SignerFailed if isinstance(signer, DigestSigner) else ()
        address, answer = await _from_outside(signer, ask, ours)
        raw = _checked(envelope, answer, address)
    return raw, "0x" + keccak(raw).hex()


async def _from_outside(
    signer: Signer, ask: Callable[[], Awaitable[Answer]], ours: type[SignerFailed] | tuple[()] = ()
) -> Answer:
    """What foreign code answers; what it raises, except `ours`, becomes `SignerFailed`."""
    try:
        return await ask()
    except ours:
        raise
    except Exception as error:  # noqa: BLE001 - foreign code raises anything; its texts may hold secrets
        failure = printable(type(error).__qualname__, 60)
    # Not within the handler: as its context, the error would be kept with its text and its variables.
    raise SignerFailed(
        f"The signer {printable(type(signer).__qualname__, 60)} raised {failure}; nothing was sent.",
        hint="Its message may hold secrets and is not shown: look at the signer itself.",
    )


def _checked(envelope: Envelope, raw: object, address: str) -> bytes:
    """The bytes, if they are the transaction in the envelope, signed by the address."""
    problem = _problem(envelope, raw, address)
    if problem or not isinstance(raw, bytes):
        raise SignerFailed(
            f"The signer of {address} did not return what was to be signed: {problem}. Nothing was sent.",
            hint="A signer must sign the transaction exactly as it is given, and return its raw bytes.",
            facts={"address": address},
        )
    return bytes(raw)


def _problem(envelope: Envelope, raw: object, address: str) -> str:
    """What is wrong with a foreign signer's answer; empty when nothing is."""
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


def _signature(answer: object, address: str) -> tuple[int, int]:
    """r and s as a foreign signer gave them."""
    pair = _two_numbers(bytes(answer)) if isinstance(answer, bytes) and len(answer) == 64 else answer
    match pair:
        case (int(r), int(s)) if 0 < r < CURVE_ORDER and 0 < s < CURVE_ORDER:
            return r, s
    raise SignerFailed(
        f"The signer of {address} returned no signature.",
        hint="sign_digest returns r and s as whole numbers, or both as 64 bytes (not DER).",
        facts={"address": address},
    )


def _two_numbers(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32]), int.from_bytes(signature[32:])


def recover(digest: bytes, parity: int, r: int, s: int) -> str | None:
    """The address whose key made a signature; None when no key can have."""
    import coincurve

    signature = r.to_bytes(32) + s.to_bytes(32) + bytes([parity])
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001 - what coincurve raises is an Exception itself
        return None
    return checksum("0x" + keccak(key.format(compressed=False)[1:])[12:].hex())


# --- where keys come from


def resolve_signer(private_key: str | LocalAccount | Signer | None, role: str = "client") -> Signer:
    """The signer of a key: the one given, or the one that the role's variables name.

    Without one it is {ROLE}_PRIVATE_KEY, else the keystore {ROLE}_KEYSTORE with {ROLE}_KEYSTORE_PASSWORD, or
    with what is in the file {ROLE}_KEYSTORE_PASSWORD_FILE. A keystore takes about a second of CPU to open, so
    keep what is returned.
    """
    if private_key is None:
        return LocalSigner(_account_of(role))
    if isinstance(private_key, str):
        return LocalSigner(account_from(private_key, "private_key"))
    if isinstance(private_key, LocalSigner):
        return private_key
    if isinstance(private_key, _eth_account().signers.local.LocalAccount):
        return LocalSigner(private_key)
    return _signer(private_key)


def resolve_account(private_key: str | LocalAccount | None, role: str = "client") -> LocalAccount:
    """The account of a key: the one given, or the one that the role's variables name."""
    if private_key is None:
        return _account_of(role)
    if isinstance(private_key, str):
        return account_from(private_key, "private_key")
    if not (hasattr(private_key, "address") and hasattr(private_key, "sign_transaction")):
        raise KeyMalformed(
            "private_key is neither a string nor an eth_account LocalAccount.",
            hint="Pass 0x and 64 hexadecimal digits, or an account object.",
        )
    return private_key


def _account_of(role: str) -> LocalAccount:
    """The account that the role's variables name."""
    variable, keystore = settings.ROLE_KEYS[role], settings.ROLE_KEYSTORES[role]
    if value := settings.variable(variable):
        return account_from(value.strip(), variable)
    if path := settings.variable(keystore):
        return _open_keystore(Path(path).expanduser(), _password_of(keystore))
    file = settings.network_file()
    raise KeyMissing(
        f"No private key: {variable} is not set.",
        hint=f"Set it in the environment (export {variable}=0x…) or in a .env file, or set {keystore} to a "
        f"keystore file and {keystore}_PASSWORD or {keystore}_PASSWORD_FILE, or pass private_key=."
        + (f" {file} has one: accounts.{role}[0].private_key." if file else ""),
    )


def account_from(key: str, origin: str) -> LocalAccount:
    """The account of a key in text; `origin` is what an error calls it."""
    malformed = KeyMalformed(
        f"{origin} is not a private key.",
        hint=f"A key is 0x and 64 hexadecimal digits; set {origin} to one. Its value is not shown here.",
    )
    if not _HEX_KEY.fullmatch(key):
        raise malformed
    try:
        account: LocalAccount = _eth_account().Account.from_key(key)
    except Exception:  # noqa: BLE001 - key libraries raise many types, and their texts can hold the key
        raise malformed from None
    return account


def _signer(candidate: Any) -> Signer:
    """An object that is a signer, as far as can be seen."""
    try:
        address, sign_transaction = candidate.address, candidate.sign_transaction
    except Exception as error:  # noqa: BLE001 - foreign code
        failure = printable(type(error).__qualname__, 60)
    else:
        if isinstance(address, str) and _ADDRESS.fullmatch(address) and callable(sign_transaction):
            if address != checksum(address):  # nonces are kept by address, so it must have one spelling
                raise KeyMalformed(f"A signer's address must be checksummed: {checksum(address)}.")
            signer: Signer = candidate
            return signer
        failure = ""
    raise KeyMalformed(
        "private_key is neither a string, nor an eth_account LocalAccount, nor a Signer."
        + (f" Its address raised {failure}." if failure and failure != "AttributeError" else ""),
        hint="Pass 0x and 64 hexadecimal digits, an account object, or an object with address and "
        "async sign_transaction.",
    )


def _eth_account() -> Any:
    limit = sys.getrecursionlimit()
    import eth_account.signers.local

    sys.setrecursionlimit(limit)  # a library below eth-account raises it to what the C stack cannot hold
    return eth_account


def sign(account: LocalAccount, transaction: dict[str, Any]) -> tuple[bytes, str]:
    """The signed bytes and their hash."""
    signed = account.sign_transaction(transaction)
    return bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex()


# --- keystores: a key in a file, encrypted with a password, as eth-account and geth write it


def load_keystore(path: str | Path, password: str) -> LocalSigner:
    """The signer of an encrypted keystore file; raises `KeystoreError`.

    It takes about a second of CPU, by design of the format.
    """
    return LocalSigner(_open_keystore(Path(path).expanduser(), password))


def keystore_address(path: Path) -> str | None:
    """The address that a keystore says it is of, if it says one; nothing proves it before it is opened."""
    return _address_in(_read_keystore(path))


def _address_in(keystore: dict[str, Any]) -> str | None:
    address = keystore.get("address")
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        return None
    return checksum("0x" + address.removeprefix("0x").lower())


def refuse_existing(path: Path) -> None:
    """Raise `KeystoreError` when there is something at a path where a key is to be written."""
    if path.exists() or path.is_symlink():
        raise KeystoreError(
            f"{shown(str(path), 200)} exists already.", hint="A key is never overwritten: name another file."
        )


def write_keystore(path: Path, account: LocalAccount, password: str) -> None:
    """Write an account's key to a new file that only its owner can read; a file that exists is left alone."""
    content = json.dumps(account.encrypt(password)).encode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        refuse_existing(path)
        raise  # it came and went
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)  # half a keystore is none
        raise


def read_password(path: Path) -> str:
    """The password in a file, without the line end after it."""
    content = _read_private(path)
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise KeystoreError(f"The password file {shown(str(path), 200)} is not UTF-8 text.") from None


def _password_of(keystore: str) -> str:
    """The password that the variables beside a keystore's name."""
    if password := settings.variable(f"{keystore}_PASSWORD"):
        return password
    if path := settings.variable(f"{keystore}_PASSWORD_FILE"):
        return read_password(Path(path).expanduser())
    raise KeystoreError(
        f"{keystore} is set, but no password.", hint=f"Set {keystore}_PASSWORD or {keystore}_PASSWORD_FILE."
    )


def _open_keystore(path: Path, password: str) -> LocalAccount:
    keystore, name = _read_keystore(path), shown(str(path), 200)
    library = _eth_account()
    try:
        account: LocalAccount = library.Account.from_key(library.Account.decrypt(keystore, password))
    except ValueError:  # the causes are left out: what libraries say of a key can hold it
        raise KeystoreError(
            f"The keystore {name} does not open with that password.",
            hint="Check the password (neither is shown here), or the file is damaged.",
        ) from None
    except Exception:  # noqa: BLE001 - the library does not check what it reads, and fails in many ways
        raise _no_keystore(path) from None
    if _address_in(keystore) not in (None, account.address):
        raise KeystoreError(f"The keystore {name} names another address than its key has.")
    return account


def _read_keystore(path: Path) -> dict[str, Any]:
    text = _read_private(path)
    try:
        content = parse_json(text)
    except ValueError:
        raise _no_keystore(path) from None
    if not isinstance(content, dict):
        raise _no_keystore(path)
    keystore = {key.lower(): value for key, value in content.items()}
    if keystore.get("version") != 3 or not isinstance(keystore.get("crypto"), dict):
        raise _no_keystore(path)  # version 4 holds keys of validators, on another curve (EIP-2335)
    return keystore


def _no_keystore(path: Path) -> KeystoreError:
    return KeystoreError(
        f"{shown(str(path), 200)} is not a keystore.",
        hint="It must be an encrypted key file of version 3, as `ogpu key new`, eth-account and geth write.",
    )


def _read_private(path: Path) -> bytes:
    """A file that others should not be able to read."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_KEYSTORE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file can have that name"
        raise KeystoreError(f"{shown(str(path), 200)} cannot be read: {reason}.") from None
    if len(content) > _KEYSTORE_LIMIT:
        raise KeystoreError(f"{shown(str(path), 200)} is too large to be a keystore or a password file.")
    if os.name == "posix" and mode & 0o077:
        logger.warning("Others can read %s: chmod 600 it.", shown(str(path), 200))
    return content
