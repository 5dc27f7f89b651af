"""Real networks for the tests: each is `ogpu up` as a process of its own, on free ports."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ogpu.client import default
from tests.support import canaries
from tests.support.accounts import case, quick_stage, slow, slow_stage  # noqa: F401
from tests.support.localnet import RunningNetwork, started

TESTNET_CHAIN_ID = 200820172034

# The files that take a minute or more, longest first: what would begin last would end alone.
LONGEST = (
    "test_machine.py",
    "test_crashes.py",
    "test_matrix.py",
    "test_many.py",
    "test_pages.py",
    "test_seeds.py",
    "test_pairs.py",
    "test_options.py",
    "test_examples.py",
)

os.environ["OGPU_CONTENT_CACHE"] = "off"  # for the networks too, whose processes are started with it


# A shell that runs us in the background may have us ignore these, and our children with us.
for ignored, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, handler)


# Whether an example was slow says something of the machine, and nothing of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """No test may show a secret, whatever it tests."""
    config.add_cleanup(canaries.watch())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that has shown a secret, in an error, a log record or an output, fails."""
    report = yield
    for name, said in report.sections:
        canaries.look(said, name)
    canaries.look(report.longreprtext, "the report of the test")
    if shown := canaries.leaks():
        report.outcome = "failed"
        report.longrepr = "\n".join(["Secrets were shown:", *shown, report.longreprtext])
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of these tests."""
    parser.addoption(
        "--long",
        type=float,
        default=0.0,
        metavar="HOURS",
        help="run the transaction engine's state machine for so long, under one seed after the other",
    )
    parser.addoption(
        "--index-seed", type=int, default=None, metavar="N", help="repeat one seed of the index's tests"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest comes first, and what runs for hours has no other limit."""
    changing = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if changing:  # where several run at once, each must find the same tests
        raise pytest.UsageError(f"a test has another name each time: {changing[0]}")
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    if config.getoption("--long"):
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)


def pytest_xdist_auto_num_workers() -> int:
    """How many run at once with `--numprocesses=auto`: they often wait, but not for long."""
    return 1 + (os.cpu_count() or 1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the seeds of what was done at random, also where nothing failed."""
    reports = [report for listed in terminalreporter.stats.values() for report in listed]
    told = [value for report in reports for name, value in getattr(report, "user_properties", [])]
    for seed in dict.fromkeys(told):
        terminalreporter.write_line(str(seed))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No test sees the settings of whoever runs it, nor a `.env` file, nor what another test left behind."""
    for name in list(os.environ):
        if (name.startswith("OGPU_") and name != "OGPU_SEED") or name.endswith(
            ("_PRIVATE_KEY", "_KEYSTORE", "_KEYSTORE_PASSWORD")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setattr(default, "_selected", None)
    monkeypatch.setattr(default, "_clients", {})
    monkeypatch.setenv("OGPU_CONTENT_CACHE", "off")
    monkeypatch.setenv("OGPU_JOURNAL", str(tmp_path / "journal.sqlite3"))
    monkeypatch.chdir(tmp_path)
    yield
    close_default_clients()


def close_default_clients() -> None:
    """End what the functional API's clients still follow."""
    while default._clients:
        default._clients.popitem()[1].close()


@pytest.fixture(scope="session")
def working_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """A network that stands in for the testnet, with a provider that runs the example handlers."""
    with started(tmp_path_factory.mktemp("working"), "--as", "testnet") as network:
        yield network


@pytest.fixture(scope="session")
def bare_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """A network without a provider, whose chain tests may wind back."""
    with started(tmp_path_factory.mktemp("bare"), "--no-provider") as network:
        yield network


@pytest.fixture(scope="session")
def held_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """A network without a provider that mines only when a test says so."""
    with started(tmp_path_factory.mktemp("held"), "--no-provider", "--block-time", "3600") as network:
        yield network


@pytest.fixture
def working(working_network: RunningNetwork, monkeypatch: pytest.MonkeyPatch) -> RunningNetwork:
    """The network with a provider, selected as a user would select it."""
    working_network.select(monkeypatch)
    return working_network


@pytest.fixture
def bare(bare_network: RunningNetwork, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningNetwork]:
    """The network without a provider, selected, and wound back after the test."""
    yield from wound_back(bare_network, monkeypatch)


@pytest.fixture
def held(held_network: RunningNetwork, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningNetwork]:
    """A network that mines at once until the test says `evm_setAutomine` False, wound back after it."""
    held_network.rpc("evm_setAutomine", True)
    yield from wound_back(held_network, monkeypatch)


def wound_back(network: RunningNetwork, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningNetwork]:
    """Select a network, and leave its chain as it was."""
    network.select(monkeypatch)
    snapshot = network.rpc("evm_snapshot")
    yield network
    close_default_clients()  # they would send again what the chain is about to lose
    network.rpc("anvil_dropAllTransactions")
    network.rpc("evm_revert", snapshot)
    network.rpc("evm_setTime", int(time.time()))  # which goes back as well
