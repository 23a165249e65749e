"""Credentials are replaced wherever they stand; everything else is untouched."""

from __future__ import annotations

import json
import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.events.outcomes import Routed
from rollcall.events.pipeline import Pipeline
from rollcall.events.redaction import Redactor
from rollcall.settings import Settings
from tests.events.recognisers import contents
from tests.events.schemas.events import VALIDATORS, changed, example
from tests.events.test_pipeline import event

REDACTOR = Redactor(("access_token", "client_secret"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            b'"/api?access_token=2107~Ab-c_d.9&per_page=5"',
            b'"/api?access_token=REDACTED&per_page=5"',
        ),
        (
            rb'"/api?access_token=2107~Abc\u0026per_page=5"',
            rb'"/api?access_token=REDACTED\u0026per_page=5"',
        ),
        (rb'"/api?access_token\u003dabc\u0026x=5"', rb'"/api?access_token\u003dREDACTED\u0026x=5"'),
        (rb'"a?access_token=ab\/cd+e=="', rb'"a?access_token=REDACTED"'),
        (b'"a?access_token=abc#part"', b'"a?access_token=REDACTED#part"'),
        (b'"a?access_token=abc", "b": 1', b'"a?access_token=REDACTED", "b": 1'),
        (rb'"said \"access_token=abc\" there"', rb'"said \"access_token=REDACTED\" there"'),
        (
            b'"a?to=https%3A%2F%2Fx%3Faccess_token%3Dabc%26x%3D1"',
            b'"a?to=https%3A%2F%2Fx%3Faccess_token%3DREDACTED%26x%3D1"',
        ),
        (b'"a?access_token=a%2Fb&x"', b'"a?access_token=REDACTED&x"'),
        (b"access_token=abc", b"access_token=REDACTED"),
        (
            b'"a?access_token=x&client_secret=y&access_token=z"',
            b'"a?access_token=REDACTED&client_secret=REDACTED&access_token=REDACTED"',
        ),
        (b'"a?auth[access_token]=abc"', b'"a?auth[access_token]=REDACTED"'),
        (b"access_token=\xff\xfe\x00 no text at all", b"access_token=REDACTED no text at all"),
        (rb'"a?b=1\u0026access_token=abc"', rb'"a?b=1\u0026access_token=REDACTED"'),
        (b'"a?my_access_token=abc"', b'"a?my_access_token=REDACTED"'),
        (b'"a?user%5Baccess_token%5D=abc&b=1"', b'"a?user%5Baccess_token%5D=REDACTED&b=1"'),
        (b'"a?access_token[]=abc&b=1"', b'"a?access_token[]=REDACTED&b=1"'),
        (
            b'"a?b=https%253A%252F%252Fx%253Faccess_token%253Dabc"',
            b'"a?b=https%253A%252F%252Fx%253Faccess_token%253DREDACTED"',
        ),
        (b'"a?access_token=%22abc%22&b=1"', b'"a?access_token=%22REDACTED%22&b=1"'),
        (rb'"a access_token=\"abc\" b"', rb'"a access_token=\"REDACTED\" b"'),
        (b'"a?access_token="', b'"a?access_token=REDACTED"'),
    ],
)
def test_values_are_replaced(before: bytes, after: bytes) -> None:
    clean, found = REDACTOR(before)
    assert clean == after
    assert b"access_token" in found
    assert REDACTOR(clean)[0] == clean, "again"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing",
        b'"access_tokens=1"',
        b'"the access_token is"',
        b'"access_token": "kept: no parameter"',
    ],
)
def test_anything_else_is_untouched(data: bytes) -> None:
    clean, found = REDACTOR(data)
    assert clean is data
    assert found == frozenset()


@given(
    st.text(
        alphabet=st.characters(
            exclude_characters="&#;\"'<>% \\", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]
        ),
        min_size=6,
    ),
    st.booleans(),
)
def test_no_token_survives_and_json_stays_json(token: str, ascii_only: bool) -> None:
    url = f"https://canvas.example.edu/api?a=1&access_token={token}&b=2"
    raw = json.dumps({"url": url}, ensure_ascii=ascii_only).encode()
    assert (
        json.loads(REDACTOR(raw)[0])["url"]
        == "https://canvas.example.edu/api?a=1&access_token=REDACTED&b=2"
    )


def test_a_redacted_event_says_so_and_has_the_same_id_when_it_is_replayed() -> None:
    pipeline = Pipeline(VALIDATORS, redactor=REDACTOR)
    raw = orjson.dumps(event(url="https://canvas.example.edu/api?access_token=2107~abc&x=1"))
    first = pipeline(raw, (("from", b"/q?client_secret=abc"),))
    assert isinstance(first, Routed)
    assert first.redacted
    assert first.value == raw.replace(b"2107~abc", b"REDACTED")
    assert dict(first.headers)["rollcall.redacted"] == b"access_token,client_secret"
    assert dict(first.headers)["from"] == b"/q?client_secret=REDACTED"
    assert contents(pipeline(first.value, first.headers[7:])) == contents(first)
    assert pipeline.clean_key(b"x?access_token=abc") == b"x?access_token=REDACTED"


DEFAULT = Redactor(Settings.model_construct().redact_parameters)
DEFAULT_PIPELINE = Pipeline(VALIDATORS, redactor=DEFAULT)


@pytest.mark.parametrize(
    ("url", "parameter"),
    [
        ("https://canvas.example.edu/api?access_token=S3cret&x=1", b"access_token"),
        ("https://files.example.edu/map.json?download=1&token=eyJ0.eyJz.S3cret", b"token"),
        ("https://canvas.example.edu/files/7/download?verifier=S3cret", b"verifier"),
        ("https://canvas.example.edu/files/7?sf_verifier=S3cret", b"sf_verifier"),
        ("https://canvas.example.edu/login?session_token=S3cret", b"session_token"),
        ("https://canvas.example.edu/login/cas?ticket=ST-S3cret", b"ticket"),
        ("https://canvas.example.edu/register?invitation=S3cret", b"invitation"),
        ("https://tool.example.edu/start?a=1&jwt=eyJ.S3cret", b"jwt"),
        ("https://tool.example.edu/start?a=1&hmac=S3cret", b"hmac"),
        ("https://s3.example.com/a.zip?X-Amz-Date=1&X-Amz-Signature=S3cret", b"X-Amz-Signature"),
        ("https://cdn.example.com/a.zip?Policy=x&Signature=S3cret&Key-Pair-Id=y", b"Signature"),
    ],
)
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("quizzes_next_quiz_duplicated", ("body", "resource_map_url")),
        ("quizzes_next_migration_urls_complete", ("body", "resource_map_url")),
        ("content_migration_completed", ("body", "resource_map_url")),
        ("quiz_export_complete", ("body", "qti_export", "url")),
        ("logged_in", ("body", "redirect_url")),
        ("asset_accessed", ("body", "url")),
        ("wiki_page_created", ("body", "body")),
        ("submission_created", ("metadata", "url")),
    ],
)
def test_secrets_of_all_events(
    name: str, path: tuple[str, ...], url: str, parameter: bytes
) -> None:
    """A file that opens without a login does not open any more; the event stays valid."""
    outcome = DEFAULT_PIPELINE(orjson.dumps(changed(example(name), *path, to=url)))
    assert isinstance(outcome, Routed)
    assert b"S3cret" not in outcome.value
    assert dict(outcome.headers)["rollcall.redacted"] == parameter


def test_the_longest_name_is_found() -> None:
    for names in (("token", "access_token"), ("access_token", "token")):
        redactor = Redactor(names)
        for before, after, found in (
            (b"?access_token=a&x=1", b"?access_token=REDACTED&x=1", {b"access_token"}),
            (b"?my_token=a", b"?my_token=REDACTED", {b"token"}),
            (
                b"token=a&access_token=b",
                b"token=REDACTED&access_token=REDACTED",
                {b"token", b"access_token"},
            ),
        ):
            assert redactor(before) == (after, frozenset(found))


URL_ONLY = Redactor(("?token", "?hmac", "access_token"))
BEFORE_A_PARAMETER = (
    *("?", "&", "&amp;", "&#38;", "&#x26;"),
    *(r"\u0026", r"\u003f", r"\u003F", r"\u0026amp;", r"\u0026amp\u003b"),
    *("%3F", "%3f", "%26", "%253F", "%2526", "%25253f", "%26amp%3B", "%26amp%3b", "%2526amp%253B"),
)
EQUALS = ("=", "%3D", "%3d", "%253D", r"\u003d", r"\u003D", "[]=", "%5B%5D=")


@given(
    st.sampled_from(BEFORE_A_PARAMETER),
    st.sampled_from(("token", "hmac")),
    st.sampled_from(EQUALS),
    st.from_regex(r"[A-Za-z0-9_.~-]{1,20}", fullmatch=True),
    st.binary(max_size=60),
)
def test_parameters_of_urls_are_replaced_in_all_notations(
    before: str, name: str, equals: str, secret: str, rest: bytes
) -> None:
    start = rest + f"/a?b=1{before}{name}{equals}".encode()
    clean, found = URL_ONLY(start + secret.encode() + b'"' + rest)
    assert clean.startswith(URL_ONLY(rest)[0] + start[len(rest) :] + b'REDACTED"')
    assert name.encode() in found


@given(
    st.text(
        alphabet=st.characters(exclude_characters="?&;", max_codepoint=0x2FFF), max_size=20
    ).filter(lambda text: not re.search(r"(%(25)*(3f|26|3b)|\\u00(3f|26|3b))$", text.lower())),
    st.sampled_from(("token", "hmac")),
    st.sampled_from(EQUALS),
    st.text(max_size=20),
)
def test_texts_with_such_names_are_untouched(
    before: str, name: str, equals: str, value: str
) -> None:
    if "access_token" in f"{before}{name}" or any(part in value for part in ("token", "hmac")):
        return
    data = f"{before}{name}{equals}{value}".encode(errors="replace")
    clean, found = URL_ONLY(data)
    assert (clean, found) == (data, frozenset())


@pytest.mark.parametrize(
    "text",
    [
        "let token=getToken(a,b);",
        "x.token=5; verifier=foo; Signature=none",
        "https://canvas.example.edu/api?page_token=12",
        "https://canvas.example.edu/?authenticity_token=abc&next_token=2",
        "a; token=1",
        "what is a token? hmac=5",
        "ticket=5, invitation=yes, jwt=x, hmac=y",
        "100%26 token=1",
    ],
)
def test_texts_that_people_wrote_are_untouched(text: str) -> None:
    data = orjson.dumps({"body": {"body": text}})
    assert DEFAULT(data) == (data, frozenset())


def test_a_name_may_count_everywhere_and_in_urls_only() -> None:
    for names in (("token", "?session_token"), ("?session_token", "token", "?token")):
        clean, found = Redactor(names)(b"session_token=a&token=b&session_token=c")
        assert clean == b"session_token=REDACTED&token=REDACTED&session_token=REDACTED"
        assert found == {b"token", b"session_token"}


@given(st.sampled_from(BEFORE_A_PARAMETER), st.sampled_from(EQUALS), st.binary(max_size=60))
def test_the_fast_check_misses_nothing(before: str, equals: str, rest: bytes) -> None:
    assert URL_ONLY.names_any(rest + f"{before}token{equals}a".encode())
    assert not URL_ONLY.names_any(b'{"tokens": "the token, the hmac"}')
    assert not URL_ONLY.names_any(b"?a=1")


def test_it_can_be_switched_off() -> None:
    raw = orjson.dumps(event(url="https://canvas.example.edu/api?access_token=2107~abc"))
    outcome = Pipeline(VALIDATORS)(raw)
    assert isinstance(outcome, Routed)
    assert (outcome.value, outcome.redacted) == (raw, False)
