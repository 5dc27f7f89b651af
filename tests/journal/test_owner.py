"""Whether the process that is responsible for an intent is gone: only what is certain counts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ogpu.tx.journal import NOBODY, TOLD, is_gone, this_owner
from ogpu.tx.journal.owner import INITIAL_NAMESPACE
from tests.support.crash import Talk, child


def runs_until_told(talk: Talk) -> None:
    talk.say(this_owner())
    talk.hear()


def forks(_: Talk) -> tuple[str, str, str]:
    """The names of a process before and after its fork, and of its child; the child has ended."""
    before = this_owner()
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, this_owner().encode())
        os._exit(0)
    forked = os.read(read, 1000).decode()
    os.waitpid(pid, 0)
    return before, this_owner(), forked


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that nobody has waited for."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        yield running
        running.kill()


def named(pid: int, *, start: str | None = None, host: str | None = None) -> str:
    """The name of a process, as `this_owner` would give it there, with a start or a host of our choice."""
    parts = this_owner().split("|")
    if start is None:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]  # proc(5): field 22
        start = f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{ticks}"
    return "|".join([host or parts[0], str(pid), start, parts[3]])


def test_a_process_has_one_name() -> None:
    assert this_owner() == this_owner() == named(os.getpid())
    assert not is_gone(this_owner())


def test_a_process_that_runs_is_not_gone_and_one_that_was_killed_is() -> None:
    with child(runs_until_told) as other:
        owner = other.receive()
        assert owner != this_owner()
        assert not is_gone(owner)
        other.stop()
        assert not is_gone(owner)  # it may go on
        other.kill()
        assert is_gone(owner)


def test_a_forked_child_has_a_name_of_its_own() -> None:
    with child(forks) as other:
        before, after, forked = other.receive()
        assert before == after != forked
        assert is_gone(forked)


def test_what_has_ended_and_was_not_waited_for_is_gone(process: subprocess.Popen[bytes]) -> None:
    owner = named(process.pid)
    assert not is_gone(owner)
    process.kill()
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0] != "Z":
        pass
    assert is_gone(owner)


def test_another_process_of_the_same_number_is_not_it(process: subprocess.Popen[bytes]) -> None:
    boot = named(process.pid).split("|")[2].partition(":")[0]
    assert is_gone(named(process.pid, start=f"{boot}:1"))


def test_nothing_is_known_of_other_machines() -> None:
    name, machine, namespace = this_owner().partition("|")[0].split("/")
    hosts = (f"other/{machine}/{namespace}", f"{name}/0/{namespace}", f"{name}/{machine}/1", "other")
    for host in hosts:
        assert not is_gone(named(2**22, start="x:1", host=host))  # no process has that number


def test_a_restart_of_the_machine_ends_what_ran_on_it_and_says_nothing_of_containers() -> None:
    namespace = os.readlink("/proc/self/ns/pid").removeprefix("pid:[").rstrip("]")
    before_the_restart = named(os.getpid(), start="another-boot:1")
    assert is_gone(before_the_restart) == (namespace == INITIAL_NAMESPACE)


@pytest.mark.parametrize("owner", [NOBODY, TOLD, "me", "a|b|c|d", "|||", "a|1|b", "x" * 1000])
def test_what_names_no_process_is_not_gone(owner: str) -> None:
    assert not is_gone(owner)


def test_a_number_that_no_process_has_is_gone() -> None:
    assert is_gone(named(2**70, start=named(os.getpid()).split("|")[2]))


def test_another_users_process_is_seen() -> None:
    assert not is_gone(named(1))
