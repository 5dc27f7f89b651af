"""The durable record of what was signed: intents, their attempts, and each account's next nonce."""

from ogpu.tx.journal.owner import is_gone, this_owner
from ogpu.tx.journal.place import journal_place
from ogpu.tx.journal.records import NOBODY, TOLD, Attempt, Intent, Kind, Lease, Outcome, State
from ogpu.tx.journal.refusals import IntentMoved, KeyTaken, LeaseLost
from ogpu.tx.journal.store import Journal

__all__ = [
    "NOBODY",
    "TOLD",
    "Attempt",
    "Intent",
    "IntentMoved",
    "Journal",
    "KeyTaken",
    "Kind",
    "Lease",
    "LeaseLost",
    "Outcome",
    "State",
    "is_gone",
    "journal_place",
    "this_owner",
]
