"""The Vault: balances, stake and earnings. All amounts in wei."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.protocol.chain import Chain, Read
from ogpu.protocol.checks import check_amount
from ogpu.rpc.codec import checked_address
from ogpu.tx.keys import Keys
from ogpu.tx.state import Receipt
from ogpu.types import VaultAccount

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ogpu.tx.signer import Signer


class AsyncVault:
    """Calls of the Vault contract. Without `private_key=` the client's own key signs."""

    def __init__(self, chain: Chain, keys: Keys) -> None:
        self._chain = chain
        self._keys = keys

    async def account(self, address: str) -> VaultAccount:
        """What the Vault holds for an account."""
        address = checked_address(address, "account")
        functions = (
            "getBalanceOf",
            "getLockupOf",
            "unbondingOf",
            "unbondingTimestamp",
            "sanctionOf",
            "totalEarningsOf",
            "isWhitelisted",
            "isEligible",
        )
        vault = self._chain.network.contract("VAULT")
        values = await self._chain.read(*(Read("Vault", vault, name, (address,)) for name in functions))
        return VaultAccount(address, *values)

    async def deposit(
        self,
        amount: int,
        account: str | None = None,
        *,
        private_key: str | LocalAccount | Signer | None = None,
    ) -> Receipt:
        """Move coin of the sender into the Vault balance of an account (its own by default)."""
        signer = self._keys.signer(private_key)
        receiver = signer.address if account is None else checked_address(account, "account")
        return await self._send(signer, "deposit", receiver, value=check_amount(amount, "amount"))

    async def withdraw(
        self, amount: int, *, private_key: str | LocalAccount | Signer | None = None
    ) -> Receipt:
        """Move coin out of the sender's Vault balance to the sender."""
        return await self._send(self._keys.signer(private_key), "withdraw", check_amount(amount, "amount"))

    async def lock(self, amount: int, *, private_key: str | LocalAccount | Signer | None = None) -> Receipt:
        """Turn Vault balance of the sender into lockup, the stake."""
        return await self._send(self._keys.signer(private_key), "lock", check_amount(amount, "amount"))

    async def unbond(self, amount: int, *, private_key: str | LocalAccount | Signer | None = None) -> Receipt:
        """Begin to take lockup back; it can be claimed when the unbonding period is over."""
        return await self._send(self._keys.signer(private_key), "unbond", check_amount(amount, "amount"))

    async def claim(self, *, private_key: str | LocalAccount | Signer | None = None) -> Receipt:
        """Turn unbonded stake that has matured into Vault balance."""
        return await self._send(self._keys.signer(private_key), "claim")

    async def force_release_payment(
        self, task: str, *, private_key: str | LocalAccount | Signer | None = None
    ) -> Receipt:
        """Take the payment of an expired, unanswered task of the sender back into its Vault balance."""
        signer = self._keys.signer(private_key)
        return await self._send(signer, "forceReleasePayment", signer.address, checked_address(task, "task"))

    async def _send(self, signer: Signer, function: str, *arguments: str | int, value: int = 0) -> Receipt:
        call = self._chain.call("Vault", function, *arguments, value=value)
        return await self._chain.send(call, signer)
