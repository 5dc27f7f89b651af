"""The API does what its own OpenAPI document says, whatever is asked, as Schemathesis finds it out."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.generation import GenerationMode

from ogpu.web.app import described
from tests.support.serving import Server

EXAMPLES = 15  # of each of the 27 paths

# Streams do not end, and have tests of their own.
schema = schemathesis.openapi.from_dict(described()).exclude(path="/api/live")


@schema.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: Case[Any], server: Server) -> None:
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        name_what_is_there(case, server)
    case.call_and_validate(base_url=server.url)


def name_what_is_there(case: Case[Any], server: Server) -> None:
    """Cursors that fit, and half of the addresses real ones: what is made up is refused, or not found."""
    if case.query.pop("cursor", None) is not None and not set(case.query) - {"limit"}:
        after = server.get(f"{case.path}?limit=1").json["next"]
        case.query |= {"cursor": after} if after else {}
    for name, given in case.path_parameters.items():
        if name != "number" and str(given)[-1] in "02468":
            listed = server.get(f"{case.path.partition('{')[0].rstrip('/')}?limit=1").json["data"]
            case.path_parameters[name] = listed[0]["address"]


def test_the_document_is_the_one_that_is_served(server: Server) -> None:
    assert server.get("/api/openapi.json").json == described()
