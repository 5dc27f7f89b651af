"""`kill -9` anywhere between journal and network: every key is executed once, and none is lost."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.support import postgres
from tests.support.crash import child
from tests.support.crashing import BY_HAND, FAULTS, Plan, Program, Story, Style, drawn, drawn_before, runs
from tests.support.journals import assert_journal_equals_chain, journal_rows
from tests.support.localnet import started, wait_until
from tests.support.postgres import PostgresServer
from tests.support.proxy import Fault, Proxy
from tests.support.stage import Case, Stage, publish_source

from ogpu import Client
from ogpu.tx.boundaries import Boundary

SEND = "eth_sendRawTransaction"
STORES = ("sqlite", "postgresql")
RUNS = 10  # of each boundary on each store
RUNS_TWICE = 2
MANY = 50  # times, as the first sends may be of what is there already
CALMED = (Story.REFUSED, Story.FOLLOWED)  # what the node has refused once it takes from the next process
BLOCK_PAUSE = 0.1  # seconds between two blocks on a network that is mined by hand
BASE = os.environ.get("OGPU_SEED") or secrets.token_hex(4)

# What has failed once, with an engine that was broken on purpose or not: the plans of those seeds.
KEPT = {
    "sent before it is stored": Plan(Boundary.SIGNED, 1, Story.PLAIN, Style.IN_TURN, 1),
    "sent instead of its cancellation": Plan(
        Boundary.CANCEL_STORED, 1, Story.FOLLOWED, Style.TOGETHER, 3, fault=Fault.REFUSED
    ),
    "signed again, and not stored": Plan(
        Boundary.BUMP_SIGNED, 2, Story.UNDERPRICED, Style.IN_TURN, 1, fault=Fault.UNDERPRICED, times=2
    ),
}


@pytest.fixture
def seed(request: pytest.FixtureRequest, number: int, record_property: Callable[[str, object], None]) -> str:
    """The seed of one run: of that number and that store."""
    record_property("seed", f"{Path(__file__).name}: OGPU_SEED={BASE}")
    found = f"{BASE}-{number}-{request.node.callspec.params['where']}"
    print(f"seed {found}")
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One server for all runs."""
    with postgres.running() as running:
        yield running


@pytest.fixture(scope="module")
def held_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A network that mines nothing by itself, also no leftovers."""
    with started(tmp_path_factory.mktemp("held"), "--no-provider", "--block-time", "3600") as network:
        network.rpc("evm_setAutomine", True)
        yield Stage(network, publish_source(network))


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a journal, empty: of the store that the test is for."""
    if request.param == "sqlite":
        return str(tmp_path / "journal.sqlite3")
    server: PostgresServer = request.getfixturevalue("server")
    return server.fresh_schema()


@dataclass
class Refusing:
    """Holds sends until what is to follow the first one is stored, and refuses that one alone."""

    proxy: Proxy
    where: str
    intents: int
    over: threading.Event
    first: bool = True

    def __call__(self, method: str) -> None:
        if method == SEND:
            first, self.first = self.first, False
            while not (self.over.is_set() or (self._followed() if first else self._refused())):
                self.over.wait(0.01)

    def _followed(self) -> bool:
        return len(journal_rows(self.where).intents) == self.intents

    def _refused(self) -> bool:
        return self.proxy.faults[SEND, Fault.REFUSED] > 0


@contextlib.contextmanager
def faults(proxy: Proxy, program: Program, fault: Fault | None, times: int = 1) -> Iterator[None]:
    """What a program's story needs of the proxy, until the program has ended."""
    proxy.calm()
    if fault:
        proxy.order(SEND, fault, times, skip=program.chosen)
    over = threading.Event()
    if program.story is Story.FOLLOWED:
        proxy.hold = Refusing(proxy, program.journal, len(program.keys), over)
    try:
        yield
    finally:
        over.set()
        proxy.hold = None


def program_of(case: Case, where: str, plan: Plan, *urls: str) -> Program:
    """The program of a plan; its keys are new."""
    mark = secrets.token_hex(3)
    return Program(
        network=case.through(*urls),
        private_key=case.key,
        source=case.source,
        journal=where,
        keys=tuple(f"{mark}-{number}" for number in range(plan.tasks)),
        style=plan.style,
        story=plan.story,
        chosen=plan.chosen,
    )


def dies(program: Program) -> None:
    """Run it; it is killed where it is to be, and nowhere else."""
    with child(runs, program) as running:
        code = running.wait()
        said = [*running.everything()] if code != -signal.SIGKILL else []
    assert code == -signal.SIGKILL, f"it did not come to {program.end}: {code}, {said}"


def finished(case: Case, program: Program) -> dict[str, str]:
    """Run it to its end, and what it says then; once it has sent something there are blocks."""
    with child(runs, replace(program, telling=program.story in BY_HAND)) as running:
        said = running.receive()
        while said == "sent":
            case.mine()
            said = running.receive() if running.said_more(BLOCK_PAUSE) else said
    assert isinstance(said, dict)
    return said


def checked(case: Case, program: Program, result: dict[str, str]) -> set[str]:
    """Chain, journal and what the program was told are one, and nothing is open; the canceled keys."""
    canceled = {key for key, told in result.items() if told == "TransactionDropped"}
    done = [key for key in program.keys if key not in canceled]
    found = case.check(done, sorted(canceled))
    for key in done:
        assert found.executions[key][0].tasks[0] == result[key].lower()
    rows = journal_rows(program.journal)
    assert_journal_equals_chain(rows, found)
    assert rows.states() == {key: "canceled" if key in canceled else "done" for key in program.keys}
    assert [lane["next_nonce"] for lane in rows.lanes] == [found.next_nonce]
    assert not found.waiting
    return canceled


def stage_of(request: pytest.FixtureRequest, story: Story) -> Stage:
    """The network on which a story can happen."""
    stage: Stage = request.getfixturevalue("held_stage" if story in BY_HAND else "quick_stage")
    return stage


def crash(stage: Stage, where: str, plan: Plan) -> None:
    """Kill a program as planned, run it again, and look at what there is."""
    with stage.case() as case, case.proxy() as proxy:
        program = program_of(case, where, plan, proxy.url)
        case.automine(plan.story not in BY_HAND)
        with faults(proxy, program, plan.fault, plan.times):
            dies(program.until(plan.boundary, plan.nth))
        if plan.story in CALMED:
            proxy.calm()
        if plan.mined:
            case.mine()
        result = finished(case, replace(program, recovering=plan.recovering))
        canceled = checked(case, program, result)
        assert canceled <= ({program.keys[plan.chosen]} if plan.cancels else set())
        if plan.boundary is Boundary.CANCEL_STORED and not plan.mined:
            assert canceled, "the call was sent, and not its cancellation"


@pytest.mark.parametrize("number", range(RUNS))
@pytest.mark.parametrize("where", STORES, indirect=True)
@pytest.mark.parametrize("boundary", Boundary, ids=lambda boundary: boundary.name)
def test_what_is_killed_anywhere_is_done_once_by_the_next_process(
    request: pytest.FixtureRequest, boundary: Boundary, where: str, seed: str
) -> None:
    plan = drawn(boundary, seed)
    print(plan)
    crash(stage_of(request, plan.story), where, plan)


@pytest.mark.parametrize("where", STORES, indirect=True)
@pytest.mark.parametrize("plan", KEPT.values(), ids=KEPT)
def test_what_has_failed_once_does_not_again(request: pytest.FixtureRequest, where: str, plan: Plan) -> None:
    crash(stage_of(request, plan.story), where, plan)


def crash_twice(stage: Stage, where: str, plan: Plan, second: Boundary, then: Story) -> None:
    """Kill a program, kill the one that goes on with its work, and let a third one end it."""
    with stage.case() as case, case.proxy() as proxy:
        program = program_of(case, where, plan, proxy.url)
        case.automine(then not in BY_HAND)
        with faults(proxy, program, plan.fault, plan.times):
            dies(program.until(plan.boundary, plan.nth))
        if then not in (*BY_HAND, Story.REFUSED):  # it goes on with more tasks, if it comes to them
            program = replace(program, keys=(*program.keys, *(f"{key}+" for key in program.keys)))
        program = replace(program, story=then, chosen=plan.chosen if then in BY_HAND else 0)
        with faults(proxy, program, FAULTS.get(then), 1 if then is Story.REFUSED else MANY):
            dies(program.until(second))
        proxy.calm()
        result = finished(case, replace(program, recovering=plan.recovering))
        canceled = checked(case, program, result)
        may_be = {program.keys[plan.chosen]} if plan.cancels else set()
        assert canceled <= may_be


@pytest.mark.parametrize("number", range(RUNS_TWICE))
@pytest.mark.parametrize("where", STORES, indirect=True)
@pytest.mark.parametrize("boundary", Boundary, ids=lambda boundary: boundary.name)
def test_a_process_may_be_killed_while_it_goes_on_with_the_work_of_a_killed_one(
    request: pytest.FixtureRequest, boundary: Boundary, where: str, seed: str
) -> None:
    plan, then = drawn_before(boundary, seed)
    print(plan, then)
    crash_twice(stage_of(request, then), where, plan, boundary, then)


# --- without keys


def calls(case: Case, where: str, tasks: int = 1, style: Style = Style.BESIDE) -> Program:
    """A program whose calls have no key: each publishes the same task."""
    keys = tuple(f"call {number}" for number in range(tasks))
    return Program(
        case.through(case.network.url), case.key, case.source, where, keys, style, named=False, same=True
    )


def tasks_of(case: Case, where: str) -> list[str]:
    """The tasks on the chain, by nonce; all succeeded, and the journal has the same."""
    found = case.found()
    assert_journal_equals_chain(journal_rows(where), found)
    assert not found.waiting
    return [address for transaction in found.mined for address in transaction.tasks]


@pytest.mark.parametrize(
    "boundary",
    [Boundary.STORED, Boundary.SENDING, Boundary.SENT, Boundary.RECEIPT_SEEN],
    ids=lambda boundary: boundary.name,
)
@pytest.mark.parametrize("where", STORES, indirect=True)
def test_a_call_without_a_key_is_taken_up_by_the_next_process_and_by_no_later_one(
    case: Case, where: str, boundary: Boundary
) -> None:
    program = calls(case, where)
    dies(program.until(boundary))
    (adopted,) = finished(case, program).values()
    assert tasks_of(case, where) == [adopted.lower()]
    (another,) = finished(case, program).values()
    assert tasks_of(case, where) == [adopted.lower(), another.lower()]


@pytest.mark.parametrize("where", STORES, indirect=True)
def test_a_call_that_was_not_stored_is_made_by_the_next_process(case: Case, where: str) -> None:
    program = calls(case, where)
    dies(program.until(Boundary.SIGNED))
    (made,) = finished(case, program).values()
    assert tasks_of(case, where) == [made.lower()]


@pytest.mark.parametrize("where", STORES, indirect=True)
def test_equal_calls_are_taken_up_one_by_one(case: Case, where: str) -> None:
    program = calls(case, where, 3, Style.TOGETHER)
    dies(program.until(Boundary.RECEIPT_SEEN))
    left = len(journal_rows(where).intents)
    more = replace(program, keys=(*program.keys, "call 3"))
    told = finished(case, more).values()
    assert 1 <= left <= 3
    assert sorted(tasks_of(case, where)) == sorted(address.lower() for address in told)
    assert len(set(told)) == 4


@pytest.mark.parametrize("where", STORES, indirect=True)
def test_a_call_is_taken_up_by_one_of_many_processes(case: Case, where: str) -> None:
    program = calls(case, where)
    dies(program.until(Boundary.SENT))
    with child(runs, program) as a, child(runs, program) as b, child(runs, program) as c:
        told = [address for each in (a, b, c) for address in each.receive().values()]
    assert sorted(tasks_of(case, where)) == sorted(address.lower() for address in told)
    assert len(set(told)) == 3


# --- nobody asks again


@pytest.mark.parametrize("where", STORES, indirect=True)
def test_what_a_killed_process_has_stored_is_sent_as_soon_as_any_client_is_opened(
    case: Case, where: str
) -> None:
    program = replace(calls(case, where, 3), named=True, same=False)
    dies(program.until(Boundary.STORED))
    stored = {row["key"] for row in journal_rows(where).intents}
    assert stored
    assert not case.found().mined
    with Client(program.network, journal=where) as client:  # it has no key to sign with
        client.intents()
        wait_until(lambda: {*journal_rows(where).states().values()} == {"done"}, 60, "the recovery")
    found = case.check(sorted(stored))
    assert_journal_equals_chain(journal_rows(where), found)
