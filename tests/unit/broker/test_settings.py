"""Settings are read once, completely, and every problem is told at once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.defaults import DEFAULT_PORT
from broker.errors import Malformed
from broker.settings import Durability, Limits, Role, Settings, Tls

SERVER = "ab" * 32
LEAST = {"COLONIES_SERVER_ID": SERVER}

counts = st.integers(min_value=1, max_value=2**53)
settings = st.builds(
    Settings,
    redis_url=st.sampled_from(
        ["redis://h:1/2", "rediss://h", "unix:///a.sock", "redis+cluster://a:1,b:2"]
    ),
    server_id=st.just(SERVER),
    host=st.sampled_from(["127.0.0.1", "::"]),
    port=st.integers(min_value=0, max_value=65_535),
    workers=counts,
    roles=st.frozensets(st.sampled_from(Role), min_size=1),
    durability=st.sampled_from(Durability),
    allow_reregister=st.booleans(),
    replay_window_ms=st.integers(min_value=1_000, max_value=2**53),
    keep_requests=st.booleans(),
    tls=st.none() | st.just(Tls(cert="/c.pem", key="/k.pem")),
    limits=st.builds(Limits, **dict.fromkeys(Limits.__dataclass_fields__, counts)),
    build_version=st.text(alphabet="v.0123456789", max_size=8),
    build_time=st.text(alphabet="0123456789:-TZ", max_size=20),
    stale_executor_s=counts,
    cleanup_interval_s=counts,
    timezone=st.sampled_from(["UTC", "Europe/Stockholm"]),
    cron_checker_ms=st.integers(min_value=10, max_value=2**53),
    generator_checker_ms=st.integers(min_value=10, max_value=2**53),
    archive_url=st.sampled_from(["postgresql://h/d", "postgres://u:p@h:1/d"]),
    timescaledb=st.none() | st.booleans(),
    stream_keep_s=st.just(0) | st.integers(min_value=60, max_value=2**53),
    archive_lines_s=st.integers(min_value=0, max_value=2**53),
    verbose=st.booleans(),
).filter(lambda chosen: chosen.workers == 1 or Role.API in chosen.roles)


@given(settings)
def test_settings_survive_the_way_to_a_worker_process(chosen: Settings) -> None:
    assert Settings.from_env(chosen.to_env()) == chosen


def test_several_workers_need_something_to_answer() -> None:
    with pytest.raises(Malformed, match="COLONIES_WORKERS"):
        Settings.from_env(LEAST | {"COLONIES_ROLES": "timer", "COLONIES_WORKERS": "2"})


def test_server_id_is_all_that_has_to_be_given() -> None:
    read = Settings.from_env(LEAST)

    assert (read.server_id, read.port, read.workers) == (SERVER, DEFAULT_PORT, 1)
    assert (read.durability, read.roles) == (Durability.ALWAYS, frozenset(Role))


def test_empty_variable_means_the_default() -> None:
    empty = dict.fromkeys(Settings.from_env(LEAST).to_env(), "")

    assert Settings.from_env(empty | LEAST) == Settings.from_env(LEAST)


def test_variables_of_others_are_ignored() -> None:
    assert Settings.from_env(LEAST | {"COLONIES_UNKNOWN": "x", "PATH": "/"}) == (
        Settings.from_env(LEAST)
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COLONIES_SERVER_ID", ""),
        ("COLONIES_SERVER_ID", "abc"),
        ("COLONIES_SERVER_ID", SERVER.upper()),
        ("COLONIES_REDIS_URL", "http://localhost"),
        ("COLONIES_REDIS_URL", "localhost:6379"),
        ("COLONIES_SERVER_PORT", "65536"),
        ("COLONIES_SERVER_PORT", "-1"),
        ("COLONIES_SERVER_PORT", "1.5"),
        ("COLONIES_SERVER_PORT", "²"),
        ("COLONIES_WORKERS", "0"),
        ("COLONIES_ROLES", "api,cook"),
        ("COLONIES_DURABILITY", "sometimes"),
        ("COLONIES_STORE_REPLICAS", "1"),
        ("COLONIES_ALLOW_EXECUTOR_REREGISTER", "maybe"),
        ("COLONIES_REPLAY_WINDOW_MS", "999"),
        ("COLONIES_KEEP_REQUESTS", "some"),
        ("COLONIES_MAX_BODY_BYTES", "64M"),
        ("COLONIES_MAX_CONNECTIONS", "0"),
        ("COLONIES_HEADER_TIMEOUT_MS", "0"),
        ("COLONIES_TIMEZONE", "Mars/Base"),
        ("COLONIES_CRON_CHECKER_PERIOD", "0"),
        ("COLONIES_GENERATOR_CHECKER_PERIOD", "x"),
        ("COLONIES_SERVER_TLS", "true"),
    ],
)
def test_unreadable_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(Malformed, match=name):
        Settings.from_env(LEAST | {name: value})


def test_every_problem_is_told_in_one_message() -> None:
    wrong = {"COLONIES_SERVER_PORT": "x", "COLONIES_WORKERS": "0", "COLONIES_DURABILITY": "no"}

    with pytest.raises(Malformed) as refusal:
        Settings.from_env(wrong)

    named = [name for name in ["COLONIES_SERVER_ID", *wrong] if name in str(refusal.value)]
    assert named == ["COLONIES_SERVER_ID", *wrong]


def test_certificate_is_not_read_unless_tls_is_on() -> None:
    paths = {"COLONIES_TLSCERT": "/c.pem", "COLONIES_TLSKEY": "/k.pem"}

    assert Settings.from_env(LEAST | paths).tls is None


def test_certificate_is_read_when_tls_is_on() -> None:
    paths = {"COLONIES_TLSCERT": "/c.pem", "COLONIES_TLSKEY": "/k.pem"}

    assert Settings.from_env(LEAST | paths | {"COLONIES_SERVER_TLS": "true"}) == replace(
        Settings.from_env(LEAST), tls=Tls(cert="/c.pem", key="/k.pem")
    )


@pytest.mark.parametrize(("text", "on"), [("T", True), ("TRUE", True), ("f", False), ("0", False)])
def test_flag_is_spelled_as_the_reference_reads_it(text: str, on: bool) -> None:  # noqa: FBT001
    given = LEAST | {"COLONIES_ALLOW_EXECUTOR_REREGISTER": text}
    assert Settings.from_env(given).allow_reregister is on


def test_roles_are_a_list() -> None:
    read = Settings.from_env(LEAST | {"COLONIES_ROLES": "api, timer"})

    assert read.roles == {Role.API, Role.TIMER}


def test_archive_is_found_by_the_variables_of_the_reference() -> None:
    given = {
        "COLONIES_DB_HOST": "db",
        "COLONIES_DB_PORT": "5433",
        "COLONIES_DB_USER": "me",
        "COLONIES_DB_PASSWORD": "p@ss/w",
    }

    assert Settings.from_env(LEAST).archive_url == ""
    assert (
        Settings.from_env(LEAST | given).archive_url
        == "postgresql://me:p%40ss%2Fw@db:5433/postgres"
    )
    own = {"COLONIES_ARCHIVE_URL": "postgresql://other/d"}
    assert Settings.from_env(LEAST | given | own).archive_url == "postgresql://other/d"


@pytest.mark.parametrize(
    "given",
    [
        {"COLONIES_ROLES": "archiver"},
        {"COLONIES_STREAM_KEEP": "3600"},
        {"COLONIES_STREAM_KEEP": "59", "COLONIES_ARCHIVE_URL": "postgresql://h/d"},
        {"COLONIES_ARCHIVE_URL": "mysql://h/d"},
    ],
)
def test_archive_that_cannot_be_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(Malformed, match=r"COLONIES_(ARCHIVE_URL|STREAM_KEEP)"):
        Settings.from_env(LEAST | given)
