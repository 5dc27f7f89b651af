"""Private keys: as text, in encrypted files as eth-account and geth write them, and as variables name them.

No message, log or repr ever holds a key or a password.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from ogpu import settings
from ogpu.errors import KeyMalformed, KeyMissing, KeystoreError
from ogpu.rpc.codec import checksum
from ogpu.safejson import parse_json
from ogpu.text import shown
from ogpu.tx.envelope import address_of

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

logger = logging.getLogger(__name__)

_HEX_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"(0x)?[0-9a-fA-F]{40}")
_KEYSTORE_LIMIT = 64 * 1024  # bytes; a keystore has about 500


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its checksummed address."""

    address: str
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, key: bytes) -> KeyPair:
        """Of 32 bytes; ValueError when they are no private key."""
        import coincurve  # and not eth-account, which takes half a second to import

        if len(key) != 32:
            raise ValueError("a private key has 32 bytes")
        return cls(address_of(coincurve.PrivateKey(key).public_key), key)


def account_from(key: str, origin: str) -> KeyPair:
    """The account of a key in text; `origin` is what an error calls it."""
    malformed = KeyMalformed(
        f"{origin} is not a private key.",
        hint=f"A key is 0x and 64 hexadecimal digits; set {origin} to one. Its value is not shown here.",
    )
    if not _HEX_KEY.fullmatch(key):
        raise malformed
    try:
        return KeyPair.of(bytes.fromhex(key.removeprefix("0x")))
    except ValueError:  # its text can hold the key
        raise malformed from None


def eth_account() -> Any:
    """The library, imported when it is first used."""
    limit = sys.getrecursionlimit()
    import eth_account.signers.local

    sys.setrecursionlimit(limit)  # a library below eth-account raises it to what the C stack cannot hold
    return eth_account


def is_local_account(candidate: object) -> TypeGuard[LocalAccount]:
    """Whether it is an account object of eth-account; whoever has one has imported that."""
    loaded = sys.modules.get("eth_account.signers.local")
    return loaded is not None and isinstance(candidate, loaded.LocalAccount)


def account_of(role: str) -> KeyPair:
    """The account that a role's variables name; raises `KeyMissing` and `KeystoreError`."""
    variable, keystore = settings.ROLE_KEYS[role], settings.ROLE_KEYSTORES[role]
    if value := settings.variable(variable):
        return account_from(value.strip(), variable)
    if path := settings.variable(keystore):
        return open_keystore(Path(path).expanduser(), _password_of(keystore))
    file = settings.network_file()
    raise KeyMissing(
        f"No private key: {variable} is not set.",
        hint=f"Set it in the environment (export {variable}=0x…) or in a .env file, or set {keystore} to a "
        f"keystore file and {keystore}_PASSWORD or {keystore}_PASSWORD_FILE, or pass private_key=."
        + (f" {file} has one: accounts.{role}[0].private_key." if file else ""),
    )


def open_keystore(path: Path, password: str) -> KeyPair:
    """The account of an encrypted keystore file; raises `KeystoreError`. It takes about a second of CPU."""
    keystore, name = _read_keystore(path), shown(str(path), 200)
    library = eth_account()
    try:
        account = KeyPair.of(bytes(library.Account.decrypt(keystore, password)))
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


def keystore_address(path: Path) -> str | None:
    """The address that a keystore says it is of, if it says one; nothing proves it before it is opened."""
    return _address_in(_read_keystore(path))


def refuse_existing(path: Path) -> None:
    """Raise `KeystoreError` when there is something at a path where a key is to be written."""
    if path.exists() or path.is_symlink():
        raise KeystoreError(
            f"{shown(str(path), 200)} exists already.", hint="A key is never overwritten: name another file."
        )


def write_keystore(path: Path, account: KeyPair, password: str) -> None:
    """Write an account's key to a new file that only its owner can read; a file that exists is left alone."""
    content = json.dumps(eth_account().Account.encrypt(account.key, password)).encode()
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


def _address_in(keystore: dict[str, Any]) -> str | None:
    address = keystore.get("address")
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        return None
    return checksum("0x" + address.removeprefix("0x").lower())


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
