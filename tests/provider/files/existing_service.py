"""A service file as people have written them for 0.2.x; it must run unchanged."""

import time

from pydantic import BaseModel

from ogpu.service import expose, init, logger, start


class MultiplyInput(BaseModel):
    a: int
    b: int


class MultiplyOutput(BaseModel):
    result: int


ready = False


@init()
def setup():
    global ready
    ready = True
    logger.info("setup is done")


@expose()
def multiply(data: MultiplyInput) -> MultiplyOutput:
    if not ready:
        raise RuntimeError("setup did not run")
    logger.info(f"multiplying {data.a} by {data.b}")
    logger.task_success("done")
    logger.task_fail("only a line of the log")
    logger.task_timeout("only a line of the log")
    return MultiplyOutput(result=data.a * data.b)


@expose(timeout=1)
def slow(data: MultiplyInput) -> MultiplyOutput:
    time.sleep(60)
    return MultiplyOutput(result=0)


start()
