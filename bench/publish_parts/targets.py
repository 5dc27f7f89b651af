"""What was asked for, and whether it was met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from publish_parts.report import FULL, cpu_ms, faults, fullness, growth, latencies, ratio
from publish_parts.runs import Measured
from shared.targets import Target

CPU_MS = 3.0  # a task
OVER_NODE_MS = 25.0
TIMES = {1: 100.0, 16: 10.0}  # as fast as a peer, by its threads
LINEAR = 1.5  # CPU a task at the largest size over that at 100
FLAT_KB = 20.0  # a further task, from the largest size but one to the largest


def of_throughput(ours: Measured) -> list[Target]:
    """Full blocks, little CPU, no fault, and a journal that is on disk."""
    if not ours.runs:
        return []
    full, cpu, wrong = min(fullness(ours), default=0.0), ours.median(cpu_ms), ours.total(faults)
    journal = min(run.journal for run in ours.runs) // 1024
    return [
        Target("blocks, from the second on", f"at least {FULL:.0%} full", f"{full:.1%}", full >= FULL),
        Target("CPU a task", f"at most {CPU_MS:g} ms", f"{cpu:.2f} ms", cpu <= CPU_MS),
        Target("every task once", "no fault", f"{wrong} faults", not wrong),
        Target("journal", "on disk", f"{journal:,} KB", journal > 0),
    ]


def of_peers(ours: Measured, peers: Sequence[Measured]) -> list[Target]:
    """How many times as fast as each peer that runs."""
    found = []
    for peer in peers:
        if peer.runs and peer.median(lambda run: run.rate):
            times, wanted = ratio(ours, peer), TIMES[peer.runs[0].job.threads]
            found.append(
                Target(f"beside {peer.name}", f"at least {wanted:g}x", f"{times:.1f}x", times >= wanted)
            )
    return found


def of_latency(found: dict[str, Any] | None) -> list[Target]:
    """One publish, over what the node and the content service take."""
    if found is None:
        return []
    over = latencies(found)["ours over by hand"]["median"]
    met = over <= OVER_NODE_MS
    return [Target("one publish, over the node's own", f"at most {OVER_NODE_MS:g} ms", f"{over:.1f} ms", met)]


def of_scaling(scaling: Sequence[Measured]) -> list[Target]:
    """Linear in CPU, flat in memory; 10 tasks are too few to tell."""
    runs = [measured.runs[0] for measured in scaling if measured.runs[0].job.count >= 100]
    if len(runs) < 2:
        return []
    first, before, last = runs[0], runs[-2], runs[-1]
    times = cpu_ms(last) / cpu_ms(first)
    further = (growth(last) - growth(before)) / (last.job.count - before.job.count) / 1024
    name = f"CPU a task, {last.job.count:,} over {first.job.count:,} tasks"
    return [
        Target(name, f"at most {LINEAR:g}x", f"{times:.2f}x", times <= LINEAR),
        Target("memory, a further task", f"at most {FLAT_KB:g} KB", f"{further:.1f} KB", further <= FLAT_KB),
    ]
