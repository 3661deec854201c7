"""A link to fakeredis that answers as a socket to a real server would: in raw RESP2."""

import asyncio
from typing import Any

import fakeredis
from redis.exceptions import NoScriptError, ResponseError

from broker.pipeline import Reply, ReplyError

MOST_AT_ONCE = 10_000


class FakeLink:
    """Says commands to fakeredis; what redis-py makes of the replies is left out."""

    def __init__(self, server: fakeredis.FakeServer | None = None) -> None:
        """Links to one ``server`` share its data."""
        client: Any = fakeredis.FakeAsyncRedis(
            server=server or fakeredis.FakeServer(), protocol=2, max_connections=MOST_AT_ONCE
        )
        client.response_callbacks.clear()
        self._say = client.execute_command

    async def call(self, *args: Any) -> Reply:  # noqa: ANN401 - what Redis takes
        """Send one command; others get their turn first, as they do while a socket answers."""
        await asyncio.sleep(0)
        try:
            return await self._say(*args)
        except NoScriptError as error:
            # redis-py cuts off the code of errors that have a class of their own.
            raise ReplyError(f"NOSCRIPT {error}") from error
        except ResponseError as error:
            raise ReplyError(str(error)) from error
