"""Random calls of everything that a client offers, with arguments that fit and arguments that do not."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ogpu import Retry, events
from ogpu.client import ImageEnvironments
from ogpu.content import Limits
from ogpu.errors import ResultInvalid, TaskExpired
from ogpu.types import (
    DeliveryMethod,
    Environment,
    Response,
    ResponseParams,
    SourceParams,
    TaskInfo,
    TaskInput,
    TaskParams,
)
from tests.support.fitting import NOT_FITTING, Fitting, FuzzedCall
from tests.support.market import PRICE, source_info
from tests.support.odd import ODD, Model
from tests.support.world import World

FITTING = 0.8  # of the arguments are of the kind that is asked for
WILD = 0.6  # of the calls have any value for any argument
WAITS = ("timeout", "bidding", "to_block")  # always given: else a call waits for minutes, as it should
UNTOUCHED = {"close"}  # nothing could be called after it
WHOLE = [0, 1, 2, 5, 10**15, 10**16, 10**18, 10**30, 2**63, 2**64 - 1, 2**128, 2**256 - 1]
BEYOND = [-1, -(2**255), 2**256, 2**300, 10**5000]
TEXTS = [
    "",
    "x",
    "a" * 500,
    "\ud800",
    "a\x00b",
    "\u202egnp.exe",
    "\u2028",
    "\x1b[2J",
    "{0}%s",
    "\U0001f600",
    "e\u0301",
]
ROLES = ["client", "provider", "master", "agent", "judge", ""]


class Pool:
    """Values for arguments, by their names, all drawn from one generator."""

    def __init__(self, world: World, rng: random.Random, folder: Path) -> None:
        self._world = world
        self._rng = rng
        self._folder = folder
        people = list(world.people.values())
        self._items = {
            "source": [world.source, world.source, world.closed, world.source.lower()],
            "task": [world.new, world.attempted, world.answered, world.final, world.canceled],
            "response": [world.response, world.paid],
            **dict.fromkeys(("account", "client", "new_owner"), people),
            **{name: [world.people[name]] for name in ("provider", "master", "agent")},
        }
        self._addresses: list[str] = [
            *(address for found in self._items.values() for address in found),
            *world.network.document["contracts"].values(),
            "0x" + "11" * 20,
            "0x" + "00" * 20,
            world.source.upper().replace("0X", "0x"),
        ]
        self._keys = [*world.keys.values(), None, None, world.keys["client"][2:], "0x" + "ff" * 32]
        self.links: list[str] = [world.client.content.put_json({"n": 1}, "x.json")]
        self.file = folder / "content.bin"
        self.file.write_bytes(b"content")

    def value(self, name: str, method: str) -> Any:
        """An argument of that name: mostly one that fits, else anything."""
        if self._rng.random() > FITTING and name not in (*WAITS, "progress"):
            return self.odd()
        return self.fitting(name, method)

    def odd(self) -> Any:
        """Anything."""
        return self._rng.choice([*ODD.values(), *TEXTS, *BEYOND])

    def whole(self) -> int:
        """A whole number, mostly one that a contract takes."""
        return self._rng.choice([*WHOLE, *WHOLE, *BEYOND])

    def address(self, name: str = "") -> str:
        """An address of that kind of thing mostly, else one of another or of nothing."""
        fitting = self._items.get(name.removesuffix("_address"))
        return self._rng.choice(fitting if fitting and self._rng.random() < FITTING else self._addresses)

    def fitting(self, name: str, method: str) -> Any:
        """An argument of the kind that the name stands for."""
        make = MAKERS.get(f"{method.partition('.')[0]}.{name}") or MAKERS.get(name)
        if make is None and name in ADDRESSES:
            return self.address(name)
        return make(self, method) if make else self.odd()

    def changed(self, value: Any) -> Any:
        """A value as it is, or with another field."""
        if self._rng.random() < 0.5:
            return value
        name = self._rng.choice([field.name for field in fields(value) if field.init])
        given = self.odd() if self._rng.random() < 0.5 else self.whole()
        return replace(value, **{name: given})

    def source_info(self) -> Any:
        return self.changed(source_info(imageEnvs=self.changed(ImageEnvironments("https://h/c", "", ""))))

    def task_info(self) -> Any:
        data = {"n": self._rng.randrange(10**6)} if self._rng.random() < 0.7 else self.odd()
        ahead = self._rng.choice([600, 600, 600, -5, 10**9])
        config = TaskInput(self._rng.choice(["echo", *TEXTS]), data)
        return self.changed(TaskInfo(self.address("source"), config, int(time.time()) + ahead, PRICE))

    def params(self, method: str) -> Any:
        """The terms that a method of a contract takes."""
        if method.endswith("publish_task"):
            return self.changed(
                TaskParams(
                    self.address("source"), self.text(), int(time.time()) + 600, self._rng.choice([PRICE, 1])
                )
            )
        if method.endswith("submit_response"):
            provider = self._world.people["provider"]
            return self.changed(ResponseParams(self.address("task"), provider, self.text(), 1))
        client = self._rng.choice([*self._world.people.values()])
        return self.changed(
            SourceParams(client, self.text(), Environment.CPU, 1, 0, 600, delivery_method=DeliveryMethod(0))
        )

    def text(self) -> str:
        return self._rng.choice(TEXTS)

    def response(self) -> Any:
        world, link = self._world, self._rng.choice(self.links)
        return self.changed(
            Response(world.response, world.answered, world.people["provider"], link, 1, 0, 0, True)
        )

    def link(self) -> str:
        """A link that the network has, a CID alone, or one of nothing."""
        link = self._rng.choice(self.links)
        nothing = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
        return self._rng.choice([link, link.rpartition("/")[2], nothing, "https://127.0.0.1:9/x", *TEXTS])

    def choice(self, *values: Any) -> Any:
        return self._rng.choice(values)

    def key(self) -> Any:
        return self._rng.choice(self._keys)

    def some(self, make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(self._rng.randrange(4))]

    def path(self) -> Any:
        return self._rng.choice(
            [self.file, str(self.file), self._folder / "none", self._folder, self._folder / "new"]
        )

    def items(self) -> Any:
        """What a function may be mapped over."""
        some = [{"n": self._rng.randrange(10)} for _ in range(self._rng.randrange(3))]
        return self._rng.choice(
            [some, iter(some), tuple(some), (each for each in some), [*some, 1], some[:1]]
        )

    def accept(self) -> Any:
        """How a response is chosen."""
        functions = [lambda found: found[-1], lambda found: None, lambda found: self.odd()]
        return self._rng.choice(["first", "cheapest", None, *functions])

    def retries(self) -> Any:
        """How often, and after what."""
        return self._rng.choice(
            [None, Retry(1), Retry(2), Retry(3, (TaskExpired,)), Retry(2, (ResultInvalid,))]
        )

    def limits(self) -> Limits | None:
        return self._rng.choice([None, Limits(), Limits(1, 1.0)])


EVENTS = [
    kind for kind in vars(events).values() if inspect.isclass(kind) and issubclass(kind, events.ProtocolEvent)
]

Maker = Callable[[Pool, str], Any]
ADDRESSES = {
    "address",
    "task_address",
    "source_address",
    "response_address",
    "account",
    "client",
    "provider",
    "master",
    "agent",
    "new_owner",
    "source",
    "task",
    "response",
}
WHOLES = "amount payment suggested_payment lower upper place first_block last_block limit"
MAKERS: dict[str, Maker] = {
    **dict.fromkeys(WHOLES.split(), lambda pool, method: pool.whole()),
    **dict.fromkeys(("base_data", "live_data", "data"), lambda pool, method: pool.text()),
    "Client.response": lambda pool, method: pool.response(),
    "Client.source": lambda pool, method: pool.address("source"),
    "Client.function": lambda pool, method: pool.choice("echo", *TEXTS),
    "Client.data": lambda pool, method: pool.choice({"n": 1}, {}, Model(), {"\ud800": 1}),
    "Client.payment": lambda pool, method: pool.choice(PRICE, PRICE, 0, 1, 10**30),
    "items": lambda pool, method: pool.items(),
    "accept": lambda pool, method: pool.accept(),
    "retries": lambda pool, method: pool.retries(),
    "model": lambda pool, method: pool.choice(None, Model, int, Model()),
    "bidding": lambda pool, method: pool.choice(0, 0.01, -1, 10**400),
    "in_flight": lambda pool, method: pool.choice(1, 2, 16, 0, -1, 10**30),
    "budget": lambda pool, method: pool.choice(None, 0, PRICE, 10**18, 10**30),
    "expires_in": lambda pool, method: pool.choice(None, 600, 7200, 0, 10**30),
    "ordered": lambda pool, method: pool.choice(True, False),
    "Content.data": lambda pool, method: b"bytes",
    "Content.value": lambda pool, method: pool.odd(),
    "Content.content_type": lambda pool, method: pool.choice("text/plain", *TEXTS),
    "addresses": lambda pool, method: pool.some(lambda: pool.address(pool.choice("source", "task"))),
    "source_info": lambda pool, method: pool.source_info(),
    "task_info": lambda pool, method: pool.task_info(),
    "task_infos": lambda pool, method: pool.some(pool.task_info),
    "info": lambda pool, method: pool.choice(pool.task_info, pool.source_info)(),
    "params": lambda pool, method: pool.params(method),
    "private_key": lambda pool, method: pool.key(),
    "role": lambda pool, method: pool.choice(None, *ROLES),
    "from_block": lambda pool, method: pool.choice(None, 0, 1, -1, 2**63),
    "to_block": lambda pool, method: pool.choice(0, 1, -1, "1"),  # with none, events come for ever
    "nonce": lambda pool, method: pool.choice(None, None, 0, 2**63, 2**64 - 2, -1),
    "max_retries": lambda pool, method: pool.choice(1, 3, 0),
    "auto_fix_nonce": lambda pool, method: pool.choice(True, False),
    "force": lambda pool, method: pool.choice(True, False),
    "return_exceptions": lambda pool, method: pool.choice(True, False),
    "allow_unverified": lambda pool, method: pool.choice(True, False),
    "value": lambda pool, method: pool.choice(True, False),
    "idempotency_key": lambda pool, method: pool.choice(None, "a", "b", *TEXTS),
    "idempotency_keys": lambda pool, method: pool.some(lambda: pool.choice(None, "c", "d", *TEXTS)),
    "environment": lambda pool, method: pool.choice(*Environment, 0, 7, 8),
    "kind": lambda pool, method: pool.choice(*EVENTS),
    "timeout": lambda pool, method: pool.choice(0, 0.01, -1, "1", None),
    "progress": lambda pool, method: None,
    "states": lambda pool, method: None,
    "key": lambda pool, method: pool.choice("a", "b", "0x" + "12" * 32, *TEXTS),
    "link": lambda pool, method: pool.link(),
    "filename": lambda pool, method: pool.choice("x.json", *TEXTS),
    "path": lambda pool, method: pool.path(),
    "limits": lambda pool, method: pool.limits(),
}


def surfaces(world: World, pool: Pool) -> list[Any]:
    """Everything of a client that has methods."""
    client = world.client
    return [
        client,
        client.nexus,
        client.controller,
        client.terminal,
        client.vault,
        client.content,
        client.source(pool.address("source")),
        client.task(pool.address("task")),
        client.response(pool.address("response")),
        client.provider(pool.address("provider")),
        client.master(pool.address("master")),
    ]


def methods_of(surface: Any) -> list[str]:
    """The names of what can be called there."""
    found = [name for name, one in vars(type(surface)).items() if inspect.isfunction(one)]
    return [name for name in found if not name.startswith("_") and name not in UNTOUCHED]


def calls(world: World, seed: str, count: int, folder: Path) -> Iterator[FuzzedCall]:
    """So many calls, the same ones for the same seed on a world of the same shape.

    The first ones fit, one for each method; then come some that fit but for one argument, and wild ones.
    """
    rng = random.Random(seed)
    pool, fitting = Pool(world, rng, folder), Fitting(world.network, world.client, folder)
    every = [(n, name) for n, one in enumerate(surfaces(world, pool)) for name in methods_of(one)]
    rng.shuffle(every)
    names = [f"{type(surfaces(world, pool)[number]).__name__}.{name}" for number, name in every]
    yield from (fitting.call(name) for name in names if name not in NOT_FITTING)
    for _ in range(count - len(every)):
        place = rng.randrange(len(every))
        if names[place] in NOT_FITTING or rng.random() < WILD:
            yield wild(world, pool, rng, *every[place])
        else:
            yield spoiled(pool, rng, fitting.call(names[place]))


def spoiled(pool: Pool, rng: random.Random, call: FuzzedCall) -> FuzzedCall:
    """The call with another value for one argument, or with one more."""
    parameters = list(inspect.signature(call.function).parameters)
    name = rng.choice(parameters) if parameters else ""
    changed = {name: pool.value(name, call.name)} if name else {}
    return FuzzedCall(call.name, call.function, {**call.arguments, **changed})


def wild(world: World, pool: Pool, rng: random.Random, number: int, name: str) -> FuzzedCall:
    """Any argument with any value."""
    surface = surfaces(world, pool)[number]
    method, function = f"{type(surface).__name__}.{name}", getattr(surface, name)
    arguments = {
        parameter.name: pool.value(parameter.name, method)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is inspect.Parameter.empty or parameter.name in WAITS or rng.random() < 0.6
    }
    return FuzzedCall(method, function, arguments)
