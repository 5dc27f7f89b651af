"""Finding what an address, a hash, a number or the beginning of one stands for."""

from __future__ import annotations

import re
from itertools import product

from sqlalchemy import Connection, and_, func, or_, select

from ogpu.indexer import tables
from ogpu.rpc.codec import checksum
from ogpu.web.values import Hit

MAX_HITS = 20
SPELLED = 2  # digits, which have up to 4 spellings

_PLACES = {
    "task": tables.tasks,
    "source": tables.sources,
    "response": tables.responses,
    "provider": tables.providers,
    "master": tables.masters,
    "account": tables.accounts,
}


def search(connection: Connection, words: str) -> tuple[Hit, ...]:
    """What is meant, the most special first; nothing for words that cannot be meant."""
    words = words.strip()
    if re.fullmatch(r"[0-9]{1,18}", words):
        return _block(connection, int(words))
    if not re.fullmatch(r"0[xX][0-9a-fA-F]{4,64}", words):
        return ()
    words = words.lower()
    if len(words) == 66:
        return _hash(connection, words)
    if len(words) == 42:
        return _address(connection, checksum(words))
    if len(words) > 42:
        return _transactions(connection, words)
    return (*_beginning(connection, words), *_transactions(connection, words))[:MAX_HITS]


def _block(connection: Connection, number: int) -> tuple[Hit, ...]:
    known = connection.execute(select(tables.cursor.c.number)).scalar()
    return (Hit("block", str(number)),) if known is not None and number <= known else ()


def _hash(connection: Connection, wanted: str) -> tuple[Hit, ...]:
    number = connection.execute(select(tables.blocks.c.number).where(tables.blocks.c.hash == wanted)).scalar()
    found = () if number is None else (Hit("block", str(number)),)
    return (*_transactions(connection, wanted), *found)


def _address(connection: Connection, wanted: str) -> tuple[Hit, ...]:
    found = []
    for kind, table in _PLACES.items():
        if connection.execute(select(table.c.address).where(table.c.address == wanted)).first():
            found.append(Hit(kind, wanted))
    return tuple(found)


def _beginning(connection: Connection, words: str) -> tuple[Hit, ...]:
    """An address has capitals by its checksum, so an index finds it by each spelling of its first digits."""
    letters = [sorted({digit, digit.upper()}) for digit in words[2 : 2 + SPELLED]]
    spellings = ["0x" + "".join(spelling) for spelling in product(*letters)]
    found: list[Hit] = []
    for kind, table in _PLACES.items():
        column = table.c.address
        near = or_(*(and_(column >= spelling, column < spelling + "g") for spelling in spellings))
        statement = select(column).where(near, func.lower(column).startswith(words)).order_by(column)
        found += [Hit(kind, row[0]) for row in connection.execute(statement.limit(MAX_HITS - len(found)))]
        if len(found) == MAX_HITS:
            break
    return tuple(found)


def _transactions(connection: Connection, words: str) -> tuple[Hit, ...]:
    column = tables.events.c.transaction_hash
    statement = select(column).where(column >= words, column < words + "g").distinct().order_by(column)
    return tuple(Hit("transaction", row[0]) for row in connection.execute(statement.limit(MAX_HITS)))
