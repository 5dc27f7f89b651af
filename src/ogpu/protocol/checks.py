"""What would fail on chain, found before anything is uploaded or sent. Pure: values in, errors out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ogpu.errors import (
    InsufficientVaultBalance,
    InvalidExpiry,
    InvalidInput,
    NoEnvironment,
    NotEligible,
    PaymentTooLow,
    SourceInactive,
)
from ogpu.rpc.codec import checked_address
from ogpu.text import shown
from ogpu.tx.state import Policy
from ogpu.types import (
    DeliveryMethod,
    Environment,
    ImageEnvironments,
    Response,
    SourceInfo,
    SourceSnapshot,
    SourceStatus,
    TaskInfo,
    TaskInput,
)

K = TypeVar("K")

UINT256_MAX = 2**256 - 1
COIN = 10**18
MILLISECONDS = 10**11  # a Unix time above this, in the year 5138, is meant in milliseconds
LAST_NONCE = 2**64 - 2  # EIP-2681
MOST_ROWS = 2**63 - 1  # that a database can be asked for
LONGEST_KEY = 200  # characters of an idempotency key
LONGEST_TIME = 10**9  # seconds; clocks and timers of the system take no number of any size


def coins(wei: int) -> str:
    """An amount for people, exact: "0.01 OGPU (10000000000000000 wei)"."""
    whole, rest = divmod(wei, COIN)
    decimals = f"{rest:018d}".rstrip("0")
    return f"{whole}{'.' + decimals if decimals else ''} OGPU ({wei} wei)"


def check_amount(value: object, name: str) -> int:
    """A whole number of wei or seconds that fits the contracts."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(
            f"{name} is {shown(value)}, not a whole number.",
            hint="Amounts are whole wei (10**16, or Web3.to_wei(0.01, 'ether')), times whole seconds.",
            facts={"field": name},
        )
    if not 0 <= value <= UINT256_MAX:
        raise InvalidInput(
            f"{name} is {shown(value)}; it must be from 0 to 2**256 - 1.", facts={"field": name}
        )
    return value


def check_type(value: object, kind: type, name: str) -> None:
    """An argument of one class."""
    if not isinstance(value, kind):
        raise InvalidInput(
            f"{name} is {shown(value)}; it must be of type {kind.__name__}.", facts={"field": name}
        )


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_options(nonce: Any, max_retries: Any, auto_fix_nonce: Any) -> None:
    """How to send: a nonce that can be, or None; and at least one transaction."""
    check_type(auto_fix_nonce, bool, "auto_fix_nonce")
    if nonce is not None and not (_is_whole(nonce, 0) and nonce <= LAST_NONCE):
        raise InvalidInput(
            f"nonce is {shown(nonce)}; it must be a whole number from 0 to 2**64 - 2, or None.",
            facts={"field": "nonce"},
        )
    if not _is_whole(max_retries, 1):
        raise InvalidInput(
            f"max_retries is {shown(max_retries)}; it must be a whole number from 1 on.",
            facts={"field": "max_retries"},
        )


def check_keys(keys: Any, count: int) -> list[str | None]:
    """Idempotency keys for `count` calls, or None for none; each may be used once."""
    if keys is None:
        return [None] * count
    if isinstance(keys, str | bytes) or not isinstance(keys, Sequence) or len(keys) != count:
        raise InvalidInput(
            f"idempotency_keys must be a list of {count} keys, one a task, in their order.",
            facts={"field": "idempotency_keys"},
        )
    given = [key for key in keys if key is not None]
    for key in given:
        check_key(key)
    if len(set(given)) != len(given):
        twice = next(key for key in given if given.count(key) > 1)
        raise InvalidInput(
            f"The idempotency key {shown(twice)} is given twice; each task needs its own.",
            facts={"field": "idempotency_keys"},
        )
    return list(keys)


def check_key(key: Any) -> None:
    """An idempotency key, or None: text that can be shown, of at most `LONGEST_KEY` characters."""
    if key is None:
        return
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise InvalidInput(
            f"idempotency_key is {shown(key)}; it must be printable text of 1 to {LONGEST_KEY} characters.",
            hint="Name what is to happen once, such as 'invoice-1234/summary'.",
            facts={"field": "idempotency_key"},
        )


def check_policy(policy: Policy) -> None:
    """How a client is to send."""
    check_type(policy, Policy, "policy")
    for name in ("max_fee", "priority_fee", "fee_cap", "max_spend"):
        if getattr(policy, name) is not None:
            check_amount(getattr(policy, name), f"policy.{name}")
    check_type(policy.dry_run, bool, "policy.dry_run")
    for name, least in (("confirmations", 1), ("finality", 0)):
        if not _is_whole(getattr(policy, name), least):
            raise InvalidInput(
                f"policy.{name} is {shown(getattr(policy, name))}; it must be a whole number of blocks from "
                f"{least} on.",
                facts={"field": name},
            )
    for name in ("stuck_after", "receipt_timeout"):
        value = getattr(policy, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_TIME:
            raise InvalidInput(
                f"policy.{name} is {shown(value)}; it must be a number of seconds above 0, at most 10**9.",
                facts={"field": name},
            )
    if policy.fee_cap is not None and policy.max_fee is not None and policy.max_fee > policy.fee_cap:
        raise InvalidInput(
            f"policy.max_fee is {policy.max_fee} wei per gas, over the fee_cap of {policy.fee_cap}.",
            facts={"field": "max_fee"},
        )


def check_range(lower: Any, upper: Any) -> None:
    """A half-open range; no upper bound means all."""
    if not _is_whole(lower, 0) or not (upper is None or _is_whole(upper, lower)):
        raise InvalidInput(
            f"lower={shown(lower)}, upper={shown(upper)}: they must be whole numbers, 0 <= lower <= upper.",
            hint="upper=None means all.",
        )


def check_blocks(first: Any, last: Any) -> None:
    """Two block numbers, both included."""
    if not _is_whole(first, 0) or not _is_whole(last, first):
        raise InvalidInput(
            f"first_block={shown(first)}, last_block={shown(last)}: they must be whole numbers, the first "
            "not above the last.",
            hint="last_block=None means the latest.",
        )


def check_limit(limit: Any) -> None:
    """How many of a list, at most."""
    if not _is_whole(limit, 0) or limit > MOST_ROWS:
        raise InvalidInput(
            f"limit is {shown(limit)}; it must be a whole number from 0 to 2**63 - 1.",
            facts={"field": "limit"},
        )


def check_members(values: Any, kind: type[K], name: str) -> list[K]:
    """A list of members of an enumeration."""
    given: list[Any] = list(values) if isinstance(values, Sequence) else [None]
    if not all(isinstance(member, kind) for member in given):
        raise InvalidInput(f"{name} must be a list of members of {kind.__name__}.", facts={"field": name})
    return given


def check_addresses(addresses: Any, what: str) -> list[str]:
    """Addresses in their EIP-55 spelling."""
    if isinstance(addresses, str | bytes) or not isinstance(addresses, Iterable):
        raise InvalidInput(f"The {what} addresses are {shown(addresses)}; they must be a list of addresses.")
    return [checked_address(address, what) for address in addresses]


def check_text(value: Any, name: str) -> str:
    """Text that UTF-8 can write."""
    if not isinstance(value, str):
        raise InvalidInput(f"{name} is {shown(value)}; it must be text.", facts={"field": name})
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{name} holds half a surrogate pair, which UTF-8 cannot write.", facts={"field": name}
        ) from error
    return value


def check_environment(value: Any, name: str = "environment") -> Environment:
    """Bits of `Environment`, one at least."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 7:
        raise InvalidInput(
            f"{name} is {shown(value)}.",
            hint="Use Environment.CPU, Environment.NVIDIA or Environment.AMD.",
            facts={"field": name},
        )
    return Environment(value)


def check_timeout(value: Any) -> None:
    """How long one request may take: seconds, above 0 and finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_TIME:
        raise InvalidInput(
            f"timeout is {shown(value)}; it must be a number of seconds above 0, and at most 10**9.",
            facts={"field": "timeout"},
        )


def check_wait(value: Any, name: str = "timeout") -> None:
    """How long to wait: seconds from 0 on; infinity means for ever."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not (0 <= value <= LONGEST_TIME or value == math.inf):
        raise InvalidInput(
            f"{name} is {shown(value)}; it must be a number of seconds from 0 to 10**9, or math.inf.",
            facts={"field": name},
        )


def check_response(response: Response) -> None:
    """A response as `get_task_responses` gives it, with the link to its result."""
    check_type(response, Response, "response")
    check_type(response.data, str, "response.data")


def check_source(info: SourceInfo) -> None:
    """A source's own values, before the chain is asked."""
    check_type(info, SourceInfo, "source_info")
    check_type(info.imageEnvs, ImageEnvironments, "imageEnvs")
    for name in ("name", "description", "logoUrl"):
        check_type(getattr(info, name), str, name)
    for name in ("cpu", "nvidia", "amd"):
        check_type(getattr(info.imageEnvs, name), str, f"imageEnvs.{name}")
    if not info.imageEnvs.environments:
        raise NoEnvironment(
            "A source needs the docker-compose URL of at least one environment.",
            hint="Give ImageEnvironments(cpu=…), nvidia= or amd=.",
        )
    for name in ("minPayment", "minAvailableLockup", "maxExpiryDuration"):
        check_amount(getattr(info, name), name)
    check_delivery_method(info.deliveryMethod, "deliveryMethod")


def check_delivery_method(value: Any, name: str) -> None:
    """A member of `DeliveryMethod`, or its number."""
    if not _is_whole(value, 0) or value not in list(DeliveryMethod):
        raise InvalidInput(
            f"{name} is {shown(value)}.",
            hint="Use DeliveryMethod.MANUAL_CONFIRMATION or DeliveryMethod.FIRST_RESPONSE.",
            facts={"field": name},
        )


@dataclass(frozen=True)
class Stake:
    """What the Vault asks of a client that publishes sources, and what it has; lockups in wei."""

    whitelisted: bool
    lockup: int
    lockup_per_source: int
    active_sources: int


def check_stake(client: str, stake: Stake) -> None:
    """Eligibility counting the source that is to be published."""
    needed = stake.lockup_per_source * (stake.active_sources + 1)
    if stake.whitelisted or stake.lockup >= needed:
        return
    raise NotEligible(
        f"{client} may not publish another source: it has {stake.active_sources} active ones and a lockup of "
        f"{coins(stake.lockup)}, and {coins(needed)} is needed.",
        hint=f"Deposit and lock the rest: client.vault.deposit({needed - stake.lockup}, role='client') "
        f"and client.vault.lock({needed - stake.lockup}, role='client').",
        facts={"account": client, "needed": needed, "available": stake.lockup},
    )


def check_task(info: TaskInfo) -> None:
    """A task's own values, before the chain is asked."""
    check_type(info, TaskInfo, "task_info")
    check_type(info.config, TaskInput, "config")
    check_amount(info.payment, "payment")
    check_amount(info.expiryTime, "expiryTime")
    if not isinstance(info.config.function_name, str) or not info.config.function_name:
        raise InvalidInput(
            "function_name must be the name of a function of the source.", facts={"field": "function_name"}
        )
    check_type(info.config.extra, dict, "config.extra")
    if not isinstance(info.config.data, dict):
        from pydantic import BaseModel  # takes long to import

        if not isinstance(info.config.data, BaseModel):
            raise InvalidInput(
                f"data is {shown(info.config.data)}; it must be a dictionary or a pydantic model.",
                facts={"field": "data"},
            )


def check_task_for_source(
    info: TaskInfo, source: SourceSnapshot, client: str, balance: int, now: int
) -> None:
    """A task against its source and the client's Vault balance (wei), at the chain's time `now`."""
    if source.status is not SourceStatus.ACTIVE:
        raise SourceInactive(
            f"Source {source.address} is inactive; it takes no tasks any more.",
            hint="Choose another source, or publish a new one.",
            facts={"source": source.address},
        )
    if info.payment < source.min_payment:
        raise PaymentTooLow(
            f"The payment is {coins(info.payment)}; source {source.address} asks at least "
            f"{coins(source.min_payment)}.",
            facts={"payment": info.payment, "min_payment": source.min_payment},
        )
    _check_expiry(info.expiryTime, source.max_expiry_duration, now)
    if balance < info.payment:
        raise InsufficientVaultBalance(
            f"The Vault balance of {client} is {coins(balance)}; the payment is {coins(info.payment)}.",
            hint=f"Deposit at least the rest: client.vault.deposit({info.payment - balance}, role='client').",
            facts={"account": client, "needed": info.payment, "available": balance},
        )


def _check_expiry(expiry: int, longest: int, now: int) -> None:
    facts = {"expiry": expiry, "now": now, "max_expiry_duration": longest}
    if expiry <= now:
        raise InvalidExpiry(
            f"expiryTime {expiry} is {now - expiry} s in the past.",
            hint="It is a Unix time in seconds: int(time.time()) + 3600 is in one hour.",
            facts=facts,
        )
    if expiry > now + longest:
        raise InvalidExpiry(
            f"expiryTime {expiry} is {expiry - now} s ahead; the source allows at most {longest} s.",
            hint="It is a Unix time in seconds, not milliseconds."
            if expiry > MILLISECONDS
            else f"int(time.time()) + {longest} is the latest that the source takes.",
            facts=facts,
        )
