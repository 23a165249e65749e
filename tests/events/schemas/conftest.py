"""How the oracle takes a third of its time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import referencing._core

MOST_ANSWERS = 20_000


@pytest.fixture(scope="session", autouse=True)
def remembered_references() -> Iterator[None]:
    """Have ``jsonschema`` remember where references lead, which it looks up, by parsing the URL,
    every time that it meets one.

    What a lookup gives depends on nothing but the resolver and the reference, none of which ever
    changes: both are frozen.
    """
    whole = referencing._core.Resolver.lookup
    answers: dict[Any, Any] = {}

    def lookup(resolver: Any, ref: str) -> Any:
        key = (resolver._base_uri, id(resolver._registry), tuple(resolver._previous), ref)
        found = answers.get(key)
        if found is None:
            if len(answers) >= MOST_ANSWERS:
                answers.clear()
            # the registry is kept, so that no other gets its id
            found = answers[key] = (
                whole(resolver, ref),
                resolver._registry,
            )
        return found[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(referencing._core.Resolver, "lookup", lookup)
        yield
