"""Publishing tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.client.default import client
from ogpu.types import TaskInfo

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount


def publish_task(
    task_info: TaskInfo,
    private_key: str | LocalAccount | None = None,
    nonce: int | None = None,
    auto_fix_nonce: bool = True,
    max_retries: int = 3,
) -> str:
    """Publish a task on the network in use, paid from the key's Vault balance.

    Args:
        task_info: Source, config, expiry (Unix seconds) and payment (wei).
        private_key: The key that signs, as hex or `LocalAccount`; None means `CLIENT_PRIVATE_KEY`.
        nonce: Exactly this nonce; None means the next one.
        auto_fix_nonce: Take another nonce when the chain shows that ours went to another transaction;
            False raises `NonceConflict` instead.
        max_retries: The most new transactions. Sending the same bytes again is not counted.

    Returns:
        The checksummed address of the new Task.

    Raises:
        InvalidAddress, InvalidExpiry, PaymentTooLow, NotJSON: An argument cannot be right
            (all are `ValueError`).
        ContractMissing, WrongContract, SourceInactive: There is no source to take the task.
        InsufficientVaultBalance: Facts `needed` and `available` in wei.
        KeyMissing, KeyMalformed: No key, or none that can be used (both are `ValueError`).
        InsufficientFunds: Not enough coin for gas.
        TransactionUndetermined: Sent, and its fate is open. Calling again waits on for it, and does
            not publish a second task.
        NetworkError, ContentError: The node or the content service failed.
    """
    return client().publish_task(task_info, private_key, nonce, auto_fix_nonce, max_retries)
