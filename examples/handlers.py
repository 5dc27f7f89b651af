"""Handlers of a service: functions of one pydantic model to another, found by their name.

On the local network: ogpu up --handlers examples/handlers.py
As a container's program: python handlers.py (it listens on port 5555)
"""

from pydantic import BaseModel

from ogpu.service import expose, init, logger, start


class Text(BaseModel):
    text: str


class Count(BaseModel):
    words: int
    longest: str


@init()
def prepare() -> None:
    logger.info("This runs once, before the first task: load a model here.")


@expose(timeout=30)
def shout(data: Text) -> Text:
    return Text(text=data.text.upper())


@expose()
def count_words(data: Text) -> Count:
    words = data.text.split()
    logger.info("%d words", len(words))
    return Count(words=len(words), longest=max(words, key=len, default=""))


if __name__ == "__main__":
    start()
