"""Content of the network: stored and fetched by CID, and checked against it."""

from ogpu.content.cid import CID, CIDBuilder, cid_in_link, cid_of, cid_of_link, matches, parse_cid
from ogpu.content.client import ContentClient
from ogpu.content.jsontext import from_json, to_json
from ogpu.content.limits import Limits

__all__ = [
    "CID",
    "CIDBuilder",
    "ContentClient",
    "Limits",
    "cid_in_link",
    "cid_of",
    "cid_of_link",
    "from_json",
    "matches",
    "parse_cid",
    "to_json",
]
