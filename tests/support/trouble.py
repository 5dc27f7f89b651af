"""Other programs and limits that keep the journal from being written, and a program that meets them."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
from collections.abc import Iterator
from dataclasses import replace

import psycopg

from ogpu import AsyncClient
from ogpu.errors import OGPUError
from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal
from tests.support.crash import Talk
from tests.support.crashing import Program

POSTGRES_LOCK = "LOCK TABLE ogpu_lanes, ogpu_intents, ogpu_attempts IN EXCLUSIVE MODE"  # reading is free
FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON ogpu_intents EXECUTE FUNCTION full_disk();
"""


def locks(talk: Talk, where: str) -> None:
    """A program that has the journal's write lock, from each word of ours to the next one."""
    while True:
        talk.hear()
        with _locked(where):
            talk.say("locked")
            talk.hear()
        talk.say("free")


@contextlib.contextmanager
def _locked(where: str) -> Iterator[None]:
    if where.startswith("postgres"):
        with psycopg.connect(where) as database:
            database.execute(POSTGRES_LOCK)
            yield
    else:
        with contextlib.closing(sqlite3.connect(where, isolation_level=None)) as file:
            file.execute("BEGIN IMMEDIATE")
            yield
            file.execute("COMMIT")


def meets_a_limit(talk: Talk, program: Program, writes: int) -> list[str]:
    """Publish while files cannot be written any more after so many writes; once told, when they can."""
    left = writes

    def at(boundary: Boundary) -> None:
        nonlocal left
        if boundary is Boundary.JOURNAL_BEGUN:
            if left == 0:
                _limit(0)
            left -= 1

    if writes < 0:
        _limit(0)
    journal = Journal(program.journal, at=at)
    return asyncio.run(_before_and_after(talk, program, journal))


def meets_a_full_disk(talk: Talk, program: Program) -> list[str]:
    """Publish the first task, the others once the disk is full, and again once it is not."""
    return asyncio.run(_three_times(talk, program))


async def _three_times(talk: Talk, program: Program) -> list[str]:
    async with _opened(program, Journal(program.journal)) as client:
        talk.say(await _each(client, replace(program, keys=program.keys[:1])))
        talk.hear()
        talk.say(await _each(client, replace(program, keys=program.keys[1:])))
        talk.hear()
        return await _each(client, program)


async def _before_and_after(talk: Talk, program: Program, journal: Journal) -> list[str]:
    async with _opened(program, journal) as client:
        talk.say(await _each(client, program))
        talk.hear()
        _limit(resource.RLIM_INFINITY)
        return await _each(client, program)


def _opened(program: Program, journal: Journal) -> AsyncClient:
    return AsyncClient(program.network, private_key=program.private_key, journal=journal)


async def _each(client: AsyncClient, program: Program) -> list[str]:
    """By task its address, or the error and its reason."""
    found = []
    for key in program.keys:
        try:
            found.append(await client.publish_task(program.task(key), idempotency_key=key))
        except OGPUError as error:
            found.append(f"{type(error).__name__} {error.facts.get('reason')}")
    return found


def _limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
