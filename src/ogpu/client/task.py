"""Publishing tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ogpu.client.default import client
from ogpu.types import Progress, TaskInfo

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ogpu.tx.signer import Signer


def publish_task(
    task_info: TaskInfo,
    private_key: str | LocalAccount | Signer | None = None,
    nonce: int | None = None,
    auto_fix_nonce: bool = True,
    max_retries: int = 3,
    *,
    idempotency_key: str | None = None,
) -> str:
    """Publish a task on the network in use, paid from the key's Vault balance.

    Args:
        task_info: Source, config, expiry (Unix seconds) and payment (wei).
        private_key: The key that signs, as hex, `LocalAccount` or `Signer`; None means `CLIENT_PRIVATE_KEY`.
        nonce: Exactly this nonce; None means the next one.
        auto_fix_nonce: Take another nonce when the chain shows that ours went to another transaction;
            False raises `NonceConflict` instead.
        max_retries: The most new transactions. Sending the same bytes again is not counted.
        idempotency_key: What is to happen once, by a name of yours. The same call by the same key gives the
            same result, now or after a year, also in another process on the same journal.

    Returns:
        The checksummed address of the new Task.

    Raises:
        InvalidAddress, InvalidExpiry, PaymentTooLow, NotJSON: An argument cannot be right
            (all are `ValueError`).
        ContractMissing, WrongContract, SourceInactive: There is no source to take the task.
        InsufficientVaultBalance: Facts `needed` and `available` in wei.
        KeyMissing, KeyMalformed: No key, or none that can be used (both are `ValueError`).
        InsufficientFunds: Not enough coin for gas.
        IdempotencyConflict: The key was used for another call (it is a `ValueError`).
        ForeignNonce: Another program or host, on another journal, sends from this account.
        BudgetExceeded: More than the client's `max_spend` would be spent.
        JournalError: The journal cannot be written; nothing was sent that is not in it.
        TransactionUndetermined: Sent, and its fate is open. Calling again waits on for it, and does
            not publish a second task.
        NetworkError, ContentError: The node or the content service failed.
    """
    return client().publish_task(
        task_info, private_key, nonce, auto_fix_nonce, max_retries, idempotency_key=idempotency_key
    )


def publish_tasks(
    task_infos: Sequence[TaskInfo],
    private_key: str | LocalAccount | Signer | None = None,
    *,
    idempotency_keys: Sequence[str | None] | None = None,
    return_exceptions: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> list[Any]:
    """Publish many tasks at once on the network in use; uploads, signing, sending and waiting overlap.

    Args:
        task_infos: The tasks, each as `publish_task` takes it.
        private_key: The key that signs, as hex, `LocalAccount` or `Signer`; None means `CLIENT_PRIVATE_KEY`.
        idempotency_keys: One a task, in their order; None for a task without one.
        return_exceptions: Put the error of a task that fails in its place, and raise none.
        progress: Called with a `Progress` after each task, on a thread of the library.

    Returns:
        The checksummed addresses of the new Tasks, in the order of `task_infos`.

    Raises:
        TasksNotPublished: Some failed; its `results` has each one's address or error. The others are
            published all the same, and no nonce gap is left.
        InvalidInput: The keys do not fit the tasks, or one is given twice.
    """
    return client().publish_tasks(
        task_infos,
        private_key,
        idempotency_keys=idempotency_keys,
        return_exceptions=return_exceptions,
        progress=progress,
    )
