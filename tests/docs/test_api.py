"""docs/api.md: its calls, parameters, objects, states and errors are those of the code, and its
examples are what serve answers.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
import requests
from pydantic import BaseModel

from rollcall.http.errors import RETRY_SECONDS
from rollcall.http.protocol import (
    HEAD_SECONDS,
    MOST_HEAD_BYTES,
    MOST_WAITING,
    SENDING_SECONDS,
)
from rollcall.serve.api import objects
from rollcall.serve.api.paging import MOST_PER_PAGE
from rollcall.serve.api.parameter_names import _UNSUPPORTED
from rollcall.serve.api.parameters import BY_DATES, DEFAULT_STATES, MOST_VALUES
from rollcall.serve.middleware.read_only import MOST_BODY_BYTES
from rollcall.serve.middleware.stack import GZIP_BYTES
from rollcall.serve.replica import tables as replica_tables
from rollcall.serve.replica.derived import canvas_state
from rollcall.serve.tokens import add_token
from rollcall.settings import Settings
from tests.docs.markdown import ROOT, blocks, code, rows
from tests.docs.test_readme import run_shell
from tests.docs.test_rosters import examples, rosters_of
from tests.serve.client import DEADLINE, get
from tests.serve.served import Served, serving
from tests.tools import needs

DOCUMENT = ROOT / "docs" / "api.md"
README = ROOT / "README.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
PLAIN = " ".join(TEXT.split())
ADDRESS = "http://127.0.0.1:8080"
PREFIX = "/api/v1"
OF_LISTS = {"page", "per_page"}
TABLES: dict[str, type[BaseModel]] = {
    "field of an enrollment": objects.Enrollment,
    "field of a user": objects.User,
    "field of a course": objects.Course,
    "field of a section": objects.Section,
    "field of a group": objects.Group,
    "field of a membership": objects.GroupMembership,
}
COLUMNS = {column for table in replica_tables.TABLES for column in table.columns}
NO_COLUMNS = {
    "unpublished",
    "created",
    "claimed",
    "accepted",
    "Course",
    "Account",
    "rollcall_state",
    "/courses/:course_id/users",
}
"""What else the tables of objects have in backquotes."""

_EXAMPLE = re.compile(
    r"^<!-- GET (?P<path>\S+) -->\n```json\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """What the schemas' examples come to, served."""
    with serving(tmp_path_factory.mktemp("served"), rosters_of(examples())) as served:
        yield served


@pytest.fixture(scope="module")
def calls(served: Served) -> dict[str, dict[str, dict[str, Any]]]:
    """Of each call, as the document has its path, the parameters of its query."""
    document = get(f"{served.url}/openapi.json").json()
    return {
        re.sub(r"\{(\w+)\}", r":\1", path.removeprefix(PREFIX)): {
            parameter["name"]: parameter
            for parameter in methods["get"].get("parameters", [])
            if parameter["in"] == "query"
        }
        for path, methods in document["paths"].items()
    }


def values_of(schema: dict[str, Any], components: dict[str, Any]) -> set[str]:
    """The values that a parameter may have, where they are listed."""
    if "$ref" in schema:
        return values_of(components[schema["$ref"].rpartition("/")[2]], components)
    found = set(schema.get("enum", ()))
    for inner in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):
        found |= values_of(inner, components)
    return found


def test_the_calls(calls: dict[str, dict[str, Any]]) -> None:
    """All, no others, each with its parameters."""
    described = {
        code(call)[0]: (answer, code(parameters))
        for call, answer, parameters in rows(DOCUMENT, "call")
    }
    assert list(described) == list(calls)
    for call, (answer, parameters) in described.items():
        assert set(parameters) == calls[call].keys() - OF_LISTS, call
        assert answer.startswith("list of ") == (calls[call].keys() >= OF_LISTS), call


def test_the_parameters(served: Served, calls: dict[str, dict[str, Any]]) -> None:
    """All, no others, with the values that they may have."""
    components = get(f"{served.url}/openapi.json").json()["components"]["schemas"]
    known = {
        name: parameter["schema"]
        for parameters in calls.values()
        for name, parameter in parameters.items()
    }
    described = {
        code(name)[0]: (code(values), default)
        for name, _only, values, default in rows(DOCUMENT, "parameter")
    }
    assert described.keys() == known.keys()
    for name, schema in known.items():
        if allowed := values_of(schema, components):
            assert set(described[name][0]) - {"student_view"} == allowed - {"student_view"}, name
    assert (
        set(code(described["state[]"][1]))
        == set(code(described["enrollment_state[]"][1]))
        == set(DEFAULT_STATES)
    )


def test_what_can_be_included(calls: dict[str, dict[str, Any]]) -> None:
    """What the OpenAPI document names is in the table, and nothing else; but ``all_courses`` is of
    a course's lists, too.
    """
    named = {
        name
        for parameters in calls.values()
        if "include[]" in parameters
        for name in code(parameters["include[]"]["description"])
    }
    assert {code(name)[0] for name, _of, _adds in rows(DOCUMENT, "included")} == named


@pytest.mark.parametrize("head", TABLES)
def test_the_objects(head: str) -> None:
    """All fields in their order; null are those that are always null; what is named is a column of
    the replica.
    """
    described = {code(field)[0]: value for field, value in rows(DOCUMENT, head)}
    fields = TABLES[head].model_fields
    assert list(described) == list(fields)
    for name, value in described.items():
        assert (value == "null") == (fields[name].annotation is NoneType), name
        if "if asked" in value or "Absent" in value:
            assert not fields[name].is_required() or name == "sis_user_id", name
        else:
            assert fields[name].is_required(), name
        assert set(code(value)) <= COLUMNS | NO_COLUMNS, name


def test_the_states() -> None:
    """As they are derived."""
    described = [
        [code(cell)[0] for cell in row] for row in rows(DOCUMENT, "the row's `workflow_state`")
    ]
    for workflow_state, state, reason, shown, comes_to in described:
        assert (canvas_state(workflow_state, state, reason), state) == (shown, comes_to)
    by_dates = {code(word)[0]: tuple(code(states)) for word, states in rows(DOCUMENT, "value")}
    assert by_dates == {str(word): states for word, states in BY_DATES.items()}


def test_the_filters_that_are_refused(served: Served) -> None:
    """With the reason."""
    section = TEXT.partition("### Filters that are refused")[2]
    described: dict[str, str] = dict(
        re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, re.MULTILINE)
    )
    assert described == _UNSUPPORTED
    for name, reason in described.items():
        answer = get(f"{served.url}{PREFIX}/courses/570/enrollments", params={name: "1"})
        assert (answer.status_code, answer.json()["errors"][0]["message"]) == (
            400,
            f"{name} cannot be applied: {reason}",
        )
    for name in ("created_for_sis_id[]", "only_own_groups", "sis_course_id[]"):
        assert (
            get(f"{served.url}{PREFIX}/courses/570/enrollments", params={name: ""}).status_code
            == 200
        )


def test_the_errors(served: Served, tmp_path: Path) -> None:
    """Those that can be brought about."""
    described = {int(status) for status, _when in rows(DOCUMENT, "status")}
    url = f"{served.url}{PREFIX}/courses/570"
    first = get(url)
    seen = {
        get(url, headers={"If-None-Match": first.headers["ETag"]}).status_code,
        get(f"{url}/users?search_term=x").status_code,
        get(f"{url}1").status_code,
        requests.post(url, timeout=DEADLINE).status_code,
        get(url, data="x" * (MOST_BODY_BYTES + 1)).status_code,
        get(url, headers={"Host": "rosters.example.edu"}).status_code,
        get(url, params={"x": "x" * MOST_HEAD_BYTES}).status_code,
    }
    (tmp_path / "building").mkdir()
    add_token(tmp_path / "tokens", "test")
    with serving(tmp_path / "building", None) as building:
        answer = get(f"{building.url}{PREFIX}/courses/570")
        seen.add(answer.status_code)
        assert f"`Retry-After: {answer.headers['Retry-After']}`" in TEXT
    with serving(tmp_path / "tokens only", None, tokens_file=tmp_path / "tokens") as with_tokens:
        answer = get(f"{with_tokens.url}{PREFIX}/courses/570")
        seen.add(answer.status_code)
        assert f"`WWW-Authenticate: {answer.headers['WWW-Authenticate']}`" in TEXT
    assert seen == described - {500}


@pytest.mark.parametrize(
    "example", list(_EXAMPLE.finditer(TEXT)), ids=lambda match: str(match["path"])
)
def test_the_examples(served: Served, example: re.Match[str]) -> None:
    """Whole answers, their fields in order."""
    answer = get(served.url + example["path"]).json()
    shown = json.loads(example["body"])
    assert answer == shown
    for one, other in zip(
        *(found if isinstance(found, list) else [found] for found in (answer, shown)), strict=True
    ):
        assert list(one) == list(other)


def test_ids(served: Served) -> None:
    """The ways to say which course, user or section is meant."""
    for path in ("courses/565", "courses/21070000000000565", "courses/2107~565"):
        assert get(f"{served.url}{PREFIX}/{path}").json()["id"] == 565
    assert "`565`, `21070000000000565` and `2107~565`" in PLAIN
    for where, path in (
        ("users", "sis_user_id:456-T45"),
        ("sections", "sis_section_id:2019.100.101.101-1"),
    ):
        assert f"`{path}`" in TEXT
        assert get(f"{served.url}{PREFIX}/{where}/{path}").status_code == 200
    for account in ("self", "default", "1"):
        assert get(f"{served.url}{PREFIX}/accounts/{account}/enrollments/46825").status_code == 200
    as_text = get(
        f"{served.url}{PREFIX}/courses/565",
        headers={"Accept": "application/json+canvas-string-ids"},
    ).json()
    assert as_text["id"] == "565"


def test_the_links(served: Served) -> None:
    """Of the first page of two."""
    answer = get(f"{served.url}{PREFIX}/courses/565/groups?page=1&per_page=1")
    shown = re.search(r"^    Link: (.*(?:\n {10}.*)*)", TEXT, re.MULTILINE)
    assert shown is not None
    assert re.sub(r",\n +", ",", shown[1]) == answer.headers["Link"].replace(served.url, ADDRESS)


def test_the_numbers() -> None:
    for what in (
        f"more than {MOST_PER_PAGE} are {MOST_PER_PAGE} |",
        f"{MOST_VALUES} values of one parameter",
        f"from {GZIP_BYTES:,} bytes",
        f"{MOST_HEAD_BYTES // 1024} KiB of address and headers",
        f"more than {MOST_WAITING} of its requests wait",
        f"a body of more than {MOST_BODY_BYTES:,} bytes",
        f"more than {HEAD_SECONDS:.0f} s to send a request's head, or {SENDING_SECONDS:.0f} s to "
        "receive",
        f"{Settings.model_fields['request_seconds'].default:.0f} s (`ROLLCALL_REQUEST_SECONDS`)",
        f"{Settings.model_fields['most_requests'].default} requests at once "
        "(`ROLLCALL_MOST_REQUESTS`)",
        f"`Retry-After: {RETRY_SECONDS}`",
    ):
        assert what in PLAIN, what


def test_the_client_library(tmp_path: Path) -> None:
    """Canvas's, as the document has it."""
    token = add_token(tmp_path / "tokens", "test")
    (source,) = blocks(DOCUMENT, "python")
    said = io.StringIO()
    with (
        serving(
            tmp_path / "served", rosters_of(examples()), tokens_file=tmp_path / "tokens"
        ) as served,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # that it is not https
        with contextlib.redirect_stdout(said):
            # what docs/api.md shows
            exec(source.replace(ADDRESS, served.url).replace("rollcall_…", token), {})  # noqa: S102
    assert said.getvalue() == "Isaac Newton StudentEnrollment active\n"
    assert f"    {said.getvalue()}" in TEXT


@needs("curl", package="curl")
def test_the_example_in_the_readme(tmp_path: Path) -> None:
    (script,) = [text for text in blocks(README, "sh") if "curl" in text]
    with serving(tmp_path, rosters_of(examples()), shard=None) as served:
        said = run_shell(script.replace(ADDRESS, served.url), "")
    (shown,) = re.findall(r"^    (\[\{.*),…$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert said.startswith(shown + ",")
