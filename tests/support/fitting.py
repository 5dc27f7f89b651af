"""Calls that succeed: for each method of a client, what it needs is made first, by people of its own."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from eth_account import Account

from ogpu import Client, events
from ogpu.errors import WaitTimeout
from ogpu.types import DeliveryMethod, Environment, ResponseParams, SourceParams, TaskParams
from tests.support.canaries import keep_secret
from tests.support.localnet import RunningNetwork
from tests.support.market import PRICE, source_info, task_info
from tests.support.surface import EVENTS, name_of

COIN = 10**18
TIMEOUT = 0.2  # seconds; what is waited for is there
HOURS = "Hours must pass first, and this network's clock is others' too."
NOT_FITTING = {"Vault.claim": HOURS, "Vault.force_release_payment": HOURS}

PROVIDERS = {"announce_master", "register", "unregister", "attempt", "submit_response"}
MASTERS = {
    "announce_provider",
    "remove_provider",
    "remove_container",
    "set_agent",
    "set_default_agent_disabled",
}


@dataclass(frozen=True)
class FuzzedCall:
    """A call that is about to be made; `fits` when it must succeed."""

    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any]
    fits: bool = False

    def __call__(self) -> Any:
        done = self.function(**self.arguments)
        return list(done) if isinstance(done, Iterator) else done


@dataclass(frozen=True)
class Person:
    """An account that no random call signs with."""

    address: str
    key: str = field(repr=False)


class Fitting:
    """Makes calls that succeed, whatever random calls have done before."""

    def __init__(self, network: RunningNetwork, client: Client, folder: Path) -> None:
        self._network = network
        self._client = client
        self._numbers = count(1)
        self.people = {name: self._person() for name in ("client", "provider", "master")}
        self._by: dict[str, dict[str, Any]] = {
            name: {"private_key": person.key} for name, person in self.people.items()
        }
        network.transact("Vault", "setWhitelist", self.people["client"].address, True, sender=network.admin())
        client.vault.deposit(50 * COIN, **self._by["client"])
        self._pair(self.people["provider"], self.people["master"], 10 * COIN)
        self._link = client.content.put_json({"n": 1}, "x.json")
        self._file = folder / "stored.bin"
        self._file.write_bytes(b"content")
        self._source = self.source()["source"]
        self._task, self._response = self._answered()
        client.confirm_response(self._response, **self._by["client"])

    def call(self, method: str) -> FuzzedCall:
        """A call of `Class.method` that succeeds."""
        owner, _, name = method.partition(".")
        special = SPECIAL.get(method) or SPECIAL.get(name)
        made = special(self) if special else {}
        given = {**self._usual(owner), **made}
        function = getattr(self._surface(owner, given), name)
        parameters = inspect.signature(function).parameters.values()
        arguments = {
            each.name: given[each.name]
            for each in parameters
            if each.default is inspect.Parameter.empty or each.name in {"timeout", *made}
        }
        if any(each.name == "private_key" for each in parameters):
            arguments.setdefault("private_key", self._signer(owner, name))
        return FuzzedCall(method, function, arguments, fits=True)

    def _surface(self, owner: str, given: dict[str, Any]) -> Any:
        if owner == "Client":
            return self._client
        name = {"SubmittedResponse": "response"}.get(owner, owner.lower())
        found = getattr(self._client, name)
        return found(given[name]) if callable(found) else found

    def _signer(self, owner: str, name: str) -> str:
        if owner == "Provider" or name in PROVIDERS:
            return self.people["provider"].key
        return self.people["master" if owner == "Master" or name in MASTERS else "client"].key

    def _usual(self, owner: str) -> dict[str, Any]:
        """Arguments by their names, as most methods take them."""
        client, provider, master = (person.address for person in self.people.values())
        items = {"source": self._source, "task": self._task, "response": self._response}
        info = task_info(self._source)
        return {
            **items,
            **{f"{name}_address": address for name, address in items.items()},
            **dict.fromkeys(("address", "account", "client", "new_owner", "agent"), client),
            **dict.fromkeys(("base_data", "live_data", "data"), "text"),
            **dict.fromkeys(("payment", "suggested_payment"), PRICE),
            "provider": provider,
            "master": master,
            "function": "echo",
            "amount": 1,
            "place": 0,
            "value": True,
            "timeout": TIMEOUT,
            "environment": Environment.CPU,
            "kind": EMITTED.get(owner),
            "addresses": [self._task],
            "source_info": source_info(),
            "task_info": info,
            "task_infos": [info],
            "info": info,
            "link": self._link,
            "path": self._file,
        }

    def _person(self) -> Person:
        key = f"0x{0xF1771 + next(self._numbers):064x}"
        keep_secret(key)
        person = Person(Account.from_key(key).address, key)
        self._network.rpc("anvil_setBalance", person.address, hex(100 * COIN))
        return person

    def _pair(self, provider: Person, master: Person, stake: int) -> None:
        terminal = self._client.terminal
        terminal.announce_provider(provider.address, stake, private_key=master.key)
        terminal.announce_master(master.address, private_key=provider.key)

    def source(self, **changes: Any) -> dict[str, Any]:
        """A new source with the provider registered."""
        made = self._client.publish_source(source_info(**changes), **self._by["client"])
        provider = self.people["provider"].address
        self._client.nexus.register(made, provider, Environment.CPU, **self._by["provider"])
        return {"source": made, "params": self.source_params()["params"]}

    def unregistered(self) -> dict[str, Any]:
        """A new source with nobody."""
        return {"source": self._client.publish_source(source_info(), **self._by["client"])}

    def source_params(self) -> dict[str, Any]:
        """The terms of a source."""
        owner, manual = self.people["client"].address, DeliveryMethod.MANUAL_CONFIRMATION
        return {
            "params": SourceParams(owner, "https://h/x", Environment.CPU, 1, 0, 7200, delivery_method=manual)
        }

    def task_params(self) -> dict[str, Any]:
        """The terms of a task."""
        return {"params": TaskParams(self._source, "https://h/x", int(time.time()) + 3600, PRICE)}

    def task(self) -> dict[str, Any]:
        """A new task that nobody has taken."""
        made = self._client.publish_task(task_info(self._source), **self._by["client"])
        return {"task": made, "task_address": made}

    def attempted(self) -> dict[str, Any]:
        """A new task that the provider has taken, and what it may answer."""
        made, provider = self.task()["task"], self.people["provider"].address
        self._client.nexus.attempt(made, provider, PRICE, **self._by["provider"])
        return {"task": made, "data": self._link, "params": ResponseParams(made, provider, self._link, PRICE)}

    def answered(self) -> dict[str, Any]:
        """A new response that nobody has confirmed."""
        response = self._answered()[1]
        return {"response": response, "response_address": response}

    def _answered(self) -> tuple[str, str]:
        made = self.attempted()
        return made["task"], self._client.nexus.submit_response(made["params"], **self._by["provider"])

    def _answer(self, task: str) -> None:
        provider = self.people["provider"].address
        self._client.nexus.attempt(task, provider, PRICE, **self._by["provider"])
        params = ResponseParams(task, provider, self._link, PRICE)
        self._client.nexus.submit_response(params, **self._by["provider"])

    def response_value(self) -> dict[str, Any]:
        """A response as it is read."""
        return {"response": self._client.get_response(self._response)}

    def strangers(self) -> dict[str, Any]:
        """Two who are not paired; the provider signs."""
        provider, master = self._person(), self._person()
        return {"provider": provider.address, "master": master.address, "private_key": provider.key}

    def half_pair(self) -> dict[str, Any]:
        """The same; the master signs."""
        provider, master = self._person(), self._person()
        return {"provider": provider.address, "master": master.address, "private_key": master.key}

    def pair(self) -> dict[str, Any]:
        """Two who are paired; the master signs."""
        provider, master = self._person(), self._person()
        self._pair(provider, master, 0)
        return {"provider": provider.address, "master": master.address, "private_key": master.key}

    def locked(self) -> dict[str, Any]:
        """Lockup of the client."""
        self._client.vault.lock(2, **self._by["client"])
        return {}

    def unbonding(self) -> dict[str, Any]:
        """Lockup of the client that is becoming free."""
        self.locked()
        self._client.vault.unbond(1, **self._by["client"])
        return {}

    def intent(self) -> dict[str, Any]:
        """The key of a transaction of the client."""
        self.locked()
        return {"key": self._client.intents(1)[0].key}

    def work(self) -> dict[str, Any]:
        """A function's call."""
        return {"source": self._source, "data": {"n": 1}, "payment": PRICE}

    def answered_run(self) -> dict[str, Any]:
        """A run that was left, and answered meanwhile."""
        given = {**self.work(), "idempotency_key": f"run {next(self._numbers)}"}
        try:
            self._client.run(function="echo", timeout=0, **given, **self._by["client"])
        except WaitTimeout as error:
            self._answer(error.facts["task"])
        return given

    def answered_map(self) -> dict[str, Any]:
        """A map over two items that was left, and answered meanwhile."""
        given: dict[str, Any] = {"source": self._source, "payment": PRICE, "items": [{"n": 1}, {"n": 2}]}
        given["idempotency_key"] = f"map {next(self._numbers)}"
        left = self._client.map(
            function="echo", timeout=0, return_exceptions=True, **given, **self._by["client"]
        )
        for error in left:
            self._answer(error.facts["task"])
        return given


EMITTED = {
    {"Response": "SubmittedResponse"}.get(contract, contract): getattr(events, name_of(signature))
    for contract, signature in EVENTS
}

# What a method needs that no other call may have used up, by its name, or by its class too.
SPECIAL: dict[str, Callable[[Fitting], dict[str, Any]]] = {
    **dict.fromkeys(("cancel_task", "Task.cancel", "Task.transfer_ownership", "attempt"), Fitting.task),
    **dict.fromkeys(("submit_response",), Fitting.attempted),
    **dict.fromkeys(("confirm_response", "SubmittedResponse.confirm"), Fitting.answered),
    **dict.fromkeys(("register",), Fitting.unregistered),
    **dict.fromkeys(("unregister", "inactivate_source", "update_source"), Fitting.source),
    **{
        f"Source.{name}": Fitting.source
        for name in ("inactivate", "update", "transfer_ownership", "renounce_ownership")
    },
    **dict.fromkeys(("announce_master",), Fitting.strangers),
    **dict.fromkeys(("announce_provider",), Fitting.half_pair),
    **dict.fromkeys(("remove_provider", "remove_container"), Fitting.pair),
    **dict.fromkeys(("Vault.unbond",), Fitting.locked),
    **dict.fromkeys(("Vault.cancel_unbonding",), Fitting.unbonding),
    **dict.fromkeys(("Client.intent", "Client.cancel", "Client.bump"), Fitting.intent),
    "Client.events": lambda fitting: {"from_block": 0, "to_block": 1},  # with no last block it never ends
    "Nexus.publish_source": Fitting.source_params,
    "Controller.publish_task": Fitting.task_params,
    "Client.fetch_result": Fitting.response_value,
    "Client.submit": Fitting.work,
    "Client.run": Fitting.answered_run,
    "Client.map": Fitting.answered_map,
    "Content.put_bytes": lambda fitting: {"data": b"bytes"},
}
