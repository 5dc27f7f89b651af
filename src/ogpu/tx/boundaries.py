"""The points between journal and network at which a process may end; tests end it there, by name."""

from __future__ import annotations

from enum import StrEnum


class Boundary(StrEnum):
    """Where the work stands. Whatever happens here, what is stored says how to go on."""

    LEASED = "leased"  # the lane is ours, nothing is signed
    SIGNED = "signed"  # signed, and nowhere stored: it is as if it had never been
    JOURNAL_BEGUN = "journal begun"  # a writing transaction has begun
    JOURNAL_WRITTEN = "journal written"  # its rows are written, before COMMIT
    JOURNAL_COMMITTED = "journal committed"  # after COMMIT, before anybody is told
    STORED = "stored"  # whoever asked knows that it is stored
    SENDING = "sending"  # the first byte is about to leave
    SENT = "sent"  # a node has answered
    UPLOADED = "uploaded"  # the content is in the store, no transaction names it yet
    RECEIPT_SEEN = "receipt seen"
    OUTCOME_STORED = "outcome stored"
    BUMP_SIGNED = "bump signed"
    BUMP_STORED = "bump stored"
    CANCEL_STORED = "cancel stored"
    GIVEN_BACK = "given back"  # a refused intent's nonce is free again


def nowhere(boundary: Boundary) -> None:
    """What is called at a boundary unless a test says otherwise."""
