"""The errors of the library: one tree, each with facts, a hint, and whether trying again can help.

What a contract refuses is an error of its kind, and a `ContractReverted` beside: in the tree, further classes
stand in parentheses. The same class is raised when the library finds it out before anything is sent.

OGPUError
├── ConfigurationError (ValueError)
│   ├── KeyMissing                   no private key where one is needed
│   ├── KeyMalformed                 a private key that is none; it is never shown
│   ├── KeystoreError                an encrypted key file that cannot be read or opened
│   ├── UnknownChain · UnknownContract
│   └── NetworkFileError             a network file: which one, which field, why
├── InvalidInput (ValueError)        an argument that cannot be right
│   ├── InvalidAddress
│   ├── InvalidExpiry (ContractReverted)
│   ├── PaymentTooLow (ContractReverted) · PriceTooHigh (ContractReverted)
│   ├── InvalidOwner (ContractReverted)
│   ├── NoEnvironment                a source for no hardware
│   └── NotJSON                      data that cannot be written as JSON
├── ClientClosed (RuntimeError)      a client that is used after it was closed
├── NotFound
│   ├── ContractMissing              no contract at that address
│   ├── WrongContract                a contract, but not of that kind
│   ├── TaskUnknown                  the management service does not know the task
│   └── NotConfirmed                 the task has no confirmed response yet
├── StateError                       the chain's state forbids it now
│   ├── SourceInactive (ContractReverted)
│   ├── InvalidEnvironment (ContractReverted)   hardware that the source does not offer
│   ├── AlreadyRegistered (ContractReverted) · NotRegistered (ContractReverted)
│   ├── AlreadyPaired (ContractReverted)        a provider and a master have one another only
│   ├── AlreadyAttempted (ContractReverted) · NotAttempted (ContractReverted)
│   ├── AlreadySubmitted (ContractReverted)     its response, or one with the same data
│   ├── AlreadyConfirmed (ContractReverted) · AlreadyFinalized (ContractReverted)
│   ├── InvalidStatus (ContractReverted)        a step that a task's status does not allow
│   ├── TaskExpired
│   │   └── SubmittedTooLate (ContractReverted)
│   ├── TaskNotExpired (ContractReverted)       too early to take a payment back
│   ├── TaskCanceled
│   └── WaitTimeout (TimeoutError)   it did not happen in the time that the caller gave
├── NotPermitted                     the caller may not do that
│   ├── NotClient (ContractReverted) · NotProvider (ContractReverted) · NotMaster (ContractReverted)
│   ├── NotAgent (ContractReverted)  nobody who may act for that provider
│   ├── NotOwner (ContractReverted)  neither the contract's owner nor the role's holder
│   └── NotEligible (ContractReverted)          stake or whitelist entry missing in the Vault
├── VaultError
│   ├── InsufficientVaultBalance (ContractReverted)   needed and available, in wei
│   ├── InsufficientLockup (ContractReverted)         stake; needed and available, in wei
│   ├── NoUnbonding (ContractReverted)
│   └── UnbondingNotElapsed (ContractReverted)        `matures` says when it will be
├── TransactionError
│   ├── ContractReverted             the contract refuses: its reason, decoded
│   ├── InsufficientFunds            not enough coin for gas and value
│   ├── FeeTooLow                    the node wants more for gas than is offered
│   ├── GasTooExpensive              it would cost what cannot be meant
│   ├── NonceConflict                the nonce is taken or leaves a gap
│   │   └── ForeignNonce             a transaction that is not in the journal was mined at our nonce
│   ├── NonceInUse                   this program still waits for a transaction at that nonce
│   ├── TransactionUndetermined      sent, and the chain has not told its fate yet
│   ├── DryRun                       the client's policy is to send nothing; it says what would be sent
│   ├── SignerFailed                 a signer raised, or did not sign what was asked for
│   ├── TransactionDropped           canceled: an empty transfer of ours was mined in its place
│   ├── BudgetExceeded               it may cost more than is left of `max_spend`
│   ├── IdempotencyConflict (ValueError)   the key stands for another call
│   ├── IntentUnknown                the journal has no such intent
│   └── TasksNotPublished            some of many were not; `results` has each address or error
├── NetworkError
│   ├── RPCUnreachable               connection refused, reset or timed out
│   ├── RPCInvalidResponse           an answer that is not JSON-RPC
│   ├── RPCRateLimited
│   ├── NodeBehind                   a replica that has not seen a block yet
│   ├── Reorganised                  the chain dropped the block that was being read
│   ├── StateMissing                 the node keeps no state of a block that is that old
│   ├── ChainInconsistent            blocks and logs that do not fit together
│   ├── FinalityBroken               the chain changed below what was told as final
│   ├── RPCFailed                    the node's own error: code and message
│   │   └── RPCAnswerTooLarge        one answer is over the node's limit, or ours
│   ├── WrongChain                   the node serves another chain
│   └── ManagementUnavailable
├── JournalError                     the record of transactions cannot be read or written
│   ├── JournalUnavailable           locked for too long, or its database does not answer
│   └── JournalIncompatible          another program's file, or a newer version's
├── IndexFailed                      the index of the chain cannot be read or written
│   ├── IndexUnavailable             locked for too long, or its database does not answer
│   ├── IndexBusy                    another process writes it
│   └── IndexMismatch                of another chain, of a newer version, or no index
├── ContentError
│   ├── ContentUnavailable           could not be uploaded or fetched
│   ├── ContentTooLarge
│   ├── ContentMismatch              the bytes are not what the CID names
│   ├── ContentInvalid               verified bytes that are not what was asked for, such as not JSON
│   │   └── ResultInvalid            a result that does not fit its model; none of a task's that can be used
│   ├── ContentBlocked               a link to an address that is never asked, such as a private one
│   ├── ContentFileError             a local file that cannot be read or written
│   └── UnsupportedCID (ValueError)
├── HandlerError
│   ├── HandlerSignatureError (TypeError)   refused when the file is loaded
│   ├── HandlerFileError             a handler file that cannot be loaded
│   ├── HandlerMissing               no handler of that name
│   ├── HandlerInputInvalid          the task's data does not fit the input model
│   ├── HandlerFailed                raised, or returned the wrong type
│   ├── HandlerTimeout
│   └── HandlerCrashed               its process ended
│       └── ContainerUnreachable     a source's container does not answer
└── LocalNetworkError
    ├── NodeMissing                  no anvil and no way to get one
    ├── NodeFailed                   anvil did not start, or died
    ├── PortTaken
    └── AlreadyRunning               that network file or state folder is in use
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class OGPUError(Exception):
    """The root: a message, the facts behind it, and a hint that says what to do."""

    retryable: ClassVar[bool] = False  # whether the same call may succeed later, unchanged

    def __init__(self, message: str, *, hint: str = "", facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts: dict[str, Any] = dict(facts or {})

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class TransactionError(OGPUError):
    """A transaction failed, or its fate is not known."""


class ContractReverted(TransactionError):
    """A contract refuses the call, or would: what was sent has a `hash` among the facts.

    `reason` is its reason in words, "" when it gave none or was not asked; `data` is all that it said, as
    0x-prefixed hex, when that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        data: str = "",
        hint: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, facts=facts)
        self.reason = reason
        self.data = data


class ConfigurationError(OGPUError, ValueError):
    """A setting is missing or wrong."""


class KeyMissing(ConfigurationError):
    """No private key was given and none is set."""


class KeyMalformed(ConfigurationError):
    """What was given as a private key is none."""


class KeystoreError(ConfigurationError):
    """An encrypted key file cannot be used; neither the password nor the key is ever shown."""


class UnknownChain(ConfigurationError):
    """No network of that name or chain id is known, or none is selected."""


class UnknownContract(ConfigurationError):
    """The network names no contract of that name."""


class NetworkFileError(ConfigurationError):
    """A network file cannot be used; the message names the file, the field and the reason."""


class InvalidInput(OGPUError, ValueError):
    """An argument cannot be right."""


class InvalidAddress(InvalidInput):
    """Not an address."""


class InvalidExpiry(InvalidInput, ContractReverted):
    """A task's expiry is past, or further off than its source allows."""


class PaymentTooLow(InvalidInput, ContractReverted):
    """A task's payment is under its source's price floor; facts: payment, min_payment (wei)."""


class PriceTooHigh(InvalidInput, ContractReverted):
    """A provider's price is over the task's payment; facts: price, payment (wei)."""


class InvalidOwner(InvalidInput, ContractReverted):
    """A contract cannot belong to that account, such as the zero address."""


class NoEnvironment(InvalidInput):
    """A source without any environment URL."""


class NotJSON(InvalidInput):
    """Data that cannot be written as JSON."""


class ClientClosed(OGPUError, RuntimeError):
    """A client was closed and is used again."""


class NotFound(OGPUError):
    """Something asked for is not there."""


class ContractMissing(NotFound):
    """There is no contract at that address."""


class WrongContract(NotFound):
    """There is a contract at that address, but not of the kind that is needed."""


class TaskUnknown(NotFound):
    """The management service does not know that task."""


class NotConfirmed(NotFound):
    """The task has no confirmed response yet."""

    retryable = True


class StateError(OGPUError):
    """The present state on chain does not allow it."""


class SourceInactive(StateError, ContractReverted):
    """The source was inactivated; that is for good."""


class InvalidEnvironment(StateError, ContractReverted):
    """The source does not offer that hardware; facts: environment, offered."""


class AlreadyRegistered(StateError, ContractReverted):
    """The provider is registered to the source."""


class NotRegistered(StateError, ContractReverted):
    """The provider is not registered to the source."""


class AlreadyPaired(StateError, ContractReverted):
    """One of the two is paired, as a master or as a provider; removing the provider ends that."""


class AlreadyAttempted(StateError, ContractReverted):
    """The provider has attempted the task."""


class NotAttempted(StateError, ContractReverted):
    """The provider has not attempted the task."""


class AlreadySubmitted(StateError, ContractReverted):
    """The provider has answered the task, or somebody has with the same data."""


class AlreadyConfirmed(StateError, ContractReverted):
    """The response was confirmed."""


class AlreadyFinalized(StateError, ContractReverted):
    """The task has its final response."""


class InvalidStatus(StateError, ContractReverted):
    """The task's status does not allow that step; facts: status."""


class TaskExpired(StateError):
    """The task's time is over."""


class SubmittedTooLate(TaskExpired, ContractReverted):
    """A response to a task whose time is over; facts: expiry, now (Unix seconds)."""


class TaskNotExpired(StateError, ContractReverted):
    """The task's time is not over, so its payment stays; facts: expiry, now (Unix seconds)."""

    retryable = True


class TaskCanceled(StateError):
    """The task was canceled by its client."""


class WaitTimeout(StateError, TimeoutError):
    """What was waited for did not happen in time; it still may."""

    retryable = True


class NotPermitted(OGPUError):
    """The sender may not do that."""


class NotClient(NotPermitted, ContractReverted):
    """Only the client of the source or task may, or an agent that it has named."""


class NotProvider(NotPermitted, ContractReverted):
    """The account is not that provider, or is not paired as one."""


class NotMaster(NotPermitted, ContractReverted):
    """The account is not the provider's master, or may not be one."""


class NotAgent(NotPermitted, ContractReverted):
    """Only the provider may, its master, or an agent that acts for the master."""


class NotOwner(NotPermitted, ContractReverted):
    """Only the contract's owner may, or an account with the protocol's role for it."""


class NotEligible(NotPermitted, ContractReverted):
    """The account lacks the stake or the whitelist entry that the Vault asks for."""


class VaultError(OGPUError):
    """What an account has in the Vault does not allow it."""


class InsufficientVaultBalance(VaultError, ContractReverted):
    """The Vault balance is short; facts: account, needed, available (wei)."""


class InsufficientLockup(VaultError, ContractReverted):
    """The stake is short; facts: account, needed, available (wei)."""


class NoUnbonding(VaultError, ContractReverted):
    """No stake of the account is unbonding."""


class UnbondingNotElapsed(VaultError, ContractReverted):
    """The unbonding has not matured; facts: unbonding (wei), matures, now (Unix seconds)."""

    retryable = True


class InsufficientFunds(TransactionError):
    """The account cannot pay for gas and value; facts: account, needed, available (wei)."""


class FeeTooLow(TransactionError):
    """No node takes the transaction at that fee; facts: max_fee (wei per gas)."""

    retryable = True


class GasTooExpensive(TransactionError):
    """Gas would cost more than can be meant; facts: cost, most (wei), gas, max_fee."""

    retryable = True


class NonceConflict(TransactionError):
    """The nonce is used already, or nonces before it are missing."""


class ForeignNonce(NonceConflict):
    """A transaction that our journal does not know was mined at our nonce: somebody else uses the key.

    It may be the same call, sent by a host with another journal. Facts: hash (theirs), nonce, address.
    """


class NonceInUse(TransactionError):
    """This program still waits for a transaction at a nonce that would be replaced."""

    retryable = True


class TransactionUndetermined(TransactionError):
    """The transaction was sent and its fate is not known yet; facts: key, hash, nonce, address.

    It may still be mined. The same call again waits on for it and sends no other: by its idempotency key
    from anywhere on the same journal, without one when it is made with the same arguments.
    """

    retryable = True


class DryRun(TransactionError):
    """Nothing was uploaded or sent, since the client's policy is `dry_run`; what would fail raises that.

    Facts: call, sender, to, value, payment, gas, max_fee, priority_fee, gas_cost, total (wei; at most, now),
    and state: what has become of the call by this idempotency key already, else None.
    """


class SignerFailed(TransactionError):
    """A signer raised, or returned something else than it was asked to sign; nothing was sent."""


class TransactionDropped(TransactionError):
    """The transaction was canceled: an empty transfer of ours was mined at its nonce. Facts: hash, nonce."""


class BudgetExceeded(TransactionError):
    """A call may cost more than is left of the client's `max_spend`; facts: needed, left, max_spend (wei)."""


class IdempotencyConflict(TransactionError, ValueError):
    """The idempotency key was used before, for another call; nothing was sent. Facts: key, label, created."""


class IntentUnknown(TransactionError):
    """The journal has no intent of that key."""


class TasksNotPublished(TransactionError):
    """Some of many tasks were not published; `results` has, in order, each one's address or its error."""

    def __init__(
        self,
        message: str,
        *,
        results: Sequence[str | BaseException] = (),
        hint: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, facts=facts)
        self.results = list(results)


class NetworkError(OGPUError):
    """The network between us and a service failed."""

    retryable = True


class RPCUnreachable(NetworkError):
    """The node did not answer: refused, reset or timed out."""


class RPCInvalidResponse(NetworkError):
    """The node's answer is not JSON-RPC (a proxy's HTML page, say)."""


class RPCRateLimited(NetworkError):
    """The node asks to slow down; facts: retry_after (seconds, or None when it does not say)."""


class NodeBehind(NetworkError):
    """The node has not seen a block that another node of the chain has."""


class Reorganised(NetworkError):
    """The chain dropped the block that was being read, again and again."""


class StateMissing(NetworkError):
    """The node has no state of an old block any more; facts: block, head."""

    retryable = False


class ChainInconsistent(NetworkError):
    """Blocks and logs that nodes tell of do not fit together; facts: block, reason."""


class FinalityBroken(NetworkError):
    """The chain changed below what was told as final, or further back than anything is known.

    Facts: depth (blocks), number and hash of the oldest block that was known, newest, finality.
    """

    retryable = False


class RPCFailed(NetworkError):
    """The node answered with an error; `code`, `rpc_message` and `data` are its own."""

    retryable = False

    def __init__(
        self, message: str, *, code: int = 0, rpc_message: str = "", data: Any = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint, facts={"code": code})
        self.code = code
        self.rpc_message = rpc_message
        self.data = data


class RPCAnswerTooLarge(RPCFailed):
    """The answer to one request is over a limit, the node's or ours; facts: code, limit (bytes, or None)."""

    def __init__(
        self, message: str, *, code: int = 0, rpc_message: str = "", limit: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, code=code, rpc_message=rpc_message, hint=hint)
        self.facts["limit"] = limit


class WrongChain(NetworkError):
    """The node serves another chain than the one configured."""

    retryable = False


class ManagementUnavailable(NetworkError):
    """The management service did not answer as it should."""


class JournalError(OGPUError):
    """The journal cannot be read or written; nothing was sent that is not in it. Facts: journal, reason."""


class JournalUnavailable(JournalError):
    """The journal is locked, or its database does not answer, for longer than we wait."""

    retryable = True


class JournalIncompatible(JournalError):
    """What is there is no journal, or one that another version of the library wrote."""


class IndexFailed(OGPUError):
    """The index cannot be read or written; what is in it is whole. Facts: index, reason."""


class IndexUnavailable(IndexFailed):
    """The index is locked, or its database does not answer, for longer than we wait."""

    retryable = True


class IndexBusy(IndexFailed):
    """Another process follows the chain into this index."""


class IndexMismatch(IndexFailed):
    """What is there is the index of another chain, of a newer version of the library, or none."""


class ContentError(OGPUError):
    """Content could not be stored, fetched or trusted."""


class ContentUnavailable(ContentError):
    """No store took the content, or no gateway gave it."""

    retryable = True


class ContentTooLarge(ContentError):
    """Content is over the size limit; facts: limit, size when known (bytes)."""


class ContentMismatch(ContentError):
    """The bytes are not those that the CID names, or a store named other bytes than we sent."""


class ContentInvalid(ContentError):
    """The content is authentic but not what was asked for, such as not JSON."""


class ResultInvalid(ContentInvalid):
    """A result is not what it must be; of a whole task, `problems` has each response's error by address."""

    def __init__(
        self,
        message: str,
        *,
        problems: Mapping[str, ContentError] | None = None,
        hint: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, facts=facts)
        self.problems = dict(problems or {})


class ContentBlocked(ContentError):
    """A link leads to where nothing is ever fetched from, such as a private address; facts: host, reason."""


class ContentFileError(ContentError):
    """A local file cannot be read or written, or changed while it was sent; facts: path, reason."""


class UnsupportedCID(ContentError, ValueError):
    """Not a CID, or of a kind that cannot be checked; the message names the kind."""


class HandlerError(OGPUError):
    """A handler did not give a result."""


class HandlerSignatureError(HandlerError, TypeError):
    """A handler is not a function of one pydantic model to another."""


class HandlerFileError(HandlerError):
    """A handler file cannot be loaded."""


class HandlerMissing(HandlerError):
    """No handler has that name."""


class HandlerInputInvalid(HandlerError):
    """The task's data does not fit the handler's input model."""


class HandlerFailed(HandlerError):
    """The handler raised, or returned something else than its declared model."""


class HandlerTimeout(HandlerError):
    """The handler did not finish in time and was stopped."""


class HandlerCrashed(HandlerError):
    """The handler's process ended before it gave a result."""


class ContainerUnreachable(HandlerCrashed):
    """A source's container does not take tasks: not running, or its port is not reachable."""

    retryable = True


class LocalNetworkError(OGPUError):
    """The local network cannot start or cannot go on."""


class NodeMissing(LocalNetworkError):
    """There is no anvil and no way to install it."""


class NodeFailed(LocalNetworkError):
    """anvil did not start, or ended while it was needed."""


class PortTaken(LocalNetworkError):
    """The port is in use by another program."""


class AlreadyRunning(LocalNetworkError):
    """Another local network uses that network file or state folder."""
