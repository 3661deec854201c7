"""Channels: what submitter and executor say to each other."""

from pathlib import Path
from typing import cast

import pytest

from tests.cli.conftest import Shell
from tests.cli.test_commands import NOWHERE, assign, rows, submit

SPEC = '{"funcname": "f", "channels": ["chat"], "conditions": {"executortype": "cli"}}'


@pytest.fixture
def process(colony: Shell, worker: Shell) -> str:
    """A process with a channel, that runs."""
    colony.ok("function submit --spec -", stdin=SPEC)
    return assign(worker)


def test_both_sides_read_what_the_other_says(colony: Shell, worker: Shell, process: str) -> None:
    ran = colony.ok(f"channel append -p {process[:8]} -n chat -m hello")
    assert f"Name=chat ProcessId={process} Sequence={ran.id}" in ran.err
    worker.ok(
        f"channel append {process} --name chat --msg 'who is there?' --sequence 7"
        f" --inreplyto {ran.id} --type question"
    )
    shown = rows(worker.ok(f"channel read {process[:8]} --name chat"))
    assert shown[0] == ["NO", "TIME", "SENDER", "TYPE", "SEQUENCE", "IN REPLY TO", "PAYLOAD"]
    user, executor = (colony.environ[name] for name in ("USER_ID", "WORKER_ID"))
    assert [row[:1] + row[2:] for row in shown[1:]] == [
        ["1", user, "data", ran.id, "", "hello"],
        ["2", executor, "question", "7", ran.id, "who is there?"],
    ]
    assert colony.ok(f"channel read {process} -n chat --raw").out == "hellowho is there?"


def test_reading_goes_on_where_it_ended(colony: Shell, process: str) -> None:
    for word in ("one", "two", "three"):
        colony.ok(f"channel append {process} -n chat -m {word}")
    shown = rows(colony.ok(f"channel read {process} -n chat --after 1 --limit 1"))
    assert [(row[0], row[-1]) for row in shown[1:]] == [("2", "two")]
    entries = cast(
        "list[dict[str, object]]",
        colony.ok(f"channel read {process} -n chat --after 2 --json").json,
    )
    assert [entry["payload"] for entry in entries] == ["dGhyZWU="]
    assert "No entries found" in colony.ok(f"channel read {process} -n chat --after 3").err


def test_a_file_or_standard_input_can_be_said(colony: Shell, process: str, tmp_path: Path) -> None:
    (tmp_path / "said").write_bytes(b"of a file\xff" + b"x" * 100)
    colony.ok(f"channel append {process} -n chat --file {tmp_path}/said")
    assert colony.program(f"channel append {process} -n chat --file -", stdin="piped").code == 0
    shown = rows(colony.ok(f"channel read {process} -n chat"))
    assert [row[-1] for row in shown[1:]] == ["of a file\ufffd" + "x" * 54 + "...", "piped"]


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        (f"append {NOWHERE} -n chat", 2, "what is to be said?"),
        (f"append {NOWHERE} -n chat -m a --file b", 2, "what is to be said?"),
        (f"append {NOWHERE} -n chat --file nowhere", 2, "cannot read nowhere"),
        (f"append {NOWHERE} -n chat -m a", 1, "Process not found"),
        (f"read {NOWHERE} -n chat", 1, "Process not found"),
        ("append PROCESS -n other -m a", 1, "Channel not found"),
        ("read PROCESS -n other", 1, "Channel not found"),
    ],
)
def test_what_cannot_be_is_refused(
    colony: Shell, process: str, line: str, code: int, text: str
) -> None:
    ran = colony(f"channel {line.replace('PROCESS', process)}")
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err
    assert "hint: " in ran.err or "cannot read" in text


def test_a_stranger_in_the_colony_is_refused(dev_user: Shell, process: str) -> None:
    for line in (f"append {process} -n chat -m a", f"read {process} -n chat"):
        ran = dev_user(f"channel {line}")
        assert (ran.code, "Not authorized" in ran.err) == (1, True)


@pytest.fixture
def dev_user(colony: Shell) -> Shell:
    """Another user of the colony."""
    key = cast("dict[str, str]", colony.ok("key generate --json").json)
    colony.ok(f"user add --name eva --userid {key['id']}")
    return colony.with_environ(COLONIES_PRVKEY=key["prvkey"])


def test_a_channel_ends_with_its_process(colony: Shell, worker: Shell, process: str) -> None:
    worker.ok(f"process close {process}")
    ran = colony(f"channel append {process} -n chat -m late")
    assert (ran.code, "Channel not found" in ran.err) == (1, True)
    assert "until the process ends" in ran.err


def test_processes_are_offered_while_they_have_channels(colony: Shell, worker: Shell) -> None:
    waiting = submit(colony)
    asked = f"__complete channel append -p {waiting[:6]}"
    assert colony.ok(asked).out.split() == [waiting]
    worker.ok(f"process close {assign(worker)}")
    assert colony.ok(asked).out == ""
