"""Signers: the right bytes, nothing else than what was asked for, and no key anywhere."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import coincurve
import pytest
import rlp
from eth_account import Account
from eth_keyfile.keyfile import create_keyfile_json
from hypothesis import given
from hypothesis import strategies as st

from ogpu.errors import InvalidInput, KeyMalformed, KeyMissing, KeystoreError, OGPUError, SignerFailed
from ogpu.tx.signer import (
    CURVE_ORDER,
    HIGHEST_S,
    DigestSigner,
    LocalSigner,
    Signer,
    keystore_address,
    load_keystore,
    resolve_signer,
    signed,
    write_keystore,
)

KEY = "0x4646464646464646464646464646464646464646464646464646464646464646"  # the example of EIP-155
OTHER = "0x" + "17" * 32
PASSWORD = "correct horse battery staple"
ACCOUNT = Account.from_key(KEY)
ADDRESS = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"
TO = "0x2b0cC6058313801D5feb184a539e3a0C5A87a6a1"

DYNAMIC = {
    "chainId": 1071,
    "nonce": 0,
    "to": TO,
    "value": 10**18,
    "data": "0x" + "ab" * 300,
    "gas": 500_000,
    "maxFeePerGas": 2 * 10**9,
    "maxPriorityFeePerGas": 10**9,
    "type": 2,
}
LEGACY = {"chainId": 1071, "nonce": 7, "to": TO, "value": 0, "data": "0x", "gas": 21_000, "gasPrice": 10**9}

Forger = Callable[[dict[str, Any]], Any]


class KMS(DigestSigner):
    """A key that only signs digests."""

    def __init__(self, key: str = KEY, address: str = ADDRESS) -> None:
        self._key = coincurve.PrivateKey(bytes.fromhex(key[2:]))
        self._address = address

    @property
    def address(self) -> str:
        return self._address

    def both(self, digest: bytes) -> tuple[int, int]:
        signature = self._key.sign_recoverable(digest, hasher=None)
        return int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])

    async def sign_digest(self, digest: bytes) -> tuple[int, int] | bytes:
        return self.both(digest)


class HighKMS(KMS):
    """Signs with the high s, as half of the signatures of a KMS have it."""

    async def sign_digest(self, digest: bytes) -> tuple[int, int] | bytes:
        r, s = self.both(digest)
        assert s <= HIGHEST_S
        return r, CURVE_ORDER - s


class BytesKMS(KMS):
    async def sign_digest(self, digest: bytes) -> tuple[int, int] | bytes:
        return bytes(self._key.sign_recoverable(digest, hasher=None)[:64])


class OddKMS(KMS):
    """Returns anything, or raises it."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self._answer = answer

    async def sign_digest(self, digest: bytes) -> tuple[int, int] | bytes:
        if isinstance(self._answer, BaseException):
            raise self._answer
        answer: bytes = self._answer
        return answer


class Foreign:
    """A signer of somebody else's, which returns what it is told to."""

    def __init__(self, forge: Forger, address: str = ADDRESS) -> None:
        self.address = address
        self._forge = forge

    async def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        forged: bytes = self._forge(dict(transaction))
        return forged


def raw_of(transaction: dict[str, Any], key: str = KEY) -> bytes:
    return bytes(Account.sign_transaction(transaction, key).raw_transaction)


def sign_with(signer: Signer, transaction: Mapping[str, Any]) -> tuple[bytes, str]:
    return asyncio.run(_awaited(signed(signer, transaction)))


async def _awaited(awaitable: Awaitable[tuple[bytes, str]]) -> tuple[bytes, str]:
    return await awaitable


# --- the right bytes


def test_the_example_of_eip_155() -> None:
    """https://eips.ethereum.org/EIPS/eip-155"""
    transaction = {
        "chainId": 1,
        "nonce": 9,
        "gasPrice": 20 * 10**9,
        "gas": 21_000,
        "to": "0x" + "35" * 20,
        "value": 10**18,
        "data": b"",
    }
    raw = (
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080"
        "25a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276"
        "a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    )
    for signer in (LocalSigner(ACCOUNT), KMS()):
        assert sign_with(signer, transaction)[0].hex() == raw


numbers = st.one_of(st.sampled_from([0, 1, 127, 128, 255, 256, 2**64 - 1]), st.integers(0, 2**96))
common = {
    "chainId": st.integers(1, 2**53),
    "nonce": st.integers(0, 2**64 - 2),
    "value": numbers,
    "data": st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda data: "0x" + data.hex())),
    "gas": st.integers(0, 2**40),
}
transactions = st.one_of(
    st.fixed_dictionaries({**common, "gasPrice": numbers}, optional={"to": st.just(TO)}),
    st.fixed_dictionaries(
        {**common, "maxFeePerGas": numbers, "maxPriorityFeePerGas": numbers},
        optional={"to": st.just(TO), "type": st.just(2)},
    ),
)


@given(transactions)
def test_every_signer_gives_the_bytes_of_eth_account(transaction: dict[str, Any]) -> None:
    expected = ACCOUNT.sign_transaction(transaction)
    for signer in (LocalSigner(ACCOUNT), KMS(), BytesKMS(), HighKMS()):
        raw, tx_hash = sign_with(signer, transaction)
        assert raw == bytes(expected.raw_transaction)
        assert tx_hash == "0x" + bytes(expected.hash).hex()


@pytest.mark.parametrize("transaction", [DYNAMIC, LEGACY])
def test_a_high_s_is_made_low(transaction: dict[str, Any]) -> None:
    raw = asyncio.run(HighKMS().sign_transaction(transaction))
    s = int.from_bytes(rlp.decode(raw[1:] if transaction is DYNAMIC else raw)[-1])
    assert s <= HIGHEST_S


def test_no_address_makes_a_contract() -> None:
    for nowhere in (None, "0x", b""):
        raw, _ = sign_with(LocalSigner(ACCOUNT), {**DYNAMIC, "to": nowhere})
        assert raw == raw_of({**DYNAMIC, "to": b""})


def test_coincurve_signs_whatever_eth_keys_is_told() -> None:
    program = (
        "import asyncio, sys\nfrom ogpu.tx.signer import resolve_signer, signed\n"
        f"signer = resolve_signer({KEY!r})\n"
        "def never(*_): raise SystemExit('signed in Python')\n"
        "import eth_keys.backends.native.main as main\nmain.ecdsa_raw_sign = never\n"
        f"print(asyncio.run(signed(signer, {LEGACY!r}))[0].hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "ECC_BACKEND_CLASS": "eth_keys.backends.NativeECCBackend"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == raw_of(LEGACY).hex(), done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": -1},
        {"nonce": True},
        {"nonce": None},
        {"value": 1.5},
        {"gas": 2**256},
        {"to": "0x12"},
        {"to": "somewhere"},
        {"data": "0xzz"},
        {"data": None},
        {"type": 1},
        {"accessList": []},
        {"from": ADDRESS},
    ],
    ids=repr,
)
def test_a_transaction_that_cannot_be_signed_as_it_is(wrong: dict[str, Any]) -> None:
    for signer in (LocalSigner(ACCOUNT), KMS(), Foreign(raw_of)):
        with pytest.raises(InvalidInput):
            sign_with(signer, {**DYNAMIC, **wrong})


# --- what foreign signers return is not trusted


@pytest.mark.parametrize("transaction", [DYNAMIC, LEGACY])
def test_an_honest_foreign_signer_is_believed(transaction: dict[str, Any]) -> None:
    assert sign_with(Foreign(raw_of), transaction)[0] == raw_of(transaction)
    assert (
        type(sign_with(Foreign(lambda asked: ACCOUNT.sign_transaction(asked).raw_transaction), LEGACY)[0])
        is bytes
    )


def with_high_s(raw: bytes) -> bytes:
    *fields, v, r, s = rlp.decode(raw)
    v = (int.from_bytes(v) - 35 ^ 1) + 35
    return bytes(rlp.encode([*fields, v, r, CURVE_ORDER - int.from_bytes(s)]))


def padded_r(raw: bytes) -> bytes:
    """The same numbers, r with a leading zero."""
    *fields, v, r, s = rlp.decode(raw)
    return bytes(rlp.encode([*fields, v, b"\0" + r, s]))


def with_list(raw: bytes) -> bytes:
    """The first field as a list with the same contents."""
    _, *rest = rlp.decode(raw)
    return bytes(rlp.encode([[], *rest]))


def without_replay_protection(asked: dict[str, Any]) -> bytes:
    del asked["chainId"]
    return raw_of(asked)


def one_more(field: str) -> Forger:
    return lambda asked: raw_of(asked | {field: asked[field] + 1})


LIES: dict[str, tuple[dict[str, Any], Forger, str]] = {
    "another key": (DYNAMIC, lambda asked: raw_of(asked, OTHER), "another key"),
    "another key, legacy": (LEGACY, lambda asked: raw_of(asked, OTHER), "another key"),
    **{
        f"another {field}": (DYNAMIC, one_more(field), field)
        for field in ("chainId", "nonce", "value", "gas", "maxFeePerGas", "maxPriorityFeePerGas")
    },
    **{
        f"another {field}, legacy": (LEGACY, one_more(field), field)
        for field in ("nonce", "value", "gas", "gasPrice")
    },
    "another chain, legacy": (LEGACY, lambda asked: raw_of(asked | {"chainId": 1}), "another chain"),
    "any chain": (LEGACY, without_replay_protection, "another chain"),
    "another to": (DYNAMIC, lambda asked: raw_of(asked | {"to": ADDRESS}), "to"),
    "another data": (DYNAMIC, lambda asked: raw_of(asked | {"data": "0x" + "ab" * 299 + "ac"}), "data"),
    "longer data": (DYNAMIC, lambda asked: raw_of(asked | {"data": asked["data"] + "00"}), "data"),
    "an access list": (
        DYNAMIC,
        lambda asked: raw_of(asked | {"accessList": [{"address": TO, "storageKeys": []}]}),
        "accessList",
    ),
    "another type": (DYNAMIC, lambda asked: raw_of({**LEGACY, "nonce": asked["nonce"]}), "type"),
    "a type for legacy": (LEGACY, lambda asked: raw_of(DYNAMIC), "type"),
    "high s": (LEGACY, lambda asked: with_high_s(raw_of(asked)), "range"),
    "padded": (LEGACY, lambda asked: padded_r(raw_of(asked)), "canonical"),
    "a list": (LEGACY | {"nonce": 0}, lambda asked: with_list(raw_of(asked)), "canonical"),
    "a byte more": (DYNAMIC, lambda asked: raw_of(asked) + b"\0", "type"),
    "a byte less": (DYNAMIC, lambda asked: raw_of(asked)[:-1], "type"),
    "unsigned": (
        LEGACY,
        lambda asked: bytes(rlp.encode([7, 10**9, 21_000, bytes.fromhex(TO[2:]), 0, b""])),
        "type",
    ),
    "zero signature": (
        LEGACY,
        lambda asked: bytes(rlp.encode([*rlp.decode(raw_of(asked))[:-2], 0, 0])),
        "range",
    ),
    "huge signature": (
        LEGACY,
        lambda asked: bytes(rlp.encode([*rlp.decode(raw_of(asked))[:-2], b"\xff" * 999, b"\1"])),
        "range",
    ),
    "nothing": (DYNAMIC, lambda asked: b"", "type"),
    "only the type": (DYNAMIC, lambda asked: b"\x02", "type"),
    "garbage": (LEGACY, lambda asked: b"\xff" * 500, "type"),
    "deep": (LEGACY, lambda asked: b"\xc1" * 100_000, "type"),
    "text": (DYNAMIC, lambda asked: "0x" + raw_of(asked).hex(), "not bytes"),
    "none": (DYNAMIC, lambda asked: None, "not bytes"),
    "an object of eth_account": (DYNAMIC, ACCOUNT.sign_transaction, "not bytes"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_signer_is_refused(lie: str) -> None:
    transaction, forge, reason = LIES[lie]
    asked = dict(transaction)
    with pytest.raises(SignerFailed, match=reason) as caught:
        sign_with(Foreign(forge), asked)
    assert ADDRESS in str(caught.value)
    assert asked == transaction


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_not_more(garbage: bytes) -> None:
    for transaction in (DYNAMIC, LEGACY):
        for answer in (garbage, b"\x02" + garbage):
            with pytest.raises(SignerFailed):
                sign_with(Foreign(lambda _, answer=answer: answer), transaction)  # type: ignore[misc]


def test_a_signer_that_changes_what_it_was_given_changes_only_its_copy() -> None:
    def forge(asked: dict[str, Any]) -> bytes:
        asked["value"] += 1
        return raw_of(asked)

    class Changing(Foreign):
        async def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
            assert isinstance(transaction, dict)
            return forge(transaction)

    asked = dict(DYNAMIC)
    with pytest.raises(SignerFailed, match="another value"):
        sign_with(Changing(forge), asked)
    assert asked == DYNAMIC


@pytest.mark.parametrize(
    "answer",
    [
        *(
            (0, 1),
            (1, 0),
            (CURVE_ORDER, 1),
            (1, CURVE_ORDER),
            (1, -1),
            (1.0, 2.0),
            (1, 2, 3),
            (1, 2),
            (True,),
        ),
        *(b"\1" * 63, b"\1" * 65, b"\0" * 64, b"\xff" * 64, b"\2" * 64, None, "0x", 7),
    ],
    ids=repr,
)
def test_what_is_no_signature_of_the_address_is_refused(answer: Any) -> None:
    with pytest.raises(SignerFailed, match=r"no signature|not one of"):
        sign_with(OddKMS(answer), DYNAMIC)


def test_a_kms_with_another_key_is_refused() -> None:
    with pytest.raises(SignerFailed, match=f"not one of {ADDRESS}"):
        sign_with(KMS(OTHER), DYNAMIC)


def raising(error: BaseException) -> Forger:
    def forge(asked: dict[str, Any]) -> bytes:
        raise error

    return forge


@pytest.mark.parametrize("kind", [ValueError, KeyError, TimeoutError, SignerFailed, RecursionError])
def test_what_a_signer_raises_is_named_and_its_text_is_not(kind: type[Exception]) -> None:
    secret = OTHER[2:]
    for signer in (Foreign(raising(kind(f"key {secret}"))), OddKMS(kind(f"key {secret}"))):
        with pytest.raises(SignerFailed, match=kind.__name__) as caught:
            sign_with(signer, DYNAMIC)
        error = caught.value
        assert error.__cause__ is None
        assert error.__context__ is None
        assert secret not in "".join(traceback.format_exception(error))
        assert secret not in repr(vars(error))


def test_a_cancelled_signer_is_cancelled() -> None:
    async def main() -> None:
        class Slow(Foreign):
            async def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
                await asyncio.Event().wait()
                raise AssertionError

        task = asyncio.create_task(_awaited(signed(Slow(raw_of), DYNAMIC)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_an_address_that_raises_or_changes() -> None:
    class Moody(Foreign):
        @property
        def address(self) -> str:
            raise RuntimeError(OTHER)

        @address.setter
        def address(self, value: str) -> None: ...

    with pytest.raises(SignerFailed, match="RuntimeError"):
        sign_with(Moody(raw_of), DYNAMIC)
    with pytest.raises(KeyMalformed, match="RuntimeError") as caught:
        resolve_signer(Moody(raw_of))
    assert OTHER not in str(caught.value)
    with pytest.raises(SignerFailed, match="another key"):
        sign_with(Foreign(raw_of, address=TO), DYNAMIC)


# --- where signers come from


def test_what_resolve_signer_takes() -> None:
    local, kms = LocalSigner(ACCOUNT), KMS()
    assert resolve_signer(KEY).address == resolve_signer(ACCOUNT).address == ADDRESS
    assert resolve_signer(local) is local
    assert resolve_signer(kms) is kms


@pytest.mark.parametrize("odd", [7, b"\x46" * 32, object(), [], {"address": ADDRESS}, int(KEY, 16)], ids=repr)
def test_what_is_no_signer(odd: Any) -> None:
    with pytest.raises(KeyMalformed) as caught:
        resolve_signer(odd)
    assert secrets_in(str(caught.value) + repr(caught.value.facts)) == []


@pytest.mark.parametrize("address", ["", "0x12", ADDRESS.lower(), ADDRESS[2:], None, "vitalik.eth"])
def test_a_signer_has_a_checksummed_address(address: Any) -> None:
    with pytest.raises(KeyMalformed):
        resolve_signer(Foreign(raw_of, address=address))


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


# --- keystores

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


# --- no key anywhere


def secrets_in(text: str) -> list[str]:
    spelled = (KEY[2:], PASSWORD, repr(bytes.fromhex(KEY[2:]))[2:-1], str(int(KEY, 16)))
    return [secret for secret in spelled if secret in text]


def test_a_local_signer_shows_only_its_address() -> None:
    signer = LocalSigner(ACCOUNT)
    for text in (repr(signer), str(signer), f"{signer}", f"{[signer]}", f"{signer._key!r}"):
        assert secrets_in(text) == []
    assert repr(signer) == f"LocalSigner({ADDRESS})"
    assert not hasattr(signer, "__dict__")


def test_a_local_signer_cannot_be_pickled_or_copied() -> None:
    signer = LocalSigner(ACCOUNT)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(signer, protocol)
    for make in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            make(signer)


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
