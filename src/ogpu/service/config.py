"""What a service and a handler's process read from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ogpu.errors import ConfigurationError

DEFAULT_HOST = "0.0.0.0"  # noqa: S104 - a container must be reachable through its published port
DEFAULT_PORT = 5555
WORKER_VARIABLE = "OGPU_SERVICE_WORKER"  # set in a provider's worker, where start() has nothing to do

_SECRET_NAME = re.compile(
    r"KEY($|_)|SECRET|PASSW|PASSPHRASE|MNEMONIC|SEED_?PHRASE|CREDENTIAL|TOKENS?($|_)|RPC_URL|(^|_)AUTH($|_)|KEYSTORE"
    r"|^OGPU_NETWORK_FILE$",  # a network file holds the private keys of its accounts
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"(0x)?[0-9a-fA-F]{64}|[a-zA-Z][\w+.-]*://[^/@\s]*:[^/@\s]*@.*", re.DOTALL)
_NEEDED = ("HF_", "HUGGING_FACE_", "HUGGINGFACE_", "CUDA_", "NVIDIA_")  # model hubs and devices


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where a service listens and reports."""

    host: str
    port: int
    callback_url: str | None
    in_worker: bool

    def listening(self, host: str | None, port: int | None) -> ServiceSettings:
        """The same settings with the arguments of start() put over them."""
        return replace(
            self, host=self.host if host is None else host, port=self.port if port is None else port
        )


def read_settings(environ: Mapping[str, str] | None = None) -> ServiceSettings:
    """The settings of a service, from the environment."""
    values = os.environ if environ is None else environ
    return ServiceSettings(
        host=values.get("OGPU_SERVICE_HOST") or DEFAULT_HOST,
        port=_port(values.get("OGPU_SERVICE_PORT") or str(DEFAULT_PORT)),
        callback_url=(values.get("CALLBACK_URL") or "").rstrip("/") or None,
        in_worker=bool(values.get(WORKER_VARIABLE)),
    )


def handler_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what is, by name or by value, a key, a password or a token.

    A list of what is denied, not of what is allowed, since a model's own settings have any name.
    """
    values = os.environ if environ is None else environ
    return {name: value for name, value in values.items() if not _is_secret(name, value)}


def _is_secret(name: str, value: str) -> bool:
    if _SECRET_VALUE.fullmatch(value.strip()):
        return True
    return bool(_SECRET_NAME.search(name)) and not name.upper().startswith(_NEEDED)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise ConfigurationError(
        f"OGPU_SERVICE_PORT is {text!r}, which is no port.", hint="Give a number from 0 to 65535."
    )
