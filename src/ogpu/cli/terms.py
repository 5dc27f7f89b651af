"""What is to be published, from a file and from options, which win over it."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ogpu.errors import InvalidInput

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from ogpu.cli.schemas import MapFile, TaskFile
    from ogpu.types import SourceInfo, TaskInfo

    M = TypeVar("M", bound=BaseModel)

Given = dict[str, Any]  # by the fields of a file; only what options name


class Delivery(StrEnum):
    """How a task gets its final response."""

    manual_confirmation = "manual_confirmation"
    first_response = "first_response"


class SourceStatusName(StrEnum):
    """The states of a source."""

    active = "active"
    inactive = "inactive"


class TaskStatusName(StrEnum):
    """The states of a task."""

    new = "new"
    attempted = "attempted"
    responded = "responded"
    canceled = "canceled"
    expired = "expired"
    finalized = "finalized"


OPTIONS = {  # the option that gives a field, for what is said of it
    "logo_url": "--logo",
    "images": "--cpu, --nvidia or --amd",
    "min_available_lockup": "--min-lockup",
    "max_expiry_duration": "--max-duration",
    "delivery_method": "--delivery",
    "expires_in": "--expires",
    "items": "ITEMS",
}


def source_info(file: Path | None, given: Given, now: Given | None = None) -> SourceInfo:
    """A source from a file, or its terms now, and options."""
    from ogpu.cli.schemas import SourceFile
    from ogpu.types import DeliveryMethod, ImageEnvironments, SourceInfo

    terms = _terms(SourceFile, file, given, now)
    return SourceInfo(
        name=terms.name,
        description=terms.description,
        logoUrl=terms.logo_url,
        imageEnvs=ImageEnvironments(**terms.images.model_dump()),
        minPayment=terms.min_payment,
        minAvailableLockup=terms.min_available_lockup,
        maxExpiryDuration=terms.max_expiry_duration,
        deliveryMethod=DeliveryMethod[terms.delivery_method.upper()],
    )


def task_terms(
    source: str | None, function: str | None, data: str | None, payment: str | None, expires: str | None
) -> Given:
    """What options say of a task; `data` is JSON, or @ and a file with it."""
    return named(
        {
            "source": source,
            "function": function,
            "data": None if data is None else _data(data),
            "payment": payment,
            "expires_in": expires,
        }
    )


def task_file(file: Path | None, given: Given) -> TaskFile:
    """A task from a file and options."""
    from ogpu.cli.schemas import TaskFile

    return _terms(TaskFile, file, given)


def map_file(file: Path | None, given: Given) -> MapFile:
    """Many tasks from a file and options."""
    from ogpu.cli.schemas import MapFile

    return _terms(MapFile, file, given)


def task_info(terms: TaskFile, usual: int) -> TaskInfo:
    """The task itself; its time begins now, and is `usual` seconds where nothing is said."""
    from ogpu.types import TaskInfo, TaskInput

    config = TaskInput(terms.function, terms.data)
    config.extra = terms.extra
    return TaskInfo(terms.source, config, int(time.time()) + (terms.expires_in or usual), terms.payment)


def named(given: Given) -> Given:
    """Only what is said."""
    return {name: value for name, value in given.items() if value is not None}


def _data(text: str) -> Any:
    """The data of a task from an option."""
    from ogpu.cli.files import Document, read_document
    from ogpu.safejson import parse_json

    if text.startswith("@"):
        document: Document = read_document(Path(text[1:]))
        return document.value
    try:
        return parse_json(text)
    except ValueError as error:
        raise InvalidInput(
            f"--data is not JSON: {error}.", hint="""Write --data '{"text": "hello"}', or --data @FILE."""
        ) from error


def _terms(model: type[M], file: Path | None, given: Given, now: Given | None = None) -> M:
    """A checked model of a file, or of what is there now, with the options over it."""
    from pydantic import ValidationError

    from ogpu.cli.files import Document, checked, read_document

    document = read_document(file) if file else Document("the options", "", now or {})
    if not isinstance(document.value, dict):
        return checked(document, model)
    value = {**document.value, **given}
    if isinstance(given.get("images"), dict) and isinstance(document.value.get("images"), dict):
        value["images"] = {**document.value["images"], **given["images"]}
    if file:
        return checked(document._replace(value=value), model)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _misused(error) from None


def _misused(error: ValidationError) -> InvalidInput:
    """What is wrong with options, all at once."""
    missing, wrong = [], []
    for each in error.errors(include_url=False):
        field = str(each["loc"][0])
        option = OPTIONS.get(field, f"--{field.replace('_', '-')}")
        if each["type"] == "missing":
            missing.append(option)
        else:
            said = str(each["ctx"]["error"]) if each["type"] == "value_error" else f"{each['msg']}."
            wrong.append(f"{option}: {said}")
    lines = [f"Missing: {', '.join(missing)}."] if missing else []
    return InvalidInput(
        "\n".join([*lines, *wrong]), hint="Or give them in a file: --file FILE." if missing else ""
    )
