"""Connections that are broken off, and seen closed."""

import asyncio
from collections.abc import Collection, Sequence


async def break_off(
    carrying: Collection[asyncio.Future[None]], writers: Sequence[asyncio.StreamWriter]
) -> None:
    """End what carries bytes, abort both ends, and wait until they are closed.

    The loop may end before it comes to what was only scheduled, and what is left open then is
    complained of in another test.
    """
    for one in carrying:
        one.cancel()
    for writer in writers:
        writer.transport.abort()
    closing = (writer.wait_closed() for writer in writers)
    await asyncio.gather(*carrying, *closing, return_exceptions=True)
