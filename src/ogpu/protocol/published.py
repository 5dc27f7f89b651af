"""The address of what a transaction has published, from the events in its receipt. Pure."""

from __future__ import annotations

from ogpu.errors import RPCInvalidResponse, TransactionError
from ogpu.rpc.codec import decode_logs
from ogpu.tx.state import Receipt


def published(receipt: Receipt, event: str, field: str, nexus: str) -> str:
    """The item that an event of the Nexus itself names."""
    try:
        for name, arguments in decode_logs("Nexus", receipt.logs, nexus):
            if name == event:
                return str(arguments[field])
    except RPCInvalidResponse as error:
        raise TransactionError(
            f"Transaction {receipt.hash} was mined, but its events cannot be read: {error}",
            hint="It is published; do not publish it again. Look the transaction up.",
            facts={"hash": receipt.hash},
        ) from error
    raise TransactionError(
        f"Transaction {receipt.hash} was mined, but holds no {event} event of Nexus {nexus}.",
        hint="The network's contract addresses may be wrong.",
        facts={"hash": receipt.hash},
    )
