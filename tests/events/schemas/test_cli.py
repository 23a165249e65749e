"""``rollcall validate`` and ``rollcall schemas``, as a user meets them."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollcall.cli.main import main
from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.files import schema_folder
from tests.events.schemas.events import (
    DOCUMENTED,
    NAMES,
    VALIDATORS,
    changed,
    documented,
    example,
)
from tests.examples import examples


class Rollcall:
    """Runs the command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def __call__(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._monkeypatch.setattr(sys, "argv", ["rollcall", *arguments])
        self._monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capfd.readouterr()
        return int(ended.value.code or 0), out, err


@pytest.fixture
def rollcall(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Rollcall:
    return Rollcall(monkeypatch, capfd)


@pytest.mark.parametrize("name", sorted(documented().keys() - {"user_updated"}))
def test_a_documented_event_is_valid(rollcall: Rollcall, name: str) -> None:
    code, out, err = rollcall("validate", str(DOCUMENTED / f"{name}.json"))
    assert (code, err) == (0, "")
    assert (
        out
        == f"event 1, line 1: valid {name} (urn:rollcall:canvas:{name}:1.1.0)\n1 event: 1 valid, "
        "0 invalid, 0 unknown, 0 not JSON\n"
    )


def test_every_violation_with_its_pointer(rollcall: Rollcall) -> None:
    event = changed(documented()["user_updated"], "body", "user_id", to=None)
    code, out, _ = rollcall("validate", "-", stdin=b"\n" + orjson.dumps(event))
    assert code == 1
    forms = "2019-11-01T19:11:01.163Z, 2024-03-29T15:43:00-07:00 or 2019-10-05 05:38:00 -0800"
    assert out.splitlines() == [
        "event 1, line 2: invalid user_updated",
        f"  /body/updated_at: must be a time that exists, written like {forms} [pattern]",
        "  /body/user_id: must be a string or a whole number [type]",
        "1 event: 0 valid, 1 invalid, 0 unknown, 0 not JSON",
    ]


def test_json_lines_with_all_there_is(rollcall: Rollcall) -> None:
    good = orjson.dumps(example("course_created"))
    unknown = (
        b'{"metadata": {"event_name": "quizzes.item_created", "event_time": '
        b'"2019-11-01T19:11:01Z"}, "body": {}}'
    )
    lines = [good, b'{"broken": ', unknown, b"[" + good + b", 7]", b"{}"]
    code, out, _ = rollcall("validate", "-", stdin=b"\n".join(lines))
    assert code == 1
    assert out.splitlines() == [
        "event 1, line 1: valid course_created (urn:rollcall:canvas:course_created:1.1.0)",
        "line 2, column 1: not JSON: the value that begins here is not closed",
        'event 2, line 3: unknown event_name "quizzes.item_created"',
        "event 3, line 4, item 1: valid course_created (urn:rollcall:canvas:course_created:1.1.0)",
        "event 4, line 4, item 2: invalid event",
        "  (the event): must be an object [type]",
        "event 5, line 5: invalid event",
        "  /metadata: must be an object; a self-hosted Canvas may call it attributes [required]",
        "5 events: 2 valid, 2 invalid, 1 unknown, 1 not JSON",
    ]


def test_an_unknown_name_is_no_fault(rollcall: Rollcall) -> None:
    event = changed(
        changed(
            example("course_created"), "metadata", "event_name", to="\x1b[31m\u202eevil" + "x" * 200
        ),
        "body",
        to={},
    )
    code, out, _ = rollcall("validate", "-", stdin=orjson.dumps(event))
    assert code == 0
    assert out.isascii()
    assert "\x1b" not in out
    assert len(out) < 300


def test_the_envelope(rollcall: Rollcall) -> None:
    event = example("course_created")
    self_hosted = {"attributes": event["metadata"], "body": event["body"]}
    assert rollcall("validate", "-", stdin=orjson.dumps(self_hosted))[0] == 0
    for broken, place in [
        ({"metadata": event["metadata"]}, "/body"),
        ({"metadata": [], "body": {}}, "/metadata"),
        ({"metadata": {}, "body": {}}, "/metadata/event_name"),
        ({"attributes": {"event_name": 5}, "body": {}}, "/attributes/event_name"),
        ({"attributes": {"event_name": ""}, "body": {}}, "/attributes/event_name"),
        ({"metadata": {"event_name": "x"}, "body": {}}, "/metadata/event_time"),
        (
            {"metadata": {}, "attributes": event["metadata"], "body": event["body"]},
            "/metadata/event_name",
        ),
    ]:
        code, out, _ = rollcall("validate", "-", stdin=orjson.dumps(broken))
        assert code == 1
        assert f"  {place}: " in out


def test_what_the_router_refuses_is_invalid(rollcall: Rollcall) -> None:
    course = example("course_created")
    unknown = {
        "metadata": {"event_name": "quizzes.item_created", "event_time": "2019-11-01T19:11:01Z"},
        "body": {},
    }
    deep: dict[str, object] = {}
    for _ in range(300):
        deep = {"deeper": deep}
    for event, fault in [
        (
            changed(unknown, "metadata", "event_time", to="soon"),
            "/metadata/event_time: must be a time that exists, as Canvas writes times [required]",
        ),
        (
            changed(unknown, "metadata", "event_name", to="x" * 256),
            "/metadata/event_name: must be a string of 1 to 255 characters [required]",
        ),
        (
            changed(course, "metadata", "event_time", to="soon"),
            "/metadata/event_time: must be a time that exists, written like ",
        ),
        (
            changed(course, "metadata", "event_time", to="0000-01-01T00:00:00Z"),
            "/metadata/event_time: must be a time that exists",
        ),
        (
            changed(course, "body", "course_id", to=2.0**60),
            "/body/course_id: an id must be a whole number up to 9223372036854775807, beyond 2^53 ",
        ),
        (changed(course, "body", "more", to=deep), "(the event): nested deeper than 254 levels"),
    ]:
        code, out, _ = rollcall(
            "validate",
            "-",
            stdin=orjson.dumps([event])
            if event["body"].get("more") is None
            else json.dumps(event).encode(),
        )
        assert code == 1
        assert f"  {fault}" in out


def test_every_violation_of_a_known_event_is_told_though_its_envelope_has_one(
    rollcall: Rollcall,
) -> None:
    event = changed(
        changed(documented()["user_created"], "metadata", "event_time", to="soon"),
        "body",
        "user_id",
        to=None,
    )
    code, out, _ = rollcall("validate", "-", stdin=orjson.dumps(event))
    assert code == 1
    assert out.startswith("event 1, line 1: invalid user_created\n  /metadata/event_time: ")
    assert "\n  /body/user_id: must be a string or a whole number [type]\n" in out


def test_a_byte_order_mark_is_noted(rollcall: Rollcall) -> None:
    code, out, _ = rollcall(
        "validate", "-", stdin=b"\xef\xbb\xbf" + orjson.dumps(example("course_created"))
    )
    assert code == 0
    assert out.startswith("note: the text begins with a byte order mark")


def test_nothing_to_validate(rollcall: Rollcall) -> None:
    assert rollcall("validate", "-")[:2] == (
        1,
        "0 events: 0 valid, 0 invalid, 0 unknown, 0 not JSON\n",
    )


@pytest.mark.parametrize("file", ["no/such/file", ".", "a\x00b", "\udce4"])
def test_a_file_that_cannot_be_read(rollcall: Rollcall, file: str, tmp_path: Path) -> None:
    code, out, err = rollcall("validate", file)
    assert (code, out) == (2, "")
    assert err.startswith("rollcall: cannot read '")
    assert len(err.splitlines()) == 1


def damaged(name: str, position: int, junk: bytes) -> bytes:
    """An event as JSON with one byte replaced."""
    whole = orjson.dumps(example(name))
    return whole[:position] + junk + whole[position + 1 :]


@given(
    data=st.binary(max_size=300)
    | st.builds(damaged, st.sampled_from(NAMES), st.integers(0, 1000), st.binary(max_size=3))
)
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_the_bytes(rollcall: Rollcall, data: bytes) -> None:
    code, out, err = rollcall("validate", "-", stdin=data)
    assert code in (0, 1)
    assert out
    assert err == ""


def test_schemas_list(rollcall: Rollcall) -> None:
    code, out, _ = rollcall("schemas", "list")
    assert code == 0
    assert all(f" {name} " in out for name in NAMES)
    assert all(text in out for text in (" metadata.user_id ", " A person logged in. "))
    assert out.count("course_section ") == 1, "a family is named once"


def test_schemas_list_as_json(rollcall: Rollcall) -> None:
    code, out, _ = rollcall("schemas", "list", "--json")
    listed = json.loads(out)
    assert code == 0
    assert [each["event_name"] for each in listed] == list(REGISTRY)
    login = next(each for each in listed if each["event_name"] == "logged_in")
    assert login == {
        "event_name": "logged_in",
        "family": "login",
        "cause": "A person logged in.",
        "key": "/metadata/user_id",
        "sources": ["documents", "code", "observed"],
        "schema": VALIDATORS["logged_in"].schema_id,
        "stage": None,
        "selected": True,
        "fields": ["redirect_url"],
    }


def test_schemas_show(rollcall: Rollcall) -> None:
    for name in ("enrollment_created", "common", "bodies/enrollment"):
        code, out, _ = rollcall("schemas", "show", name)
        assert code == 0
        assert json.loads(out) == json.loads((schema_folder() / f"{name}.json").read_bytes())
    code, _, err = rollcall("schemas", "show", "enrollment")
    assert code == 2
    assert "there is no schema 'enrollment'; there are account_created, " in err


def test_schemas_lint(rollcall: Rollcall, tmp_path: Path) -> None:
    assert rollcall("schemas", "lint")[:2] == (0, "schemas: no problem found\n")
    folder = Path(shutil.copytree(schema_folder(), tmp_path / "schemas"))
    (folder / "course_created.json").write_text("{")
    code, out, _ = rollcall("schemas", "lint", "--folder", str(folder))
    assert code == 1
    assert out.splitlines()[0].startswith("course_created.json: ")
    assert out.splitlines()[-1] == "1 problem"
