"""verify sees what no fold makes: keys of other types under a colony's tag."""

import pytest

from broker.reading import Link
from broker.store import EventStore
from projections.core import fold
from projections.replay import verify
from tests.facts import TAG, founded
from tests.store.ground import append


@pytest.mark.parametrize("command", [("SET", "y"), ("LPUSH", "y")], ids=["string", "list"])
async def test_key_of_a_type_no_fold_makes_is_a_difference(
    store: EventStore, link: Link, command: tuple[str, str]
) -> None:
    await append(store, founded())
    await link.call(command[0], TAG.key("x"), command[1])

    assert [each.key for each in (await verify(store, TAG, fold)).differences] == ["x"]
