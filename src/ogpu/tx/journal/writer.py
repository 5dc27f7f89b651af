"""The thread that writes: all operations that wait are one transaction, and trouble is waited out."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ogpu.errors import ClientClosed, JournalUnavailable, OGPUError
from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal.forks import pause_at_forks
from ogpu.tx.journal.place import Place

if TYPE_CHECKING:
    from ogpu.tx.journal.database import Database
    from ogpu.tx.journal.operations import Operations

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE = 0.05  # seconds before the second try
LONGEST_PAUSE = 1.0
FORK_WAIT = 20.0  # seconds; the databases' own time-outs end a try before, else a process forks all the same
HINT_AGAIN = "Nothing is lost: try again once it can be reached."


@dataclass(frozen=True, eq=False)
class Job(Generic[T]):
    """One operation, and who waits for it."""

    run: Callable[[Operations], T]
    lane: tuple[str, str] | None  # what it locks first; jobs are sorted by it
    reading: bool
    future: asyncio.Future[T]
    asked: float  # by the monotonic clock


@dataclass(frozen=True)
class Answer:
    """What came of a job."""

    job: Job[Any]
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Carries jobs out, in a thread of its own that starts with the first one."""

    def __init__(self, place: Place, at: Callable[[Boundary], None], patience: float) -> None:
        self.pid = os.getpid()  # threads and connections do not survive a fork
        self._place = place
        self._at = at
        self._patience = patience
        self._database: Database | None = None
        self._waiting: list[Job[Any]] = []
        self._wake = threading.Condition()
        self._closing = False
        self._pausing = False
        self._still = True  # nothing is open
        self._trouble_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="ogpu-journal", daemon=True)
        if not place.in_memory:
            pause_at_forks(self)

    def submit(
        self,
        run: Callable[[Operations], T],
        *,
        lane: tuple[str, str] | None = None,
        reading: bool = False,
    ) -> asyncio.Future[T]:
        """Carry out an operation; the future is done when what it wrote is on disk.

        Cancelling the future does not undo it.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = Job(run, lane, reading, future, asked=time.monotonic())
        with self._wake:
            if self._closing:
                raise ClientClosed("The journal is closed.", hint="Open a client again.")
            self._waiting.append(job)
            if not self._thread.is_alive():
                self._thread.start()
            self._wake.notify_all()
        return future

    def ask_to_end(self) -> None:
        """Let the thread carry out what waits, without patience, and end; returns at once."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()

    @property
    def runs(self) -> bool:
        """Whether the thread has begun, and not ended yet."""
        return self._thread.is_alive()

    def pause(self) -> None:
        """Before a fork: close the connection between two transactions, and wait until that is done."""
        with self._wake:
            self._pausing = True
            self._wake.notify_all()
            if not self._wake.wait_for(lambda: self._still, FORK_WAIT):
                logger.warning("The process forks while the journal %s is in use.", self._place.name)

    def resume(self) -> None:
        """After a fork, in the parent."""
        with self._wake:
            self._pausing = False
            self._wake.notify_all()

    def _work(self) -> None:
        while jobs := self._next():
            reading = [job for job in jobs if job.reading]
            # Everybody locks lanes in the same order, and intents after them.
            writing = sorted((job for job in jobs if not job.reading), key=lambda j: j.lane or LAST)
            if reading:
                tell(self._answers(reading, self._read))
            if writing:
                tell(self._answers(writing, self._write))
        with self._wake:
            self._close_database()

    def _next(self) -> list[Job[Any]]:
        with self._wake:
            while True:
                self._stand_still()
                if self._waiting or self._closing:
                    break
                self._wake.wait()
            jobs, self._waiting = self._waiting, []
            self._still = self._still and not jobs
            return jobs

    def _stand_still(self) -> None:
        """Have nothing open while a fork is made."""
        if self._pausing:
            self._close_database()
            self._wake.wait_for(lambda: not self._pausing)
            self._still = False

    def _close_database(self) -> None:
        try:
            if self._database is not None:
                self._database.close()
        finally:
            self._still = True
            self._wake.notify_all()

    def _answers(self, jobs: list[Job[Any]], carry_out: Callable[..., list[Answer]]) -> list[Answer]:
        try:
            return self._patiently(jobs, carry_out)
        except Exception as error:  # noqa: BLE001 - each of them raises it where it is waited for
            return [Answer(job, error=error) for job in jobs]

    def _patiently(self, jobs: list[Job[Any]], carry_out: Callable[..., list[Answer]]) -> list[Answer]:
        """Run it until it worked, the trouble is one that stays, or patience is at its end."""
        from ogpu.databases import words_of
        from ogpu.tx.journal import trouble

        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                answers = carry_out(self._opened(), jobs)
            except Exception as error:
                if self._database is not None:
                    self._database.give_up()
                if not trouble.is_trouble(error):
                    raise
                if told := trouble.verdict(error, self._place):
                    raise told from error
                words = words_of(error, self._place.url)
                waited = self._waited(jobs, began)
                if waited + pause > self._patience or self._closing:
                    raise self._unavailable(waited, words) from error
                logger.warning("The journal %s is tried again: %s", self._place.name, words)
            else:
                self._trouble_since = None
                return answers
            with self._wake:
                self._wake.wait_for(lambda: self._closing or self._pausing, pause)
                self._stand_still()
            pause = min(2 * pause, LONGEST_PAUSE)

    def _waited(self, jobs: list[Job[Any]], began: float) -> float:
        """For how long the oldest job has waited in this trouble, also behind others."""
        if self._trouble_since is None:
            self._trouble_since = began
        return time.monotonic() - max(self._trouble_since, min(job.asked for job in jobs))

    def _opened(self) -> Database:
        if self._database is None:
            from ogpu.tx.journal.database import Database

            self._database = Database(self._place, patience=self._patience)
        return self._database

    def _read(self, database: Database, jobs: Sequence[Job[Any]]) -> list[Answer]:
        with database.transaction(reading=True) as operations:
            return [_within(operations, job) for job in jobs]

    def _write(self, database: Database, jobs: Sequence[Job[Any]]) -> list[Answer]:
        with database.transaction() as operations:
            self._at(Boundary.JOURNAL_BEGUN)
            answers = [_within(operations, job) for job in jobs]
            self._at(Boundary.JOURNAL_WRITTEN)
        self._at(Boundary.JOURNAL_COMMITTED)
        return answers

    def _unavailable(self, waited: float, words: str) -> OGPUError:
        return JournalUnavailable(
            f"The journal {self._place.name} could not be used for {waited:.0f} s ({words}).",
            hint=HINT_AGAIN,
            facts={"journal": self._place.name, "reason": "unavailable", "waited": waited},
        )


LAST = ("\U0010ffff", "")  # sorts after every lane


def _within(operations: Operations, job: Job[Any]) -> Answer:
    """Carry a job out in a savepoint, so that a refusal undoes it and nothing else."""
    from ogpu.tx.journal.trouble import is_trouble

    try:
        with operations.savepoint():
            return Answer(job, job.run(operations))
    except Exception as error:
        if is_trouble(error):
            raise
        return Answer(job, error=error)


def tell(answers: Sequence[Answer]) -> None:
    """Give each loop its answers in one call."""
    loops: defaultdict[asyncio.AbstractEventLoop, list[Answer]] = defaultdict(list)
    for answer in answers:
        loops[answer.job.future.get_loop()].append(answer)
    for loop, theirs in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve, theirs)
        except RuntimeError:
            logger.debug("nobody waits any more: the loop is closed")


def _resolve(answers: Sequence[Answer]) -> None:
    for answer in answers:
        future = answer.job.future
        if future.done():
            continue  # whoever waited was cancelled
        if answer.error is not None:
            future.set_exception(answer.error)
        else:
            future.set_result(answer.result)
