"""Short ids of processes, where chance would have to make two alike, and how long they waited."""

import json
from datetime import UTC, datetime

import pytest

from api import wire, wire_process
from cli.client import Client
from cli.errors import UsageError
from cli.processes import blocks, whole_id
from tests.cli.test_client import ME, PATIENT, Listener, reply

NEVER = "0001-01-01T00:00:00Z"
FIRST, SECOND = "abcd" + "1" * 60, "abcd" + "2" * 60


def waiting(identity: str) -> dict[str, object]:
    """A waiting process as the server tells of it."""
    times = ("submissiontime", "starttime", "endtime", "waitdeadline", "execdeadline")
    texts = ("initiatorid", "initiatorname", "assignedexecutorid", "processgraphid")
    fixed: dict[str, object] = {
        **dict.fromkeys(times, NEVER),
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(("state", "prioritytime", "retries"), 0),
        **dict.fromkeys(("isassigned", "waitforparents"), False),
        **{key: [] for key in ("attributes", "parents", "children", "in", "out", "errors")},
        "spec": {},
    }
    return {**fixed, "processid": identity}


def listed(*ids: str) -> bytes:
    """The reply to a question for a list of processes."""
    return reply([waiting(identity) for identity in ids])


async def test_a_beginning_that_several_ids_share_is_not_enough() -> None:
    listener = Listener(listed(FIRST), listed(SECOND), *[listed()] * 3)
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        with pytest.raises(UsageError, match="2 processes have an id that begins with abcd"):
            await whole_id(client, "dev", "abcd")


async def test_a_longer_beginning_tells_them_apart() -> None:
    listener = Listener(listed(FIRST), listed(SECOND), *[listed()] * 3)
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        assert await whole_id(client, "dev", "abcd2") == SECOND


@pytest.mark.parametrize("typed", [FIRST, "abc", "none", ""])
async def test_what_is_no_beginning_of_an_id_is_not_looked_up(typed: str) -> None:
    listener = Listener()
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        assert await whole_id(client, "dev", typed) == typed
    assert listener.connections == 0


def test_of_a_process_as_it_was_the_wait_ends_at_that_moment() -> None:
    told = {**waiting(FIRST), "submissiontime": "2026-11-23T14:30:00Z"}
    process = wire.decode(json.dumps(told).encode(), wire_process.Process)

    shown, *_ = blocks(process, datetime(2026, 11, 23, 14, 32, 30, tzinfo=UTC))

    assert ("WaitingTime", "2m30s") in shown.rows
