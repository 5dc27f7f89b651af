"""Reading and confirming responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.client.default import client
from ogpu.types import ConfirmedResponse, Response

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ogpu.tx.signer import Signer


def get_task_responses(task_address: str, lower: int = 0, upper: int | None = None) -> list[Response]:
    """The responses `[lower, upper)` of a task, in the order of its attempts.

    Args:
        task_address: The task.
        lower: The first position, from 0.
        upper: The position after the last; None means all, however many.

    Returns:
        Frozen values, all read from one chain state; payments in wei, timestamps in Unix seconds.

    Raises:
        InvalidAddress, InvalidInput: The address or the bounds cannot be right (`ValueError`).
        ContractMissing, WrongContract: There is no task at that address.
        NetworkError: The node failed; that never reads as an empty list.
    """
    return client().get_task_responses(task_address, lower, upper)


def get_confirmed_response(task_address: str) -> ConfirmedResponse:
    """The confirmed response of a task, from the network's management service.

    Args:
        task_address: The task.

    Returns:
        The response's address, and the service's whole `data` object.

    Raises:
        NotConfirmed: The task has no confirmed response yet.
        TaskUnknown: There is no task at that address.
        ManagementUnavailable: The service failed.
    """
    return client().get_confirmed_response(task_address)


def confirm_response(
    response_address: str,
    private_key: str | LocalAccount | Signer | None = None,
    nonce: int | None = None,
    auto_fix_nonce: bool = True,
    max_retries: int = 3,
    *,
    idempotency_key: str | None = None,
) -> str:
    """Confirm a response: its provider is paid what it asked, the rest of the payment comes back.

    Args:
        response_address: The response, of a task of the key's account under manual confirmation.
        private_key: The key that signs, as hex, `LocalAccount` or `Signer`; None means `CLIENT_PRIVATE_KEY`.
        nonce: Exactly this nonce; None means the next one.
        auto_fix_nonce: Take another nonce when the chain shows that ours went to another transaction;
            False raises `NonceConflict` instead.
        max_retries: The most new transactions. Sending the same bytes again is not counted.
        idempotency_key: What is to happen once, by a name of yours. The same call by the same key gives the
            same result, now or after a year, also in another process on the same journal.

    Returns:
        The transaction's hash, 0x-prefixed.

    Raises:
        ContractMissing, WrongContract: There is no response at that address.
        ContractReverted: The contract refuses; `reason` says why ("NotClient", "AlreadyFinalized", …).
        KeyMissing, KeyMalformed: No key, or none that can be used (both are `ValueError`).
        IdempotencyConflict: The key was used for another call (it is a `ValueError`).
        ForeignNonce: Another program or host, on another journal, sends from this account.
        BudgetExceeded: More than the client's `max_spend` would be spent.
        JournalError: The journal cannot be written; nothing was sent that is not in it.
        TransactionUndetermined: Sent, and its fate is open. Calling again waits on for it.
        NetworkError: The node failed.
    """
    return client().confirm_response(
        response_address, private_key, nonce, auto_fix_nonce, max_retries, idempotency_key=idempotency_key
    )
