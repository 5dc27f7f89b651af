"""Any history of calls, crashes and chain troubles: each key is executed once, or failed and not at all."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.stateful import run_state_machine_as_test
from tests.support.machine import Machine
from tests.support.stage import Stage

HISTORIES, STEPS = 300, 12  # the steps at most
LONG_HISTORIES, LONG_STEPS = 500, 30  # the same under each seed of a long run
STORED = Path(__file__).parents[2] / ".hypothesis" / "examples"
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # what depends on time cannot be shrunk


def play(machine: Callable[[], Machine], number: int, histories: int, steps: int) -> None:
    """Play so many histories of that seed, of so many steps at most."""
    run_state_machine_as_test(
        seed(number)(machine),  # type: ignore[arg-type]  # a function will do, says its documentation
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            derandomize=False,
            print_blob=True,
            phases=PHASES,
            database=DirectoryBasedExampleDatabase(STORED),
            suppress_health_check=list(HealthCheck),
        ),
    )


def chosen_seed(config: pytest.Config) -> int:
    """The seed of `--hypothesis-seed`, else a fresh one."""
    given = config.getoption("--hypothesis-seed")
    return secrets.randbits(64) if given is None else int(given)


@pytest.fixture
def machine(slow_stage: Stage, tmp_path: Path) -> Callable[[], Machine]:
    """A new machine, on a network that mines nothing that was not asked for."""
    return lambda: Machine(slow_stage, tmp_path)


@pytest.mark.timeout(900)
def test_any_history_executes_each_key_once_or_reports_a_failure(
    machine: Callable[[], Machine],
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    hours = pytestconfig.getoption("--long")
    many = (LONG_HISTORIES, LONG_STEPS) if hours else (HISTORIES, STEPS)
    end, number = time.monotonic() + 3600 * hours, chosen_seed(pytestconfig)
    while True:
        record_property("seed", f"{Path(__file__).name}: --hypothesis-seed={number}")
        with capsys.disabled():  # a long run is not at its end for hours
            print(f"\nstate machine: --hypothesis-seed={number}")
        play(machine, number, *many)
        if time.monotonic() >= end:
            break
        number = secrets.randbits(64)


# --- histories that went wrong once


@contextlib.contextmanager
def played(machine: Callable[[], Machine]) -> Iterator[Machine]:
    """One history; at its end it is checked."""
    playing = machine()
    try:
        yield playing
    finally:
        playing.teardown()


def test_a_transaction_that_a_fee_spike_has_passed_is_offered_for_more_by_the_next_program(
    machine: Callable[[], Machine],
) -> None:
    """Nobody calls anything there, so only the client's own key can sign."""
    with played(machine) as history:
        history.begin(stuck_after=45.0, lives=False, mining=False)
        history.crash(who=0)
        history.fee_spike(factor=100)
