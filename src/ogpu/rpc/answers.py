"""What a node's answer says: results and errors in the order of the requests, and the heads in them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ogpu.errors import NetworkError, NodeBehind, RPCFailed, RPCInvalidResponse, RPCRateLimited
from ogpu.networks import redact
from ogpu.text import printable, shown, without_url_parts

Request = tuple[str, Sequence[Any]]  # method and parameters
SendAnswer = str | RPCFailed | NetworkError  # the hash, the node's error, or no answer

LONGEST_MESSAGE = 500  # characters of what a node says
REVERT_CODE = 3  # geth's, for a call that a contract reverted
RATE_LIMIT_CODES = (-32005, 429)  # EIP-1474 "limit exceeded", and what some gateways answer
BEHIND_TEXTS = (
    "header not found",
    "block not found",
    "unknown block",
    "blocknotfound",
    "blockoutofrange",  # anvil's, also while it reorganises
    "missing trie node",
)
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")


def numbered(answer: Any, url: str, count: int) -> dict[int, Any]:
    """The answers to a batch of `count` requests by their id; some may be missing."""
    if not isinstance(answer, list):
        raise RPCInvalidResponse(f"{redact(url)} answered a batch with something else than a list.")
    by_id = {i["id"]: i for i in answer if isinstance(i, dict) and isinstance(i.get("id"), int)}
    if len(by_id) != count and any(_is_rate_limit(item) for item in answer if isinstance(item, dict)):
        raise _rate_limited(url)
    return by_id


def send_result(answer: Any, url: str, request_id: int) -> SendAnswer:
    """What one send was answered; a missing or odd answer says nothing of the others in its batch."""
    try:
        said = result(answer, url, request_id)
        return said if isinstance(said, RPCFailed) else hash_of(said)
    except NetworkError as error:
        return error


def result(answer: Any, url: str, request_id: int) -> Any:
    """The result of one answer, or an `RPCFailed` as a value."""
    if not isinstance(answer, dict) or not ("result" in answer or answer.get("error")):
        raise RPCInvalidResponse(f"{redact(url)} answered JSON that is no JSON-RPC answer.")
    error = answer.get("error")
    if not error:
        if answer.get("id") != request_id:
            raise RPCInvalidResponse(f"{redact(url)} answered a request that was not asked.")
        return answer["result"]
    if _is_rate_limit(answer):
        raise _rate_limited(url)
    if not isinstance(error, dict):
        error = {"message": error}
    message = said(_message(error), url)
    code = error.get("code")
    return RPCFailed(
        f"The node answered with an error: {message}",
        code=code if isinstance(code, int) else 0,
        rpc_message=message,
        data=error.get("data"),
    )


def takes_no_batches(answer: Any, url: str) -> bool:
    """Whether the answer to a batch is the single error of a node that serves none."""
    if not isinstance(answer, dict) or not answer.get("error"):
        return False
    if _is_rate_limit(answer):
        raise _rate_limited(url)
    return True


def at_head(answers: list[Any], url: str) -> list[Any]:
    """The answers, unless the node lacks a block that another has named."""
    for answer in answers:
        if isinstance(answer, RPCFailed) and _is_behind(answer):
            raise NodeBehind(f"{redact(url)} has not seen a block yet: {answer.rpc_message}.") from answer
    return answers


def heads(requests: Sequence[Request], answers: Sequence[Any]) -> list[int]:
    """The numbers of the latest block that the answers tell."""
    told = []
    for (method, parameters), answer in zip(requests, answers, strict=True):
        if method == "eth_getBlockByNumber" and parameters[0] == "latest" and isinstance(answer, dict):
            answer = answer.get("number")
        elif method != "eth_blockNumber":
            continue
        if isinstance(answer, str) and _QUANTITY.fullmatch(answer):
            told.append(int(answer, 16))
    return told


def opening(raw: bytes, url: str) -> str:
    """How an answer that is no JSON begins."""
    return f"'{said(raw[:2000].decode('utf-8', 'replace'), url, 60)}'"


def said(text: str, url: str, limit: int = LONGEST_MESSAGE) -> str:
    """What a node says, in one line; it may name the path that it was asked by, which may be a token."""
    return printable(without_url_parts(text[: 20 * limit], url), limit)


def raised(answer: Any) -> Any:
    """The answer, or its error raised."""
    if isinstance(answer, RPCFailed):
        raise answer
    return answer


def quantity(value: Any) -> int:
    """A JSON-RPC quantity as a number; none has more than 256 bits."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise RPCInvalidResponse(f"The node answered {shown(value)} where a number was due.")
    return int(value, 16)


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object, such as a block."""
    if not isinstance(value, dict):
        raise RPCInvalidResponse(f"The node answered {shown(value)} where an object was due.")
    return value


def hash_of(value: Any) -> str:
    """A hash of 32 bytes, in lower case."""
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise RPCInvalidResponse(f"The node answered {shown(value)} where a hash was due.")
    return value.lower()


def _message(error: dict[str, Any]) -> str:
    message = error.get("message", "")
    return message if isinstance(message, str) else shown(message)


def _is_behind(failure: RPCFailed) -> bool:
    """Whether a node says that it lacks a block; the words of a contract's revert are a stranger's."""
    message = failure.rpc_message.lower()
    has_data = isinstance(failure.data, str) and failure.data.startswith("0x")
    if failure.code == REVERT_CODE or has_data or "revert" in message:
        return False
    return any(text in message for text in BEHIND_TEXTS)


def _is_rate_limit(answer: dict[str, Any]) -> bool:
    error = answer.get("error")
    if not isinstance(error, dict) or error.get("code") not in RATE_LIMIT_CODES:
        return False
    return "gas limit" not in _message(error)  # Besu's -32005 is another: RpcErrorType.java


def _rate_limited(url: str) -> RPCRateLimited:
    return RPCRateLimited(f"{redact(url)} asks to slow down.")
