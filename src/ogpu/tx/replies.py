"""What nodes' answers to a send mean: pure rules over their error texts."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from ogpu.errors import NetworkError, RPCFailed

REVERT_CODE = 3  # geth's, for a call that a contract reverted


class Reply(Enum):
    """What is known after a send."""

    ACCEPTED = "the node has the transaction"
    UNDETERMINED = "the node may or may not have it, or may take it later"
    NONCE_TOO_LOW = "the nonce is used on chain; these bytes were not accepted"
    NONCE_OCCUPIED = "another pending transaction holds the nonce"
    UNDERPRICED = "the fee is under what the node takes"
    INSUFFICIENT_FUNDS = "the account cannot pay"
    REFUSED = "the node will never take these bytes"


# Fragments of error texts in lower case; the first that is found decides, and what no rule knows proves
# nothing. Codes are no rules: -32003 is "rejected" for reth and anvil and "intrinsic gas" for Besu, and
# geth says nearly everything with -32000. Every rule has its rows in tests/unit/test_replies.py, with the
# client and the file that the text comes from.
RULES: tuple[tuple[str, Reply], ...] = (
    ("execution reverted", Reply.UNDETERMINED),  # what follows are the words of a stranger's contract
    ("authority nonce too low", Reply.UNDETERMINED),  # an EIP-7702 authorization, not the transaction
    ("unknown transaction type", Reply.REFUSED),  # before "known transaction"
    ("already known", Reply.ACCEPTED),
    ("already imported", Reply.ACCEPTED),
    ("alreadyknown", Reply.ACCEPTED),
    ("known transaction", Reply.ACCEPTED),
    ("with same hash", Reply.ACCEPTED),
    ("replacement transaction underpriced", Reply.NONCE_OCCUPIED),
    ("replacementnotallowed", Reply.NONCE_OCCUPIED),
    ("could not replace existing", Reply.NONCE_OCCUPIED),
    ("to replace existing transaction", Reply.NONCE_OCCUPIED),
    ("nonce too low", Reply.NONCE_TOO_LOW),
    ("oldnonce", Reply.NONCE_TOO_LOW),
    ("insufficient funds", Reply.INSUFFICIENT_FUNDS),
    ("insufficientfunds", Reply.INSUFFICIENT_FUNDS),
    ("upfront cost exceeds", Reply.INSUFFICIENT_FUNDS),
    ("underpriced", Reply.UNDERPRICED),
    ("fee too low", Reply.UNDERPRICED),
    ("feetoolow", Reply.UNDERPRICED),
    ("less than block base fee", Reply.UNDERPRICED),
    ("gas price below", Reply.UNDERPRICED),
    ("priority fee below minimum", Reply.UNDERPRICED),
    ("exceeds the configured cap", Reply.REFUSED),  # geth's and reth's --rpc.txfeecap
    ("fee cap exceeded", Reply.REFUSED),
    ("transaction type not supported", Reply.REFUSED),
    ("invalid transaction type", Reply.REFUSED),
    ("invalidtxtype", Reply.REFUSED),
    ("notsupportedtxtype", Reply.REFUSED),
    ("transaction type is not activated", Reply.REFUSED),
    ("rlp: ", Reply.REFUSED),
    ("rlptoolong", Reply.REFUSED),
    ("failed to decode", Reply.REFUSED),
    ("block gas limit", Reply.REFUSED),
    ("gaslimitexceeded", Reply.REFUSED),
    ("gaslimitcapexceeded", Reply.REFUSED),
    ("max transaction gas limit", Reply.REFUSED),
    ("gas limit too high", Reply.REFUSED),
    ("gas limit is too high", Reply.REFUSED),
    ("intrinsic gas", Reply.REFUSED),
    ("intrinsicgas", Reply.REFUSED),
    ("floor data gas", Reply.REFUSED),
    ("gas uint64 overflow", Reply.REFUSED),
    ("gasuintoverflow", Reply.REFUSED),
    ("int256overflow", Reply.REFUSED),
    ("invalid chain id", Reply.REFUSED),
    ("invalidtxchainid", Reply.REFUSED),
    ("wrong chainid", Reply.REFUSED),
    ("signed for another chain", Reply.REFUSED),
    ("only replay-protected", Reply.REFUSED),
    ("invalid sender", Reply.REFUSED),
    ("failedtoresolvesender", Reply.REFUSED),
    ("invalid signature", Reply.REFUSED),
    ("invalidtxsignature", Reply.REFUSED),
    ("sender not an eoa", Reply.REFUSED),
    ("sender is not an eoa", Reply.REFUSED),
    ("senderiscontract", Reply.REFUSED),
    ("oversized data", Reply.REFUSED),
    ("maxtxsizeexceeded", Reply.REFUSED),
    ("initcode", Reply.REFUSED),
    ("negative value", Reply.REFUSED),
    ("higher than max fee per gas", Reply.REFUSED),
    ("exceeds max fee per gas", Reply.REFUSED),
    ("cannot be higher than maxfeepergas", Reply.REFUSED),
    ("higher than 2^256-1", Reply.REFUSED),
    ("nonce has max value", Reply.REFUSED),
)

# What many nodes say together: the first of these that one says, when none has it and all have spoken.
_ORDER = (
    Reply.ACCEPTED,
    Reply.UNDETERMINED,
    Reply.NONCE_TOO_LOW,
    Reply.NONCE_OCCUPIED,
    Reply.UNDERPRICED,
    Reply.INSUFFICIENT_FUNDS,
    Reply.REFUSED,
)


def judge(error: RPCFailed) -> Reply:
    """What a node's error to a send means; a text that no rule knows proves nothing."""
    if error.code == REVERT_CODE:
        return Reply.UNDETERMINED
    text = error.rpc_message.lower()
    for fragment, reply in RULES:
        if fragment in text:
            return reply
    return Reply.UNDETERMINED


def verdict(answers: Sequence[str | RPCFailed | NetworkError]) -> tuple[Reply, str]:
    """What all nodes' answers to one send mean together, and the words of the node that decided.

    One node that has the transaction outweighs all others; one that gave no answer leaves its fate open.
    """
    if not answers:
        return Reply.UNDETERMINED, "no node was asked"
    judged = [_judged(answer) for answer in answers]
    return min(judged, key=lambda found: _ORDER.index(found[0]))


def _judged(answer: str | RPCFailed | NetworkError) -> tuple[Reply, str]:
    if isinstance(answer, str):
        return Reply.ACCEPTED, answer
    if isinstance(answer, RPCFailed):
        return judge(answer), answer.rpc_message
    return Reply.UNDETERMINED, answer.message
