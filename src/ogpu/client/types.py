"""The types of the functional API."""

from ogpu.types import (
    ConfirmedResponse,
    DeliveryMethod,
    ImageEnvironments,
    Progress,
    Response,
    SourceInfo,
    TaskInfo,
    TaskInput,
)

__all__ = [
    "ConfirmedResponse",
    "DeliveryMethod",
    "ImageEnvironments",
    "Progress",
    "Response",
    "SourceInfo",
    "TaskInfo",
    "TaskInput",
]
