"""What Nexus's events do to sources, tasks, attempts, responses and payments. Pure."""

from __future__ import annotations

from ogpu.indexer.happenings import Happening, SourceTerms
from ogpu.indexer.rows import Row
from ogpu.indexer.scene import About, Scene, account_row, happened, not_yet, provider_row
from ogpu.types import DeliveryMethod, SourceStatus, TaskStatus

_STATUS_COUNTS = {status: status.name.lower() for status in TaskStatus}


def source_terms(terms: SourceTerms) -> Row:
    """The columns of a source that its client can change."""
    return {
        "client": terms.client,
        "metadata_url": terms.image_metadata_url,
        "environments": terms.image_environments,
        "min_payment": terms.min_payment,
        "min_available_lockup": terms.min_available_lockup,
        "max_expiry_duration": terms.max_expiry_duration,
        "privacy_enabled": terms.privacy_enabled,
        "optional_params_url": terms.optional_params_url,
        "delivery_method": terms.delivery_method,
        "last_update_time": terms.last_update_time,
    }


def source_published(scene: Scene, happening: Happening) -> About:
    terms = scene.facts.sources[happening.source]
    scene.rows.put(
        "sources",
        {
            "address": happening.source,
            **source_terms(terms),
            "status": int(SourceStatus.ACTIVE),
            **happened("published", happening),
            **dict.fromkeys(("registrant_count", "task_count", "finalized_count", "paid"), 0),
        },
    )
    account_row(scene, terms.client, happening)["source_count"] += 1
    scene.tally.total("sources")
    scene.tally.total("active_sources")
    return About(source=happening.source, account=terms.client)


def source_updated(scene: Scene, happening: Happening) -> About:
    terms = happening.source_params
    if (row := scene.rows.edit("sources", happening.source)) is not None:
        row.update(source_terms(terms))
    return About(source=happening.source, account=terms.client)


def source_status_changed(scene: Scene, happening: Happening) -> About:
    row = scene.rows.edit("sources", happening.source)
    if row is None:
        return About(source=happening.source)
    active = SourceStatus.ACTIVE
    scene.tally.total("active_sources", (happening.status == active) - (row["status"] == active))
    row["status"] = happening.status
    return About(source=happening.source, account=row["client"])


def registered(scene: Scene, happening: Happening) -> About:
    scene.rows.put(
        "registrations",
        {
            "source": happening.source,
            "provider": happening.provider,
            "registrant_id": happening.registrant_id,
            "environment": happening.preferred_environment,
            **happened("registered", happening),
        },
    )
    provider = provider_row(scene, happening.provider, happening)
    provider["registration_count"] += 1
    provider["active_at"] = happening.at
    source = scene.rows.edit("sources", happening.source)
    if source is not None:
        source["registrant_count"] += 1
    return About(
        source=happening.source, account=happening.provider, other=source["client"] if source else None
    )


def task_published(scene: Scene, happening: Happening) -> About:
    task, source = happening.task, happening.source
    terms = scene.facts.tasks[task]
    scene.rows.put(
        "tasks",
        {
            "address": task,
            "source": source,
            "client": terms.client,
            "config_url": terms.config_url,
            "expiry_time": terms.expiry_time,
            "payment": terms.payment,
            "delivery_method": terms.delivery_method,
            "status": int(TaskStatus.NEW),
            "attempt_count": 0,
            "response_count": 0,
            "winning_provider": None,
            "confirmed_response": None,
            "paid": None,
            **happened("published", happening),
            **not_yet("attempted"),
            **not_yet("responded"),
            **not_yet("settled"),
        },
    )
    scene.rows.put(
        "payments",
        {
            "task": task,
            "source": source,
            "client": terms.client,
            "provider": None,
            "state": "held",
            "amount": terms.payment,
            "paid": 0,
            "returned": 0,
            **happened("held", happening),
            **not_yet("settled"),
        },
    )
    if (row := scene.rows.edit("sources", source)) is not None:
        row["task_count"] += 1
    account_row(scene, terms.client, happening)["task_count"] += 1
    scene.tally.total("tasks")
    scene.tally.total("new")
    scene.tally.total("held", terms.payment)
    scene.tally.count(happening.at, "published")
    return About(source=source, task=task, account=terms.client)


def attempted(scene: Scene, happening: Happening) -> About:
    task, provider = happening.task, happening.provider
    row = scene.rows.edit("tasks", task)
    who = provider_row(scene, provider, happening)
    who["attempt_count"] += 1
    who["active_at"] = happening.at
    scene.tally.count(happening.at, "attempted")
    scene.tally.active(happening.at, provider)
    if row is None:
        return About(task=task, account=provider)
    scene.rows.put(
        "attempts",
        {
            "task": task,
            "provider": provider,
            "position": row["attempt_count"],
            "suggested_payment": happening.suggested_payment,
            **happened("attempted", happening),
        },
    )
    row["attempt_count"] += 1
    if row["attempted_at"] is None:
        row.update(happened("attempted", happening))
    return About(source=row["source"], task=task, account=provider, other=row["client"])


def response_submitted(scene: Scene, happening: Happening) -> About:
    task = happening.task
    terms = scene.facts.responses[happening.response]
    row = scene.rows.edit("tasks", task)
    who = provider_row(scene, terms.provider, happening)
    who["response_count"] += 1
    who["active_at"] = happening.at
    if (attempt := scene.rows.find("attempts", task, terms.provider)) is not None:
        who["answer_seconds"] += happening.at - attempt["attempted_at"]
    scene.tally.total("responses")
    scene.tally.count(happening.at, "responded")
    scene.tally.active(happening.at, terms.provider)
    if row is None:
        return About(task=task, response=happening.response, account=terms.provider)
    scene.rows.put(
        "responses",
        {
            "address": happening.response,
            "task": task,
            "source": row["source"],
            "provider": terms.provider,
            "data": terms.data,
            "payment": terms.payment,
            "status": 0,
            "paid": None,
            **happened("submitted", happening),
            **not_yet("confirmed"),
        },
    )
    row["response_count"] += 1
    if row["responded_at"] is None:
        row.update(happened("responded", happening))
        scene.tally.first_response(happening.at, happening.at - row["published_at"])
    return About(row["source"], task, happening.response, terms.provider, row["client"])


def response_status_changed(scene: Scene, happening: Happening) -> About:
    terms = scene.facts.responses[happening.response]
    about = About(task=terms.task, response=happening.response, account=terms.provider)
    row = scene.rows.edit("responses", happening.response)
    if row is None:
        return about
    row["status"] = happening.status
    if happening.status:
        row.update(happened("confirmed", happening))
        provider_row(scene, terms.provider, happening)["confirmed_count"] += 1
    about.source = row["source"]
    if (task := scene.rows.edit("tasks", terms.task)) is not None:
        about.other = task["client"]
        if happening.status:
            task["confirmed_response"] = happening.response
            task["winning_provider"] = terms.provider
    return about


def task_status_changed(scene: Scene, happening: Happening) -> About:
    row = scene.rows.edit("tasks", happening.task)
    if row is None:
        return About(task=happening.task)
    for status, amount in ((row["status"], -1), (happening.status, 1)):
        if status in _STATUS_COUNTS:
            scene.tally.total(_STATUS_COUNTS[status], amount)
    row["status"] = happening.status
    about = About(source=row["source"], task=happening.task, account=row["client"])
    if happening.status >= TaskStatus.CANCELED:
        row.update(happened("settled", happening))
        if happening.status in _STATUS_COUNTS:
            scene.tally.count(happening.at, _STATUS_COUNTS[happening.status])
        paid = _pay(scene, row, happening) if happening.status == TaskStatus.FINALIZED else 0
        about.other = row["winning_provider"]
        _settle(scene, row, paid, happening)
    return about


def _pay(scene: Scene, task: Row, happening: Happening) -> int:
    """Note what the winner was paid: under first response all, else what its response asks; wei."""
    response = (
        scene.rows.edit("responses", task["confirmed_response"]) if task["confirmed_response"] else None
    )
    first = task["delivery_method"] == DeliveryMethod.FIRST_RESPONSE
    paid: int = task["payment"] if first else response["payment"] if response else 0
    task["paid"] = paid
    if response is not None:
        response["paid"] = paid
    if task["winning_provider"] is not None:
        provider_row(scene, task["winning_provider"], happening)["earned"] += paid
    if (source := scene.rows.edit("sources", task["source"])) is not None:
        source["finalized_count"] += 1
        source["paid"] += paid
    account_row(scene, task["client"], happening)["spent"] += paid
    return paid


def _settle(scene: Scene, task: Row, paid: int, happening: Happening) -> None:
    """Note what became of the payment that was held."""
    payment = scene.rows.edit("payments", task["address"])
    if payment is None or payment["state"] != "held":
        return
    returned = payment["amount"] - paid
    payment.update(
        provider=task["winning_provider"] if task["paid"] is not None else None,
        state="returned" if task["paid"] is None else "paid",
        paid=paid,
        returned=returned,
        **happened("settled", happening),
    )
    scene.tally.total("held", -payment["amount"])
    for name, amount in (("paid", paid), ("returned", returned)):
        scene.tally.total(name, amount)
        scene.tally.count(happening.at, name, amount)
