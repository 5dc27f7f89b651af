"""What the index knows of the content that items link to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, select

from ogpu.indexer import tables
from ogpu.web.queries.shapes import Shape
from ogpu.web.values import Document

_document = Shape(Document, tables.documents)


def documents(connection: Connection, urls: Iterable[str]) -> dict[str, Document]:
    """The documents of links, by the link; one that the index does not know is left out."""
    by_hash = {hashlib.sha256(url.encode()).hexdigest(): url for url in urls if url}
    links = tables.links
    statement = (
        select(*_document.columns, links.c.url_hash)
        .join(links, links.c.cid == tables.documents.c.cid)
        .where(links.c.url_hash.in_(list(by_hash)))
    )
    return {by_hash[row[-1]]: _document.make(row) for row in connection.execute(statement)}


def body(connection: Connection, cid: str) -> bytes | None:
    """The bytes of a document that is kept; a stranger's, whatever they claim to be."""
    statement = select(tables.documents.c.body).where(tables.documents.c.cid == cid)
    found: bytes | None = connection.execute(statement).scalar()
    return found
