"""``colonies monitor start`` as a program: the reference's gauges, Ctrl-C, and mistakes."""

import os
import re
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

import httpx
import pytest

from tests.cli.conftest import PROGRAM, Dev, Shell, clean_environ
from tests.patience import PATIENCE_S

_PORT = re.compile(r"Port=(\d+)")
_GAUGES = {
    "colonies_server_colonies",
    "colonies_server_executors",
    *(
        f"colonies_server_{what}_{state}"
        for what in ("processes", "workflows")
        for state in ("waiting", "running", "successful", "failed")
    ),
}


@contextmanager
def monitoring(dev: Dev, **environ: str) -> Generator[tuple[subprocess.Popen[str], int]]:
    """A monitor that serves, and its port."""
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [*PROGRAM, "monitor", "start", "--listen", "127.0.0.1"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean_environ(), "COLONIES_HOME": str(dev.home), **environ},
    )
    with process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            found = _PORT.search(said)
            assert found, said
            yield process, int(found.group(1))
        finally:
            process.kill()


def shown(port: int) -> dict[str, float]:
    """What it serves."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_the_gauges_of_the_reference_are_served_until_ctrl_c(dev: Dev) -> None:
    with monitoring(dev, COLONIES_MONITOR_PORT="0") as (process, port):
        gauges = shown(port)
        assert gauges.keys() == _GAUGES | {"colonies_server_up"}
        assert gauges["colonies_server_up"] == 1
        assert gauges["colonies_server_colonies"] >= 1
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130


def test_a_port_in_use_is_named(dev: Dev, shell: Shell) -> None:
    ran = shell(f"monitor start --listen 127.0.0.1 --port {dev.port}")
    assert ran.code == 1
    assert f"cannot listen on 127.0.0.1:{dev.port}" in ran.err


@pytest.mark.parametrize("port", ["x", "-1", "65536"])
def test_a_port_that_is_none_is_a_usage_error(shell: Shell, port: str) -> None:
    ran = shell("monitor start", COLONIES_MONITOR_PORT=port)
    assert ran.code == 2
    assert "COLONIES_MONITOR_PORT takes a whole number from 0 to 65535" in ran.err


def test_it_is_signed_by_the_server_owner(shell: Shell) -> None:
    ran = shell("monitor start --port 0", COLONIES_SERVER_PRVKEY=os.urandom(32).hex())
    assert ran.code == 1
    assert "not server owner" in ran.err
