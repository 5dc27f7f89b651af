"""Errors as clients get them: one JSON shape, whatever failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ogpu.errors import InvalidInput, NotFound, OGPUError
from ogpu.text import printable
from ogpu.web.jsontext import written

MAX_MESSAGE = 300  # characters
RETRY_SECONDS = 1


class Unready(OGPUError):
    """The index is not there yet, is too far behind, or is asked too much."""

    retryable = True


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """What went wrong, and what to do."""

    code: Annotated[str, Field(description="For programs, such as not_found.")]
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The body of every answer that is an error."""

    error: ErrorWords


CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    411: "length_required",
    413: "too_large",
    414: "url_too_long",
    421: "wrong_host",
    422: "invalid",
    429: "too_many_requests",
    431: "headers_too_large",
    500: "internal",
    503: "unavailable",
}


def failure(
    status: int, message: str, hint: str = "", *, code: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """An error as an answer."""
    words = ErrorWords(
        code or CODES.get(status, "error"), printable(message, MAX_MESSAGE), printable(hint, MAX_MESSAGE)
    )
    return Response(written(Failure(words)), status, {**(headers or {})}, "application/json")


def add_failures(app: FastAPI) -> None:
    """Make every error of an application one of that shape."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(OGPUError, _told)
    app.add_exception_handler(Exception, _broken)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return failure(422, f"{where}: {first['msg']}.", "/api/openapi.json says what each path takes.")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    match status:
        case 404:
            message, hint = "There is nothing at this address.", "/api/openapi.json lists the paths."
        case 405:
            message, hint = "This is read-only: only GET and HEAD are taken.", ""
        case _:
            message, hint = HTTPStatus(status).phrase + ".", ""
    return failure(status, message, hint, headers=error.headers)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, OGPUError)
    match error:
        case InvalidInput():
            return failure(400, error.message, error.hint)
        case NotFound():
            return failure(404, error.message, error.hint)
        case Unready():
            retry = {"Retry-After": str(RETRY_SECONDS)}
            return failure(503, error.message, error.hint, headers=retry)
    return failure(503, error.message, error.hint)


async def _broken(request: Request, error: Exception) -> Response:
    return failure(500, "The server failed at this request.", "Its log says why.")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Errors for the description of a path; by reference, as a model for each would take long to make."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Failure.__name__}"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def error_schemas() -> dict[str, Any]:
    """The schemas that those descriptions refer to."""
    schema = TypeAdapter(Failure).json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), Failure.__name__: schema}
