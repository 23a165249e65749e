"""Values in flight: the place before which all are acknowledged, and the bounds."""

from __future__ import annotations

import random

from rollcall.ingest.file.splitting import Place
from rollcall.ingest.file.window import Window


def test_nothing_before_the_place_is_in_flight() -> None:
    """In any order of acknowledgements."""
    drawn = random.Random(3)
    for _ in range(100):
        window = Window(Place(), most_records=50, most_bytes=10**6)
        open_entries, at = [], 0
        for _ in range(60):
            if drawn.random() < 0.6:
                open_entries.append(window.add(Place(offset=at), 7))
                at += 10
            elif open_entries:
                window.done(open_entries.pop(drawn.randrange(len(open_entries))))
            if drawn.random() < 0.2:
                window.pass_to(Place(offset=at))
            assert len(window) == len(open_entries)
            assert all(entry.place.offset >= window.place.offset for entry in open_entries)
        for entry in open_entries:
            window.done(entry)
        window.pass_to(Place(offset=at))
        assert window.place == Place(offset=at)


def test_the_window_is_bounded() -> None:
    window = Window(Place(), most_records=3, most_bytes=100)
    assert window.has_room(1_000)
    large = window.add(Place(), 1_000)
    assert not window.has_room(1)
    window.done(large)
    entries = [window.add(Place(), 10) for _ in range(2)]
    assert window.has_room(80)
    assert not window.has_room(81)
    window.add(Place(), 10)
    assert not window.has_room(1)
    window.done(entries[0])
    assert window.has_room(1)
