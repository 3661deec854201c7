"""Servers are started, found and ended with everything they started."""

import asyncio
import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from bench import servers, usage
from bench.connection import connect
from bench.servers import port_said
from tests.patience import PATIENCE_S


def test_the_port_is_in_the_ready_line() -> None:
    log = 'starting\n{"event": "loading"}\n{"event": "ready", "port": 4711}\nmore\n'
    assert port_said(log) == 4711


@pytest.mark.parametrize("log", ["", "hello\n", '{"event": "ready", "port": 47'])
def test_without_a_whole_ready_line_there_is_no_port(log: str) -> None:
    assert port_said(log) is None


async def test_all_workers_serve_and_end() -> None:
    async with servers.floor(2) as target:
        assert target.pid is not None
        workers = list(usage.family(target.pid))[1:]
        connection = await connect(target.endpoint)
        reply = await connection.request(target.endpoint.get("/health"))
        connection.close()
        await connection.wait_closed()
        used = target.cpu_seconds()
    assert reply.status == 200
    assert len(workers) == 2
    assert used["server"] > 0
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_as_many_connections_as_asked_for_are_open_and_answered() -> None:
    async with servers.floor(2) as target, servers.even_connections(target, 8) as opened:
        replies = [await one.request(target.endpoint.get("/health")) for one in opened]
    assert [reply.status for reply in replies] == [200] * 8


@pytest.fixture
def pair() -> Generator["subprocess.Popen[bytes]"]:
    """A shell and its child, which has begun; the child ends with the shell's input."""
    shell = subprocess.Popen(
        ["/bin/sh", "-c", "cat; true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(b"begun\n")
        shell.stdin.flush()
        assert shell.stdout.readline() == b"begun\n"
        yield shell


def test_a_process_counts_with_its_children(pair: "subprocess.Popen[bytes]") -> None:
    parent, child = (psutil.Process(pid) for pid in usage.family(pair.pid))
    assert parent.pid == pair.pid
    assert child.name() == "cat"
    alone = [one.memory_info().rss for one in (parent, child)]
    assert usage.resident_bytes(pair.pid) == sum(alone) > max(alone)


def test_a_child_that_ends_while_it_is_looked_at_counts_as_nothing(
    pair: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(["/bin/true"]) as brief:
        ended = psutil.Process(brief.pid)
    (child,) = psutil.Process(pair.pid).children()

    def seen(_: psutil.Process, *, recursive: bool) -> list[psutil.Process]:
        assert recursive
        return [ended, child]

    monkeypatch.setattr(psutil.Process, "children", seen)
    assert usage.resident_bytes(pair.pid) > child.memory_info().rss
    assert usage.cpu_seconds(pair.pid) < 1
    assert not usage.runs(ended.pid)


def test_what_a_process_costs_that_has_ended_is_an_error() -> None:
    with subprocess.Popen(["/bin/true"]) as brief:
        pass
    with pytest.raises(psutil.NoSuchProcess):
        usage.resident_bytes(brief.pid)


async def test_what_ends_at_once_is_reported_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(broken))
    with pytest.raises(servers.NotStarted, match="ended with 3: no such luck"):
        async with asyncio.timeout(PATIENCE_S), servers.floor(1):
            pass
