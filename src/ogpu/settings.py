"""The only reader of the environment: variables, the `.env` file of the working directory, user folders."""

from __future__ import annotations

import os
from pathlib import Path

from ogpu.errors import ConfigurationError

NETWORK_FILE = "OGPU_NETWORK_FILE"
JOURNAL = "OGPU_JOURNAL"
INDEX = "OGPU_INDEX"
CONTENT_STORE = "OGPU_CONTENT_STORE"
CONTENT_GATEWAYS = "OGPU_CONTENT_GATEWAYS"
CONTENT_CACHE = "OGPU_CONTENT_CACHE"
INDEX_DOCUMENT = "OGPU_INDEX_DOCUMENT"
INDEX_DOCUMENTS = "OGPU_INDEX_DOCUMENTS"
ROLE_KEYS = {role: f"{role.upper()}_PRIVATE_KEY" for role in ("client", "provider", "master", "agent")}
ROLE_KEYSTORES = {role: f"{role.upper()}_KEYSTORE" for role in ROLE_KEYS}


def variable(name: str) -> str | None:
    """The value of a variable; the environment wins over `.env`, and empty counts as unset."""
    if value := os.environ.get(name):
        return value
    if not Path(".env").is_file():
        return None
    from dotenv import dotenv_values

    try:
        return dotenv_values(".env").get(name) or None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The file .env in {Path.cwd()} cannot be read: {type(error).__name__}.",
            hint="It must be UTF-8 text with lines NAME=value.",
        ) from None  # the cause may quote a key


def network_file() -> Path | None:
    """The network file that this program is to use, when one is set."""
    value = variable(NETWORK_FILE)
    return Path(value).expanduser() if value else None


def journal() -> str | None:
    """Where this program's journal is to be, when that is set: a path or a PostgreSQL URL."""
    return variable(JOURNAL)


def index() -> str | None:
    """Where the index is to be, when that is set: a path or a PostgreSQL URL."""
    return variable(INDEX)


def content_store() -> str | None:
    """The store that takes this program's content in place of the network's service, when one is set."""
    return variable(CONTENT_STORE)


def content_gateways() -> tuple[str, ...]:
    """Gateways that are asked after the network's own, separated by spaces."""
    return tuple((variable(CONTENT_GATEWAYS) or "").split())


def content_cache_bytes(default: int) -> int:
    """How many bytes the content cache may have; "off" is none."""
    return _bytes(CONTENT_CACHE, default)


def index_document_bytes(default: int) -> int:
    """How many bytes a document may have that the index keeps; "off" is none."""
    return _bytes(INDEX_DOCUMENT, default)


def index_documents_bytes(default: int) -> int:
    """How many bytes all documents may have together that the index keeps; "off" is none."""
    return _bytes(INDEX_DOCUMENTS, default)


def _bytes(name: str, default: int) -> int:
    value = variable(name)
    if value is None:
        return default
    if value.strip().lower() == "off":
        return 0
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise ConfigurationError(
            f"{name} is neither a number of bytes nor off.", hint=f"The default is {default}."
        )
    return int(value)


def cache_folder() -> Path:
    """Where things are kept that can be made again, such as the node's binary."""
    from platformdirs import user_cache_path

    return user_cache_path("ogpu")


def state_folder() -> Path:
    """Where things are kept that a user would miss, such as the default network file."""
    from platformdirs import user_state_path

    return user_state_path("ogpu")


def data_folder() -> Path:
    """Where things are kept that take long to make again, such as the index."""
    from platformdirs import user_data_path

    return user_data_path("ogpu")
