"""What nodes say to a send, in their exact words and codes, and what it means."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from ogpu.errors import NetworkError, RPCFailed, RPCUnreachable
from ogpu.tx.replies import RULES, Reply, judge, verdict

ACCEPTED, UNDETERMINED = Reply.ACCEPTED, Reply.UNDETERMINED
LOW, OCCUPIED, UNDERPRICED = Reply.NONCE_TOO_LOW, Reply.NONCE_OCCUPIED, Reply.UNDERPRICED
FUNDS, REFUSED = Reply.INSUFFICIENT_FUNDS, Reply.REFUSED
HASH = "0x" + "ab" * 32

# By client and the file of its sources: code, text, meaning.
GETH = {
    "core/txpool/errors.go": [
        (-32000, "already known", ACCEPTED),
        (-32000, "invalid sender", REFUSED),
        (-32000, "transaction underpriced", UNDERPRICED),
        (-32000, "replacement transaction underpriced", OCCUPIED),
        (-32000, "account limit exceeded: pooled 16 txs", UNDETERMINED),
        (-32000, "exceeds block gas limit", REFUSED),
        (-32000, "negative value", REFUSED),
        (-32000, "oversized data: transaction size 131073, limit 131072", REFUSED),
        (-32000, "future transaction tries to replace pending", UNDETERMINED),
        (-32000, "address already reserved", UNDETERMINED),
        (-32000, "authority already reserved", UNDETERMINED),
        (-32000, "authority nonce too low", UNDETERMINED),
    ],
    "core/txpool/legacypool/legacypool.go": [
        (-32000, "txpool is full", UNDETERMINED),
        (-32000, "gapped-nonce tx from delegated accounts", UNDETERMINED),
        (-32000, "in-flight transaction limit reached for delegated accounts", UNDETERMINED),
    ],
    "core/txpool/blobpool/blobpool.go": [
        (-32000, "replacement transaction underpriced: new tx gas fee cap 1 <= 2 queued", OCCUPIED),
    ],
    "core/txpool/validation.go": [
        (-32000, "transaction underpriced: tip needed 1, tip permitted 0", UNDERPRICED),
        (-32000, "nonce too low: next nonce 5, tx nonce 3", LOW),
        (-32000, "nonce too high: tx nonce 9, gapped nonce 5", UNDETERMINED),
        (-32000, "invalid sender: invalid chain id for signer: have 1 want 1337", REFUSED),
        (-32000, "transaction type not supported: type 2 rejected, pool not yet in London", REFUSED),
        (-32000, "transaction gas price below minimum: gas tip cap 1, minimum needed 1000", UNDERPRICED),
        (-32000, "intrinsic gas too low: gas 0, minimum needed 21000", REFUSED),
        (-32000, "insufficient gas for floor data gas cost: gas 1, minimum needed 2", REFUSED),
        (-32000, "insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1", FUNDS),
        (
            -32000,
            "insufficient funds for gas * price + value: balance 5, queued cost 4, tx cost 2, overshot 1",
            FUNDS,
        ),
    ],
    "core/error.go": [
        (-32000, "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1", UNDERPRICED),
        (-32000, "nonce has max value", REFUSED),
        (-32000, "insufficient funds for transfer", FUNDS),
        (-32000, "max initcode size exceeded", REFUSED),
        (-32000, "gas uint64 overflow", REFUSED),
        (-32000, "transaction gas limit too high (cap: 16777216, tx: 16777217)", REFUSED),
        (-32000, "max priority fee per gas higher than max fee per gas", REFUSED),
        (-32000, "max fee per gas higher than 2^256-1", REFUSED),
        (-32000, "sender not an eoa", REFUSED),
    ],
    "internal/ethapi/errors.go": [
        (-38010, "nonce too low", LOW),
        (-38011, "nonce too high", UNDETERMINED),
        (-38013, "intrinsic gas too low", REFUSED),
        (-38014, "insufficient funds for gas * price + value", FUNDS),
        (3, "execution reverted: nonce too low", UNDETERMINED),
        (-32000, "execution reverted: already known", UNDETERMINED),
    ],
    "internal/ethapi/api.go": [
        (-32000, "tx fee (2.00 ether) exceeds the configured cap (1.00 ether)", REFUSED),
        (-32000, "only replay-protected (EIP-155) transactions allowed over RPC", REFUSED),
    ],
    "rlp/decode.go": [
        (
            -32000,
            "rlp: value size exceeds available input length",
            REFUSED,
        ),
    ],
}
ANVIL = {
    "crates/anvil/src/eth/error.rs": [
        (-32003, "transaction already imported", ACCEPTED),
        (-32003, "replacement transaction underpriced", OCCUPIED),
        (-32003, "Tx: [0xab] insufficient gas price to replace existing transaction", OCCUPIED),
        (-32003, "nonce too low", LOW),
        (-32003, "Nonce too high", UNDETERMINED),
        (-32003, "nonce has max value", REFUSED),
        (-32003, "Insufficient funds for gas * price + value", FUNDS),
        (-32003, "insufficient funds for transfer", FUNDS),
        (-32003, "max fee per gas less than block base fee", UNDERPRICED),
        (-32003, "max priority fee per gas higher than max fee per gas", REFUSED),
        (-32000, "intrinsic gas too low", REFUSED),
        (-32000, "intrinsic gas too high -- CallerGasLimitMoreThanBlock", REFUSED),
        (-32003, "max initcode size exceeded", REFUSED),
        (-32003, "invalid chain id for signer", REFUSED),
        (-32003, "Incompatible EIP-155 transaction, signed for another chain", REFUSED),
        (
            -32003,
            "Transaction gas limit is greater than the block gas limit, gas_limit: 2, cap: 1",
            REFUSED,
        ),
        (-32003, "Cyclic transaction detected", UNDETERMINED),
        (-32602, "Failed to decode transaction", REFUSED),
        (-32602, "Empty transaction data", UNDETERMINED),
        (-32602, "Unknown transaction type not supported", REFUSED),
        (-32603, "Transaction confirmation timeout", UNDETERMINED),
        (3, "execution reverted: replacement transaction underpriced", UNDETERMINED),
    ],
}
RETH = {
    "crates/rpc/rpc-eth-types/src/error/mod.rs": [
        (-32000, "already known", ACCEPTED),
        (-32000, "invalid sender", REFUSED),
        (-32000, "transaction underpriced", UNDERPRICED),
        (-32003, "txpool is full", UNDETERMINED),
        (-32000, "replacement transaction underpriced", OCCUPIED),
        (-32000, "exceeds block gas limit", REFUSED),
        (-32000, "exceeds max transaction gas limit", REFUSED),
        (-32000, "tx fee (2 wei) exceeds the configured cap (1 wei)", REFUSED),
        (-32000, "oversized data: transaction size 2, limit 1", REFUSED),
        (-32000, "address already reserved", UNDETERMINED),
        (-32000, "nonce too low: next nonce 5, tx nonce 3", LOW),
        (-32000, "nonce too high", UNDETERMINED),
        (-32003, "insufficient funds for gas * price + value: have 0 want 1", FUNDS),
        (-32000, "intrinsic gas too high", REFUSED),
        (-32003, "gas limit too high", REFUSED),
        (-32003, "transaction type not supported", REFUSED),
        (-32000, "max fee per gas less than block base fee", UNDERPRICED),
        (-32003, "transaction priority fee below minimum required priority fee 1", UNDERPRICED),
        (-32003, "sender is not an EOA", REFUSED),
        (-32000, "invalid chain ID", REFUSED),
        (-32602, "failed to decode signed transaction", REFUSED),
    ],
}
NETHERMIND = {
    "Nethermind.TxPool/AcceptTxResult.cs": [
        (-32010, "AlreadyKnown", ACCEPTED),
        (-32010, "FailedToResolveSender", REFUSED),
        (-32010, "FeeTooLow, EffectivePriorityFeePerGas too low", UNDERPRICED),
        (-32010, "FeeTooLowToCompete", UNDERPRICED),
        (-32010, "GasLimitExceeded", REFUSED),
        (-32010, "InsufficientFunds, Account balance: 0", FUNDS),
        (-32010, "Int256Overflow", REFUSED),
        (-32010, "Invalid", UNDETERMINED),
        (-32010, "NonceGap", UNDETERMINED),
        (-32010, "OldNonce, Current nonce: 5, nonce of rejected tx: 3", LOW),
        (-32010, "ReplacementNotAllowed", OCCUPIED),
        (-32010, "SenderIsContract", REFUSED),
        (-32010, "NonceTooFarInFuture", UNDETERMINED),
        (-32010, "PendingTxsOfConflictingType", UNDETERMINED),
        (-32010, "NotSupportedTxType", REFUSED),
        (-32010, "MaxTxSizeExceeded", REFUSED),
        (-32010, "NotCurrentNonceForDelegation", UNDETERMINED),
        (-32010, "Syncing", UNDETERMINED),
    ],
    "Nethermind.Core/Messages/TxErrorMessages.cs": [
        (-32010, "Invalid, InvalidTxType: Transaction type in London is not supported.", REFUSED),
        (-32010, "Invalid, intrinsic gas too low", REFUSED),
        (-32010, "Invalid, InvalidTxSignature: Signature is invalid.", REFUSED),
        (-32010, "Invalid, InvalidTxChainId: Expected 1337, got 1.", REFUSED),
        (-32010, "Invalid, InvalidMaxPriorityFeePerGas: Cannot be higher than maxFeePerGas.", REFUSED),
        (-32010, "Invalid, max initcode size exceeded", REFUSED),
        (-32010, "Invalid, TxGasLimitCapExceeded: Gas limit 2 exceeded cap of 1.", REFUSED),
    ],
}
BESU = {
    "ethereum/api/.../internal/response/RpcErrorType.java": [
        (-32000, "Known transaction", ACCEPTED),
        (-32000, "Replacement transaction underpriced", OCCUPIED),
        (-32001, "Nonce too low", LOW),
        (-32002, "Invalid signature", REFUSED),
        (-32602, "Invalid transaction type", REFUSED),
        (-32003, "Intrinsic gas exceeds gas limit", REFUSED),
        (-32004, "Upfront cost exceeds account balance", FUNDS),
        (-32005, "Transaction gas limit exceeds block gas limit", REFUSED),
        (-32006, "Nonce too high", UNDETERMINED),
        (-32007, "Sender account not authorized to send transactions", UNDETERMINED),
        (-32008, "Initial sync is still in progress", UNDETERMINED),
        (-32009, "Gas price below configured minimum gas price", UNDERPRICED),
        (-32009, "Gas price below current base fee", UNDERPRICED),
        (-32000, "Wrong chainId", REFUSED),
        (-32000, "Transaction fee cap exceeded", REFUSED),
        (-32000, "Max priority fee per gas exceeds max fee per gas", REFUSED),
        (-32000, "Transaction nonce is too distant from current sender nonce", UNDETERMINED),
        (-32000, "An invalid transaction with a lower nonce exists", UNDETERMINED),
        (-32603, "Internal error", UNDETERMINED),
        (-32603, "Timeout expired", UNDETERMINED),
        (
            -32002,
            "Transaction pool not enabled. (Either txpool explicitly disabled, or node not yet in sync).",
            UNDETERMINED,
        ),
    ],
}
ERIGON = {
    "txnprovider/txpool/txpoolcfg/txpoolcfg.go": [
        (-32000, "already known", ACCEPTED),
        (-32000, "existing txn with same hash", ACCEPTED),
        (-32000, "replaced by transaction with higher tip", UNDETERMINED),
        (-32000, "mined", UNDETERMINED),
        (-32000, "underpriced", UNDERPRICED),
        (-32000, "replacement transaction underpriced", OCCUPIED),
        (-32000, "could not replace existing tx", OCCUPIED),
        (-32000, "INTERNAL_ERROR: could not replace existing tx", OCCUPIED),
        (-32000, "fee too low", UNDERPRICED),
        (-32000, "oversized data", REFUSED),
        (-32000, "invalid sender", REFUSED),
        (-32000, "negative value", REFUSED),
        (-32000, "spammer", UNDETERMINED),
        (-32000, "pending sub-pool is full", UNDETERMINED),
        (-32000, "baseFee sub-pool is full", UNDETERMINED),
        (-32000, "queued sub-pool is full", UNDETERMINED),
        (-32000, "GasUintOverflow", REFUSED),
        (-32000, "IntrinsicGas", REFUSED),
        (-32000, "RLPTooLong", REFUSED),
        (-32000, "nonce too low", LOW),
        (-32000, "insufficient funds", FUNDS),
        (-32000, "initcode too large", REFUSED),
        (-32000, "fork supporting this transaction type is not activated yet", REFUSED),
        (-32000, "gas limit is too high", REFUSED),
    ],
}
BETWEEN = {  # gateways and replicas: they prove nothing
    "": [
        (0, "", UNDETERMINED),
        (-32000, "upstream request timeout", UNDETERMINED),
        (-32000, "header not found", UNDETERMINED),
        (-32603, "Internal error", UNDETERMINED),
        (-32000, "queue full", UNDETERMINED),
    ],
}
CLIENTS = {
    "geth": GETH,
    "anvil": ANVIL,
    "reth": RETH,
    "nethermind": NETHERMIND,
    "besu": BESU,
    "erigon": ERIGON,
}
ROWS = [
    pytest.param(code, text, reply, id=f"{client}-{text[:40]}")
    for client, files in (*CLIENTS.items(), ("between", BETWEEN))
    for rows in files.values()
    for code, text, reply in rows
]


def failed(text: str, code: int = -32000) -> RPCFailed:
    return RPCFailed("", code=code, rpc_message=text)


@pytest.mark.parametrize(("code", "text", "reply"), ROWS)
def test_what_a_reply_means(code: int, text: str, reply: Reply) -> None:
    assert judge(failed(text, code)) is reply
    assert judge(failed(text.upper(), code)) is reply


def test_every_rule_decides_a_row_and_none_is_shadowed() -> None:
    deciding: Counter[str] = Counter()
    for row in ROWS:
        text = str(row.values[1]).lower()
        deciding.update(itertools.islice((fragment for fragment, _ in RULES if fragment in text), 1))
    assert [fragment for fragment, _ in RULES if not deciding[fragment]] == []


def test_every_client_has_each_common_situation() -> None:
    common = {ACCEPTED, OCCUPIED, LOW, UNDERPRICED, FUNDS, REFUSED, UNDETERMINED}
    for client, files in CLIENTS.items():
        assert {reply for rows in files.values() for _, _, reply in rows} == common, client


SILENT = RPCUnreachable("no answer")
OLD, HELD, CHEAP = (
    failed("nonce too low"),
    failed("replacement transaction underpriced"),
    failed("fee too low"),
)
POOR, NEVER, FULL = failed("insufficient funds"), failed("invalid sender"), failed("txpool is full")


@pytest.mark.parametrize(
    ("answers", "reply", "words"),
    [
        ([HASH], ACCEPTED, HASH),
        ([OLD, failed("already known")], ACCEPTED, "already known"),
        ([SILENT, NEVER, HASH], ACCEPTED, HASH),
        ([SILENT], UNDETERMINED, "no answer"),
        ([OLD, SILENT], UNDETERMINED, "no answer"),
        ([NEVER, FULL], UNDETERMINED, "txpool is full"),
        ([NEVER, OLD], LOW, "nonce too low"),
        ([CHEAP, HELD], OCCUPIED, "replacement transaction underpriced"),
        ([HELD, OLD], LOW, "nonce too low"),
        ([POOR, CHEAP], UNDERPRICED, "fee too low"),
        ([NEVER, POOR], FUNDS, "insufficient funds"),
        ([NEVER, NEVER], REFUSED, "invalid sender"),
        ([], UNDETERMINED, "no node was asked"),
    ],
)
def test_what_many_nodes_say_together(
    answers: list[str | RPCFailed | NetworkError], reply: Reply, words: str
) -> None:
    assert verdict(answers) == (reply, words)
    assert verdict(answers[::-1]) == (reply, words)
