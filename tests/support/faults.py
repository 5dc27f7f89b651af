"""What can go wrong between a client and a node, and how each fault changes a request or its answer. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

Call = dict[str, Any]
Answer = dict[str, Any]

SEND = "eth_sendRawTransaction"


class Fault(Enum):
    """What goes wrong; `AFTER` means after the node has done what it was asked."""

    DROP_BEFORE = "the connection ends, and the node saw nothing"
    DROP_AFTER = "the connection ends, and the node did it"
    RESET_BEFORE = "the connection is reset (TCP RST), and the node saw nothing"
    RESET_AFTER = "the connection is reset (TCP RST), and the node did it"
    BAD_GATEWAY_BEFORE = "HTTP 502, and the node saw nothing"
    BAD_GATEWAY_AFTER = "HTTP 502, and the node did it"
    TOO_MANY = "HTTP 429"
    HTML = "a web page with status 200"
    GARBAGE = "random bytes with status 200"
    TRUNCATED = "half of the answer"
    CUT_SHORT = "half of the answer, and the connection ends before the length that was announced"
    SILENCE_BEFORE = "no answer at all, and the node saw nothing"
    SILENCE_AFTER = "no answer at all, and the node did it"
    NULL_RESULT = "a null result, of the ordered method alone"
    WRONG_CHAIN = "the answers of a node of another chain"
    STALE_HEAD = "the answers of a node that is some blocks behind"
    ALREADY_KNOWN = "an error that says that the transaction is already known, and the node did it"
    REFUSED = "an error that says that the account cannot pay, and the node saw nothing"
    UNDERPRICED = "an error that says that the fee is too low, and the node saw nothing"
    OCCUPIED = "an error that says that another transaction has the nonce, and the node saw nothing"
    TORN = "the number 1 for a count, as after the next block"
    NO_PENDING = "an error to calls on the pending block"
    NO_METHOD = "an error that says that the node does not have the ordered method"
    REPLACED = "the node goes down, and what comes back at its address serves another chain"
    NONE = "nothing goes wrong; another order may wait for it"


REFUSALS = {  # geth's texts
    Fault.REFUSED: "insufficient funds for gas * price + value",
    Fault.UNDERPRICED: "transaction underpriced: gas tip cap 1, minimum needed 25000000000",
    Fault.OCCUPIED: "replacement transaction underpriced",
}

# Of these faults no client's call may fail, if only they are few: trying again helps.
TRANSIENT = (
    Fault.DROP_BEFORE,
    Fault.DROP_AFTER,
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.BAD_GATEWAY_BEFORE,
    Fault.BAD_GATEWAY_AFTER,
    Fault.TOO_MANY,
    Fault.HTML,
    Fault.GARBAGE,
    Fault.TRUNCATED,
    Fault.CUT_SHORT,
    Fault.SILENCE_BEFORE,
    Fault.SILENCE_AFTER,
    Fault.NULL_RESULT,
    Fault.STALE_HEAD,
    Fault.ALREADY_KNOWN,
)

# Faults that real nodes show at these methods only.
PLACES = {
    Fault.NULL_RESULT: ("eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_getBlockByHash"),
    Fault.ALREADY_KNOWN: (SEND,),
    **dict.fromkeys(REFUSALS, (SEND,)),
}

TAGS = ("latest", "pending", "safe", "finalized")
OTHER_CHAIN_ID = 42
_OTHER_CHAIN: dict[str, Any] = {  # what such a node knows of our accounts and transactions: nothing
    "eth_chainId": hex(OTHER_CHAIN_ID),
    "net_version": str(OTHER_CHAIN_ID),
    "eth_blockNumber": "0x10",
    "eth_getTransactionCount": "0x0",
    "eth_getTransactionReceipt": None,
    "eth_getTransactionByHash": None,
    "eth_getBlockByHash": None,
    "eth_getBalance": "0x0",
    "eth_getCode": "0x",
    "eth_call": "0x",
    "eth_estimateGas": "0x5208",
    "eth_getLogs": [],
}


def fits(fault: Fault, method: str) -> bool:
    """Whether a node or what is before it could show that fault at that method."""
    return method in PLACES.get(fault, (method,))


def refusal(call: Call, message: str, code: int = -32000) -> Answer:
    """An error in answer to a call."""
    return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}}


def given(call: Call, result: Any) -> Answer:
    """A result in answer to a call."""
    return {"jsonrpc": "2.0", "id": call["id"], "result": result}


def unasked(fault: Fault | None, method: str) -> Callable[[Call], Answer | None]:
    """What is answered without asking the node; None where it is asked."""

    def refused(call: Call) -> Answer | None:
        return refusal(call, REFUSALS[fault]) if fault and method in (call["method"], "*") else None

    return refused if fault in REFUSALS else _of_other_chain if fault is Fault.WRONG_CHAIN else lambda _: None


def _of_other_chain(call: Call) -> Answer | None:
    if call["method"] == SEND:
        return refusal(call, f"invalid chain id for signer: have 1337 want {OTHER_CHAIN_ID}")
    found = call["method"] in _OTHER_CHAIN
    return given(call, _OTHER_CHAIN[call["method"]]) if found else None


def changed(fault: Fault | None, method: str, calls: Sequence[Call], answers: Sequence[Answer]) -> None:
    """Change the node's answers, in the order of the calls, as a fault at that method does."""
    for call, answer in zip(calls, answers, strict=True):
        if "result" not in answer:
            continue
        ordered = method in (call["method"], "*")
        match fault:
            case Fault.NULL_RESULT if ordered:
                answer["result"] = None
            case Fault.ALREADY_KNOWN if ordered:
                del answer["result"]
                answer.update(refusal(call, "already known"))
            case Fault.NO_METHOD if ordered:
                del answer["result"]
                answer.update(refusal(call, f"the method {method} does not exist", -32601))
            case Fault.TORN if call["method"] == "eth_call":
                answer["result"] = f"0x{1:064x}"
            case Fault.WRONG_CHAIN if isinstance(answer["result"], dict) and "hash" in answer["result"]:
                answer["result"]["hash"] = "0x" + "42" * 32
            case Fault.NO_PENDING if call["method"] == "eth_estimateGas" and "pending" in call["params"]:
                del answer["result"]
                answer.update(refusal(call, "invalid block tag", -32602))


def at_block(call: Call, head: int) -> Call:
    """The call as a node asks itself whose latest block is `head`."""

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: told(item) if name.endswith("Block") else item for name, item in value.items()}
        return hex(head) if isinstance(value, str) and value in TAGS else value

    if call["method"] == SEND:
        return call
    return {**call, "params": [told(value) for value in call.get("params", [])]}


def behind(call: Call, answer: Answer, head: int) -> Answer:
    """A node's answer as that of one whose latest block is `head`."""
    if call["method"] == "eth_blockNumber":
        return given(call, hex(head))
    result = answer.get("result")
    number = result.get("blockNumber", result.get("number")) if isinstance(result, dict) else None
    if number is not None and int(number, 16) > head:
        return given(call, None)
    last = call["params"][-1] if call.get("params") else None
    if call["method"] in ("eth_call", "eth_getTransactionCount", "eth_getBalance", "eth_getCode"):
        later = isinstance(last, str) and last not in TAGS and len(last) < 66 and int(last, 16) > head
        return refusal(call, "header not found") if later else answer
    return answer
