"""Channels: who may speak and read, in which order, how much and how fast."""

import asyncio
import base64

import msgspec
import pytest
from msgspec import UNSET, Raw

from api import wire, wire_process, wire_spec
from api.handlers import channel, process, workflow
from api.specs import SubmitMsg
from api.wire_channel import ChannelAppendMsg, ChannelReadMsg, Entry
from api.wire_workflow import CancelProcessGraphMsg, ProcessGraph, SubmitWorkflowSpecMsg
from broker import channels, keys
from broker.errors import Denied, Invalid, Malformed, Missing, NotFound, Replayed
from broker.reactors.retention import Keep, Retirement
from broker.store import EventStore
from projections.core import fold
from projections.replay import verify
from tests.facts import COLONY, EXECUTOR, OTHER, OWNER, STRANGER, USER
from tests.stage import Stage


class Chatting(Stage):
    """A stage on which a submitter and an executor talk."""

    async def submit_with(self, *names: str) -> str:
        """A process with channels."""
        conditions = wire_spec.Conditions(colonyname=COLONY, executortype="cli")
        spec = wire_spec.FunctionSpec(funcname="chat", conditions=conditions, channels=list(names))
        text = wire.encode(wire_process.SubmitFuncSpecMsg(spec=spec))
        message = wire.decode(text, SubmitMsg)
        answer: bytes = await self.say(process.submit, USER, message)
        return wire.decode(answer, wire_process.Process).processid

    async def tell(
        self, process_id: str, text: bytes, *, caller: str = USER, number: int = 1, nonce: str = ""
    ) -> None:
        """Append to the channel "chat"."""
        message = ChannelAppendMsg(
            processid=process_id,
            name="chat",
            sequence=number,
            payload=Raw(msgspec.json.encode(text)),
        )
        await self.say(channel.append, caller, message, nonce=nonce)

    async def keep_telling(self, process_id: str) -> None:
        """Append until it is refused."""
        while True:
            await self.tell(process_id, b"x")

    async def hear(
        self, process_id: str, *, caller: str = USER, after: int = 0, limit: int = 0
    ) -> list[Entry]:
        """Read the channel "chat"."""
        message = ChannelReadMsg(processid=process_id, name="chat", afterseq=after, limit=limit)
        found: list[Entry] = await self.say(channel.read, caller, message)
        return found


@pytest.fixture
async def stage(store: EventStore) -> Chatting:
    found = Chatting(store)
    await found.found()
    return found


async def test_submitter_and_executor_talk(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat", "logs", "chat")
    await stage.tell(process_id, b"What is 2+2?")
    await stage.assign()

    await stage.tell(process_id, b"four", caller=EXECUTOR)

    first, second = await stage.hear(process_id, caller=EXECUTOR)
    assert (first.senderid, first.payload, first.type) == (USER, b"What is 2+2?", "data")
    assert (second.senderid, second.payload) == (EXECUTOR, b"four")
    assert await stage.hear(process_id) == [first, second]
    assert (await verify(stage.store, await stage.tag(), fold)).differences == ()


async def test_position_is_how_many_to_skip(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat")
    for number in (1, 2, 2, 0):
        await stage.tell(process_id, b"x", number=number)

    assert [e.sequence for e in await stage.hear(process_id)] == [1, 2, 2, 0]
    assert [e.sequence for e in await stage.hear(process_id, after=1, limit=2)] == [2, 2]
    assert [e.sequence for e in await stage.hear(process_id, after=-5, limit=1)] == [1]
    assert await stage.hear(process_id, after=99) == []
    assert await stage.hear(process_id, after=2**63 - 1) == []


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"null", None),
        (b'""', b""),
        (b'"V2hhdA=="', b"What"),
        (b"[102,111,0,255]", b"fo\x00\xff"),
        (b"[]", b""),
    ],
)
async def test_payload_may_be_text_or_numbers(
    stage: Chatting, sent: bytes, read: bytes | None
) -> None:
    process_id = await stage.submit_with("chat")
    message = ChannelAppendMsg(processid=process_id, name="chat", payload=Raw(sent), inreplyto=7)

    await stage.say(channel.append, USER, message)

    (entry,) = await stage.hear(process_id)
    assert (entry.payload, entry.inreplyto) == (read, 7)
    shown = msgspec.json.decode(wire.encode(entry))
    assert shown["payload"] == (None if read is None else base64.b64encode(read).decode())


@pytest.mark.parametrize("sent", [b'"***"', b"[300]", b"[-1]", b"[1.5]", b"{}", b"3", b"true"])
async def test_payload_of_another_kind_leaves_nothing(stage: Chatting, sent: bytes) -> None:
    process_id = await stage.submit_with("chat")
    message = ChannelAppendMsg(processid=process_id, name="chat", payload=Raw(sent))

    with pytest.raises(Malformed, match="invalid JSON"):
        await stage.say(channel.append, USER, message)

    assert await stage.hear(process_id) == []


async def test_nobody_else_speaks_or_listens(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat")

    for caller in (EXECUTOR, OTHER, OWNER, STRANGER):
        with pytest.raises(Denied):
            await stage.tell(process_id, b"x", caller=caller)
        with pytest.raises(Denied):
            await stage.hear(process_id, caller=caller)
    await stage.assign()
    await stage.tell(process_id, b"mine", caller=EXECUTOR)
    with pytest.raises(NotFound, match="Channel not found"):
        await stage.say(channel.append, USER, ChannelAppendMsg(processid=process_id, name="nope"))
    with pytest.raises(NotFound, match="Process not found"):
        await stage.tell("0" * 64, b"x")


async def test_what_was_said_can_be_read_after_the_end_until_removal(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat")
    await stage.assign()
    await stage.tell(process_id, b"last words", caller=EXECUTOR)
    await stage.close(process_id)

    for caller in (USER, EXECUTOR):
        with pytest.raises(NotFound, match="Channel not found"):
            await stage.tell(process_id, b"late", caller=caller)
        assert [e.payload for e in await stage.hear(process_id, caller=caller)] == [b"last words"]

    await stage.say(process.remove, USER, wire_process.RemoveProcessMsg(processid=process_id))
    with pytest.raises(NotFound, match="Process not found"):
        await stage.hear(process_id)
    tag = await stage.tag()
    left = await stage.store.send("EXISTS", tag.key(keys.channel(process_id, "chat")))
    assert left == 0
    assert await stage.store.send("EXISTS", tag.key(keys.channel_pace(process_id))) == 0


async def test_remembered_rows_do_not_let_anybody_speak(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat")
    elsewhere = Chatting(stage.store)
    await elsewhere.say(process.cancel, USER, wire_process.CancelProcessMsg(processid=process_id))

    with pytest.raises(NotFound, match="Channel not found"):
        await stage.tell(process_id, b"x")

    assert await stage.hear(process_id) == []


async def test_too_fast_is_refused_and_passes(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat")
    for _ in range(channels.AT_ONCE):
        await stage.tell(process_id, b"x")
    said = len(await stage.hear(process_id))
    with pytest.raises(Missing, match="rate limit exceeded"):
        await stage.keep_telling(process_id)

    stage.pass_time(1)
    await stage.tell(process_id, b"x")

    assert len(await stage.hear(process_id)) > said


async def test_payload_beyond_the_limit_is_refused(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat")
    await stage.tell(process_id, bytes(channels.MOST_PAYLOAD))

    with pytest.raises(Missing, match="maximum size"):
        await stage.tell(process_id, bytes(channels.MOST_PAYLOAD + 1))
    for _ in range(5):
        await stage.tell(process_id, bytes(channels.MOST_PAYLOAD))
    with pytest.raises(Missing, match="full"):
        await stage.tell(process_id, bytes(channels.MOST_PAYLOAD))

    assert len(await stage.hear(process_id, limit=100)) == 6


async def test_more_channels_than_allowed_are_refused(stage: Chatting) -> None:
    with pytest.raises(Invalid, match="too many channels"):
        await stage.submit_with(*map(str, range(101)))
    await stage.submit_with(*map(str, range(100)))


async def test_entry_with_a_nonce_is_said_once(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat")
    for _ in range(2):
        await stage.tell(process_id, b"once", nonce="n1")
    with pytest.raises(Replayed):
        await stage.tell(process_id, b"other", nonce="n1")

    assert len(await stage.hear(process_id)) == 1


async def test_two_servers_number_entries_without_gaps(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat")
    elsewhere = Chatting(stage.store)

    await asyncio.gather(
        *(place.tell(process_id, b"%d" % n) for n in range(50) for place in (stage, elsewhere))
    )

    entries = await stage.hear(process_id)
    assert sorted(entry.payload or b"" for entry in entries) == sorted(
        b"%d" % n for n in range(50) for _ in "12"
    )
    paged = [await stage.hear(process_id, after=n, limit=1) for n in range(100)]
    assert [page[0] for page in paged] == entries


async def test_channels_go_with_a_process_that_is_kept_no_longer(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat")
    await stage.assign()
    await stage.tell(process_id, b"last words", caller=EXECUTOR)
    await stage.close(process_id)
    context = stage.context
    retirement = Retirement(
        store=stage.store,
        sweeper=context.sweeper,
        happened=context.happened,
        default=Keep(success_s=100),
    )
    (known,) = await context.directory.every()
    stage.pass_time(99)
    assert await retirement.purge(known) == 0
    assert [e.payload for e in await stage.hear(process_id)] == [b"last words"]

    stage.pass_time(2)
    assert await retirement.purge(known) == 1

    with pytest.raises(NotFound, match="Process not found"):
        await stage.hear(process_id)
    channel_key = known.tag.key(keys.channel(process_id, "chat"))
    assert await stage.store.send("EXISTS", channel_key) == 0


async def test_channels_of_a_workflow_go_with_it(stage: Chatting) -> None:
    text = (
        b'{"msgtype":"submitworkflowspecmsg","spec":{"colonyname":"dev","functionspecs":['
        b'{"nodename":"a","conditions":{"executortype":"cli"}},'
        b'{"nodename":"b","channels":["chat"],'
        b'"conditions":{"executortype":"cli","dependencies":["a"]}}]}}'
    )
    message = wire.decode(text, SubmitWorkflowSpecMsg)
    graph: ProcessGraph = await stage.say(workflow.submit, USER, message)
    waiting = graph.processids[1]
    await stage.tell(waiting, b"early")

    cancelling = CancelProcessGraphMsg(processgraphid=graph.processgraphid)
    await stage.say(workflow.cancel, USER, cancelling)

    with pytest.raises(NotFound, match="Channel not found"):
        await stage.tell(waiting, b"late")
    assert (await stage.hear(waiting))[0].inreplyto is UNSET


async def test_entry_that_was_said_before_the_end_may_be_repeated_after_it(stage: Chatting) -> None:
    process_id = await stage.submit_with("chat")
    await stage.tell(process_id, b"once", nonce="n1")
    await stage.say(process.cancel, USER, wire_process.CancelProcessMsg(processid=process_id))

    await stage.tell(process_id, b"once", nonce="n1")

    assert len(await stage.hear(process_id)) == 1
