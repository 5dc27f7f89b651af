"""Signers: the right bytes, and nothing else than what was asked for."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st
from tests.support.signers import (
    ACCOUNT,
    ADDRESS,
    DYNAMIC,
    KEY,
    KMS,
    LEGACY,
    OTHER,
    TO,
    Foreign,
    Forger,
    raw_of,
    secrets_in,
    sign_with,
)

from ogpu.errors import InvalidInput, KeyMalformed, SignerFailed
from ogpu.tx.envelope import CURVE_ORDER, HIGHEST_S
from ogpu.tx.signer import LocalSigner, resolve_signer, signed


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

        task = asyncio.create_task(signed(Slow(raw_of), DYNAMIC))
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


def test_what_resolve_signer_takes() -> None:
    local, kms = LocalSigner(ACCOUNT), KMS()
    assert resolve_signer(KEY).address == resolve_signer(ACCOUNT).address == ADDRESS
    assert resolve_signer(local) is local
    assert resolve_signer(kms) is kms


@pytest.mark.parametrize("odd", [7, b"\x46" * 32, object, [], {"address": ADDRESS}, int(KEY, 16)], ids=repr)
def test_what_is_no_signer(odd: Any) -> None:
    with pytest.raises(KeyMalformed) as caught:
        resolve_signer(odd)
    assert secrets_in(str(caught.value) + repr(caught.value.facts)) == []


@pytest.mark.parametrize("address", ["", "0x12", ADDRESS.lower(), ADDRESS[2:], None, "vitalik.eth"])
def test_a_signer_has_a_checksummed_address(address: Any) -> None:
    with pytest.raises(KeyMalformed):
        resolve_signer(Foreign(raw_of, address=address))


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
