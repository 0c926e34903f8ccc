"""Who may ask a server for what: tokens, and pages of other sites."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from parlante.errors import ParlanteError

try:
    from aiohttp import web
except ImportError as error:
    raise ParlanteError('serve needs aiohttp; install "parlante[serve]"') from error

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

OPEN = "/healthz"  # what watches may know no token, and learns nothing
BEARER = "Bearer "


def needs_token(host: str) -> bool:
    """Whether ``host`` can be reached from other machines."""
    if host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def guard(token: str | None) -> Middleware:
    """Answers only who may ask: with the ``token``, or where there is none, under a local name."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != OPEN:
            _check(request, token)
        return await handler(request)

    return guarded


def _check(request: web.Request, token: str | None) -> None:
    if token is None:
        # A foreign name that was made to lead here carries a foreign page.
        if needs_token(_name_of(request.host)):
            raise web.HTTPForbidden(text="open 127.0.0.1 or localhost")
    elif not any(hmac.compare_digest(given, token.encode()) for given in _tokens(request)):
        raise web.HTTPForbidden(text="wrong token; open the address that the server printed")
    # A page of another site must not speak through this one.
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise web.HTTPForbidden(text="another site's page; open this server's own")


def _tokens(request: web.Request) -> list[bytes]:
    """Those of the address and of the header ``Authorization: Bearer TOKEN``."""
    header = request.headers.get("Authorization", "")
    given = [request.query.get("token", "")]
    if header[: len(BEARER)].lower() == BEARER.lower():
        given.append(header[len(BEARER) :].strip())
    return [one.encode(errors="replace") for one in given]


def _name_of(host: str) -> str:
    """The name in a request's Host, without a port; "" where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def headed(_: web.Request, response: web.StreamResponse) -> None:
    """No answer is taken for what it is not; no address, which may hold a token, is passed on."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
