"""What requests carry, taken within limits of size and time."""

from __future__ import annotations

import asyncio
import time

from parlante.errors import ParlanteError

try:
    from aiohttp import web
except ImportError as error:
    raise ParlanteError('serve needs aiohttp; install "parlante[serve]"') from error

PATIENCE = 60.0  # seconds that all of a body may take


async def body_of(request: web.Request, most: int) -> bytes:
    """All that a request carries.

    Raises:
        aiohttp.web.HTTPException: it is compressed, more than ``most`` bytes, or slow.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType(text="what is sent is compressed; send it as it is")
    body, end = bytearray(), time.monotonic() + PATIENCE
    try:
        while piece := await asyncio.wait_for(request.content.readany(), end - time.monotonic()):
            body += piece
            if len(body) > most:
                raise web.HTTPRequestEntityTooLarge(most, len(body))
        return bytes(body)
    except ConnectionError as error:
        raise web.HTTPBadRequest(text="the connection was lost") from error
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise web.HTTPRequestTimeout(
            text=f"not all of it came in {PATIENCE:.0f} s; send it faster, or less"
        ) from error
    finally:
        body.clear()  # which an exception holds on to
