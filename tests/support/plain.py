"""JSON-RPC in batches by the standard library, for proofs that must not rest on the code under test."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

BATCH = 200
TIMEOUT = 30.0


def ask(url: str, requests: Sequence[tuple[str, list[Any]]]) -> list[Any]:
    """The results of many calls, in order; an error of the node fails the test."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT)
    try:
        results: list[Any] = []
        for start in range(0, len(requests), BATCH):
            results += _batch(connection, parts.path or "/", requests[start : start + BATCH])
        return results
    finally:
        connection.close()


def _batch(
    connection: http.client.HTTPConnection, path: str, requests: Sequence[tuple[str, list[Any]]]
) -> list[Any]:
    calls = [
        {"jsonrpc": "2.0", "id": position, "method": method, "params": params}
        for position, (method, params) in enumerate(requests)
    ]
    connection.request("POST", path, json.dumps(calls), {"Content-Type": "application/json"})
    by_id = {answer["id"]: answer for answer in json.loads(connection.getresponse().read())}
    answers = [by_id[call["id"]] for call in calls]
    for request, answer in zip(requests, answers, strict=True):
        assert "error" not in answer, (request, answer)
    return [answer["result"] for answer in answers]


def get(url: str) -> bytes:
    """The body of a page that exists."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, (url, response.status)
        return body
    finally:
        connection.close()
