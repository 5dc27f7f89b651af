"""Signers for the tests: a key, transactions, and signers of somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import coincurve
from eth_account import Account

from ogpu.tx.signer import DigestSigner, Signer, signed

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
    return asyncio.run(signed(signer, transaction))


def secrets_in(text: str) -> list[str]:
    spelled = (KEY[2:], PASSWORD, repr(bytes.fromhex(KEY[2:]))[2:-1], str(int(KEY, 16)))
    return [secret for secret in spelled if secret in text]
