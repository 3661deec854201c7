"""``colonies database`` against a real PostgreSQL."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from cli.commands.database import Where, address
from tests.cli.conftest import PROGRAM, Shell, clean_environ
from tests.ports import free_port
from tests.postgres import running_postgres

HOST = "COLONIES_DB_HOST"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of a database that is not there."""
    with running_postgres() as server:
        yield server.url("colonies")


def test_database_lives_from_create_to_drop(shell: Shell, database: str) -> None:
    """Its whole life in one test, as the guide types it."""
    here = shell.with_environ(COLONIES_ARCHIVE_URL=database)
    missing = here("database status")
    assert (missing.code, "hint: " in missing.err) == (3, True)

    assert "Colonies database created" in here.ok("database create").err
    assert "up to date" in here.ok("database create").err
    assert here.ok("database create --json").json == {"applied": []}
    assert "Nothing is archived yet" in here.ok("database status").err
    nothing = here("history restore")
    assert nothing.code == 1
    assert "the archive holds nothing\nhint: is it the one that the servers had?" in nothing.err
    assert here.ok("database status --json").json == []

    asked = here("database drop", stdin="no\n")
    assert asked.code == 1
    assert "WARNING!!! Are you sure you want to drop the database?" in asked.err
    again = cast("dict[str, list[str]]", here.ok("database reset --yes --json").json)
    assert again["applied"] == ["001_tables.sql"]
    assert "Colonies database dropped" in here.ok("database drop", stdin="YES\n").err
    assert here.ok("database drop --yes --json").json == {"dropped": False}
    assert here("database status").code == 3


def test_database_that_does_not_answer_is_unreachable(shell: Shell) -> None:
    ran = shell(f"database create --dbhost 127.0.0.1 --dbport {free_port()}")

    assert (ran.code, "hint: " in ran.err) == (3, True)


@pytest.mark.parametrize("command", ["create", "drop", "reset", "status"])
def test_what_names_the_archive_is_said_where_nothing_does(shell: Shell, command: str) -> None:
    ran = shell(f"database {command}", stdin="no\n", COLONIES_DB_TIMESCALEDB="true")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: no archive is known\n"
        "hint: export COLONIES_ARCHIVE_URL=postgresql://user:password@host/name,"
        " or COLONIES_DB_HOST and its kin\n"
    )


@pytest.mark.parametrize(
    ("name", "url"),
    [
        (HOST, "postgresql://7:5432/postgres"),
        ("COLONIES_DB_PORT", "postgresql://localhost:7/postgres"),
        ("COLONIES_DB_USER", "postgresql://7@localhost:5432/postgres"),
        ("COLONIES_DB_PASSWORD", "postgresql://:7@localhost:5432/postgres"),
        ("COLONIES_DB_NAME", "postgresql://localhost:5432/7"),
    ],
)
def test_each_variable_of_the_reference_names_an_archive(name: str, url: str) -> None:
    assert address(Where(), {name: "7"}) == url


def test_flags_go_before_variables() -> None:
    environ = {HOST: "db", "COLONIES_DB_USER": "me", "COLONIES_ARCHIVE_URL": "postgresql://x/y"}

    assert address(Where(), environ) == "postgresql://x/y"
    assert address(Where(dbport=5), environ) == "postgresql://me@db:5/postgres"
    assert address(Where(dbname="a"), {}) == "postgresql://localhost:5432/a"


def test_missing_driver_is_named_with_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('not here')\n")
    here = clean_environ()
    ran = subprocess.run(  # noqa: S603 - ourselves
        [*PROGRAM, "database", "status"],
        env=here | {"PYTHONPATH": f"{tmp_path}:{here['PYTHONPATH']}", HOST: "db"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 1
    assert "pip install 'colonies-broker[archive]'" in ran.stderr
