"""The API over HTTP: pages, errors, ids, methods, representations, and changing rows."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from rollcall.events.ids import SHARD_SIZE
from tests.serve.client import Answer, connected, exchange, fetch
from tests.serve.page.rows import (
    AT,
    COURSE,
    SHARD,
    Row,
    course,
    gone,
    group,
    member,
    person,
    section,
    together,
)
from tests.serve.served import Served, batch_of, serving

PEOPLE = 33
"""People in the course. With each page size of these tests, the last page is not full."""

OTHER_SHARD = 4 * SHARD_SIZE
ODD_SIS_ID = '学生 <1>;"%2F'
NAMES = {
    1: "Ada Lovelace",
    2: "100% Ælfric_\\",
    3: "O'Neil; DROP TABLE users --",
    4: 'Émile "Milou" Zola',
}


def user(number: int, name: str, **values: Any) -> dict[str, dict[str, Row | None]]:
    """A user."""
    identity = str(SHARD * SHARD_SIZE + number)
    row = {
        "user_id": identity,
        "name": name,
        "workflow_state": "registered",
        "state": "registered",
        "state_reason": "user",
        "as_of": AT,
    }
    return {"users": {identity: row | values}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A course. Most of its people are known by their enrollments only."""
    values: dict[str, Any] = {
        "user_id": str(OTHER_SHARD + 8),
        "workflow_state": "inactive",
        "state": "inactive",
    }
    (elsewhere,) = person(40, "From elsewhere", **values)["enrollments"].values()
    rosters = together(
        course("Physics"),
        section("Monday", sis_source_id="S/1"),
        group("Lab"),
        *(person(number, NAMES.get(number, f"Person {number}")) for number in range(1, PEOPLE + 1)),
        *(
            user(number, name, short_name=name.split()[0], user_login=f"login{number}")
            for number, name in NAMES.items()
        ),
        user(5, "Odd", user_sis_id=ODD_SIS_ID),
        member(1),
        member(2),
        member(4),
        {"enrollments": {f"{COURSE}/{OTHER_SHARD + 7}": elsewhere}},
    )
    with serving(tmp_path_factory.mktemp("serve"), rosters) as served:
        yield served


@pytest.fixture
def get(served: Served) -> Callable[..., Answer]:
    """Get a path under ``/api/v1/``."""

    def get(path: str, method: str = "GET", **headers: str) -> Answer:
        return fetch(
            served.url,
            f"/api/v1/{path}",
            method,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return get


def numbers(first: int, last: int) -> list[int]:
    """Both among them."""
    return list(range(first, last + 1))


# --- pages


@pytest.mark.parametrize(
    ("page", "ids", "relations"),
    [
        (1, numbers(1, 10), {"current": 1, "next": 2, "first": 1, "last": 4}),
        (2, numbers(11, 20), {"current": 2, "next": 3, "prev": 1, "first": 1, "last": 4}),
        (4, numbers(31, 33), {"current": 4, "prev": 3, "first": 1, "last": 4}),
        (5, [], {"current": 5, "prev": 4, "first": 1, "last": 4}),
        (10_000_000, [], {"current": 10_000_000, "prev": 4, "first": 1, "last": 4}),
    ],
)
def test_links(
    get: Callable[..., Answer], page: int, ids: list[int], relations: dict[str, int]
) -> None:
    """At the first page, in between, at the last one and beyond it."""
    answer = get(f"courses/565/enrollments?page={page}")
    assert answer.ids == ids
    assert {
        relation: int(dict(parse_qsl(urlsplit(url).query))["page"])
        for relation, url in answer.links.items()
    } == relations


def test_an_empty_list_has_one_page(get: Callable[..., Answer]) -> None:
    """The first is the last."""
    answer = get("courses/565/enrollments?type[]=ObserverEnrollment")
    assert answer.json == []
    assert set(answer.links) == {"current", "first", "last"}


@pytest.mark.parametrize("size", [1, 7, 10, 32, 33, 34, 100])
@pytest.mark.parametrize(
    "query",
    [
        {},
        [
            ("type[]", "StudentEnrollment"),
            ("type[]", "TeacherEnrollment"),
            ("state[]", "active"),
            ("state[]", "invited"),
        ],
        [("odd", 'a&b=c+d é"<>;,\r\n\x00%'), ("odd", ""), ("state", "active")],
    ],
)
def test_walking_the_pages(served: Served, size: int, query: Any) -> None:
    """``next`` leads to every row once, and repeats the other parameters."""
    wanted = [
        ("state[]" if name == "state" else name, value)
        for name, value in (query.items() if isinstance(query, dict) else query)
    ]
    url, found = (
        f"{served.url}/api/v1/courses/565/enrollments?{urlencode([*wanted, ('per_page', size)])}",
        list[int](),
    )
    for _ in range(PEOPLE + 1):
        answer = fetch(served.url, url)
        found += answer.ids
        parameters = parse_qsl(urlsplit(answer.links["current"]).query, keep_blank_values=True)
        assert [
            (name, value) for name, value in parameters if name not in ("page", "per_page")
        ] == wanted
        if "next" not in answer.links:
            break
        url = answer.links["next"]
    assert found == numbers(1, PEOPLE)


@pytest.mark.parametrize(
    "value",
    ["0", "-1", "x", "", "1.0", "1_0", "+1", " 1", "1e3", "１", "0x1", "1" + "0" * 30, "9" * 5000],
)
def test_invalid_pages(get: Callable[..., Answer], value: str) -> None:
    """They are refused, and so are invalid sizes. A size above the limit becomes the limit."""
    answer = get(f"courses/565/enrollments?page={quote(value)}")
    assert (answer.status, answer.field) == (400, "page")
    answer = get(f"courses/565/enrollments?per_page={quote(value)}")
    if value == "1" + "0" * 30:
        assert (answer.status, len(answer.ids)) == (200, PEOPLE)
    else:
        assert (answer.status, answer.field) == (400, "per_page")


def test_at_most_a_hundred(tmp_path: Path) -> None:
    """A page has at most a hundred objects, as in Canvas."""
    with serving(
        tmp_path,
        together(course("Large"), *(person(number, "Somebody") for number in range(1, 121))),
    ) as served:
        answer = fetch(served.url, "/api/v1/courses/565/enrollments?per_page=1000")
        assert len(answer.ids) == 100
        assert "per_page=100" in answer.links["next"]
        assert len(fetch(served.url, answer.links["next"]).ids) == 20


def test_the_last_of_several_pages_counts(get: Callable[..., Answer]) -> None:
    """The last value is used, as in Rails, and links have only this one."""
    answer = get("courses/565/enrollments?page=1&page=3&per_page=5&per_page=4")
    assert answer.ids == numbers(9, 12)
    assert parse_qsl(urlsplit(answer.links["next"]).query) == [("page", "4"), ("per_page", "4")]


@pytest.mark.parametrize(
    "form",
    ["state=active", "state[]=active", "state%5B%5D=active", "state[]=active&state[]=active"],
)
def test_one_value_needs_no_brackets(get: Callable[..., Answer], form: str) -> None:
    """A single value without brackets is accepted, as in Canvas."""
    assert len(get(f"courses/565/enrollments?{form}&per_page=100").ids) == PEOPLE
    assert get(f"courses/565/enrollments?{form.replace('active', 'inactive')}").ids == [
        OTHER_SHARD + 7
    ]


def test_links_do_not_repeat_tokens(get: Callable[..., Answer]) -> None:
    """Clients may send a token in a parameter, as to Canvas, and links get into logs."""
    link = get("courses/565/enrollments?access_token=rollcall_secret&api_key=other&x=1").headers[
        "link"
    ]
    assert "secret" not in link
    assert "other" not in link
    assert "x=1" in link


def test_the_address_in_links(served: Served) -> None:
    """Links have the address of the request; behind a proxy on this machine, the proxy's."""
    path = "/api/v1/courses/565/sections"
    assert fetch(served.url, path).links["first"] == f"{served.url}{path}?page=1&per_page=10"
    proxied = fetch(
        served.url,
        path,
        headers={"Host": "localhost", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"},
    )
    assert proxied.links["first"] == f"https://localhost{path}?page=1&per_page=10"
    lying = fetch(
        served.url,
        path,
        headers={
            "Host": "localhost",
            "X-Forwarded-Proto": 'x">',
            "X-Forwarded-Host": "evil.example",
        },
    )
    assert lying.links["first"] == f"http://localhost{path}?page=1&per_page=10"


def test_the_path_in_links(get: Callable[..., Answer]) -> None:
    """It is quoted, because SIS ids are free text."""
    path = f"users/sis_user_id:{quote(ODD_SIS_ID)}/enrollments"
    answer = get(path)
    assert answer.ids == [5]
    assert answer.links["current"].partition("?")[0].endswith(path)


# --- what is wrong


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("courses/565/enrollments?type[]=Student", "type[]"),
        ("courses/565/enrollments?type[]=StudentEnrollment&type=x", "type[]"),
        ("courses/565/enrollments?role[]=studentenrollment", "role[]"),
        ("courses/565/enrollments?state[]=gone", "state[]"),
        ("courses/565/enrollments?state=", "state[]"),
        ("courses/565/enrollments?state[]=active%00", "state[]"),
        ("courses/565/enrollments?state[]=current_and_invited", "state[]"),
        ("sections/4811/enrollments?state[]=active&state[]=current_and_future", "state[]"),
        ("courses/565/enrollments?user_id=self", "user_id"),
        ("courses/565/enrollments?user_id=9223372036854775808", "user_id"),
        ("courses/565/enrollments?user_id=922337~9999999999999", "user_id"),
        ("courses/565/users?user_ids[]=1&user_ids[]=x", "user_ids[]"),
        ("courses/565/users?enrollment_type[]=StudentEnrollment", "enrollment_type[]"),
        ("courses/565/users?enrollment_state[]=deleted", "enrollment_state[]"),
        ("courses/565/users?enrollment_role=student", "enrollment_role"),
        ("courses/565/users?search_term=a", "search_term"),
        ("courses/565/users?search_term=" + "a" * 256, "search_term"),
        ("users/1/enrollments?enrollment_term_id=sis_term_id:x", "enrollment_term_id"),
        ("users/1/enrollments?enrollment_term_id=sis_user_id:login1", "enrollment_term_id"),
        ("groups/51/memberships?filter_states[]=active", "filter_states[]"),
        ("courses/565/enrollments?" + "&".join(["include[]=x"] * 101), "include[]"),
        *(
            (f"courses/565/enrollments?{name}=1", f"{name.removesuffix('[]')}[]")
            for name in (
                "sis_account_id[]",
                "sis_account_id",
                "sis_course_id[]",
                "created_for_sis_id[]",
            )
        ),
        ("courses/565/enrollments?grading_period_id=1", "grading_period_id"),
        ("courses/565/users?enrollment_role_id=3", "enrollment_role_id"),
        ("courses/565/groups?only_own_groups=true", "only_own_groups"),
    ],
)
def test_a_wrong_parameter_is_named(get: Callable[..., Answer], path: str, field: str) -> None:
    """They get an error in Canvas's form."""
    answer = get(path)
    assert answer.status == 400
    assert answer.json == {
        "errors": [{"field": field, "message": answer.message, "error_code": "invalid"}]
    }
    assert field in answer.message
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state[0]=deleted", "state[]"),
        ("state%5B0%5D=deleted", "state[]"),
        ("state[foo]=deleted", "state[]"),
        ("state[][]=deleted", "state[]"),
        ("state[][a]=deleted", "state[]"),
        ("state[=deleted", "state[]"),
        ("[state]=deleted", "state[]"),
        ("+state[]=deleted", "state[]"),
        ("state=active&state=deleted", "state[]"),
        ("state=active&state[]=deleted", "state[]"),
        ("x=1;state[]=deleted", "state[]"),
        ("user_id[]=1", "user_id"),
        ("user_id[0]=1", "user_id"),
        ("page[]=2", "page"),
        ("per_page[number]=2", "per_page"),
        ("sis_course_id[0]=x", "sis_course_id[]"),
        ("only_own_groups[]=true", "only_own_groups"),
    ],
)
def test_no_form_of_a_parameter_is_left_out(
    get: Callable[..., Answer], query: str, field: str
) -> None:
    """They are refused, although Canvas applies some of them."""
    answer = get(f"courses/565/enrollments?{query}")
    assert answer.status == 400
    assert answer.json == {
        "errors": [{"field": field, "message": answer.message, "error_code": "invalid"}]
    }
    assert field in answer.message


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", "state[]=deleted"),
        ("application/json", '{"state": ["deleted"]}'),
        ("multipart/form-data; boundary=x", "--x--"),
        ("application/vnd.api+json", "{}"),
    ],
)
def test_parameters_in_a_body(served: Served, method: str, kind: str, body: str) -> None:
    """They are refused. Rails would use them, with any method."""
    for length in (
        f"Content-Length: {len(body)}\r\n\r\n{body}",
        f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n{body}\r\n0\r\n\r\n",
    ):
        with connected(served.url) as connection:
            request = (
                f"{method} /api/v1/courses/565/enrollments HTTP/1.1\r\nHost: "
                f"localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n{length}"
            )
            head, _, content = exchange(connection, request.encode()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert method == "HEAD" or json.loads(content)["errors"][0]["field"] == "body"


@pytest.mark.parametrize(
    "path",
    [
        "users/1/enrollments?state[]=current_and_invited",
        "courses/565/enrollments?state[]=current_and_invited&user_id=1",
    ],
)
def test_synthetic_states_are_of_users(get: Callable[..., Answer], path: str) -> None:
    """They filter one user's enrollments."""
    assert get(path).ids == [1]


@pytest.mark.parametrize(
    "query",
    [
        "only_own_groups=false",
        "created_for_sis_id[]=0",
        "grading_period_id=",
        "nobody=knows&mystate[x]=y&states=z",
        "x;y=1;z",
        "=state[]",
    ],
)
def test_ignored_parameters(get: Callable[..., Answer], query: str) -> None:
    """Filters that are off, and parameters that Canvas does not know."""
    assert get(f"courses/565/groups?{query}").ids == [51]


BAD_IDS = [
    "999",
    "0",
    "-565",
    "+565",
    "5 65",
    "565.0",
    "0x235",
    "５６５",
    "x",
    "~",
    "~5",
    "5~",
    "2107~",
    "0~565",
    "2107~0",
    "2107~565~1",
    "sis_course_id:1",
]
BAD_IDS += [
    "9223372036854775807",
    "9223372036854775808",
    "9" * 19,
    "9" * 40,
    "9" * 500,
    "922337~9999999999999",
    "999999~1",
    "565\x00",
    "565\n",
    "%",
    "sis_user_id:",
]
BAD_IDS += ["1 OR 1=1", "565;--", "' OR ''='", "self", "NaN", "1e3", "\ufeff565", "2107\uff5e565"]


@pytest.mark.parametrize("identity", BAD_IDS)
@pytest.mark.parametrize(
    "path",
    [
        "courses/{}",
        "courses/{}/enrollments",
        "sections/{}",
        "users/{}/enrollments",
        "groups/{}/users",
        "accounts/1/enrollments/{}",
    ],
)
def test_unknown_ids(get: Callable[..., Answer], path: str, identity: str) -> None:
    """Unknown and invalid ids get 404 in Canvas's form."""
    answer = get(path.format(quote(identity, safe="")))
    assert (answer.status, answer.json) == (
        404,
        {"errors": [{"message": "The specified resource does not exist."}]},
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "courses",
        "courses/",
        "courses/565/",
        "courses//565",
        "courses/565/assignments",
        "../v1/courses/565",
        "%2e%2e/courses/565",
    ],
)
def test_unknown_paths(get: Callable[..., Answer], path: str) -> None:
    """They get the same error."""
    answer = get(path)
    assert (answer.status, answer.message) == (404, "The specified resource does not exist.")


@pytest.mark.parametrize(
    "path", ["courses/{}", "courses/{}/enrollments", "courses/{}/users?per_page=3"]
)
def test_all_forms_of_an_id(get: Callable[..., Answer], path: str) -> None:
    """Local, global and ``shard~local`` get the same response; links repeat the form."""
    answers = [
        get(path.format(identity))
        for identity in ("565", str(COURSE), "2107~565", "02107~0565", "0565")
    ]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1


def test_ids_of_another_shard(get: Callable[..., Answer]) -> None:
    """Responses have them in global form, and requests find them by it."""
    answer = get(f"accounts/1/enrollments/{OTHER_SHARD + 7}")
    assert (answer.json["id"], answer.json["user_id"]) == (OTHER_SHARD + 7, OTHER_SHARD + 8)
    assert get("accounts/self/enrollments/4~7").body == answer.body
    assert get("users/4~8").json["name"] == "From elsewhere"
    assert get("accounts/1/enrollments/7").json["id"] == 7


def test_sis_ids(get: Callable[..., Answer]) -> None:
    """SIS ids of users, in paths and parameters; an unknown one matches no user."""
    assert get(f"users/sis_user_id:{quote(ODD_SIS_ID)}").json["id"] == 5
    assert get(f"courses/565/enrollments?sis_user_id={quote(ODD_SIS_ID)}").ids == [5]
    assert get(f"courses/565/enrollments?user_id=sis_user_id:{quote(ODD_SIS_ID)}").ids == [5]
    assert get("courses/565/enrollments?user_id=sis_user_id:nobody").ids == []
    assert get("courses/565/enrollments?sis_user_id=nobody").ids == []
    assert (
        len(
            get(
                "courses/565/enrollments?sis_section_id[]=S/1&sis_section_id[]=S/2&per_page=100"
            ).ids
        )
        == PEOPLE
    )


# --- methods


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/courses/565/enrollments",
        "/api/v1/accounts/1/enrollments/1",
        "/api/v1/courses/1/enrollments/2/accept",
        "/api/v1/x",
        "/api/",
    ],
)
def test_writing(served: Served, method: str, path: str) -> None:
    """The error names Canvas as the place to write to."""
    answer = fetch(
        served.url, path, method, b"enrollment[user_id]=1" if method in ("POST", "PUT") else None
    )
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert "Canvas" in answer.message


def test_options(get: Callable[..., Answer]) -> None:
    """No header allows other sites to send requests from a browser."""
    answer = get(
        "courses/565", "OPTIONS", Origin="https://evil.example", Access_Control_Request_Method="GET"
    )
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "path",
    [
        "courses/565",
        "courses/565/enrollments?per_page=100",
        "courses/1",
        "courses/565/enrollments?page=0",
        "nowhere",
    ],
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_head(get: Callable[..., Answer], path: str, encoding: str) -> None:
    """A response to HEAD has the headers of GET, and no body."""
    whole, head = get(path, Accept_Encoding=encoding), get(path, "HEAD", Accept_Encoding=encoding)
    assert head.status == whole.status
    assert head.body == b""
    assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}
    assert int(head.headers["content-length"]) == len(whole.body)


# --- representations


def test_gzip(get: Callable[..., Answer]) -> None:
    """The content is the same in fewer bytes, and ``Vary`` is set for caches."""
    path = "courses/565/enrollments?per_page=100"
    plain, small = get(path), get(path, Accept_Encoding="br, gzip")
    assert small.headers["content-encoding"] == "gzip"
    assert gzip.decompress(small.body) == plain.body
    assert len(small.body) < len(plain.body) / 5
    assert "accept-encoding" in small.headers["vary"].lower()
    assert "accept-encoding" in plain.headers["vary"].lower()
    assert small.headers["etag"] == plain.headers["etag"]
    assert get(path, Accept_Encoding="gzip", If_None_Match=small.headers["etag"]).status == 304


@pytest.mark.parametrize("path", ["courses/565", "courses/565/enrollments", "users/1"])
def test_if_none_match(get: Callable[..., Answer], path: str) -> None:
    """A response that the client has is not sent again."""
    answer = get(path)
    etag = answer.headers["etag"]
    assert etag.startswith('W/"')
    for condition in (etag, etag.removeprefix("W/"), f'"a", {etag} ,W/"b"', "*", f'"x",{etag}'):
        same = get(path, If_None_Match=condition)
        assert (same.status, same.body) == (304, b"")
        assert (same.headers["etag"], same.headers["link"]) == (etag, answer.headers["link"])
    for condition in ('"a"', "", "W/", etag.upper().replace("W/", "w/"), etag[:-2] + '"'):
        assert get(path, If_None_Match=condition).body == answer.body
    assert get("courses/1", If_None_Match="*").status == 404


def test_an_etag_is_of_the_whole_answer(get: Callable[..., Answer]) -> None:
    """It is the same for the same response, and differs if only links or forms of ids differ."""
    path = "courses/565/enrollments?type[]=ObserverEnrollment"
    first, again, elsewhere = get(path), get(path), get(f"{path}&page=2")
    assert first.headers["etag"] == again.headers["etag"]
    assert first.body == elsewhere.body == b"[]"
    assert first.headers["etag"] != elsewhere.headers["etag"]
    strings = get("courses/565/enrollments", Accept="application/json+canvas-string-ids")
    assert strings.headers["etag"] != get("courses/565/enrollments").headers["etag"]


def ids_in(value: Any) -> Iterator[tuple[str, Any]]:
    """All ids in a response, by name."""
    for one in value if isinstance(value, list) else [value] if isinstance(value, dict) else []:
        if isinstance(one, Mapping):
            for name, inner in one.items():
                if name == "id" or (
                    name.endswith("_id")
                    and not name.startswith("sis_")
                    and name not in ("integration_id", "login_id")
                ):
                    yield name, inner
                elif name.endswith("_ids"):
                    yield from ((name, identity) for identity in inner)
                elif not name.endswith("integration_id"):
                    yield from ids_in(inner)


@pytest.mark.parametrize(
    "path",
    [
        "courses/565?include[]=sections",
        "courses/565/enrollments?include[]=group_ids&include[]=observed_users",
        "courses/565/users?include[]=enrollments&include[]=group_ids",
        "courses/565/sections?include[]=students",
        "courses/565/groups?include[]=users",
        "sections/4811?include[]=students",
        "sections/4811/enrollments",
        "users/1",
        "users/1/enrollments",
        "accounts/1/enrollments/1",
        "groups/51?include[]=users",
        "groups/51/memberships",
        "groups/51/users",
    ],
)
def test_ids_as_strings(get: Callable[..., Answer], path: str) -> None:
    """With the header all ids are strings, without it none."""
    numeric = get(path, Accept="application/json")
    strings = get(path, Accept="text/html, application/json+canvas-string-ids, */*")
    as_numbers, as_strings = list(ids_in(numeric.json)), list(ids_in(strings.json))
    assert [
        (name, None if value is None else str(value)) for name, value in as_numbers
    ] == as_strings
    assert {type(value) for _, value in as_numbers if value is not None} == {int}


# --- include[] and search


def test_what_can_be_included(get: Callable[..., Answer]) -> None:
    """Each value adds its field, and only its field; unknown values add nothing."""
    plain = get("courses/565/enrollments").json[0]
    assert not {"uuid", "group_ids"} & set(plain["user"])
    included = get(
        "courses/565/enrollments?include[]=group_ids&include[]=uuid&include[]=avatar_url&include[]=nothing"
    ).json[0]
    assert included["user"] == {**plain["user"], "group_ids": [51], "uuid": None}
    assert (
        get("courses/565?include[]=total_students&include[]=total_students").json["total_students"]
        == PEOPLE
    )
    assert [found["id"] for found in get("courses/565?include=sections").json["sections"]] == [4811]
    assert get("courses/565/sections?include[]=total_students").json[0]["total_students"] == PEOPLE
    assert [
        found["id"] for found in get("courses/565/sections?include[]=students").json[0]["students"]
    ] == numbers(1, PEOPLE)
    assert [
        found["id"] for found in get("courses/565/groups?include[]=users").json[0]["users"]
    ] == [1, 2, 4]
    assert "users" not in get("groups/51").json
    with_enrollments = get("courses/565/users?include[]=enrollments").json
    assert [
        [enrollment["id"] for enrollment in found["enrollments"]] for found in with_enrollments
    ] == [[number] for number in numbers(1, 10)]


@pytest.mark.parametrize(
    ("term", "ids"),
    [
        ("ada", [1]),
        ("LOVELACE, A", [1]),
        ("0%", [2]),
        ("%%", []),
        ("__", []),
        ("c_\\", [2]),
        ("\\\\", []),
        ("o'n", [3]),
        ("'; DROP TABLE roster_users; --", []),
        ('"Milou"', [4]),
        ("émile", [4]),
        ("ÉMILE", [4]),
        ("æLF", [2]),
        ("login4", [4]),
        ("学生", [5]),
        ("son 3", numbers(30, 33)),
        ("ada\x00", []),
        ("22", [22]),
        ("2107~7", [7]),
        (str(SHARD * SHARD_SIZE + 9), [9]),
    ],
)
def test_search(get: Callable[..., Answer], term: str, ids: list[int]) -> None:
    """A part of a name, login or SIS id in any case, or an id. There are no wildcards."""
    assert get(f"courses/565/users?search_term={quote(term)}").ids == ids
    assert get(f"groups/51/users?search_term={quote(term)}").ids == [
        one for one in ids if one in (1, 2, 4)
    ]


@pytest.mark.parametrize(
    "attack",
    [
        "' OR 1=1 --",
        "1) OR (1=1",
        "x' UNION SELECT * FROM users --",
        '"; DROP TABLE roster_users; --',
        "active') OR ('a'='a",
    ],
)
def test_sql_in_parameters(get: Callable[..., Answer], attack: str) -> None:
    """SQL is a value like others."""
    value = quote(attack)
    for path in (
        "courses/565/enrollments?sis_user_id[]=",
        "courses/565/enrollments?sis_section_id[]=",
        "courses/565/users?search_term=",
        "groups/51/users?search_term=",
    ):
        assert get(path + value).json == []
    for path in (
        "courses/565/enrollments?state[]=",
        "courses/565/enrollments?type[]=",
        "courses/565/enrollments?user_id=",
        "courses/565/enrollments?page=",
    ):
        assert get(path + value).status == 400
    assert len(get("courses/565/users?per_page=100").ids) == PEOPLE


@pytest.mark.parametrize(
    "query", ["%", "%zz", "%ff%fe", "a=%80", "=", "&&&", "a=b=c", "%00=%00", "a" * 5000, "?#", ";"]
)
def test_odd_queries(served: Served, query: str) -> None:
    """Texts that are no parameters are ignored."""
    with connected(served.url) as connection:
        request = (
            f"GET /api/v1/courses/565/users?{query} HTTP/1.1\r\nHost: "
            "localhost\r\nConnection: close\r\n\r\n"
        )
        head, _, content = exchange(connection, request.encode()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(json.loads(content)) == 10


# --- while rows change

ENROLLMENTS = 12
COURSES = (565, 570)
QUERIES: list[tuple[str, Callable[[Row], bool]]] = [
    ("", lambda row: row["state"] in ("active", "invited")),
    ("state[]=completed&state[]=inactive", lambda row: row["state"] in ("inactive", "completed")),
    (
        "type[]=TeacherEnrollment&state[]=inactive&state[]=active",
        lambda row: row["type"] == "TeacherEnrollment" and row["state"] in ("active", "inactive"),
    ),
]


class History:
    """A replica, and the rows that it must have."""

    def __init__(self, served: Served, seed: int) -> None:
        self.served = served
        self.random = random.Random(seed)
        self.enrollments: dict[str, Row] = {}
        self.names: dict[int, str] = {}

    def step(self) -> None:
        """Something happens: an enrollment changes, moves or goes, a user is renamed, the replica
        is made anew.
        """
        kind = self.random.choices(("change", "go", "rename", "many", "anew"), (10, 3, 2, 1, 1))[0]
        if kind == "rename":
            number = self.random.randint(1, ENROLLMENTS)
            self.names[number] = f"Renamed {self.random.random()}"
            self.served.change(user(number, self.names[number]))
        elif kind == "anew":
            follower = self.served.context.follower
            follower._rebuild("a test wants it")
            self.apply(
                {key: None for key in self.enrollments if self.random.random() < 0.5},
                with_changes=False,
            )
            self.served.store.apply(batch_of(self.everything()), {})
            self.served.store.note_complete(1.0)
            follower.progress = replace(follower.progress, complete=True)
        else:
            self.apply(
                self.changes(
                    self.random.randint(4, ENROLLMENTS) if kind == "many" else 1, gone=kind == "go"
                ),
                with_changes=kind != "many",
            )

    def changes(self, count: int, *, gone: bool) -> dict[str, Row | None]:
        """Enrollments as they are from now on."""
        changed: dict[str, Row | None] = {}
        for _ in range(count):
            number, place = (
                self.random.randint(1, ENROLLMENTS),
                SHARD * SHARD_SIZE + self.random.choice(COURSES),
            )
            of_number = [
                key
                for key, row in self.enrollments.items()
                if row["enrollment_id"] == str(SHARD * SHARD_SIZE + number)
            ]
            changed |= dict.fromkeys(of_number)  # an enrollment is in one course
            if not gone:
                state = self.random.choice(("active", "inactive", "completed"))
                kind = self.random.choice(("StudentEnrollment", "TeacherEnrollment"))
                values = {
                    "workflow_state": state,
                    "state": state,
                    "type": kind,
                    "user_id": str(SHARD * SHARD_SIZE + self.random.randint(1, ENROLLMENTS)),
                }
                changed |= person(number, "Known by enrollment", place, **values)["enrollments"]
        return changed

    def apply(self, changed: Mapping[str, Row | None], *, with_changes: bool) -> None:
        """Records arrive."""
        self.served.store.apply(batch_of({"enrollments": changed}), {}, with_changes=with_changes)
        for key, row in changed.items():
            self.enrollments.pop(key, None)
            if row is not None:
                self.enrollments[key] = row

    def everything(self) -> dict[str, Any]:
        """What the topics would tell from the beginning."""
        return together(
            {"enrollments": dict(self.enrollments)},
            *(user(number, name) for number, name in self.names.items()),
        )

    def check(self) -> None:
        """Every list is that of the rows as they are now."""
        for number in COURSES:
            course = str(SHARD * SHARD_SIZE + number)
            for query, is_meant in QUERIES:
                rows = sorted(
                    (
                        row
                        for row in self.enrollments.values()
                        if row["course_id"] == course and is_meant(row)
                    ),
                    key=lambda row: int(row["enrollment_id"]),
                )
                answer = fetch(
                    self.served.url, f"/api/v1/courses/{number}/enrollments?per_page=5&{query}"
                )
                if not any(row["course_id"] == course for row in self.enrollments.values()):
                    assert answer.status == 404
                    continue
                found = answer.json + (
                    fetch(
                        self.served.url,
                        f"/api/v1/courses/{number}/enrollments?per_page=5&page=2&{query}",
                    ).json
                )
                wanted = [
                    (
                        int(row["enrollment_id"]) % SHARD_SIZE,
                        int(row["user_id"]) % SHARD_SIZE,
                        row["state"],
                        row["type"],
                    )
                    for row in rows
                ][:10]
                assert [
                    (one["id"], one["user_id"], one["enrollment_state"], one["type"])
                    for one in found
                ] == wanted
                for one in found:
                    assert one["user"]["name"] == self.names.get(
                        one["user_id"], "Known by enrollment"
                    )
            users = sorted(
                {
                    int(row["user_id"]) % SHARD_SIZE
                    for row in self.enrollments.values()
                    if row["course_id"] == course and row["state"] == "active"
                }
            )
            answer = fetch(self.served.url, f"/api/v1/courses/{number}/users?per_page=100")
            assert answer.status == 404 or answer.ids == users


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
def test_lists_while_rows_change(tmp_path: Path, seed: int) -> None:
    """Lists in memory never give old responses: rows change, move and go, and files are rebuilt."""
    with serving(tmp_path, {}) as served:
        history = History(served, seed)
        for _ in range(40):
            history.step()
            history.check()


def test_etags_while_rows_change(tmp_path: Path) -> None:
    """They change with a row, a name, or the number of pages alone. They stay the same otherwise,
    also if the replica is rebuilt.
    """
    everything = together(
        course("Physics"),
        *(person(number, "Somebody") for number in range(1, 11)),
        *(user(number, "Somebody") for number in (1, 2)),
    )
    with serving(tmp_path, everything) as served:
        path = "/api/v1/courses/565/enrollments?per_page=10"
        seen = [fetch(served.url, path).headers["etag"]]
        for changes in (
            person(3, "Somebody", state="inactive", workflow_state="inactive"),
            user(1, "Ada Lovelace"),
            person(3, "Somebody"),
            person(11, "Eleventh"),
        ):
            served.change(changes)
            seen.append(fetch(served.url, path).headers["etag"])
        assert len(set(seen)) == len(seen)
        served.change(gone(person(11, "Eleventh")))
        before = fetch(served.url, path)
        assert before.headers["etag"] == seen[3]
        served.change(course("Physics"))
        follower = served.context.follower
        follower._rebuild("a test wants it")
        assert fetch(served.url, path).status == 503
        for relation in reversed(everything):  # in another order
            served.store.apply(
                batch_of({relation: dict(reversed(everything[relation].items()))}), {}
            )
        served.change(user(1, "Ada Lovelace"))
        served.store.note_complete(1.0)
        follower.progress = replace(follower.progress, complete=True)
        again = fetch(served.url, path)
        assert (again.body, again.headers["etag"]) == (before.body, before.headers["etag"])


def test_lists_of_a_replica_that_was_made_anew(tmp_path: Path) -> None:
    """Nothing of the file before: in both, each course has changed once."""
    with serving(
        tmp_path, together(course("Physics"), person(1, "Ada"), person(2, "Grace"))
    ) as served:
        lists = ("/api/v1/courses/565/enrollments", "/api/v1/courses/565/users")
        assert [fetch(served.url, path).ids for path in lists] == [[1, 2], [1, 2]]
        follower = served.context.follower
        follower._rebuild("a test wants it")
        served.store.apply(
            batch_of(together(course("Physics"), person(2, "Grace"), person(3, "Mary"))), {}
        )
        served.store.note_complete(1.0)
        follower.progress = replace(follower.progress, complete=True)
        assert [fetch(served.url, path).ids for path in lists] == [[2, 3], [2, 3]]


def test_order_is_the_same_after_changes(tmp_path: Path) -> None:
    """Enrollments within a user too: rows that change take another place in the table."""
    kinds = ("StudentEnrollment", "TeacherEnrollment", "TaEnrollment")
    parts = [
        person(number, "Ada", user_id=str(SHARD * SHARD_SIZE + 1), type=kinds[number % 3])
        for number in range(1, 6)
    ]
    with serving(tmp_path, together(course("Physics"), *parts)) as served:
        path = "/api/v1/courses/565/users?include[]=enrollments"
        before = fetch(served.url, path)
        assert [one["id"] for one in before.json[0]["enrollments"]] == numbers(1, 5)
        served.change(gone(parts[1]))
        served.change(parts[1])
        assert fetch(served.url, path).body == before.body


def test_a_moved_enrollment(tmp_path: Path) -> None:
    """It is in one course, then in the other."""
    there, here = person(1, "Ada"), person(1, "Ada", COURSE + 5)
    with serving(
        tmp_path, together(course("Physics"), course("Optics", COURSE + 5), there)
    ) as served:
        assert [
            fetch(served.url, f"/api/v1/courses/{number}/enrollments").ids for number in COURSES
        ] == [[1], []]
        served.change(together(gone(there), here))
        assert [
            fetch(served.url, f"/api/v1/courses/{number}/enrollments").ids for number in COURSES
        ] == [[], [1]]
        assert fetch(served.url, "/api/v1/accounts/1/enrollments/1").json["course_id"] == 570
        served.change(gone(here))
        assert fetch(served.url, "/api/v1/accounts/1/enrollments/1").status == 404


def test_many_members(tmp_path: Path) -> None:
    """More than a statement takes values."""
    members = [member(number) for number in range(1, 2_001)]
    with serving(tmp_path, together(course("Physics"), group("Everybody"), *members)) as served:
        assert fetch(served.url, "/api/v1/groups/51/users?page=20&per_page=100").ids == numbers(
            1901, 2000
        )
        assert fetch(served.url, "/api/v1/groups/51/users?search_term=1999").ids == [1999]
        assert len(fetch(served.url, "/api/v1/groups/51?include[]=users").json["users"]) == 2_000
