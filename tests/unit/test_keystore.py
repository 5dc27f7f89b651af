"""Keys in files and variables: read as every other program writes them, and shown nowhere."""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_keyfile.keyfile import create_keyfile_json
from tests.support.signers import (
    ACCOUNT,
    ADDRESS,
    DYNAMIC,
    KEY,
    OTHER,
    PASSWORD,
    TO,
    raw_of,
    secrets_in,
    sign_with,
)

from ogpu.errors import KeyMissing, KeystoreError, OGPUError
from ogpu.tx.keystore import keystore_address, write_keystore
from ogpu.tx.signer import LocalSigner, load_keystore, resolve_signer


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, with no variable set."""
    for role in ("CLIENT", "PROVIDER"):
        for kind in ("PRIVATE_KEY", "KEYSTORE", "KEYSTORE_PASSWORD", "KEYSTORE_PASSWORD_FILE"):
            monkeypatch.delenv(f"{role}_{kind}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keystore(
    path: Path, key: str = KEY, password: str = PASSWORD, kdf: Any = "scrypt", **changes: Any
) -> Path:
    """A file of eth_account's, quick to open; `changes` are to its top level."""
    content = Account.encrypt(
        bytes.fromhex(key[2:]), password, kdf=kdf, iterations=2 if kdf == "scrypt" else 1
    )
    path.write_text(json.dumps(content | changes))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("role", ["client", "provider"])
def test_the_variables_of_a_role(here: Path, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    keystore(here / "key.json", OTHER)
    (here / "password").write_text(PASSWORD + "\n")
    (here / "password").chmod(0o600)
    other = Account.from_key(OTHER).address
    with pytest.raises(KeyMissing) as caught:
        resolve_signer(None, role)
    for way in ("PRIVATE_KEY", "KEYSTORE", "KEYSTORE_PASSWORD", "KEYSTORE_PASSWORD_FILE"):
        assert f"{role.upper()}_{way}" in str(caught.value)
    assert "private_key=" in str(caught.value)
    monkeypatch.setenv(f"{role.upper()}_KEYSTORE", "key.json")
    with pytest.raises(KeystoreError, match="no password"):
        resolve_signer(None, role)
    monkeypatch.setenv(f"{role.upper()}_KEYSTORE_PASSWORD_FILE", str(here / "password"))
    assert resolve_signer(None, role).address == other
    monkeypatch.setenv(f"{role.upper()}_KEYSTORE_PASSWORD", "wrong")
    with pytest.raises(KeystoreError, match="does not open"):
        resolve_signer(None, role)
    monkeypatch.setenv(f"{role.upper()}_KEYSTORE_PASSWORD", PASSWORD)
    assert resolve_signer(None, role).address == other
    monkeypatch.setenv(f"{role.upper()}_PRIVATE_KEY", KEY)
    assert resolve_signer(None, role).address == ADDRESS


def test_a_dotenv_file_may_name_the_keystore(here: Path) -> None:
    keystore(here / "key.json")
    (here / ".env").write_text(f"CLIENT_KEYSTORE=key.json\nCLIENT_KEYSTORE_PASSWORD='{PASSWORD}'\n")
    assert resolve_signer(None).address == ADDRESS


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_password_file_may_end_with_a_line_end(
    here: Path, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    keystore(here / "key.json", password=" pass wörd ")
    (here / "password").write_bytes(" pass wörd ".encode() + end)
    (here / "password").chmod(0o600)
    monkeypatch.setenv("CLIENT_KEYSTORE", "key.json")
    monkeypatch.setenv("CLIENT_KEYSTORE_PASSWORD_FILE", "password")
    assert resolve_signer(None).address == ADDRESS


# The test vectors of the format: https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/
VECTOR_KEY = "0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
VECTOR = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}


@pytest.mark.parametrize("spelling", [str.lower, str.title, str.upper])
def test_the_test_vector_of_the_format(tmp_path: Path, spelling: Callable[[str], str]) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({spelling(name): value for name, value in VECTOR.items()}))
    path.chmod(0o600)
    assert load_keystore(path, "testpassword").address == Account.from_key(VECTOR_KEY).address
    assert keystore_address(path) is None


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_a_file_that_eth_account_wrote_is_read(tmp_path: Path, kdf: str) -> None:
    path = keystore(tmp_path / "key.json", kdf=kdf)
    signer = load_keystore(str(path), PASSWORD)
    assert sign_with(signer, DYNAMIC)[0] == raw_of(DYNAMIC)
    assert keystore_address(path) == ADDRESS


def test_a_file_that_we_wrote_is_read_by_eth_account_and_only_its_owner_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key.json"
    before = os.umask(0)
    try:
        write_keystore(path, ACCOUNT, PASSWORD)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    content = json.loads(path.read_text())
    assert bytes(Account.decrypt(content, PASSWORD)) == bytes(ACCOUNT.key)
    assert content["crypto"]["kdfparams"]["n"] >= 2**18  # as strong as geth's
    assert load_keystore(path, PASSWORD).address == ADDRESS
    assert caplog.records == []
    written = path.read_bytes()
    with pytest.raises(KeystoreError, match="exists already"):
        write_keystore(path, ACCOUNT, "another")
    assert path.read_bytes() == written


BROKEN: dict[str, Any] = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "text": b'"key"',
    "the key itself": KEY.encode(),
    "binary": b"\xff\xfe",
    "deep": b"[" * 50_000,
    "no crypto": {"version": 3},
    "crypto is text": {"version": 3, "crypto": "x"},
    "empty crypto": {"version": 3, "crypto": {}},
    "no version": {"crypto": VECTOR["crypto"]},
    "no salt": {"version": 3, "crypto": {**VECTOR["crypto"], "kdfparams": {}}},  # type: ignore[dict-item]
    "an unknown kdf": {"version": 3, "crypto": {**VECTOR["crypto"], "kdf": "md5"}},  # type: ignore[dict-item]
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_keystore(tmp_path: Path, case: str) -> None:
    content = BROKEN[case]
    path = tmp_path / "key.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    path.chmod(0o600)
    with pytest.raises(KeystoreError, match="is not a keystore") as caught:
        load_keystore(path, PASSWORD)
    assert KEY[2:] not in str(caught.value)
    assert "key.json" in str(caught.value)


def test_a_validator_s_key_is_none_of_ours(tmp_path: Path) -> None:
    """EIP-2335: its 32 bytes would pass for a key, but they are of another curve."""
    path = tmp_path / "key.json"
    validator = create_keyfile_json(
        bytes.fromhex(KEY[2:]), PASSWORD.encode(), version=4, kdf="scrypt", iterations=2
    )
    path.write_text(json.dumps(validator))
    path.chmod(0o600)
    with pytest.raises(KeystoreError, match="is not a keystore"):
        load_keystore(path, PASSWORD)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(b" " * 70_000)
    for path, reason in (
        (tmp_path / "none.json", "No such file"),
        (tmp_path, "directory"),
        (large, "too large"),
        (tmp_path / "a\0b", "no file can have that name"),
    ):
        with pytest.raises(KeystoreError, match=reason):
            load_keystore(path, PASSWORD)


def test_a_keystore_that_names_another_address_is_refused(tmp_path: Path) -> None:
    path = keystore(tmp_path / "key.json", address=TO[2:])
    with pytest.raises(KeystoreError, match="another address"):
        load_keystore(path, PASSWORD)


def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = keystore(tmp_path / "key.json")
    load_keystore(path, PASSWORD)
    assert caplog.records == []
    path.chmod(0o644)
    load_keystore(path, PASSWORD)
    assert "Others can read" in caplog.text
    assert "key.json" in caplog.text


def test_no_secret_is_in_what_goes_wrong(
    here: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    keystore(here / "key.json").chmod(0o666)
    failing: list[Callable[[], object]] = [
        lambda: load_keystore("key.json", "no"),
        lambda: resolve_signer(KEY[:-1] + "z"),
        lambda: resolve_signer(KEY + " "),
        lambda: resolve_signer("0x" + "ff" * 32),
        lambda: resolve_signer(None),  # the key is where a path should be
        lambda: sign_with(LocalSigner(ACCOUNT), {**DYNAMIC, "data": int(KEY, 16)}),
    ]
    monkeypatch.setenv("CLIENT_KEYSTORE", KEY)
    monkeypatch.setenv("CLIENT_KEYSTORE_PASSWORD", PASSWORD)
    for fail in failing:
        with pytest.raises(OGPUError) as caught:
            fail()
        error = caught.value
        assert secrets_in("".join(traceback.format_exception(error)).replace("KEY", "")) == []
        assert secrets_in(str(error) + repr(error) + repr(vars(error))) == []
    load_keystore("key.json", PASSWORD)
    assert secrets_in(caplog.text) == []
