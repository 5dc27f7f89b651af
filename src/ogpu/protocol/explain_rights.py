"""Who may make a call that its sender may not: read at the failing block, in words and facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ogpu.protocol.refusals import Case, Told, master_in, only
from ogpu.rpc.codec import ZERO_ADDRESS


async def source_client(case: Case) -> Told:
    """The client that a source belongs to, or is to belong to."""
    facts = {"sender": case.sender}
    if case.function == "publishSource":
        return _no_client({**facts, "client": case.arguments["client"]})
    found = await case.known(client=case.item("getClient"))
    return _no_client({**facts, **only(found, "client")})


async def task_client(case: Case) -> Told:
    facts: dict[str, Any] = {"sender": case.sender}
    if case.function == "confirmResponse":
        answer = (await case.known(terms=case.item("getResponseParams"))).get("terms")
        if answer is None:
            return Told(facts=facts)
        facts["task"] = answer[0]
        found = await case.known(client=case.chain.item("Task", answer[0], "owner"))
    else:
        facts["task"] = case.arguments["task"]
        found = await case.known(client=case.item("owner"))
    return _no_client({**facts, **only(found, "client")})


def _no_client(facts: Mapping[str, Any]) -> Told:
    client, sender = facts.get("client"), facts["sender"]
    if client is None or client == sender:
        return Told(facts=facts)
    hint = f"Sign with the client's key, or have it name the sender: terminal.set_agent({sender!r}, True, …)."
    return Told(f"The client is {client}; the sender is {sender}, which is no agent of it.", hint, facts)


async def acting(case: Case) -> Told:
    provider = case.arguments["provider"]
    found = await case.known(master=case.core("Terminal", "getMasterOf", provider))
    facts = {"provider": provider, "sender": case.sender, **master_in(found)}
    words = f"{case.sender} does not act for provider {provider}"
    if "master" not in facts:
        return Told(facts=facts)
    if facts["master"] is None:
        return Told(f"{words}, which has no master.", "Sign with the provider's own key.", facts)
    return Told(f"{words}, whose master is {facts['master']}.", "Sign as one of them, or its agent.", facts)


async def pairing(case: Case) -> Told:
    """Whether the account that should be a paired provider is one."""
    provider = case.arguments["provider"]
    facts: dict[str, Any] = {"provider": provider, "sender": case.sender}
    if case.function == "submitResponse" and case.sender != provider:
        words = f"The response is of {provider}, and the sender is {case.sender}."
        return Told(words, "Only the provider itself answers: sign with its key.", facts)
    if provider in (ZERO_ADDRESS, case.sender) and case.function == "announceProvider":
        return Told(f"{provider} cannot be the provider of {case.sender}.", facts=facts)
    found = master_in(await case.known(master=case.core("Terminal", "getMasterOf", provider)))
    if found.get("master", "") is not None:
        return Told(facts=facts)
    hint = "Pair it first: announce_master() by the provider, announce_provider() by its master."
    return Told(f"{provider} is no paired provider.", hint, {**facts, **found})


async def mastery(case: Case) -> Told:
    """Whose master the sender is not, or why it may be none."""
    facts: dict[str, Any] = {"sender": case.sender}
    if case.function == "announceMaster":
        master = case.arguments["master"]
        return Told(f"{master} cannot be the master of {case.sender}.", facts={**facts, "master": master})
    provider = case.arguments.get("provider", case.sender)
    facts |= {"provider": provider}
    facts |= master_in(await case.known(master=case.core("Terminal", "getMasterOf", provider)))
    if "master" not in facts or facts["master"] == case.sender:
        return Told(facts=facts)
    if case.function == "setAgent":
        words = f"{case.sender} is a paired provider, which can have no agents."
        return Told(words, "Its master can name them.", facts)
    if facts["master"] is None:
        return Told(f"Provider {provider} has no master.", facts=facts)
    return Told(f"The master of provider {provider} is {facts['master']}.", "Sign as that.", facts)


async def paired(case: Case) -> Told:
    """Which of the two that are to be paired is paired already."""
    other = case.arguments["provider" if case.function == "announceProvider" else "master"]
    reads, names = {}, {}
    for number, account in enumerate((case.sender, other)):
        for role, function in (("provider", "getMasterOf"), ("master", "providerOf")):
            name = f"{role}{number}"
            reads[name], names[name] = case.core("Terminal", function, account), (role, account)
    found = await case.known(**reads)
    taken = [(*names[name], found[name]) for name in names if found.get(name, ZERO_ADDRESS) != ZERO_ADDRESS]
    facts = {"sender": case.sender, "other": other}
    if not taken:
        return Told(facts=facts)
    role, account, partner = taken[0]
    words = f"{account} is paired already, as the {role} of {partner}."
    return Told(
        words, "master.remove_provider() ends a pairing.", {**facts, "paired": account, "with": partner}
    )


async def owner(case: Case) -> Told:
    found = await case.known(owner=case.target("owner"))
    facts = {"sender": case.sender, **only(found, "owner")}
    if found.get("owner", case.sender) == case.sender:
        return Told(facts={"sender": case.sender})
    return Told(f"The owner is {found['owner']}; the sender is {case.sender}.", "Sign as the owner.", facts)
