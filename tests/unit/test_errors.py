"""Every error's category, and whether the same call may succeed later, decided one by one."""

from __future__ import annotations

import copy
import pickle

import pytest

from ogpu import errors
from ogpu.errors import ContractReverted, OGPUError

# By category; a "+" means that trying again, unchanged, may help.
TABLE = {
    "ConfigurationError": """KeyMissing KeyMalformed KeystoreError UnknownChain UnknownContract
        NetworkFileError""",
    "InvalidInput": """InvalidAddress InvalidExpiry PaymentTooLow PriceTooHigh InvalidOwner NoEnvironment
        NotJSON""",
    "ClientClosed": "",
    "NotFound": "ContractMissing WrongContract TaskUnknown NotConfirmed+",
    "StateError": """SourceInactive InvalidEnvironment AlreadyRegistered NotRegistered AlreadyPaired
        AlreadyAttempted NotAttempted AlreadySubmitted AlreadyConfirmed AlreadyFinalized InvalidStatus
        TaskExpired SubmittedTooLate TaskNotExpired+ TaskCanceled WaitTimeout+""",
    "NotPermitted": "NotClient NotProvider NotMaster NotAgent NotOwner NotEligible",
    "VaultError": "InsufficientVaultBalance InsufficientLockup NoUnbonding UnbondingNotElapsed+",
    "TransactionError": """ContractReverted InsufficientFunds FeeTooLow+ GasTooExpensive+ NonceConflict
        ForeignNonce NonceInUse+ TransactionUndetermined+ DryRun SignerFailed TransactionDropped
        BudgetExceeded IdempotencyConflict IntentUnknown TasksNotPublished""",
    "NetworkError+": """RPCUnreachable+ RPCInvalidResponse+ RPCRateLimited+ NodeBehind+ Reorganised+
        StateMissing ChainInconsistent+ FinalityBroken RPCFailed RPCAnswerTooLarge WrongChain
        ManagementUnavailable+""",
    "JournalError": "JournalUnavailable+ JournalIncompatible",
    "IndexFailed": "IndexUnavailable+ IndexBusy IndexMismatch",
    "ContentError": """ContentUnavailable+ ContentTooLarge ContentMismatch ContentInvalid ResultInvalid
        ContentBlocked ContentFileError UnsupportedCID""",
    "HandlerError": """HandlerSignatureError HandlerFileError HandlerMissing HandlerInputInvalid HandlerFailed
        HandlerTimeout HandlerCrashed ContainerUnreachable+""",
    "LocalNetworkError": "NodeMissing NodeFailed PortTaken AlreadyRunning",
}
ALL = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, OGPUError)]


def category(error: type[OGPUError]) -> str:
    """Where an error hangs in the tree, by its first base alone."""
    while error.__bases__[0] is not OGPUError:
        error = error.__bases__[0]
    return error.__name__


def test_each_error_has_its_category_and_whether_to_try_again() -> None:
    expected = {}
    for head, members in TABLE.items():
        for name in (head, *members.split()):
            expected[name.rstrip("+")] = (head.rstrip("+"), name.endswith("+"))
    found = {one.__name__: (category(one), one.retryable) for one in ALL if one is not OGPUError}
    assert found == expected
    assert not OGPUError.retryable


@pytest.mark.parametrize("error", ALL)
def test_each_goes_between_processes_with_all_that_it_knows(error: type[OGPUError]) -> None:
    first = error("What happened.", hint="What to do.")
    first.facts = {"needed": 2**200, "block": 5}
    for again in (pickle.loads(pickle.dumps(first)), copy.copy(first)):
        assert type(again) is error
        assert again.__dict__ == first.__dict__
        assert str(again) == "What happened. What to do."


def test_an_error_that_is_found_before_the_contract_was_asked_has_no_reason() -> None:
    early = errors.PaymentTooLow("x", facts={"payment": 1})
    assert (early.reason, early.data) == ("", "")
    assert isinstance(early, ContractReverted)
