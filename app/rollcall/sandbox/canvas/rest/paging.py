"""Pages of lists, with links to the others.

Lists by number are counted again for each page: a row that leaves the list moves all rows after it.
Lists by bookmark continue after the last row of the page before.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson

from rollcall.sandbox.canvas.rest.errors import not_found

Item = TypeVar("Item")
Query = Mapping[str, list[str]]

DEFAULT_PER_PAGE = 10
MAX_PER_PAGE = 100

_BOOKMARK = "bookmark:"


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page, and the ``page`` parameters of others by relation."""

    rows: Sequence[Any]
    pages: Mapping[str, str]
    per_page: int
    root: str | None = None
    """Name of the answer's only member, which has the rows; None: the answer is a list."""

    @property
    def content(self) -> object:
        """The answer's JSON."""
        return self.rows if self.root is None else {self.root: self.rows}

    def link(self, url: str, query: Query) -> str:
        """The value of the header ``Link``.

        Args:
            url: the list's URL without parameters.
        """
        kept = [
            (name, value)
            for name, values in query.items()
            if name not in ("page", "per_page")
            for value in values
        ]
        return ",".join(
            f"<{url}?{urlencode([*kept, ('page', page), ('per_page', self.per_page)])}>; "
            f'rel="{relation}"'
            for relation, page in self.pages.items()
        )


def per_page(query: Query, most: int) -> int:
    """Rows of a page, at most ``most``. Of several values, the last counts."""
    text = query.get("per_page", [""])[-1]
    number = int(text) if text.isascii() and text.isdigit() else 0
    return min(number or DEFAULT_PER_PAGE, most)


def by_number(rows: Sequence[Any], query: Query, *, most: int = MAX_PER_PAGE) -> Page:
    """A page by its number.

    Raises:
        RefusedError: the number is wrong.
    """
    size, text = per_page(query, most), query.get("page", ["1"])[-1]
    if not (text.isascii() and text.isdigit() and int(text)):
        raise not_found()
    number, last = int(text), max(1, -(-len(rows) // size))
    pages = {"current": str(number)}
    if number < last:
        pages["next"] = str(number + 1)
    if number > 1:
        pages["prev"] = str(number - 1)
    pages |= {"first": "1", "last": str(last)}
    return Page(rows[(number - 1) * size : number * size], pages, size)


def by_bookmark(
    rows: Sequence[Item],
    query: Query,
    *,
    key: Callable[[Item], tuple[Any, ...]],
    expired: bool = False,
    most: int = MAX_PER_PAGE,
) -> Page:
    """A page by the key of the row before it. Neither its number nor the last page is known.

    Args:
        key: total order of the rows, of JSON values.
        expired: True: no bookmark is valid.

    Raises:
        RefusedError: the bookmark is wrong or expired.
    """
    size, text = per_page(query, most), query.get("page", ["first"])[-1]
    ordered = sorted(rows, key=key)
    if text not in ("first", "1"):
        after = _read_bookmark(text)
        if expired or after is None:
            raise not_found()  # Folio::InvalidPage
        try:
            ordered = [row for row in ordered if key(row) > after]
        except TypeError:
            raise not_found() from None
    pages = {"current": text}
    if len(ordered) > size:
        pages["next"] = _BOOKMARK + base64.urlsafe_b64encode(
            orjson.dumps(key(ordered[size - 1]))
        ).decode().rstrip("=")
    pages["first"] = "first"
    return Page(ordered[:size], pages, size)


def _read_bookmark(text: str) -> tuple[Any, ...] | None:
    """The key in a bookmark."""
    if not text.startswith(_BOOKMARK):
        return None
    encoded = text.removeprefix(_BOOKMARK)
    try:
        found = orjson.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError):
        return None
    return tuple(found) if isinstance(found, list) else None
