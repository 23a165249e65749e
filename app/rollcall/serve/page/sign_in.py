"""Routes of the page: sign in with a token, and sign out."""

from __future__ import annotations

import asyncio
import logging
import time
from urllib.parse import parse_qs

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from rollcall.serve.page.responses import PageError, document, redirect
from rollcall.serve.page.routing import GET, PageState, check_origin, new_router, visitor_of
from rollcall.serve.page.sessions import COOKIE, SESSION_SECONDS

log = logging.getLogger(__name__)

MOST_FORM_BYTES = 4_096

WRONG_TOKEN_SECONDS = 0.5
"""Delay of the response to a wrong token. Tokens cannot be guessed; the delay keeps a program that
tries from filling the log.
"""

_FORM = "application/x-www-form-urlencoded"

router = new_router()


@router.api_route("/login", methods=GET)
async def login_form(request: Request, page: PageState) -> Response:
    """The form, or the page if the visitor has signed in already."""
    try:
        visitor_of(request, page)
    except PageError:
        return document(page.login_document)
    return redirect("/")


@router.post("/login")
async def sign_in(request: Request, page: PageState) -> Response:
    """Start a session, with the token of the form."""
    check_origin(request)
    if not page.sessions.required:
        return redirect("/")
    visitor = page.sessions.sign_in(await _token_of_form(request), time.time())
    if visitor is None:
        log.warning("sign-in with an unknown token")
        await asyncio.sleep(WRONG_TOKEN_SECONDS)
        message = '<p class="problem" role="alert">This token is not known. Is it complete?</p>'
        return document(page.login_document.replace("<!-- message -->", message), 401)
    log.info("%s has signed in", visitor.name)
    response = redirect("/")
    assert visitor.session is not None
    response.set_cookie(
        COOKIE,
        visitor.session,
        SESSION_SECONDS,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/logout")
async def sign_out(request: Request, page: PageState) -> Response:
    """End the session."""
    check_origin(request)
    page.sessions.sign_out(request.headers)
    response = redirect("/login")
    response.delete_cookie(
        COOKIE, path="/", secure=request.url.scheme == "https", httponly=True, samesite="strict"
    )
    return response


async def _token_of_form(request: Request) -> str:
    """The token in a form; empty if the form has none.

    Raises:
        PageError: 400, 413, 415, the body is no complete form.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise PageError(415, f"a form is expected: {_FORM}")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MOST_FORM_BYTES:
                raise PageError(413, f"a form of {MOST_FORM_BYTES} bytes at most is expected")
    except ClientDisconnect:
        raise PageError(400, "the form is not complete") from None
    try:
        fields = parse_qs(body.decode(), max_num_fields=10)
    except ValueError:
        raise PageError(400, "the form cannot be read") from None
    return fields.get("token", [""])[0].strip()
