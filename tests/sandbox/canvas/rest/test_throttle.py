"""The leaky bucket of each token."""

from __future__ import annotations

import pytest
from canvasapi.exceptions import RateLimitExceeded

from rollcall.sandbox.canvas.rest import Access
from rollcall.sandbox.canvas.rest.throttle import Throttle
from tests.sandbox.canvas.rest.institution import Institution


def test_costly_requests_are_refused_until_the_bucket_leaks(institution: Institution) -> None:
    """Each token has its own bucket; the headers tell its level."""
    throttle = institution.server.throttle
    throttle.leak, throttle.high_water, throttle.cost = 0, 100, 60
    institution.server.tokens["other"] = Access()
    remaining = []
    for _ in range(2):
        response = institution.get("/accounts/1")
        assert response.headers["X-Request-Cost"] == "60.000"
        remaining.append(float(response.headers["X-Rate-Limit-Remaining"]))
    assert remaining == [40, -20]
    with pytest.raises(RateLimitExceeded):
        institution.client().get_account(1)
    assert institution.get("/accounts/1", "other").status_code == 200
    throttle.leak = 1e9
    assert institution.get("/accounts/1").status_code == 200


def test_levels() -> None:
    """A running request holds its reserve; the level has a maximum and leaks."""
    now = 0.0
    throttle = Throttle(lambda: now)
    with throttle.running("a"), throttle.running("a"):
        assert throttle.remaining("a") == 500
        assert throttle.remaining("b") == 600
    assert throttle.charge("a", 100) == pytest.approx(0.12)
    throttle.cost = 10_000
    throttle.charge("a", 0)
    assert throttle.remaining("a") == -200
    now = 30.0
    assert throttle.remaining("a") == 100
    now = 1_000.0
    assert throttle.remaining("a") == 600
