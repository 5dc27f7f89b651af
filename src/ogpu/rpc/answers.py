"""What a node's answer says: results and errors in the order of the requests, and the heads in them. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ogpu.errors import (
    NetworkError,
    NodeBehind,
    RPCAnswerTooLarge,
    RPCFailed,
    RPCInvalidResponse,
    RPCRateLimited,
)
from ogpu.networks import redact
from ogpu.rpc.limits import Limit, Told, is_revert, told
from ogpu.rpc.reverts import revert_data
from ogpu.text import printable, shown, without_url_parts

Request = tuple[str, Sequence[Any]]  # method and parameters
SendAnswer = str | RPCFailed | NetworkError  # the hash, the node's error, or no answer

CHECK_URL = "Check that the RPC URL is that of a node."
NO_METHOD = -32601  # JSON-RPC's code
LONGEST_MESSAGE = 500  # characters of what a node says
BEHIND_TEXTS = (
    "header not found",
    "block not found",
    "unknown block",
    "blocknotfound",
    "blockoutofrange",  # anvil's, also while it reorganises
    "block is out of range",  # proxyd
    "missing trie node",
)
BLOCK_PARAMETERS = {  # the position of the block among a read's parameters
    "eth_call": 1,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_getBlockByNumber": 0,
}
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")


def numbered(answer: Any, url: str) -> dict[int, Any]:
    """The answers to a batch by their id; some may be missing, and of two to one request neither counts."""
    if not isinstance(answer, list):
        raise RPCInvalidResponse(
            f"{redact(url)} answered a batch with something else than a list.", hint=CHECK_URL
        )
    items = [item for item in answer if isinstance(item, dict)]
    if any(_is_rate_limit(item) for item in items if type(item.get("id")) is not int):
        raise rate_limited(url)
    times = Counter(item["id"] for item in items if type(item.get("id")) is int)
    return {item["id"]: item for item in items if type(item.get("id")) is int and times[item["id"]] == 1}


def taken(answer: Any, url: str, ids: Sequence[int]) -> tuple[dict[int, Any], list[Told]]:
    """What a batch of reads was answered, by the position in it, and the limits that kept others back."""
    by_id = numbered(answer, url)
    found: dict[int, Any] = {}
    limits: list[Told] = []
    for position, request_id in enumerate(ids):
        item = by_id.get(request_id)
        limit = told(item.get("error")) if item else None
        if limit is not None:
            limits.append(limit)
        elif item:
            found[position] = result(item, url, request_id)
    return found, limits


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
        raise RPCInvalidResponse(f"{redact(url)} answered JSON that is no JSON-RPC answer.", hint=CHECK_URL)
    error = answer.get("error")
    if not error:
        if answer.get("id") != request_id:
            raise RPCInvalidResponse(f"{redact(url)} answered a request that was not asked.", hint=CHECK_URL)
        return answer["result"]
    limit = told(error)
    if limit is not None and limit.limit is Limit.RATE:
        raise rate_limited(url)
    if not isinstance(error, dict):
        error = {"message": error}
    message = said(_message(error), url)
    code = error.get("code")
    code = code if isinstance(code, int) else 0
    if limit is not None and limit.limit is Limit.ANSWER:
        return too_large(f"The node refuses an answer as too large: {message}", limit.most, code, message)
    return RPCFailed(
        f"The node answered with an error: {message}",
        code=code,
        rpc_message=message,
        data=_data(error.get("data"), url),
        hint="Use the RPC URL of a node that offers this method." if code == NO_METHOD else "",
    )


def _data(data: object, url: str) -> str | None:
    """What a contract said, or else the node's words."""
    return revert_data(data) or (said(data, url) if isinstance(data, str) else None)


def too_large(message: str, limit: int | None, code: int = 0, rpc_message: str = "") -> RPCAnswerTooLarge:
    """The error for one answer that is over a limit (bytes), the node's or ours."""
    return RPCAnswerTooLarge(
        message, code=code, rpc_message=rpc_message, limit=limit, hint="Ask for less at once."
    )


def rate_limited(url: str, retry_after: float | None = None) -> RPCRateLimited:
    """The error for a node that asks to slow down, and for how many seconds when it says so."""
    wish = "" if retry_after is None else f", for {retry_after:g} s"
    return RPCRateLimited(
        f"{redact(url)} asks to slow down{wish}.",
        hint="Ask less often, or add another RPC URL.",
        facts={"retry_after": retry_after},
    )


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


def is_pinned(request: Request) -> bool:
    """Whether a read is at a block that it names, so that it may be asked again later than the others."""
    method, parameters = request
    if method not in BLOCK_PARAMETERS or len(parameters) <= BLOCK_PARAMETERS[method]:
        return False
    block = parameters[BLOCK_PARAMETERS[method]]
    return isinstance(block, dict) or (isinstance(block, str) and block.startswith("0x"))


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
    if is_revert({"code": failure.code, "message": failure.rpc_message, "data": failure.data}):
        return False
    return any(text in failure.rpc_message.lower() for text in BEHIND_TEXTS)


def _is_rate_limit(answer: dict[str, Any]) -> bool:
    limit = told(answer.get("error"))
    return limit is not None and limit.limit is Limit.RATE
