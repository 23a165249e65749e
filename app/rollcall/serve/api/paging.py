"""Pages of lists, and links between them, as in Canvas's API. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

MOST_PER_PAGE = 100
LEAST_LAST_PAGE = 1

_NOT_IN_LINKS = ("page", "per_page", "access_token", "api_key")
"""Parameters that links do not repeat: links have a page of their own, and the others are secrets
(canvas-lms, ``Api::EXCLUDE_IN_PAGINATION_LINKS``).
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Args:
        number: from 1.
        size: largest number of objects.
    """

    number: int
    size: int

    @property
    def start(self) -> int:
        """Index of the first object."""
        return (self.number - 1) * self.size

    @property
    def end(self) -> int:
        """Index after the last object."""
        return self.start + self.size

    def links(self, url: str, query: Iterable[tuple[str, str]], total: int) -> str:
        """The value of ``Link``.

        Args:
            url: of the request, without its query.
            query: parameters of the request; the links get other pages, and no secrets.
            total: length of the whole list.
        """
        last = max(-(-total // self.size), LEAST_LAST_PAGE)
        pages = {
            "current": self.number,
            "next": self.number + 1,
            "prev": min(self.number - 1, last),
            "first": 1,
            "last": last,
        }
        if self.number >= last:
            del pages["next"]
        if self.number <= 1:
            del pages["prev"]
        others = [(name, value) for name, value in query if name not in _NOT_IN_LINKS]
        return ",".join(
            f"<{url}?{urlencode([*others, ('page', number), ('per_page', self.size)])}>; "
            f'rel="{name}"'
            for name, number in pages.items()
        )
