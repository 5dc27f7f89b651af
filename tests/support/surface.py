"""Which call of the client stands for which entry of contracts/interface.json, and what has none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import ogpu.events
import ogpu.sync
from ogpu.aio import AsyncClient
from ogpu.protocol.controller import AsyncController
from ogpu.protocol.nexus import AsyncNexus
from ogpu.protocol.response import AsyncSubmittedResponse
from ogpu.protocol.source import AsyncSource
from ogpu.protocol.task import AsyncTask
from ogpu.protocol.terminal import AsyncTerminal
from ogpu.protocol.vault import AsyncVault
from ogpu.sync import Client

ROOT = Path(__file__).parents[2]
CORE = ("Nexus", "Controller", "Terminal", "Vault")  # one of each; the others are items
INTERFACE: dict[str, Any] = json.loads((ROOT / "contracts" / "interface.json").read_text())["contracts"]

CLASSES: dict[str, tuple[type, type]] = {
    "Nexus": (AsyncNexus, ogpu.sync.Nexus),
    "Controller": (AsyncController, ogpu.sync.Controller),
    "Terminal": (AsyncTerminal, ogpu.sync.Terminal),
    "Vault": (AsyncVault, ogpu.sync.Vault),
    "Source": (AsyncSource, ogpu.sync.Source),
    "Task": (AsyncTask, ogpu.sync.Task),
    "Response": (AsyncSubmittedResponse, ogpu.sync.SubmittedResponse),
}

PYTHON = {"address": "str", "bool": "bool", "string": "str", "uint256": "int", "bytes32": "bytes"}

WIRING = "Connects the contracts; for the deployer."
RIGHTS = "Who administers the contract is the deployer's matter."
OBEYS_NEXUS = "The contract obeys the Nexus; users call that."
ROLE = "For contracts that hold the CONTROLLER role."
ADMIN = "For the Vault's administrator."
JUDGE = "For judges."

# What users may not call, by contract and name, and why. A test calls each in the place of every user.
CLOSED: dict[str, dict[str, str]] = {
    "Nexus": {
        "emitTaskPublished": ROLE,
        "setResponseStatus": ROLE,
        "setSourceStatus": ROLE,
        "setTaskStatus": ROLE,
        "setManager": WIRING,
        "setTerminal": WIRING,
        "setVault": WIRING,
        "transferOwnership": RIGHTS,
        "renounceOwnership": RIGHTS,
    },
    "Controller": {
        "setNexus": WIRING,
        "setTerminal": WIRING,
        "setVault": WIRING,
        "transferOwnership": RIGHTS,
        "renounceOwnership": RIGHTS,
    },
    "Terminal": {
        "setManager": WIRING,
        "setVault": WIRING,
        "transferOwnership": RIGHTS,
        "renounceOwnership": RIGHTS,
    },
    "Vault": {
        "setTerminal": WIRING,
        "freezePayment": ROLE,
        "releasePayment": ROLE,
        "processPayment": ROLE,
        "emergencyExit": ADMIN,
        "setMaxUnbondingPeriod": ADMIN,
        "setMinLockupPerSource": ADMIN,
        "setWhitelist": ADMIN,
        "withdrawSanctionOf": ADMIN,
        "sanction": JUDGE,
        "waive": JUDGE,
    },
    "Source": {
        "publishTask": OBEYS_NEXUS,
        "register": OBEYS_NEXUS,
        "setSourceParams": OBEYS_NEXUS,
        "setStatus": OBEYS_NEXUS,
        "unregister": OBEYS_NEXUS,
    },
    "Task": {
        "attempt": OBEYS_NEXUS,
        "setStatus": OBEYS_NEXUS,
        "submitResponse": OBEYS_NEXUS,
        "renounceOwnership": "Always fails: the payment would be stranded.",
    },
    "Response": {
        "confirm": "The contract obeys the Nexus; users confirm through the Controller.",
        "setStatus": OBEYS_NEXUS,
        "transferOwnership": "Its owner is the Nexus.",
        "renounceOwnership": "Its owner is the Nexus.",
    },
}

# Names that are not the ABI's in snake case without a leading "get". The ABI has many views twice.
NAMES: dict[str, dict[str, str]] = {
    "Nexus": {
        "CONTROLLER": "controller_role",
        "PROVIDER": "provider_role",
        "activeSourceCountOf": "active_source_count",
        "clients": "client_at",
        "sources": "source_at",
        "sourcesOf": "source_of",
        "getSources": "sources",
    },
    "Terminal": {"PROVIDER": "provider_role", "getIsAgentOf": "get_is_agent_of"},
    "Source": {
        "tasks": "task_at",
        "getTasks": "tasks",
        "registrants": "registrant_at",
        "getRegistrants": "registrants",
        "sourceParams": "params",
        "getSourceParams": "params",
    },
    "Task": {
        "taskParams": "params",
        "attempters": "attempter_at",
        "getAttempters": "attempters",
        "attemptTimestamps": "attempt_timestamp_at",
        "getAttemptTimestamps": "attempt_timestamps",
        "getResponsesOf": "responses",
    },
    "Response": {
        "responseParams": "params",
        "getResponseParams": "params",
        "responseTimestamp": "timestamp",
    },
}


def ids(found: list[tuple[str, str]]) -> list[str]:
    """The names of tests for entries."""
    return [f"{contract}.{name_of(signature)}" for contract, signature in found]


def snake(name: str) -> str:
    """`getBalanceOf` as `get_balance_of`, and `UNBONDING_PERIOD` as `unbonding_period`."""
    return name.lower() if name.isupper() else re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def name_of(signature: str) -> str:
    """The name in a signature such as `lock(uint256)`."""
    return signature.partition("(")[0]


def call_of(contract: str, signature: str) -> str:
    """The name of the client's call for a function."""
    name = name_of(signature)
    return NAMES.get(contract, {}).get(name) or snake(name).removeprefix("get_")


def entries(kind: str, *, views: bool | None = None) -> list[tuple[str, str]]:
    """The functions or events of the seven contracts, each with its contract."""
    return [
        (contract, signature)
        for contract in CLASSES
        for signature, entry in INTERFACE[contract][kind].items()
        if views is None or (entry["mutability"] in ("view", "pure")) == views
    ]


VIEWS = entries("functions", views=True)
WRITES = entries("functions", views=False)
OPEN = [(contract, entry) for contract, entry in WRITES if name_of(entry) not in CLOSED[contract]]
EVENTS = entries("events")


def namespace(client: Client | AsyncClient, contract: str, address: str) -> Any:
    """Where a client has the calls of a contract."""
    return (
        getattr(client, contract.lower()) if contract in CORE else getattr(client, contract.lower())(address)
    )
