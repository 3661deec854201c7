"""Servers are started, found and ended with everything they started."""

import asyncio
import os
from pathlib import Path

import pytest

from bench import servers, usage
from bench.connection import connect
from bench.servers import port_said


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


def test_a_process_counts_with_its_children() -> None:
    assert usage.resident_bytes(os.getpid()) > 1_000_000


async def test_what_ends_at_once_is_reported_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(broken))
    with pytest.raises(servers.NotStarted, match="ended with 3: no such luck"):
        async with asyncio.timeout(10), servers.floor(1):
            pass
