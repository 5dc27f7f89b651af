"""The Vault: balances, stake and earnings. All amounts in wei."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.protocol.chain import Read
from ogpu.protocol.checks import check_amount
from ogpu.protocol.contract import By, Contract
from ogpu.rpc.codec import checked_address
from ogpu.tx.state import Receipt
from ogpu.types import VaultAccount

if TYPE_CHECKING:
    from ogpu.tx.keys import Key
    from ogpu.types import Role

_ACCOUNT = (
    "getBalanceOf",
    "getLockupOf",
    "unbondingOf",
    "unbondingTimestamp",
    "sanctionOf",
    "totalEarningsOf",
    "isWhitelisted",
    "isEligible",
)


class AsyncVault(Contract):
    """Calls of the Vault contract.

    A transaction moves money of whoever signs it, so each names its `role` or `private_key`, unless the
    client was made with a key of its own; no key is guessed.
    """

    kind = "Vault"

    # --- views

    async def account(self, address: str) -> VaultAccount:
        """All that the Vault holds for an account, at one block."""
        address = checked_address(address, "account")
        (values,) = await self._chain.at_one_block(
            lambda view: view.read_each([account_reads(self.address, address)])
        )
        return VaultAccount(address, *values)

    async def balance_of(self, account: str) -> int:
        """What an account may withdraw, lock, or pay tasks with (wei)."""
        return int(await self._view("getBalanceOf", checked_address(account, "account")))

    async def lockup_of(self, account: str) -> int:
        """The stake of an account (wei); what was sanctioned is no longer in it."""
        return int(await self._view("getLockupOf", checked_address(account, "account")))

    async def unbonding_of(self, account: str) -> int:
        """The stake that is on its way back to the balance (wei)."""
        return int(await self._view("unbondingOf", checked_address(account, "account")))

    async def unbonding_timestamp(self, account: str) -> int:
        """When the unbonding matures, in Unix seconds; 0 when there is none."""
        return int(await self._view("unbondingTimestamp", checked_address(account, "account")))

    async def sanction_of(self, account: str) -> int:
        """The stake that a judge has taken from an account and may give back (wei)."""
        return int(await self._view("sanctionOf", checked_address(account, "account")))

    async def sanctioned_amount(self) -> int:
        """All stake that judges have taken (wei)."""
        return int(await self._view("sanctionedAmount"))

    async def total_earnings_of(self, account: str) -> int:
        """All that an account was ever paid for responses (wei)."""
        return int(await self._view("totalEarningsOf", checked_address(account, "account")))

    async def frozen_payment(self, task: str) -> int:
        """The payment that is held for a task (wei); 0 once it is paid or given back."""
        return int(await self._view("frozenPayment", checked_address(task, "task")))

    async def is_whitelisted(self, account: str) -> bool:
        """Whether an account is eligible whatever its stake."""
        return bool(await self._view("isWhitelisted", checked_address(account, "account")))

    async def is_eligible(self, account: str) -> bool:
        """Whether an account's stake covers its active sources, one at least, or it is whitelisted."""
        return bool(await self._view("isEligible", checked_address(account, "account")))

    async def min_lockup_per_source(self) -> int:
        """The stake that a source, and a registration, needs (wei)."""
        return int(await self._view("MIN_LOCKUP_PER_SOURCE"))

    async def unbonding_period(self) -> int:
        """How long stake unbonds, in seconds."""
        return int(await self._view("UNBONDING_PERIOD"))

    async def manager(self) -> str:
        """The address of the Manager contract."""
        return str(await self._view("manager"))

    async def nexus(self) -> str:
        """The address of the Nexus contract."""
        return str(await self._view("nexus"))

    async def terminal(self) -> str:
        """The address of the Terminal contract."""
        return str(await self._view("terminal"))

    # --- transactions

    async def deposit(
        self,
        amount: int,
        account: str | None = None,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Move coin (wei) of the sender into the Vault balance of an account, its own by default."""
        check_amount(amount, "amount")
        signer = self._keys.signer(private_key, role, None)
        receiver = signer.address if account is None else checked_address(account, "account")
        return await self._send(
            "deposit",
            receiver,
            by=By(signer, None, idempotency_key),
            usual=None,
            value=amount,
        )

    async def withdraw(
        self,
        amount: int,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Move wei out of the sender's Vault balance to the sender; raises `InsufficientVaultBalance`."""
        return await self._send(
            "withdraw",
            check_amount(amount, "amount"),
            by=By(private_key, role, idempotency_key),
            usual=None,
        )

    async def lock(
        self,
        amount: int,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Turn Vault balance of the sender (wei) into lockup, its stake.

        Raises `InsufficientVaultBalance`.
        """
        return await self._send(
            "lock",
            check_amount(amount, "amount"),
            by=By(private_key, role, idempotency_key),
            usual=None,
        )

    async def unbond(
        self,
        amount: int,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Begin to take lockup (wei) of the sender back; it can be claimed when the unbonding period is over.

        A second one adds to the first, and the wait begins anew. Raises `InsufficientLockup`, also for
        0.
        """
        return await self._send(
            "unbond",
            check_amount(amount, "amount"),
            by=By(private_key, role, idempotency_key),
            usual=None,
        )

    async def cancel_unbonding(
        self,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Turn all that unbonds for the sender back into lockup.

        Raises `NoUnbonding`. The testnet's Vault lacks it.
        """
        return await self._send(
            "cancelUnbonding",
            by=By(private_key, role, idempotency_key),
            usual=None,
        )

    async def claim(
        self,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Turn unbonded stake of the sender that has matured into Vault balance.

        Raises `NoUnbonding`, or with `UnbondingNotElapsed` before `unbonding_timestamp`.
        """
        return await self._send("claim", by=By(private_key, role, idempotency_key), usual=None)

    async def force_release_payment(
        self,
        task: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Take the payment of an expired task back into the sender's Vault balance; the task is EXPIRED then.

        For the task's client itself, not its agents. Raises `NotClient`, `TaskNotExpired`,
        `InvalidStatus` or `AlreadyFinalized`.
        """
        signer = self._keys.signer(private_key, role, None)
        return await self._send(
            "forceReleasePayment",
            signer.address,
            checked_address(task, "task"),
            by=By(signer, None, idempotency_key),
            usual=None,
        )


def account_reads(vault: str, account: str) -> list[Read]:
    """What `VaultAccount` is made of, in its order."""
    return [Read("Vault", vault, name, (account,)) for name in _ACCOUNT]
