"""Requests that Schemathesis makes up from an OpenAPI document, and their answers judged by it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

BEYOND_SCHEMA = ("state[]", "user_id", "user_ids[]", "enrollment_term_id")
"""Parameters of which the document cannot say all: what is an id, and that some states are those of a user's enrollments."""


def asked(url: str, token: str, document: dict[str, Any], path: str, *, max_examples: int) -> Counter[int]:
    """Ask a call by requests made up from a document, right and wrong ones. Returns the statuses of the answers."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    # Parameters that nobody knows are passed over, and tokens have tests of their own.
    schema.config.generation.update(allow_extra_parameters=False, with_security_parameters=False)
    authorization = {"Authorization": f"Bearer {token}"}
    call = schema[path]["GET"]
    statuses: Counter[int] = Counter()

    @settings(max_examples=max_examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of([call.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]))
    def ask(case: schemathesis.Case[Any]) -> None:
        response = case.call(headers=authorization)
        statuses[response.status_code] += 1
        beyond = response.status_code == 400 and response.json()["errors"][0]["field"] in BEYOND_SCHEMA
        excluded: list[Any] = [positive_data_acceptance] if beyond else []
        if any(isinstance(value, dict) for value in case.query.values()):  # the address has the names that are in it, as it has the items of a list
            excluded.append(negative_data_rejection)
        case.validate_response(response, headers=authorization, excluded_checks=excluded)

    ask()
    return statuses
