"""``colonies server start``: settings from the environment with flags on top."""

import json
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from broker.settings import Tls
from cli.commands.server import settings
from cli.config import resolve
from cli.profile import Profiles
from tests.certificates import Certificate
from tests.cli.conftest import PROGRAM, Shell, clean_environ, new_key
from tests.patience import PATIENCE_S
from tests.ports import free_port


@contextmanager
def started(environ: dict[str, str], *options: str) -> Generator["subprocess.Popen[str]"]:
    """Run ``colonies server start`` until the end of the block; it must say that it is ready."""
    with subprocess.Popen(  # noqa: S603 - ourselves
        [*PROGRAM, "server", "start", *options],
        env={**clean_environ(), **environ},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said: list[str] = []
            while not (said and '"ready"' in said[-1]):
                said.append(process.stderr.readline())
                assert said[-1], "".join(said)
            yield process
        finally:
            process.terminate()


@pytest.fixture
def nowhere(tmp_path: Path) -> Shell:
    """Command lines with nothing configured."""
    return Shell({"COLONIES_HOME": str(tmp_path)})


@pytest.mark.real
def test_a_server_runs_on_a_redis_of_its_own(nowhere: Shell, redis_url: str) -> None:
    owner = new_key()
    port = str(free_port())
    environ = {
        "COLONIES_REDIS_URL": redis_url,
        "COLONIES_SERVER_ID": owner["id"],
        "COLONIES_SERVER_PORT": "1",
    }
    with started(environ, "--port", port, "--listen", "127.0.0.1") as server:
        nowhere.ok(f"server alive --port {port}")
        versions = json.loads(nowhere.ok(f"server status --port {port} --json").out)
        assert versions["serverversion"] == versions["cliversion"] != ""
        nowhere.ok(f"server stats --port {port}", COLONIES_SERVER_PRVKEY=owner["prvkey"])
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE_S) == 0


@pytest.mark.real
def test_several_workers_share_the_port(nowhere: Shell, redis_url: str) -> None:
    owner = new_key()
    port = str(free_port())
    # The id of the owner follows from the key.
    environ = {"COLONIES_REDIS_URL": redis_url, "COLONIES_SERVER_PRVKEY": owner["prvkey"]}
    with started(environ, "--port", port, "--workers", "2") as server:
        nowhere.ok(f"server stats --port {port}", COLONIES_SERVER_PRVKEY=owner["prvkey"])
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE_S) == 0


@pytest.mark.real
def test_tls_is_served(nowhere: Shell, redis_url: str, tmp_path: Path) -> None:
    made = Certificate.made_in(tmp_path)
    port = str(free_port())
    environ = {"COLONIES_REDIS_URL": redis_url, "COLONIES_SERVER_ID": new_key()["id"]}
    options = ("--port", port, "--tlscert", str(made.cert), "--tlskey", str(made.key))
    with started(environ, *options):
        line = f"server alive --port {port}"
        assert "hint" in nowhere(line).err
        distrusted = nowhere(f"{line} --tls")
        assert distrusted.code == 3
        assert "is not trusted" in distrusted.err
        nowhere.ok(f"{line} --tls --skip-tls-verify")
        nowhere.ok(f"{line} --tls", SSL_CERT_FILE=str(made.cert))


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({}, "COLONIES_SERVER_ID is not set"),
        ({"COLONIES_SERVER_ID": "x"}, "COLONIES_SERVER_ID must be an id"),
        ({"COLONIES_SERVER_PRVKEY": "x"}, "encoding/hex"),
        ({"COLONIES_REDIS_URL": "http://x"}, "COLONIES_REDIS_URL must begin with"),
        ({"COLONIES_ROLES": "nothing"}, "COLONIES_ROLES names nothing"),
        ({"COLONIES_SERVER_TLS": "true"}, "needs COLONIES_TLSCERT"),
    ],
)
def test_wrong_settings_are_a_usage_error(
    nowhere: Shell, environ: dict[str, str], text: str
) -> None:
    ran = nowhere("server start", **environ)
    assert (ran.code, ran.out) == (2, "")
    assert text in ran.err
    assert "hint: `colonies dev` needs no settings" in ran.err


def test_the_variables_of_other_versions_of_the_reference_are_taken() -> None:
    owner = new_key()
    environ = {
        "COLONIES_SERVER_PRVKEY": owner["prvkey"],
        "COLONIES_SERVER_HTTP_HOST": "127.0.0.1",
        "COLONIES_SERVER_HTTP_PORT": "50081",
        "COLONIES_SERVER_HTTP_TLS": "true",
        "COLONIES_SERVER_HTTP_TLS_CERT": "c1",
        "COLONIES_SERVER_TLSKEY": "k2",
    }
    with patch.dict("os.environ", environ, clear=True):
        chosen = settings({})
    assert (chosen.server_id, chosen.host) == (owner["id"], "127.0.0.1")
    assert chosen.tls == Tls(cert="c1", key="k2")


@pytest.mark.parametrize(("flags", "port"), [({}, 2), ({"COLONIES_SERVER_PORT": "3"}, 3)])
def test_a_server_and_its_clients_find_the_same_port(flags: dict[str, str], port: int) -> None:
    """Both variables are set, as in some environment files."""
    environ = {"COLONIES_SERVER_PORT": "1", "COLONIES_SERVER_HTTP_PORT": "2"}
    asked = resolve({"port": flags.get("COLONIES_SERVER_PORT")}, environ, Profiles())
    with patch.dict("os.environ", environ, clear=True):
        listening = settings({"COLONIES_SERVER_ID": "a" * 64, **flags})
    assert listening.port == asked.address.port == port


def test_a_flag_goes_before_its_variable(nowhere: Shell) -> None:
    ran = nowhere("server start --workers 0 --role api --role none", COLONIES_WORKERS="2")
    assert "COLONIES_WORKERS must be a whole number from 1" in ran.err
    assert "COLONIES_ROLES names none" in ran.err
