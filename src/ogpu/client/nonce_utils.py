"""Looking at and mending nonces of the network in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ogpu.client.default import client, clients

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ogpu.tx.signer import Signer


def fix_nonce(
    address: str | None = None, private_key: str | LocalAccount | Signer | None = None, *, force: bool = False
) -> int:
    """Replace stuck transactions by empty ones and fill gaps.

    Args:
        address: The account; it must be the key's own, since only its key can replace anything.
        private_key: The key, as hex, `LocalAccount` or `Signer`; None means `CLIENT_PRIVATE_KEY`.
        force: Also replace transactions that this program still waits for.

    Returns:
        The next nonce that can be used, once the chain agrees.

    Raises:
        InvalidInput: `address` is not the key's own (`ValueError`).
        NonceInUse: This program still waits for one of them, and `force` is not given.
        InsufficientFunds: The account cannot pay for the replacements.
        TransactionUndetermined: The replacements are sent and not mined yet.
    """
    return client().fix_nonce(address, private_key, force=force)


def get_nonce_info(
    address: str | None = None, private_key: str | LocalAccount | Signer | None = None
) -> dict[str, Any]:
    """What the chain and this program know of an account's nonces.

    Args:
        address: The account; None means the key's own.
        private_key: The key, as hex, `LocalAccount` or `Signer`; None means `CLIENT_PRIVATE_KEY`.

    Returns:
        `address`, `mined_nonce`, `pending_nonce`, `cached_nonce` (None if none), `has_pending`,
        `pending_count`.
    """
    return client().get_nonce_info(address, private_key)


def reset_nonce_cache(
    address: str | None = None, private_key: str | LocalAccount | Signer | None = None
) -> None:
    """Forget the cached nonce of an account on the network in use.

    Args:
        address: The account; None means the key's own.
        private_key: The key, as hex, `LocalAccount` or `Signer`; None means `CLIENT_PRIVATE_KEY`.
    """
    client().reset_nonce_cache(address, private_key)


def clear_all_nonce_caches() -> None:
    """Forget the cached nonces of all accounts on all networks."""
    for each in clients():
        each.clear_all_nonce_caches()
