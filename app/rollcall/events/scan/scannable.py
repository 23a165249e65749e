"""Rules of the event types that the scanner can read, from their schemas.

The scanner (``_scanner.pyx``, compiled where there is a C compiler) reads a valid event in one pass
over its bytes. The other recogniser (app/rollcall/events/schema_recogniser.py) does the same in
four steps on Python objects, which takes much longer: it parses the event, validates it, counts
what the schema does not know, and writes all fields again, sorted, for the event's id.

The scanner accepts only events that are surely valid and in plain form: without deep nesting,
escapes in names and the like. All others go to the other recogniser, which is also the scanner's
judge: for every event that the scanner accepts, both must give the same result, byte for byte
(``tests/events/test_recognisers.py``).

:func:`scannable_type` supports a few keywords and patterns. Arrays and objects within a body are
parsed, and validated by jsonschema-rs. If a schema has anything else, all events of its type go to
the other recogniser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.events.event_type import Key
from rollcall.events.schemas.files import KNOWN_VALUES, Schema
from rollcall.events.schemas.flatten import is_annotation
from rollcall.events.schemas.validation import EventValidator

if TYPE_CHECKING:
    from rollcall.events.scan._scanner import Scanner as Scanner
else:
    try:
        from rollcall.events.scan._scanner import Scanner
    except ModuleNotFoundError:  # it was not compiled
        Scanner = None

_GREATEST_ID = 9_223_372_036_854_775_807
_MOST_RULES = 128
"""Maximum number of fields of an object that the scanner supports."""

_DAY_OF_ANY_YEAR = (
    "-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_DAY = (
    f"(?:(?:[0-9]{{3}}[1-9]|[0-9]{{2}}[1-9]0|[0-9][1-9]00|[1-9]000){_DAY_OF_ANY_YEAR}"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)"
)
_DAY_OF_LONG_YEAR = (
    f"[1-9][0-9]?(?:[0-9]{{4}}{_DAY_OF_ANY_YEAR}"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_TIME_OF_DAY = (
    "(?:T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    "| (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})? "
    "(?:UTC|[+-](?:[01][0-9]|2[0-3])[0-5][0-9]))"
)

_TEXTS = {
    "^[1-9][0-9]{0,18}$": "id",
    "^(?:0|[1-9][0-9]{0,18})$": "id_or_zero",
    "^(?:[1-9][0-9]{0,18})?$": "id_or_empty",
    f"^{_DAY}{_TIME_OF_DAY}$": "event_time",
    f"^(?:{_DAY}{_TIME_OF_DAY}|{_DAY_OF_LONG_YEAR}{_TIME_OF_DAY})$": "time",
    f"^(?:{_DAY}{_TIME_OF_DAY}?|{_DAY_OF_LONG_YEAR}{_TIME_OF_DAY}?)$": "day_or_time",
}
"""Patterns that the scanner supports, with its names for them. They are the same texts as in
schemas/common.json: any other pattern is unsupported.
"""

_KINDS = frozenset({"string", "integer", "number", "boolean", "null"})
_COMPOUNDS = frozenset({"array", "object"})
_OF_COMPOUNDS = frozenset(
    {"items", "minItems", "maxItems", "properties", "required", "minProperties", "maxProperties"}
)
"""Keywords that apply to arrays or objects only."""


class Rule(NamedTuple):
    """Requirements for a field of an object."""

    name: str
    required: bool
    kinds: tuple[str, ...]
    """``string``, ``integer``, ``number``, ``boolean``, ``null``; ``compound``: an array or object,
    by :attr:`compound`; ``any``.
    """
    text: str
    """Of a string: ``id``, ``id_or_zero``, ``id_or_empty``, ``time``, ``event_time``,
    ``day_or_time``, ``not_empty``, ``constant``, or any if it is empty.
    """
    constant: str
    least: int
    """Of an integer, 0 or 1; -1: any."""
    known: tuple[str, ...]
    """Known values; others are valid, and counted. Empty: nothing is counted."""
    compound: Schema | None = None
    """The schema of an array or object."""


class ScannableType(NamedTuple):
    """Requirements for valid events of one type."""

    name: str
    key: Key | None
    """The place of the record's key."""
    metadata: tuple[Rule, ...]
    body: tuple[Rule, ...]


def new_scanner(
    validators: Mapping[str, EventValidator], dropped: Sequence[str] = ()
) -> Scanner | None:
    """A scanner for all types that it can read. None if it was not compiled, or if more names are
    dropped than it supports.

    Args:
        validators: by event_name.
        dropped: names of members of the metadata that are not published.
    """
    if Scanner is None or len(dropped) > _MOST_RULES:
        return None
    types = {
        validator.event_type: scannable
        for validator in validators.values()
        if (scannable := scannable_type(validator, dropped)) is not None
    }
    return Scanner(types, [Rule(name, False, (), "", "", -1, ()) for name in dropped])


def scannable_type(validator: EventValidator, dropped: Sequence[str] = ()) -> ScannableType | None:
    """The schema's requirements; None if the scanner cannot check all of them.

    Args:
        dropped: names of members of the metadata that are not published.
    """
    schema = _assertions(validator.schema)
    parts = {
        name: _rules(part, count_known=name == "body")
        for name, part in schema.pop("properties", {}).items()
    }
    if schema != {
        "type": "object",
        "required": ["body"],
        "anyOf": [{"required": ["metadata"]}, {"required": ["attributes"]}],
    }:
        return None
    metadata, body = parts.get("metadata"), parts.get("body")
    if (
        metadata is None
        or body is None
        or parts != {"metadata": metadata, "attributes": metadata, "body": body}
    ):
        return None
    event_type = validator.event_type
    metadata_rules, body_rules = ({rule.name: rule for rule in rules} for rules in (metadata, body))
    name, time = metadata_rules.get("event_name"), metadata_rules.get("event_time")
    root = metadata_rules.get("root_account_id")
    if (
        name is None
        or not name.required
        or (name.text, name.constant) != ("constant", event_type.name)
    ):
        return None
    if time is None or not time.required or (time.text, time.kinds) != ("event_time", ("string",)):
        return None
    # The scanner notices a year of more than four digits only where it needs the moment.
    if any(rule.text == "event_time" and rule is not time for rule in (*metadata, *body)):
        return None
    # The publisher needs it, even if the schema does not name it.
    if (
        root is None
        or root.text not in ("id", "id_or_zero")
        or not {"string", "integer", "null"}.issuperset(root.kinds)
    ):
        return None
    key = event_type.published_key(dropped)
    if key is not None:
        key_rule = (body_rules if key.is_in_body else metadata_rules).get(key.path[1])
        # The scanner takes one value only from a field.
        if key_rule is None or key_rule is root or not _can_hold_key(key_rule, key):
            return None
    return ScannableType(event_type.name, key, metadata, body)


def _can_hold_key(rule: Rule, key: Key) -> bool:
    """Whether the scanner can take the key from a field that this rule accepts."""
    if len(key.path) > 2:
        return key.is_in_body and key.is_id and {"compound", "null"}.issuperset(rule.kinds)
    if not {"string", "integer", "null"}.issuperset(rule.kinds):
        return False
    if key.is_id:
        return rule.text == "id" and ("integer" not in rule.kinds or rule.least == 1)
    return rule.text in ("", "not_empty")


def _assertions(schema: Schema) -> Schema:
    return {keyword: value for keyword, value in schema.items() if not is_annotation(keyword)}


def _rules(schema: Schema | bool, *, count_known: bool) -> tuple[Rule, ...] | None:
    """The rules of an object's fields; None if they do not cover the whole schema."""
    if isinstance(schema, bool):
        return None
    assertions = _assertions(schema)
    required = assertions.pop("required", [])
    properties = assertions.pop("properties", {})
    rules = [
        _rule(name, part, required=name in required, count_known=count_known)
        for name, part in properties.items()
    ]
    if (
        assertions != {"type": "object"}
        or not properties.keys() >= set(required)
        or len(properties) > _MOST_RULES
    ):
        return None
    known_rules = tuple(rule for rule in rules if rule is not None)
    return known_rules if len(known_rules) == len(rules) else None


def _rule(name: str, schema: Schema | bool, *, required: bool, count_known: bool) -> Rule | None:
    if isinstance(schema, bool):
        return None
    assertions = _assertions(schema)
    kinds = _kinds_of(assertions)
    if kinds is None:
        return None
    compound = None
    if "compound" in kinds:
        compound = _assertions(schema)
        assertions = {
            keyword: value for keyword, value in assertions.items() if keyword not in _OF_COMPOUNDS
        }
    text, constant = _text_of(assertions)
    least = assertions.pop("minimum", None)
    greatest = assertions.pop("maximum", _GREATEST_ID)
    if assertions or text is None or greatest != _GREATEST_ID:
        return None
    if least is not None and (not isinstance(least, int) or least not in (0, 1)):
        return None
    # a constant applies to every type, a pattern to strings only
    if text == "constant" and kinds != ("string",):
        return None
    if least is not None and "number" in kinds:
        return None
    known: tuple[str, ...] = ()
    if count_known and KNOWN_VALUES in schema:
        known = tuple(schema[KNOWN_VALUES])
        if not known or not all(isinstance(value, str) for value in known):
            return None
        if text not in ("", "not_empty") or not {"string", "null"}.issuperset(kinds):
            return None
    least = -1 if least is None else least
    return Rule(name, required, kinds, text, constant, least, known, compound)


def _kinds_of(assertions: Schema) -> tuple[str, ...] | None:
    """Remove the type from a field's assertions, and return it as kinds; None: unsupported."""
    named = assertions.pop("type", None)
    if named is None:
        return None if assertions else ("any",)
    kinds: list[Any] = [named] if isinstance(named, str) else list(named)
    if not kinds or not (_KINDS | _COMPOUNDS).issuperset(kinds):
        return None
    simple = [kind for kind in kinds if kind in _KINDS]
    return tuple(simple if len(simple) == len(kinds) else [*simple, "compound"])


def _text_of(assertions: Schema) -> tuple[str | None, str]:
    """Remove the assertions about a string, and return its :attr:`Rule.text` and constant. A text
    of None: unsupported.
    """
    pattern, least_length = assertions.pop("pattern", None), assertions.pop("minLength", None)
    if least_length not in (None, 1):
        return None, ""
    if "const" in assertions:
        constant = assertions.pop("const")
        return (
            ("constant", constant)
            if isinstance(constant, str) and constant and pattern is None
            else (None, "")
        )
    if pattern is not None:
        return (_TEXTS.get(pattern) if least_length is None else None), ""
    return ("not_empty" if least_length else ""), ""
