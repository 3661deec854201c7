"""The embedded store: real, durable, alone on its data, and never left behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli import embedded
from tests.patience import PATIENCE_S
from tests.valkey import client_of

_HOLD = """
import sys
from pathlib import Path
from cli.embedded import running
with running(Path(sys.argv[1])) as store:
    print(store.socket, flush=True)
    sys.stdin.read()
print("stopped", flush=True)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def holder(directory: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that runs a store on the directory; its first line is the socket."""
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-c", _HOLD, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        if process.poll() is None:
            process.kill()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_it_runs_with_the_settings_that_make_an_acknowledgement_durable(directory: Path) -> None:
    with embedded.running(directory) as store, client_of(store) as client:
        found = client.config_get(*embedded.DURABLE)  # pyright: ignore[reportUnknownMemberType]
        assert found == embedded.DURABLE


def test_it_is_not_reachable_over_the_network(directory: Path) -> None:
    with embedded.running(directory) as store, client_of(store) as client:
        assert client.config_get("port") == {"port": "0"}  # pyright: ignore[reportUnknownMemberType]
        assert store.socket.stat().st_mode & 0o077 == 0


def test_a_second_start_finds_the_data(directory: Path) -> None:
    with embedded.running(directory) as store, client_of(store) as client:
        client.set("kept", "yes")
    with embedded.running(directory) as store, client_of(store) as client:
        assert client.get("kept") == "yes"


def test_a_deep_directory_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90)
    with embedded.running(deep) as store:
        assert len(str(store.socket)) <= 100
        short = store.socket.parent
    assert not short.exists()


def test_what_a_killed_one_left_in_a_short_directory_is_removed(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90)
    with embedded.running(deep) as store:
        note = (deep / "socket").read_text()
        left = store.socket.parent
    left.mkdir()
    assert note == str(left / "store.sock")
    with embedded.running(deep):
        assert not left.exists()


def test_another_live_process_on_the_same_data_is_named(
    directory: Path, holder: "subprocess.Popen[str]"
) -> None:
    first_line(holder)
    with pytest.raises(embedded.InUse, match=str(holder.pid)), embedded.running(directory):
        pass


def test_a_killed_process_takes_its_store_along_and_the_data_stays(
    directory: Path, holder: "subprocess.Popen[str]"
) -> None:
    with redis.Redis(unix_socket_path=first_line(holder)) as client:
        client.set("kept", "yes")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with embedded.running(directory) as store, client_of(store) as client:
        assert client.get("kept") == "yes"


def test_the_end_of_its_process_is_a_clean_one(holder: "subprocess.Popen[str]") -> None:
    path = Path(first_line(holder))
    output, _ = holder.communicate("")
    assert output == "stopped\n"
    assert not path.exists()


def test_a_store_that_dies_is_started_again(directory: Path) -> None:
    restarted = threading.Event()
    said: list[str] = []

    def on_restart(text: str) -> None:
        said.append(text)
        restarted.set()

    with embedded.running(directory, on_restart) as store:
        with client_of(store) as client:
            client.set("kept", "yes")
            process_id = client.info("server")["process_id"]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            os.kill(int(str(process_id)), signal.SIGKILL)  # pyright: ignore[reportUnknownArgumentType]
        assert restarted.wait(PATIENCE_S)
        with client_of(store) as client:
            assert client.get("kept") == "yes"
    assert said == ["the store ended with code -9, it runs again"]


def test_data_that_cannot_be_read_is_explained_with_the_stores_own_words(directory: Path) -> None:
    (directory / "appendonlydir").mkdir(parents=True)
    (directory / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(embedded.StoreError, match="did not start"), embedded.running(directory):
        pass
    # The directory is free again.
    (directory / "appendonlydir" / "appendonly.aof.manifest").unlink()
    with embedded.running(directory) as store, client_of(store) as client:
        assert client.ping()  # pyright: ignore[reportUnknownMemberType]


def test_data_without_its_manifest_is_not_begun_anew(directory: Path) -> None:
    with embedded.running(directory) as store, client_of(store) as client:
        client.set("kept", "yes")
    manifest = directory / "appendonlydir" / "appendonly.aof.manifest"
    text = manifest.read_text()
    manifest.unlink()
    before = {path.name: path.read_bytes() for path in manifest.parent.iterdir()}

    with (
        pytest.raises(embedded.StoreError, match=r"manifest is missing.*incr\.aof"),
        embedded.running(directory),
    ):
        pass

    assert {path.name: path.read_bytes() for path in manifest.parent.iterdir()} == before
    manifest.write_text(text)
    with embedded.running(directory) as store, client_of(store) as client:
        assert client.get("kept") == "yes"


def test_what_a_server_leaves_that_was_killed_as_it_began_is_no_data(directory: Path) -> None:
    with embedded.running(directory):
        pass
    (directory / "appendonlydir" / "appendonly.aof.manifest").unlink()
    with embedded.running(directory) as store:
        assert store.is_empty()


def test_a_base_without_a_byte_is_not_taken_for_one_without_a_row(directory: Path) -> None:
    with embedded.running(directory) as store, client_of(store) as client:
        client.set("kept", "yes")
    base = directory / "appendonlydir" / "appendonly.aof.1.base.rdb"
    whole = base.read_bytes()
    base.write_bytes(b"")

    with (
        pytest.raises(embedded.StoreError, match=r"base\.rdb is empty"),
        embedded.running(directory),
    ):
        pass

    base.write_bytes(whole)
    with embedded.running(directory) as store, client_of(store) as client:
        assert client.get("kept") == "yes"


def test_what_is_left_of_a_rewrite_that_was_killed_is_removed(directory: Path) -> None:
    with embedded.running(directory):
        pass
    left = [directory / f"temp-rewriteaof-{name}.aof" for name in ("4711", "bg-4711")]
    for path in left:
        path.write_bytes(b"REDIS0011")
    with embedded.running(directory):
        assert not [path for path in left if path.exists()]
