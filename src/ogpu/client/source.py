"""Publishing services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ogpu.client.default import client
from ogpu.types import SourceInfo

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ogpu.tx.signer import Signer


def publish_source(
    source_info: SourceInfo,
    private_key: str | LocalAccount | Signer | None = None,
    nonce: int | None = None,
    auto_fix_nonce: bool = True,
    max_retries: int = 3,
    *,
    idempotency_key: str | None = None,
) -> str:
    """Publish a service on the network in use.

    Args:
        source_info: What to publish; payments and lockups in wei, durations in seconds.
        private_key: The key that signs, as hex, `LocalAccount` or `Signer`; None means `CLIENT_PRIVATE_KEY`.
        nonce: Exactly this nonce; None means the next one.
        auto_fix_nonce: Take another nonce when the chain shows that ours went to another transaction;
            False raises `NonceConflict` instead.
        max_retries: The most new transactions. Sending the same bytes again is not counted.
        idempotency_key: What is to happen once, by a name of yours. The same call by the same key gives the
            same result, now or after a year, also in another process on the same journal.

    Returns:
        The checksummed address of the new Source.

    Raises:
        NoEnvironment: No environment has a URL.
        NotEligible: The stake does not suffice; facts `needed` and `available` in wei.
        KeyMissing, KeyMalformed: No key, or none that can be used (both are `ValueError`).
        InsufficientFunds: Not enough coin for gas.
        ContractReverted: The contract refuses; `reason` says why.
        IdempotencyConflict: The key was used for another call (it is a `ValueError`).
        ForeignNonce: Another program or host, on another journal, sends from this account.
        BudgetExceeded: More than the client's `max_spend` would be spent.
        JournalError: The journal cannot be written; nothing was sent that is not in it.
        TransactionUndetermined: Sent, and its fate is open. Calling again waits on for it.
        NetworkError, ContentError: The node or the content service failed; nothing was published
            unless the error is `TransactionUndetermined`.
    """
    return client().publish_source(
        source_info, private_key, nonce, auto_fix_nonce, max_retries, idempotency_key=idempotency_key
    )
