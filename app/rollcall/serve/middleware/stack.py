"""The order of the middlewares around the application, and its reasons."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from rollcall.http.body_limit import BodyLimit
from rollcall.http.concurrency_limit import ConcurrencyLimit
from rollcall.http.deadline import Deadline
from rollcall.http.error_responses import ErrorResponses
from rollcall.http.http_only import HttpOnly
from rollcall.http.request_head import RequestHeadCheck
from rollcall.process.metrics import ServeMetrics
from rollcall.serve.context import ServeContext
from rollcall.serve.middleware.access_log import AccessLog
from rollcall.serve.middleware.authentication import Authentication
from rollcall.serve.middleware.complete_replica import CompleteReplica
from rollcall.serve.middleware.head_as_get import HeadAsGet
from rollcall.serve.middleware.host_check import HostCheck
from rollcall.serve.middleware.parameter_names import ParameterNames
from rollcall.serve.middleware.paths import HEALTH_PATHS
from rollcall.serve.middleware.read_only import MOST_BODY_BYTES, ReadOnly
from rollcall.serve.middleware.request_metrics import RequestMetrics

GZIP_BYTES = 1_000
"""Smallest response that is compressed."""

GZIP_LEVEL = 5
"""A page of 100 enrollments takes 1 ms and shrinks to a twelfth. Level 9 takes four times as long
for little.
"""


def with_middlewares(app: ASGIApp, context: ServeContext, metrics: ServeMetrics) -> ASGIApp:
    """The application with all middlewares around it. Every request passes all of them."""
    for middleware in reversed(_outermost_first(context, metrics)):
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)
    return app


def _outermost_first(context: ServeContext, metrics: ServeMetrics) -> list[Middleware]:
    settings, tokens, follower = context.settings, context.tokens, context.follower
    return [
        # First, because all others expect HTTP and may change the scope.
        Middleware(HttpOnly),
        # Outside of everything that refuses, because refused requests are logged and counted too.
        Middleware(AccessLog),
        Middleware(RequestMetrics, metrics),
        # Outside of everything that raises HttpError.
        Middleware(ErrorResponses),
        # Before any header is used: the next ones may rely on one valid Host.
        Middleware(RequestHeadCheck),
        # Before the tokens: a foreign page learns nothing, not even whether a path exists.
        Middleware(HostCheck, bind=settings.bind, tokens_required=tokens.required),
        # Before the other checks of the API: without a token their errors are not sent.
        Middleware(Authentication, tokens),
        # Before CompleteReplica: a retry does not help a request that would write.
        Middleware(ReadOnly),
        # Before ParameterNames, which costs more and is useless without rows.
        Middleware(CompleteReplica, lambda: follower.progress.complete),
        Middleware(ParameterNames),
        # After ReadOnly and AccessLog, which need the method of the client.
        Middleware(HeadAsGet),
        # After all cheap refusals, which take no place. Around the deadline: a place is free only
        # when the request has really ended.
        Middleware(ConcurrencyLimit, settings.most_requests, exempt=HEALTH_PATHS),
        Middleware(Deadline, settings.request_seconds, exempt=HEALTH_PATHS),
        # Within the deadline, because it waits for the client.
        Middleware(BodyLimit, MOST_BODY_BYTES),
        # Innermost: the log has compressed sizes, as they are sent to the client.
        Middleware(GZipMiddleware, minimum_size=GZIP_BYTES, compresslevel=GZIP_LEVEL),
    ]
