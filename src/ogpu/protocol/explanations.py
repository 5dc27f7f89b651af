"""Why a contract refuses a call: what the chain had at the failing block, in words, facts and advice.

A fact that cannot be read is left out, and so is one that does not explain the refusal: in a block with more
transactions, the state before ours or after it may be another one than ours has met.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from ogpu.protocol import explain_money as money
from ogpu.protocol import explain_rights as rights
from ogpu.protocol import explain_states as states
from ogpu.protocol.refusals import Case, Told

Explain = Callable[[Case], Awaitable[Told]]

WHY: Mapping[tuple[str, str], Explain] = {  # "" stands for every other function
    ("", "InsufficientBalance"): money.balance,
    ("unbond", "InsufficientLockup"): money.unbondable,
    ("register", "InsufficientLockup"): money.registrable,
    ("", "NoUnbonding"): money.unbonding,
    ("", "UnbondingNotElapsed"): money.maturity,
    ("", "NotEligible"): money.eligible,
    ("publishTask", "InsufficientPayment"): money.floor,
    ("attempt", "InsufficientPayment"): money.price,
    ("submitResponse", "InsufficientPayment"): money.price,
    ("publishTask", "InvalidExpiry"): money.expiry,
    ("forceReleasePayment", "InvalidExpiry"): money.not_over,
    ("submitResponse", "Expired"): money.over,
    ("publishSource", "NotClient"): rights.source_client,
    ("updateSource", "NotClient"): rights.source_client,
    ("inactivateSource", "NotClient"): rights.source_client,
    ("cancelTask", "NotClient"): rights.task_client,
    ("confirmResponse", "NotClient"): rights.task_client,
    ("forceReleasePayment", "NotClient"): rights.task_client,
    ("", "NotAgent"): rights.acting,
    ("", "NotProvider"): rights.pairing,
    ("", "NotMaster"): rights.mastery,
    ("announceProvider", "AlreadyRegistered"): rights.paired,
    ("announceMaster", "AlreadyRegistered"): rights.paired,
    ("register", "AlreadyRegistered"): states.registration,
    ("", "NotRegistered"): states.registration,
    ("", "OwnableUnauthorizedAccount"): rights.owner,
    ("", "SourceInactive"): states.source_status,
    ("", "InvalidEnvironment"): states.environment,
    ("", "InvalidStatus"): states.task_state,
    ("", "AlreadyFinalized"): states.task_state,
    ("", "AlreadyConfirmed"): states.task_state,
    ("", "AlreadyAttempted"): states.attempt,
    ("", "NotAttempted"): states.attempt,
    ("", "AlreadySubmitted"): states.answer,
}


async def why(case: Case, reason: str) -> Told:
    """What explains a refusal for a reason, or a custom error by its name; empty when nothing does."""
    explain = WHY.get((case.function, reason)) or WHY.get(("", reason))
    return await explain(case) if explain else Told()
