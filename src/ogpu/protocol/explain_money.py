"""Why the Vault, a price or a time stands against a call: read at the failing block, in words and facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ogpu.protocol.checks import coins
from ogpu.protocol.refusals import Case, Told, only


async def balance(case: Case) -> Told:
    needed = case.arguments.get("amount", case.arguments.get("payment"))
    found = await case.known(available=case.core("Vault", "getBalanceOf", case.sender))
    facts = {"account": case.sender, "needed": needed}
    available = found.get("available")
    if needed is None or available is None or available >= needed:
        return Told(facts=facts)
    return Told(
        f"The Vault balance of {case.sender} is {coins(available)}; {coins(needed)} is needed.",
        f"Deposit at least the rest: vault.deposit({needed - available}, …).",
        {**facts, "available": available},
    )


async def unbondable(case: Case) -> Told:
    needed = case.arguments["amount"]
    found = await case.known(available=case.core("Vault", "getLockupOf", case.sender))
    facts = {"account": case.sender, "needed": needed, **only(found, "available")}
    if needed == 0:
        return Told("Nothing is to unbond: the amount is 0.", "Name an amount above 0.", facts)
    if found.get("available", needed) >= needed:
        return Told(facts={"account": case.sender, "needed": needed})
    words = f"The stake of {case.sender} is {coins(found['available'])}; {coins(needed)} was to unbond."
    return Told(words, f"Unbond at most {found['available']} wei.", facts)


async def unbonding(case: Case) -> Told:
    found = await case.known(unbonding=case.core("Vault", "unbondingOf", case.sender))
    if found.get("unbonding") != 0:
        return Told(facts={"account": case.sender})
    words = f"{case.sender} has no stake that unbonds."
    return Told(words, "vault.unbond() begins it.", {"account": case.sender, "unbonding": 0})


async def maturity(case: Case) -> Told:
    found = await case.known(
        unbonding=case.core("Vault", "unbondingOf", case.sender),
        matures=case.core("Vault", "unbondingTimestamp", case.sender),
    )
    facts = {"account": case.sender, **only(found, "unbonding", "matures", "now")}
    if not {"unbonding", "matures", "now"} <= facts.keys() or facts["now"] >= facts["matures"]:
        return Told(facts={"account": case.sender})
    left = facts["matures"] - facts["now"]
    return Told(
        f"{coins(facts['unbonding'])} matures at {facts['matures']} (Unix seconds), in {left} s.",
        "Claim then; vault.cancel_unbonding() makes it stake again.",
        facts,
    )


async def registrable(case: Case) -> Told:
    provider = case.arguments["provider"]
    found = await case.known(
        available=case.core("Vault", "getLockupOf", provider),
        floor=case.core("Vault", "MIN_LOCKUP_PER_SOURCE"),
        terms=case.item("getSourceParams"),
    )
    facts = {"account": provider}
    if not {"available", "floor", "terms"} <= found.keys():
        return Told(facts=facts)
    needed = max(found["floor"], found["terms"][4])
    return _short_of_stake(provider, needed, found["available"], facts)


async def eligible(case: Case) -> Told:
    publishes = case.function == "publishSource"
    account = case.arguments["client" if publishes else "provider"]
    found = await case.known(
        available=case.core("Vault", "getLockupOf", account),
        floor=case.core("Vault", "MIN_LOCKUP_PER_SOURCE"),
        sources=case.core("Nexus", "getActiveSourceCount", account),
    )
    facts = {"account": account}
    if not {"available", "floor", "sources"} <= found.keys():
        return Told(facts=facts)
    count = found["sources"] + 1 if publishes else max(found["sources"], 1)
    needed = found["floor"] * count
    return _short_of_stake(account, needed, found["available"], {**facts, "sources": found["sources"]})


def _short_of_stake(account: str, needed: int, available: int, facts: Mapping[str, Any]) -> Told:
    if available >= needed:
        return Told(facts=facts)
    rest = needed - available
    return Told(
        f"The stake of {account} is {coins(available)}; {coins(needed)} is needed.",
        f"Deposit and lock the rest: vault.deposit({rest}, …) and vault.lock({rest}, …).",
        {**facts, "needed": needed, "available": available},
    )


async def floor(case: Case) -> Told:
    payment = case.arguments["payment"]
    found = await case.known(terms=case.item("getSourceParams"))
    if "terms" not in found or found["terms"][3] <= payment:
        return Told(facts={"payment": payment})
    least = found["terms"][3]
    words = f"The payment is {coins(payment)}; the source asks at least {coins(least)}."
    return Told(words, facts={"payment": payment, "min_payment": least})


async def price(case: Case) -> Told:
    price = case.arguments["suggestedPayment" if case.function == "attempt" else "payment"]
    found = await case.known(payment=case.item("getPayment"))
    if found.get("payment", price) >= price:
        return Told(facts={"price": price})
    words = f"The price is {coins(price)}; the task pays at most {coins(found['payment'])}."
    return Told(words, "Ask for less.", {"price": price, "payment": found["payment"]})


# --- time


async def expiry(case: Case) -> Told:
    expiry = case.arguments["expiryTime"]
    found = await case.known(terms=case.item("getSourceParams"))
    facts = {"expiry": expiry, **only(found, "now")}
    if "now" in found and expiry <= found["now"]:
        return Told(f"The expiry {expiry} is {found['now'] - expiry} s before the block's time.", facts=facts)
    if {"now", "terms"} <= found.keys() and expiry - found["now"] > found["terms"][5]:
        longest = found["terms"][5]
        words = f"The expiry is {expiry - found['now']} s ahead; the source allows at most {longest} s."
        return Told(words, facts={**facts, "max_expiry_duration": longest})
    return Told(facts={"expiry": expiry})


async def over(case: Case) -> Told:
    found = await case.known(expiry=case.item("getExpiryTime"))
    facts = {"task": case.arguments["task"], **only(found, "expiry")}
    if {"expiry", "now"} <= found.keys() and found["now"] >= found["expiry"]:
        words = f"The task expired {found['now'] - found['expiry']} s before the block's time."
        return Told(words, facts={**facts, "now": found["now"]})
    return Told(facts=facts)


async def not_over(case: Case) -> Told:
    found = await case.known(expiry=case.item("getExpiryTime"))
    facts = {"task": case.arguments["task"], **only(found, "expiry", "now")}
    if not {"expiry", "now"} <= found.keys() or found["now"] >= found["expiry"]:
        return Told(facts={"task": case.arguments["task"]})
    words = f"The task expires at {found['expiry']} (Unix seconds), {found['expiry'] - found['now']} s later."
    return Told(words, "Wait until then, or cancel the task while nobody has attempted it.", facts)
