"""Handlers that do what handlers should not, for the tests."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import Any

import helper_beside
from pydantic import BaseModel, field_validator

from ogpu.service import expose, start

print("imported", __name__)


class Text(BaseModel):
    text: str = ""
    number: int = 0


class Answer(BaseModel):
    value: Any = None


class Picky(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def refuse(cls, text: str) -> str:
        if text == "value":
            raise ValueError("no such text")
        if text == "key":
            raise KeyError("the validator itself is broken")
        return text


@expose()
def upper(data: Text) -> Answer:
    return Answer(value=data.text.upper())


@expose()
def process(data: Text) -> Answer:
    return Answer(value=os.getpid())


@expose()
def beside(data: Text) -> Answer:
    return Answer(value=helper_beside.NAME)


@expose()
async def asynchronous(data: Text) -> Answer:
    await asyncio.sleep(0)
    return Answer(value=data.text)


@expose()
def picky(data: Picky) -> Answer:
    return Answer(value=data.text)


@expose()
def raises(data: Text) -> Answer:
    raise ValueError(f"bad text: {data.text}")


@expose(timeout=0.4)
def sleeps(data: Text) -> Answer:
    time.sleep(60)
    return Answer()


@expose(timeout=0.4)
def spins(data: Text) -> Answer:
    while True:
        pass


@expose(timeout=0.4)
def stubborn(data: Text) -> Answer:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(60)
    return Answer()


@expose()
def naps(data: Text) -> Answer:
    time.sleep(data.number / 1000)
    return Answer(value=data.text)


@expose()
def forever(data: Text) -> Answer:
    print("begun", os.getpid())
    time.sleep(600)
    return Answer()


@expose()
def wrong_type(data: Text) -> Answer:
    return data  # type: ignore[return-value]


@expose()
def nothing(data: Text) -> Answer:
    return None  # type: ignore[return-value]


@expose()
def not_json(data: Text) -> Answer:
    return Answer(value=object())


@expose()
def infinite(data: Text) -> Answer:
    return Answer(value=[1.0, float("inf")])


class Score(BaseModel):
    score: float


@expose()
def unchecked(data: Text) -> Score:
    return Score.model_construct(score="rubbish")  # type: ignore[arg-type]


@expose()
def huge(data: Text) -> Answer:
    return Answer(value="x" * data.number)


@expose()
def prints(data: Text) -> Answer:
    for number in range(data.number):
        print("line", number)
    return Answer(value="printed")


@expose()
def prints_oddly(data: Text) -> Answer:
    print("\x1b[2J\x07colour\u202e")
    print("x" * 100_000)
    os.write(2, b"\xff\xfe broken\r50%\r100%\r\n")
    print("no newline at the end", end="")
    return Answer(value="printed")


@expose()
def reads(data: Text) -> Answer:
    return Answer(value=sys.stdin.read())


@expose()
def closes_streams(data: Text) -> Answer:
    sys.stdout.close()
    os.close(1)
    os.close(2)
    return Answer(value="closed")


@expose()
def forks(data: Text) -> Answer:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    if data.text == "raise":
        raise ValueError("in both")
    if data.text == "exit" and not child:
        sys.exit(3)
    return Answer(value="child" if child == 0 else "original")


@expose()
def daemon(data: Text) -> Answer:
    """Starts a daemon in the old way: two forks, a session of its own."""
    readable, writable = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writable, str(os.getpid()).encode())
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)
    return Answer(value=int(os.read(readable, 20)))


@expose()
def command(data: Text) -> Answer:
    child = subprocess.Popen(["sleep", "600"])
    return Answer(value=child.pid)


@expose()
def exits(data: Text) -> Answer:
    sys.exit(data.number)


@expose()
def exits_hard(data: Text) -> Answer:
    os._exit(data.number)


@expose()
def killed(data: Text) -> Answer:
    os.kill(os.getpid(), data.number)
    return Answer()


@expose()
def kills_group(data: Text) -> Answer:
    os.killpg(0, signal.SIGKILL)
    return Answer()


@expose()
def closes_everything(data: Text) -> Answer:
    os.closerange(0, 256)
    return Answer()


@expose()
def environment(data: Text) -> Answer:
    return Answer(value=dict(os.environ))


@expose()
def modules(data: Text) -> Answer:
    return Answer(value=sorted(sys.modules))


if __name__ == "__main__":
    start()
