"""What gateways and verifiers send, read strictly: whole numbers in the query, bodies no further than their limit."""

import asyncio

from aiohttp import web

CHUNK_S = 30.0  # a slow link is fine, a silent one is not
WHOLE_MAX = (1 << 53) - 1


def whole(request: web.Request, name: str, default: int | None = None, low: int = 0, high: int = WHOLE_MAX) -> int:
    """Return a whole query parameter within [low, high]; 400 for anything else, or if missing without a default."""
    text = request.query.get(name)
    if text is None:
        if default is None:
            raise web.HTTPBadRequest(text=f"{name}: is required")
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or not low <= int(text) <= high:
        raise web.HTTPBadRequest(text=f"{name}: not a whole number within {low} to {high}")
    return int(text)


async def read_body(request: web.Request, bytes_max: int) -> bytes:
    """Return the request's body, read no further than the limit; 413 beyond, 415 for a compressed transfer."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType(text="send the body as it is: batches are compressed already")
    too_large = web.HTTPRequestEntityTooLarge(
        bytes_max, request.content_length or 0, text=f"more than {bytes_max} bytes"
    )
    if request.content_length is not None and request.content_length > bytes_max:
        raise too_large
    data = bytearray()
    while True:
        try:
            async with asyncio.timeout(CHUNK_S):
                chunk = await request.content.readany()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text=f"nothing came for {CHUNK_S:.0f} s") from None
        if not chunk:
            return bytes(data)
        data += chunk
        if len(data) > bytes_max:
            raise too_large
