"""What a contract's refusal means: which error it is, and the facts that explain it, read at its block."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from ogpu import errors
from ogpu.errors import ContractReverted, NetworkError, OGPUError
from ogpu.protocol.explanations import why
from ogpu.protocol.refusals import Case, Told, missing
from ogpu.rpc.reverts import decoded_revert

if TYPE_CHECKING:
    from ogpu.protocol.views import Contracts
    from ogpu.tx.state import Call

KINDS: Mapping[str, type[ContractReverted]] = {
    # permission
    "NotClient": errors.NotClient,
    "NotProvider": errors.NotProvider,
    "NotMaster": errors.NotMaster,
    "NotAgent": errors.NotAgent,
    "NotOwner": errors.NotOwner,
    "NotEligible": errors.NotEligible,
    "OwnableUnauthorizedAccount": errors.NotOwner,
    "AccessControlUnauthorizedAccount": errors.NotOwner,
    "AccessControlBadConfirmation": errors.NotOwner,
    # state
    "SourceInactive": errors.SourceInactive,
    "InvalidEnvironment": errors.InvalidEnvironment,
    "AlreadyRegistered": errors.AlreadyRegistered,
    "NotRegistered": errors.NotRegistered,
    "AlreadyAttempted": errors.AlreadyAttempted,
    "NotAttempted": errors.NotAttempted,
    "AlreadySubmitted": errors.AlreadySubmitted,
    "AlreadyConfirmed": errors.AlreadyConfirmed,
    "AlreadyFinalized": errors.AlreadyFinalized,
    "InvalidStatus": errors.InvalidStatus,
    "Expired": errors.SubmittedTooLate,
    # arguments
    "InsufficientPayment": errors.PaymentTooLow,
    "InvalidExpiry": errors.InvalidExpiry,
    "OwnableInvalidOwner": errors.InvalidOwner,
    # the Vault
    "InsufficientBalance": errors.InsufficientVaultBalance,
    "InsufficientLockup": errors.InsufficientLockup,
    "NoUnbonding": errors.NoUnbonding,
    "UnbondingNotElapsed": errors.UnbondingNotElapsed,
}

# What means something else of some functions.
OF_FUNCTIONS: Mapping[tuple[str, str], type[ContractReverted]] = {
    ("attempt", "InsufficientPayment"): errors.PriceTooHigh,
    ("submitResponse", "InsufficientPayment"): errors.PriceTooHigh,
    ("forceReleasePayment", "InvalidExpiry"): errors.TaskNotExpired,
    ("announceProvider", "AlreadyRegistered"): errors.AlreadyPaired,
    ("announceMaster", "AlreadyRegistered"): errors.AlreadyPaired,
}


def kind_of(function: str, reason: str) -> type[ContractReverted]:
    """The error for a reason, or a custom error's name; what is not the protocol's is `ContractReverted`."""
    return OF_FUNCTIONS.get((function, reason)) or KINDS.get(reason, ContractReverted)


@contextlib.asynccontextmanager
async def explaining(chain: Contracts, call: Call, sender: str) -> AsyncIterator[None]:
    """Raise what a refusal of this call means in place of the refusal."""
    try:
        yield
    except ContractReverted as error:
        if type(error) is not ContractReverted or "block" not in error.facts:
            raise  # it says already what it is, or no transaction is meant
        raise await explained(chain, call, sender, error) from error.__cause__


async def explained(chain: Contracts, call: Call, sender: str, error: ContractReverted) -> OGPUError:
    """The error of its own kind, with what the chain told at the failing block."""
    revert = decoded_revert(error.data)
    reason = revert.name or error.reason
    case = Case.of(chain, call, sender, error)
    facts = {**error.facts, **revert.arguments}
    if revert.panic is not None:
        facts["panic"] = revert.panic
    try:
        if instead := await missing(case, reason):
            instead.__cause__ = error
            return instead
        told = await why(case, reason)
    except NetworkError:  # the verdict is known; only its reasons are not
        told = Told()
    return kind_of(case.function, reason)(
        " ".join(filter(None, (error.message, told.words))),
        reason=error.reason,
        data=error.data,
        hint=" ".join(filter(None, (error.hint, told.hint))),
        facts={**facts, **told.facts},
    )
