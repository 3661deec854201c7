"""``colonies channel``: what the submitter of a process and its executor say to each other."""

import base64
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from msgspec import UNSET

from api.wire_channel import ChannelAppendMsg, ChannelReadMsg, Entry
from cli import render, spec
from cli.channelfollow import entries
from cli.errors import UsageError
from cli.options import NONE, ONCE, Format, Options, Watch
from cli.processes import whole_id
from cli.session import Session

app = App(name="channel", help="Manage channels.", help_format="plaintext")

ProcessId = Annotated[str, Parameter(name=("--processid", "-p"))]
Name = Annotated[str, Parameter(name=("--name", "-n"))]
_LONGEST = 64
_SHORT = 12
_DATA = "data"


@app.command
async def append(
    processid: ProcessId,
    *,
    name: Name,
    msg: Annotated[str | None, Parameter(name=("--msg", "-m"))] = None,
    file: str | None = None,
    type_: Annotated[str, Parameter(name=("--type",))] = "",
    sequence: int | None = None,
    inreplyto: int = 0,
    options: Options = NONE,
) -> None:
    """Append an entry to a channel; signed by who submitted the process, or by its executor.

    Args:
        processid: its id, or the beginning of it.
        name: name of the channel, one of those in the function spec.
        msg: what to say.
        file: a file with what to say instead, - for standard input.
        type_: data, end, error, or what the two agree on (data).
        sequence: its number; entries of one sender are in the order of these (the time in ns).
        inreplyto: number of the entry that it answers.
        options: global options.
    """
    payload = _payload(msg, file)
    async with Session(options) as session:
        client = session.client()
        processid = await whole_id(client, session.colony, processid)
        number = time.time_ns() if sequence is None else sequence
        message = ChannelAppendMsg(
            processid=processid,
            name=name,
            sequence=number,
            inreplyto=inreplyto,
            payload=spec.json_text(base64.b64encode(payload).decode("ascii")),
            payloadtype=type_,
        )
        await client.tell(message)
        session.out.done(
            "Appended to channel",
            ids=str(number),
            Name=name,
            ProcessId=processid,
            Sequence=str(number),
        )


def _payload(text: str | None, file: str | None) -> bytes:
    if (text is None) == (file is None):
        raise UsageError("what is to be said?", hint="give either --msg TEXT or --file FILE")
    if text is not None:
        return text.encode()
    if file is None or file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


@app.command
async def read(
    processid: ProcessId,
    *,
    name: Name,
    after: int = 0,
    limit: int = 0,
    raw: Annotated[bool, Parameter(negative="")] = False,
    watch: Watch = ONCE,
    options: Options = NONE,
) -> None:
    """Read a channel; signed by who submitted the process, or by its executor.

    Args:
        processid: its id, or the beginning of it.
        name: name of the channel.
        after: leave out so many entries; the first column of the table counts them (0).
        limit: number of entries, 0 for all (0).
        raw: only what was said, as it was said.
        watch: how often to show it.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        message = ChannelReadMsg(
            processid=await whole_id(client, session.colony, processid),
            name=name,
            afterseq=max(0, after),
            limit=limit,
        )
        if raw:
            found = await client.ask_list(message, Entry)
            session.out.write("".join(_text(entry) for entry in found))
            return

        async def ask() -> render.Listing:
            found = await client.ask_list(message, Entry)
            return render.Listing(
                header=("NO", "TIME", "SENDER", "TYPE", "SEQUENCE", "IN REPLY TO", "PAYLOAD"),
                rows=[_row(number, entry) for number, entry in enumerate(found, max(0, after) + 1)],
                nothing="No entries found",
                data=spec.plain(found),
                ids=[str(entry.sequence) for entry in found],
            )

        await session.show(ask, watch)


@app.command
async def follow(
    processid: ProcessId,
    *,
    name: Name,
    after: int = 0,
    raw: Annotated[bool, Parameter(negative="")] = False,
    options: Options = NONE,
) -> None:
    """Print what is said in a channel as it is said, until the process has ended.

    Signed by who submitted the process, or by its executor.

    Args:
        processid: its id, or the beginning of it.
        name: name of the channel.
        after: leave out so many entries (0).
        raw: only what was said, as it was said.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        processid = await whole_id(client, session.colony, processid)
        after = max(0, after)
        first = ChannelReadMsg(processid=processid, name=name, afterseq=after, limit=1)
        # Who may not read is told so at once, and by the words of that.
        await client.ask_list(first, Entry)
        async with aclosing(entries(client, processid, name, after=after)) as told:
            async for found in told:
                _print(session, found, raw=raw)


def _print(session: Session, found: list[Entry], *, raw: bool) -> None:
    out = session.out
    if raw:
        out.write("".join(_text(entry) for entry in found))
    elif out.format is Format.TABLE:
        out.write("".join(map(_line, found)))
    else:
        out.stream([(str(entry.sequence), spec.plain(entry)) for entry in found])


def _line(entry: Entry) -> str:
    kind = "" if entry.type is UNSET or entry.type == _DATA else f" {entry.type}"
    text = _text(entry).removesuffix("\n")
    at = render.moment(entry.timestamp)
    return render.printable(f"{at} {entry.senderid[:_SHORT]}{kind}: {text}") + "\n"


def _row(number: int, entry: Entry) -> render.Row:
    text = _text(entry).removesuffix("\n")
    return (
        str(number),
        render.moment(entry.timestamp),
        render.Id(entry.senderid),
        "" if entry.type is UNSET else entry.type,
        str(entry.sequence),
        "" if entry.inreplyto is UNSET else str(entry.inreplyto),
        text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...",
    )


def _text(entry: Entry) -> str:
    return (entry.payload or b"").decode(errors="replace")
