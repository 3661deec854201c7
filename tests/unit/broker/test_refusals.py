"""What is said of a store that takes no command now: why, and nothing of its inner life."""

from typing import Any

import pytest

from broker.clock import StoreClock
from broker.errors import Corrupt, Overloaded, Unavailable
from broker.pipeline import Reply, ReplyError
from broker.store import EventStore
from projections.core import fold


class Refusing:
    """A store that answers every command with the same error."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def call(self, *_args: Any) -> Reply:  # noqa: ANN401 - what Redis takes
        """Take no command."""
        raise ReplyError(self._text)


def refusing(text: str) -> EventStore:
    return EventStore(Refusing(text), fold, StoreClock())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "READONLY You can't write against a read only replica. script: on @user_script:42.",
            "the store is a replica; try again later",
        ),
        ("LOADING server is loading", "the store is reading its data; try again later"),
        (
            "ERR max number of clients reached",
            "the store has as many clients as it allows; try again later",
        ),
        (
            "OOM command not allowed when used memory > 'maxmemory'.",
            "the store is out of memory; nothing was written, try again later",
        ),
    ],
)
async def test_store_that_takes_nothing_now_says_why(text: str, said: str) -> None:
    with pytest.raises((Overloaded, Unavailable)) as refused:
        await refusing(text).send("SET", "a", "b")
    assert str(refused.value) == said


@pytest.mark.parametrize("text", ["ERR wrong number of arguments", "BUSYGROUP it is there"])
async def test_other_errors_are_bugs(text: str) -> None:
    with pytest.raises(Corrupt, match=text):
        await refusing(text).send("SET", "a", "b")
