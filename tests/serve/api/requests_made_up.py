"""Requests that Schemathesis makes up from an OpenAPI document, and their answers judged by it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from rollcall.http.protocol import MOST_HEAD_BYTES

INTEGER = re.compile(r"-?[0-9]{1,30}").fullmatch

BEYOND_SCHEMA = ("state[]", "user_id", "user_ids[]", "enrollment_term_id")
"""Parameters of which the document cannot say all: what is an id, and that some states are those of
a user's enrollments.
"""


def is_right(document: dict[str, Any], path: str, url: str) -> bool:
    """Whether the query of an address is what a document allows, as a server reads it. An address
    has no types: where a text should not be one, or an object is given instead of a list, it may
    say the same as a right one; and a list for what is none says its last item, or nothing.
    """
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    for parameter in document["paths"][path]["get"]["parameters"]:
        if parameter["in"] == "query" and (texts := query.get(parameter["name"])):
            read: list[object] = [
                texts,
                texts[-1],
                *([int(texts[-1])] if INTEGER(texts[-1]) else []),
            ]
            validator = Draft202012Validator(
                {**parameter["schema"], "components": document["components"]}
            )
            if not any(map(validator.is_valid, read)):
                return False
    return True


def asked(
    url: str, token: str, document: dict[str, Any], path: str, *, max_examples: int
) -> Counter[int]:
    """Ask a call by requests made up from a document, right and wrong ones. Returns the statuses of
    the answers.
    """
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    # Parameters that nobody knows are passed over, and tokens have tests of their own.
    schema.config.generation.update(allow_extra_parameters=False, with_security_parameters=False)
    authorization = {"Authorization": f"Bearer {token}"}
    call = schema[path]["GET"]
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.one_of(
            [
                call.as_strategy(generation_mode=mode)
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
            ]
        )
    )
    def ask(case: schemathesis.Case[Any]) -> None:
        response = case.call(headers=authorization)
        address = str(response.request.url)
        statuses[response.status_code] += 1
        beyond = (
            response.status_code == 400 and response.json()["errors"][0]["field"] in BEYOND_SCHEMA
        )
        too_long = response.status_code == 431  # right or wrong, nothing of it was looked at
        assert not too_long or len(address) > MOST_HEAD_BYTES // 2
        excluded: list[Any] = [positive_data_acceptance] if beyond or too_long else []
        if too_long or is_right(document, path, address):
            excluded.append(negative_data_rejection)
        case.validate_response(response, headers=authorization, excluded_checks=excluded)

    ask()
    return statuses
