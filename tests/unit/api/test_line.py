"""The other end of a request: noticed when it goes, also by those who ask late."""

import asyncio
from typing import Any

from api.http import Line
from api.rpc import AsgiLine


class Client:
    """Somebody who may hang up."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        """What the server hears, once there is something."""
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_listeners_are_told_when_the_client_goes() -> None:
    client, told = Client(), list[str]()
    line = AsgiLine(client.receive)
    line.watch(lambda: told.append("first"))
    line.watch(lambda: told.append("second"))
    await settled()
    assert (line.gone, told) == (False, [])

    client.gone.set()
    await settled()

    assert (line.gone, told) == (True, ["first", "second"])


async def test_listener_that_comes_late_is_told_at_once() -> None:
    client, told = Client(), list[str]()
    line = AsgiLine(client.receive)
    line.watch()
    client.gone.set()
    await settled()

    line.watch(lambda: told.append("late"))

    assert told == ["late"]


async def test_line_that_is_closed_is_not_watched_any_more() -> None:
    client, told = Client(), list[str]()
    line = AsgiLine(client.receive)
    line.watch(lambda: told.append("told"))
    await settled()

    line.close()
    client.gone.set()
    await settled()

    assert told == []


async def test_nobody_watches_unasked() -> None:
    client = Client()
    line = AsgiLine(client.receive)
    client.gone.set()
    await settled()

    assert not line.gone


async def test_late_listener_is_told_at_once_on_the_short_way_too() -> None:
    line, told = Line(keep_alive=True), list[str]()
    line.watch(lambda: told.append("early"))
    line.lost()

    line.watch(lambda: told.append("late"))

    assert (line.gone, told) == (True, ["early", "late"])
