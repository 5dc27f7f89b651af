"""The tables, and the same as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from publish_parts.runs import Measured, Run

FULL = 0.95  # of a block's gas limit: then the chain is the limit
MB = 1 << 20


def fullness(measured: Measured) -> list[float]:
    """Of the blocks from the second on, without the last one, of all runs."""
    return [block.fullness for run in measured.runs for block in run.chain.inner]


def cpu_ms(run: Run) -> float:
    """The publisher's CPU time a task."""
    return run.outcome.cpu / run.job.count * 1e3


def shares(run: Run) -> str:
    """How many of the machine's cores each part used while it ran."""
    wall = run.outcome.wall
    cores = {"publisher": run.outcome.cpu, "node": run.network_cpu.node, "services": run.network_cpu.services}
    return ", ".join(f"{name} {seconds / wall:.2f}" for name, seconds in cores.items())


def limit_of(measured: Measured) -> str:
    """What limited the rate, as far as these figures tell."""
    if (found := fullness(measured)) and min(found) >= FULL:
        return "the chain: its blocks are full"
    run = measured.runs[-1]
    seconds = {
        "the publisher": run.outcome.cpu,
        "the node": run.network_cpu.node,
        "the content service": run.network_cpu.services,
    }
    name = max(seconds, key=lambda part: seconds[part])
    return f"not the chain; {name} used the most CPU, {seconds[name] / run.outcome.wall:.0%} of a core"


def print_ours(measured: Measured) -> None:
    """The runs of this library, with all of their blocks."""
    print(f"{measured.name}: {measured.runs[0].job.count:,} tasks from one key, journal on disk")
    for run in measured.runs:
        print(
            f"  {run.outcome.wall:7.2f} s  {run.rate:7.1f} tasks/s  {cpu_ms(run):5.2f} ms CPU a task  "
            f"{run.outcome.requests:,} HTTP requests  {run.chain.gas_per_task:,.0f} gas a task"
        )
        print(f"    journal: {run.journal / 1024:,.0f} KB on disk")
        blocks = (f"{b.transactions} ({b.fullness:.1%})" for b in run.chain.blocks)
        print(f"    blocks: {'  '.join(blocks)}")
        fees = [block.base_fee / 1e9 for block in run.chain.blocks]
        print(f"    base fee: {fees[0]:.2f} to {fees[-1]:.2f} gwei    cores: {shares(run)}")
        _print_faults(run)
    print(f"  limit: {limit_of(measured)}\n")


def _print_faults(run: Run) -> None:
    if faults(run):
        print(
            f"    FAULTS: {run.failed} failed {run.outcome.errors}, {run.lost} lost, "
            f"{run.chain.doubles} twice, {run.unreported} unreported; {run.outcome.said}"
        )


def print_peers(ours: Measured, peers: Sequence[Measured]) -> None:
    """Everybody, side by side; counts are over all runs."""
    columns = ("calls", "returned", "failed", "lost", "twice", "unreported", "req/task", "ms CPU")
    print(f"{'':<25} {'tasks/s':>8} {'ours is':>8} " + " ".join(f"{c:>10}" for c in columns))
    for measured in (ours, *peers):
        if not measured.runs:
            print(f"{measured.name:<25} cannot run: {measured.reason}")
            continue
        rate = measured.median(lambda run: run.rate)
        times = f"{ratio(ours, measured):7.1f}x" if measured is not ours and rate else ""
        calls = measured.total(lambda run: run.job.count)
        counts = (
            calls,
            measured.total(lambda run: len(run.outcome.addresses)),
            measured.total(lambda run: run.failed),
            measured.total(lambda run: run.lost),
            measured.total(lambda run: run.chain.doubles),
            measured.total(lambda run: run.unreported),
        )
        requests = measured.total(lambda run: run.outcome.requests) / calls
        print(
            f"{measured.name:<25} {rate:8.2f} {times:>8} "
            + " ".join(f"{count:>10,}" for count in counts)
            + f" {requests:>10.2f} {measured.median(cpu_ms):>10.2f}"
        )
        if kinds := errors_of(measured):
            print(f"{'':<25}   failed: {kinds}; the first: {_first_said(measured)}")
        if measured.reason:
            print(f"{'':<25}   a later run ended: {measured.reason}")
    print(
        "  lost: returned, and no task on the chain · twice: the same call's task is there again · "
        "unreported: on the chain, but its call failed or had not ended\n"
    )


def _first_said(measured: Measured) -> str:
    return next((run.outcome.said[:140] for run in measured.runs if run.outcome.said), "no end in time")


def faults(run: Run) -> int:
    """Calls that failed, and tasks that were lost, published twice, or published and not returned."""
    return run.failed + run.lost + run.chain.doubles + run.unreported


def errors_of(measured: Measured) -> dict[str, int]:
    """What the calls raised, by type, over all runs."""
    found: dict[str, int] = {}
    for run in measured.runs:
        for name, count in run.outcome.errors.items():
            found[name] = found.get(name, 0) + count
        if run.outcome.unfinished:
            found["(no end in time)"] = found.get("(no end in time)", 0) + run.outcome.unfinished
    return found


def ratio(ours: Measured, peer: Measured) -> float:
    """How many times as fast ours is."""
    return ours.median(lambda run: run.rate) / peer.median(lambda run: run.rate)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all is at most."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def latencies(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Median and p95 in milliseconds, by what was measured."""
    series = {
        "ours, journal on disk": found["ours"],
        "ours, journal in memory": found["in memory"],
        "by hand: upload": found["upload"],
        "by hand: send, receipt": found["node"],
        "by hand: both": [sum(pair) for pair in zip(found["upload"], found["node"], strict=True)],
        "one commit to this disk": found["commit"],
    }
    result = {
        name: {"median": statistics.median(values), "p95": percentile(values, 0.95)}
        for name, values in series.items()
    }
    over = result["ours, journal on disk"]["median"] - result["by hand: both"]["median"]
    journal = result["ours, journal on disk"]["median"] - result["ours, journal in memory"]["median"]
    return {**result, "ours over by hand": {"median": over}, "of it the journal's disk": {"median": journal}}


def print_latency(found: dict[str, Any]) -> None:
    """One publish at a time, instant blocks."""
    title = f"one publish after another, instant blocks, {len(found['ours'])} rounds"
    print(f"{title:<56} {'median':>9} {'p95':>9}")
    for name, values in latencies(found).items():
        shown = " ".join(f"{value:6.2f} ms" for value in values.values())
        print(f"  {name:<54} {shown}")
    print()


def print_scaling(measured: Sequence[Measured]) -> None:
    """The cost by the number of tasks."""
    columns = ("s", "ms/task", "CPU ms/task", "req/task", "MB before", "MB more")
    print(f"{'tasks':>7} " + " ".join(f"{column:>11}" for column in columns))
    for one in measured:
        (run,) = one.runs
        count, outcome = run.job.count, run.outcome
        print(
            f"{count:>7,} {outcome.wall:>11.2f} {outcome.wall / count * 1e3:>11.2f} {cpu_ms(run):>11.2f} "
            f"{outcome.requests / count:>11.2f} {outcome.rss_before / MB:>11.1f} {growth(run) / MB:>11.1f}"
        )
        _print_faults(run)
    print()


def growth(run: Run) -> int:
    """Bytes by which the publisher grew."""
    return max(0, run.outcome.rss_peak - run.outcome.rss_before)


def as_json(measured: Measured) -> dict[str, Any]:
    """A publisher's runs as plain values."""
    return {
        "name": measured.name,
        "reason": measured.reason,
        "runs": [
            {
                "tasks": run.job.count,
                "threads": run.job.threads,
                "seconds": round(run.outcome.wall, 4),
                "tasks_per_second": round(run.rate, 3),
                "cpu_ms_per_task": round(cpu_ms(run), 3),
                "http_requests": run.outcome.requests,
                "node_cpu_seconds": round(run.network_cpu.node, 3),
                "services_cpu_seconds": round(run.network_cpu.services, 3),
                "journal_bytes": run.journal,
                "rss_before": run.outcome.rss_before,
                "rss_peak": run.outcome.rss_peak,
                "returned": len(run.outcome.addresses),
                "errors": run.outcome.errors,
                "unfinished": run.outcome.unfinished,
                "lost": run.lost,
                "twice": run.chain.doubles,
                "unreported": run.unreported,
                "reverted": run.chain.reverted,
                "other_transactions": run.chain.others,
                "gas_per_task": round(run.chain.gas_per_task),
                "blocks": [
                    [b.number, b.transactions, round(b.fullness, 4), b.base_fee] for b in run.chain.blocks
                ],
            }
            for run in measured.runs
        ],
    }
