"""Content of the network: stored and fetched by CID, and checked against it."""

from ogpu.content.cid import (
    CID,
    CIDBuilder,
    cid_in_link,
    cid_of,
    cid_of_file,
    cid_of_link,
    file_matches,
    matches,
    parse_cid,
)
from ogpu.content.client import AsyncContent
from ogpu.content.jsontext import from_json, to_json
from ogpu.content.limits import Limits
from ogpu.content.options import ContentOptions, resolve_options

__all__ = [
    "CID",
    "AsyncContent",
    "CIDBuilder",
    "ContentOptions",
    "Limits",
    "cid_in_link",
    "cid_of",
    "cid_of_file",
    "cid_of_link",
    "file_matches",
    "from_json",
    "matches",
    "parse_cid",
    "resolve_options",
    "to_json",
]
