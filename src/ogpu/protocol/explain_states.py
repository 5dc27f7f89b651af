"""Which state of an item stands against a call: read at the failing block, in words and facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ogpu.protocol.refusals import Case, Told, only
from ogpu.rpc.codec import ZERO_ADDRESS, keccak
from ogpu.types import Environment, ResponseStatus, SourceStatus, TaskStatus


async def source_status(case: Case) -> Told:
    source = case.arguments["source"]
    found = await case.known(status=case.item("getStatus"))
    if found.get("status") != SourceStatus.INACTIVE:
        return Told(facts={"source": source})
    facts = {"source": source, "status": SourceStatus.INACTIVE}
    return Told(f"Source {source} is inactive, for good.", "Choose another source, or publish one.", facts)


async def environment(case: Case) -> Told:
    if "preferredEnvironment" not in case.arguments:
        return Told(facts={"environment": case.arguments["imageEnvironments"]})
    wanted = Environment(case.arguments["preferredEnvironment"])
    found = await case.known(terms=case.item("getSourceParams"))
    if "terms" not in found or found["terms"][2] > 7:
        return Told(facts={"environment": wanted})
    offered = Environment(found["terms"][2])
    words = f"{_named(wanted)} was asked for; the source offers {_named(offered)}."
    return Told(words, "Register with one of them.", {"environment": wanted, "offered": offered})


def _named(environments: Environment) -> str:
    return " and ".join(one.name or "" for one in environments) or "none"


async def registration(case: Case) -> Told:
    provider = case.arguments["provider"]
    if case.function == "attempt":
        found = await case.known(source=case.item("getSource"))
        facts = {"provider": provider, **only(found, "source")}
        hint = f"Register it first: nexus.register({found['source']!r}, …)." if "source" in found else ""
        return Told(f"{provider} is not registered to the task's source.", hint, facts)
    facts = {"provider": provider, "source": case.arguments["source"]}
    found = await case.known(number=case.item("getRegistrantId", provider))
    if found.get("number"):
        return Told(
            f"{provider} is registrant {found['number']}.", facts={**facts, "number": found["number"]}
        )
    return Told(f"{provider} is not registered to the source.", facts=facts)


async def task_state(case: Case) -> Told:
    """The status of the task, which a step would have to start from."""
    if case.function == "confirmResponse":
        return await response_state(case)
    task = case.arguments["task"]
    return _in_status(task, {"task": task}, await case.known(status=case.item("getStatus")))


async def response_state(case: Case) -> Told:
    response = case.arguments["response"]
    facts: dict[str, Any] = {"response": response}
    found = await case.known(terms=case.item("getResponseParams"), status=case.item("getStatus"))
    if "terms" not in found:
        return Told(facts=facts)
    task = facts["task"] = found["terms"][0]
    if found.get("status") == ResponseStatus.CONFIRMED:
        facts["confirmed"] = True
    return _in_status(task, facts, await case.known(status=case.chain.item("Task", task, "getStatus")))


def _in_status(task: str, facts: Mapping[str, Any], found: Mapping[str, Any]) -> Told:
    number = found.get("status")
    if number is None or number >= len(TaskStatus):
        return Told(facts=facts)
    status = TaskStatus(number)
    return Told(f"Task {task} is {status.name}.", facts={**facts, "status": status})


async def attempt(case: Case) -> Told:
    task, provider = case.arguments["task"], case.arguments["provider"]
    found = await case.known(number=case.item("getAttempterId", provider), status=case.item("getStatus"))
    facts = {"task": task, "provider": provider}
    told = _in_status(task, facts, found)
    if found.get("number"):
        return Told(f"{provider} made attempt {found['number']}. {told.words}", facts=told.facts)
    hint = "Attempt it first: nexus.attempt(…)." if found.get("number") == 0 else ""
    return Told(f"{provider} has not attempted it. {told.words}" if hint else "", hint, told.facts)


async def answer(case: Case) -> Told:
    task, provider = case.arguments["task"], case.arguments["provider"]
    found = await case.known(
        response=case.item("responseOf", provider),
        same=case.item("isAlreadySubmitted", keccak(case.arguments["data"].encode())),
    )
    facts = {"task": task, "provider": provider}
    if found.get("response", ZERO_ADDRESS) != ZERO_ADDRESS:
        words = f"{provider} has answered it already, by response {found['response']}."
        return Told(words, facts={**facts, "response": found["response"]})
    if found.get("same"):
        words = "Another response has the same data."
        return Told(words, "No two responses of a task may be the same.", facts)
    return Told(facts=facts)
