"""Pages of lists, and the links between them, as Canvas has them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

MOST_PER_PAGE = 100
LEAST_LAST_PAGE = 1

_LEFT_OUT = ("page", "per_page", "access_token", "api_key")
"""Parameters that links do not repeat: those of the page are their own, and the others are secrets
(canvas-lms, ``Api::EXCLUDE_IN_PAGINATION_LINKS``).
"""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for.

    Args:
        number: counted from 1.
        size: at most so many.
    """

    number: int
    size: int

    @property
    def start(self) -> int:
        """The place of its first one."""
        return (self.number - 1) * self.size

    @property
    def end(self) -> int:
        """One past the place of its last one."""
        return self.start + self.size

    def links(self, url: str, query: Iterable[tuple[str, str]], total: int) -> str:
        """The value of ``Link``.

        Args:
            url: of the request, without its query.
            query: its parameters. Those of the page are replaced, secrets are left out.
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
        others = [(name, value) for name, value in query if name not in _LEFT_OUT]
        return ",".join(
            f"<{url}?{urlencode([*others, ('page', number), ('per_page', self.size)])}>; "
            f'rel="{name}"'
            for name, number in pages.items()
        )
