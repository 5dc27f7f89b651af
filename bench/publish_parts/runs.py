"""The runs: a publisher, what the chain has of it afterwards, and what the network's processes used."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eth_account import Account

from publish_parts.chain import Observed, head, observe, settle
from publish_parts.job import Job, Outcome, run
from shared.environments import python_of
from shared.network import BenchNetwork, Cpu
from shared.program import CannotRun

OURS = (sys.executable, "-m", "publish_parts.ours")
PEER = ("-m", "publish_parts.peer")


@dataclass(frozen=True)
class Run:
    """One publisher's run."""

    job: Job
    outcome: Outcome
    chain: Observed
    network_cpu: Cpu  # with the warm-up, and the moment until all is mined
    journal: int  # bytes on disk

    @property
    def published(self) -> int:
        """Tasks that were returned and are on the chain, each counted once."""
        return len(set(self.outcome.addresses) & set(self.chain.tasks))

    @property
    def rate(self) -> float:
        """Those a second."""
        return self.published / self.outcome.wall

    @property
    def lost(self) -> int:
        """Addresses that were returned twice, or that are no task of this key."""
        return len(self.outcome.addresses) - self.published

    @property
    def unreported(self) -> int:
        """Tasks on the chain and paid for, whose call raised or did not end."""
        return len(set(self.chain.configs)) - self.published

    @property
    def failed(self) -> int:
        """Calls that raised, or had not ended at the deadline."""
        return sum(self.outcome.errors.values()) + self.outcome.unfinished


@dataclass(frozen=True)
class Measured:
    """A publisher's runs, or why there are none."""

    name: str
    runs: list[Run]
    reason: str = ""

    def median(self, value: Callable[[Run], float]) -> float:
        """The median over the runs."""
        return statistics.median(map(value, self.runs))

    def total(self, value: Callable[[Run], int]) -> int:
        """The sum over the runs."""
        return sum(map(value, self.runs))


def ours(name: str, network: BenchNetwork, keys: Sequence[str], count: int, block_time: float) -> Measured:
    """Runs of this library, each with a key and a journal of its own."""
    runs = []
    for key in keys:
        with tempfile.TemporaryDirectory(dir=network.file.parent) as folder:
            job = Job(count, key, journal=str(Path(folder) / "journal.sqlite"))
            runs.append(_run(OURS, network, job, Path(folder), block_time))
    return Measured(name, runs)


def peer(
    version: str,
    network: BenchNetwork,
    jobs: Sequence[Job],
    block_time: float,
    progress: Callable[[str], None],
) -> Measured:
    """Runs of a published package."""
    threads = jobs[0].threads
    name = f"ogpu {version}, {threads} thread{'s' if threads > 1 else ''}"
    progress(name)
    runs = []
    try:
        for job in jobs:
            with tempfile.TemporaryDirectory(dir=network.file.parent) as folder:
                command = (str(python_of(version)), *PEER)
                runs.append(_run(command, network, job, Path(folder), block_time))
    except CannotRun as error:
        return Measured(name, runs, str(error))
    return Measured(name, runs)


def _run(command: Sequence[str], network: BenchNetwork, job: Job, folder: Path, block_time: float) -> Run:
    before = network.cpu()
    outcome = Outcome(**run(command, network, job, folder))
    address = Account.from_key(job.key).address
    settle(network, address, block_time)
    used = network.cpu().since(before)
    chain = observe(network, address, outcome.first_block + 1, head(network))
    journal = sum(file.stat().st_size for file in folder.glob("journal.sqlite*"))
    return Run(job, outcome, chain, used, journal)
