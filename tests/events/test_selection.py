"""The selection of event types: pure, by names, families, globs and exclusions."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.events.event_type import EventType
from rollcall.events.registry import REGISTRY
from rollcall.events.selection import EventSelection, SelectionError, names_in_words
from tests.examples import examples

FAMILIES = sorted({each.family for each in REGISTRY.values()})

names, families = st.sampled_from(sorted(REGISTRY)), st.sampled_from(FAMILIES)


@st.composite
def globs(draw: st.DrawFn) -> str:
    """A glob that matches at least one event_name."""
    name = draw(names)
    begin = draw(st.integers(0, len(name)))
    end = draw(st.integers(begin, len(name)))
    between = "?" * (end - begin) if draw(st.booleans()) else "*"
    return name[:begin] + between + name[end:]


words = st.one_of(st.just("all"), names, families, globs())


def selects(word: str, event_type: EventType) -> bool:
    """The oracle: whether a word matches an event type."""
    return word in ("all", event_type.family) or matches(word, event_type.name)


def matches(glob: str, name: str) -> bool:
    """The oracle: whether a glob matches a name."""
    if not glob:
        return not name
    if glob[0] == "*":
        return any(matches(glob[1:], name[at:]) for at in range(len(name) + 1))
    return name != "" and glob[0] in ("?", name[0]) and matches(glob[1:], name[1:])


@settings(max_examples=examples(200))
@given(st.lists(words, min_size=1, max_size=4), st.lists(words, max_size=3), st.randoms())
def test_a_type_is_selected_if_a_word_selects_it_and_none_excludes_it(
    selecting: list[str], excluding: list[str], random: Random
) -> None:
    chosen, excluded = (
        {name for name, each in REGISTRY.items() if any(selects(word, each) for word in some)}
        for some in (selecting, excluding)
    )
    of_rollcall = {name for name, each in REGISTRY.items() if not each.is_of_canvas}
    expected = [name for name in REGISTRY if name in (chosen | of_rollcall) - excluded]
    all_words = [*selecting, *(f"-{word}" for word in excluding)]
    random.shuffle(all_words)
    if chosen - excluded:
        selected = EventSelection(all_words).select(REGISTRY)
        assert list(selected) == expected  # in the registry's order
        assert all(selected[name] is REGISTRY[name] for name in expected)
    else:
        with pytest.raises(SelectionError, match="excludes every event type"):
            EventSelection(all_words).select(REGISTRY)


OF_ROLLCALL = [name for name, each in REGISTRY.items() if not each.is_of_canvas]


def test_types_of_rollcall_need_not_be_selected() -> None:
    assert len(OF_ROLLCALL) == 6
    assert list(EventSelection(["course_created"]).select(REGISTRY)) == [
        "course_created",
        *OF_ROLLCALL,
    ]
    assert list(EventSelection(["user", "-rollcall_snapshot"]).select(REGISTRY)) == [
        "user_created",
        "user_updated",
    ]


def test_all_is_all() -> None:
    assert EventSelection(["all"]).select(REGISTRY) == REGISTRY


def test_an_exclusion_leaves_out_one_type() -> None:
    selected = EventSelection(["all", "-asset_accessed"]).select(REGISTRY)
    assert REGISTRY.keys() - selected.keys() == {"asset_accessed"}


def test_a_family_is_all_its_types() -> None:
    selected = EventSelection(["enrollment", "wiki_page", "-rollcall_*"]).select(REGISTRY)
    assert {each.family for each in selected.values()} == {"enrollment", "wiki_page"}
    assert "enrollment_state_created" not in selected


def test_a_dot_in_a_name_is_no_pattern() -> None:
    name = "outcomes.retry_outcome_alignment_clone"
    assert list(EventSelection([name, "-rollcall_*"]).select(REGISTRY)) == [name]
    with pytest.raises(SelectionError, match="matches no event type"):
        EventSelection(["course.created"]).select(REGISTRY)


@given(st.text("ab*?[]!.", max_size=6), st.text("ab[]!.", min_size=1, max_size=6))
def test_only_stars_and_question_marks_are_special(glob: str, name: str) -> None:
    event_types = {
        each: EventType(each, "family", None, (), "") for each in (name, "a", "abab", "a[b]")
    }
    expected = [each for each in event_types if matches(glob, each)]
    if expected:
        assert list(EventSelection([glob]).select(event_types)) == expected
    else:
        with pytest.raises(SelectionError, match="matches no event type"):
            EventSelection([glob]).select(event_types)


@pytest.mark.parametrize(
    "word",
    ["*" * 100 + "x", "*a" * 30 + "*b", "*?" * 100 + "x", "*e" * 30 + "*_" * 30 + "b"],
    ids=["neighbours", "letters between", "question marks between", "two letters"],
)
def test_many_stars_are_soon_matched(word: str) -> None:
    """With backtracking, each would take longer than any run of tests."""
    long = EventType("a" * 300 + "e_" * 300, "family", None, (), "")
    with pytest.raises(SelectionError, match="matches no event type"):
        EventSelection(["all", f"-{word}"]).select({**REGISTRY, long.name: long})


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ([], "ROLLCALL_EVENTS: it selects no event type; write all"),
        (
            ["-asset_accessed"],
            "ROLLCALL_EVENTS: it selects no event type; begin with all,-asset_accessed",
        ),
        (
            ["course_create"],
            "ROLLCALL_EVENTS: 'course_create' matches no event type and no family; did you mean "
            "course_created? 'rollcall schemas list' shows all",
        ),
        (
            ["all", "-xyzzy*"],
            "ROLLCALL_EVENTS: 'xyzzy*' matches no event type and no family; 'rollcall schemas "
            "list' shows all",
        ),
        (
            ["course_created", "-course_*"],
            "ROLLCALL_EVENTS: it excludes every event type that it selects; select more, or take "
            "an exclusion out",
        ),
    ],
    ids=["none", "only an exclusion", "misspelt", "no match", "empty"],
)
def test_a_wrong_selection_says_what_to_do(selection: list[str], message: str) -> None:
    with pytest.raises(SelectionError) as caught:
        EventSelection(selection).select(REGISTRY)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_a_message_names_a_few_types() -> None:
    assert names_in_words(["a", "b"]) == "a, b"
    assert names_in_words([*"abcdefg"]) == "a, b, c, d, e and 2 more"
