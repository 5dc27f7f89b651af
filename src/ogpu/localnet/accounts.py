"""The accounts of a local network: made at random, kept with its state, worth nothing elsewhere."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from ogpu.tx.keystore import KeyPair

CLIENTS = 3
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2, secp256k1


@dataclass(frozen=True)
class Accounts:
    """Who is on a local network; provider, master and agent of the same position belong together."""

    admin: KeyPair
    client: tuple[KeyPair, ...]
    provider: tuple[KeyPair, ...]
    master: tuple[KeyPair, ...]
    agent: tuple[KeyPair, ...]

    def all(self) -> list[KeyPair]:
        """Everyone."""
        return [self.admin, *self.client, *self.provider, *self.master, *self.agent]

    def joined_by(self, more: Accounts) -> Accounts:
        """These, and the providers with their masters and agents of others."""
        return Accounts(
            self.admin,
            self.client,
            self.provider + more.provider,
            self.master + more.master,
            self.agent + more.agent,
        )

    def to_dict(self) -> dict[str, list[dict[str, str]]]:
        """The roles with their addresses and keys, as the network file holds them."""
        roles = {"client": self.client, "provider": self.provider, "master": self.master, "agent": self.agent}
        return {
            role: [
                {"address": account.address, "private_key": "0x" + account.key.hex()} for account in accounts
            ]
            for role, accounts in roles.items()
        }


def make_accounts(providers: int) -> Accounts:
    """New accounts for a network with that many providers."""
    return accounts_of([secrets.token_hex(32) for _ in range(1 + CLIENTS + 3 * providers)])


def accounts_of(keys: list[str]) -> Accounts:
    """The accounts of keys (64 hexadecimal digits) in the order of `Accounts.all`; else ValueError."""
    if len(keys) < 1 + CLIENTS + 3 or (len(keys) - 1 - CLIENTS) % 3 or not all(map(_is_key, keys)):
        raise ValueError("these are not the keys of a local network")
    admin, *rest = (KeyPair.of(bytes.fromhex(key)) for key in keys)
    client, rest = rest[:CLIENTS], rest[CLIENTS:]
    providers = len(rest) // 3
    provider, master, agent = (tuple(rest[i * providers : (i + 1) * providers]) for i in range(3))
    return Accounts(admin, tuple(client), provider, master, agent)


def _is_key(key: object) -> bool:
    return isinstance(key, str) and bool(re.fullmatch("[0-9a-f]{64}", key)) and 0 < int(key, 16) < CURVE_ORDER
