"""Whatever the description of the routes allows is answered, and as it says.

scripts/fuzz_server.py does the same for longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from server_client import listening

from protvec.server import Limits, create_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")

DB = "plants"


@pytest.fixture(scope="module")
def url(plants: Path) -> Iterator[str]:
    with listening(create_app({DB: plants}, limits=Limits(seconds=20))) as address:
        yield address


def checks() -> list[Any]:
    """That the status, the kind of content and the content itself are as described."""
    from schemathesis.specs.openapi import checks as of

    return [of.status_code_conformance, of.content_type_conformance, of.response_schema_conformance]


def operations() -> list[Any]:
    """Every route with every method."""
    schema = schemathesis.openapi.from_dict(create_app({DB: "nowhere"}).openapi())
    return [each.ok() for each in schema.get_all_operations()]


@pytest.mark.parametrize("operation", operations(), ids=lambda each: each.label)
def test_every_answer_is_as_described(operation: Any, url: str) -> None:
    @given(operation.as_strategy())
    @settings(max_examples=8, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        if "db" in case.path_parameters:
            case.path_parameters["db"] = DB
        if isinstance(case.body, dict):
            case.body |= {name: "his1" for name in ("id", "query", "target") if isinstance(case.body.get(name), str)}
        response = case.call(base_url=url)
        assert response.status_code < 500 or (response.status_code == 503 and response.headers.get("retry-after"))
        case.validate_response(response, checks=checks())

    ask()
