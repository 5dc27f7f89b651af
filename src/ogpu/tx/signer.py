"""Signers: what signs transactions, and where it comes from. No message, log or repr ever holds a key."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar, final

from ogpu.errors import KeyMalformed, SignerFailed
from ogpu.rpc.codec import checksum, keccak
from ogpu.text import printable
from ogpu.tx.envelope import CURVE_ORDER, Envelope, problem_of, recover
from ogpu.tx.keystore import KeyPair, account_from, account_of, is_local_account, open_keystore

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

Answer = TypeVar("Answer")

_ADDRESS = re.compile(r"(0x)?[0-9a-fA-F]{40}")


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

    def __init__(self, account: KeyPair | LocalAccount) -> None:
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
        return self.sign(transaction)

    def sign(self, transaction: Mapping[str, Any]) -> bytes:
        """The same, as it waits for nothing."""
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
    problem = problem_of(envelope, raw, address)
    if problem or not isinstance(raw, bytes):
        raise SignerFailed(
            f"The signer of {address} did not return what was to be signed: {problem}. Nothing was sent.",
            hint="A signer must sign the transaction exactly as it is given, and return its raw bytes.",
            facts={"address": address},
        )
    return bytes(raw)


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


def resolve_signer(private_key: str | LocalAccount | Signer | None, role: str = "client") -> Signer:
    """The signer of a key: the one given, or the one that the role's variables name.

    Without one it is {ROLE}_PRIVATE_KEY, else the keystore {ROLE}_KEYSTORE with {ROLE}_KEYSTORE_PASSWORD, or
    with what is in the file {ROLE}_KEYSTORE_PASSWORD_FILE. A keystore takes about a second of CPU to open, so
    keep what is returned.
    """
    if private_key is None:
        return LocalSigner(account_of(role))
    if isinstance(private_key, str):
        return LocalSigner(account_from(private_key, "private_key"))
    if isinstance(private_key, LocalSigner):
        return private_key
    if is_local_account(private_key):
        return LocalSigner(private_key)
    return _signer(private_key)


def load_keystore(path: str | Path, password: str) -> LocalSigner:
    """The signer of an encrypted keystore file; raises `KeystoreError`.

    It takes about a second of CPU, by design of the format.
    """
    return LocalSigner(open_keystore(Path(path).expanduser(), password))


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
