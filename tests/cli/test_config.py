"""Where settings come from: flag, environment, profile, default."""

import pytest

from broker.identity import Identity
from cli.config import Config, Role, resolve
from cli.errors import UsageError
from cli.profile import Profiles

KEY, OTHER = Identity.generate(), Identity.generate()
PROFILES = Profiles(
    current="here",
    profiles={
        "here": {
            "host": "profile.example",
            "port": "1",
            "colony": "here",
            "prvkey": KEY.prvkey,
            "executor_prvkey": OTHER.prvkey,
        },
        "there": {"host": "there.example"},
    },
)


def settle(
    environ: dict[str, str] | None = None,
    profiles: Profiles = PROFILES,
    *,
    profile: str | None = None,
    **flags: str,
) -> Config:
    return resolve(flags, environ or {}, profiles, profile=profile)


def test_a_flag_goes_before_everything() -> None:
    config = settle({"COLONIES_SERVER_HOST": "env.example"}, host="flag.example")
    assert config.values["host"].text == "flag.example"
    assert config.values["host"].source == "flag --host"


def test_the_environment_goes_before_the_profile() -> None:
    config = settle({"COLONIES_SERVER_HOST": "env.example"})
    assert config.values["host"].text == "env.example"


def test_the_current_profile_goes_before_the_default() -> None:
    assert settle().address.host == "profile.example"


def test_without_anything_it_is_this_machine_without_tls() -> None:
    config = settle(profiles=Profiles())
    assert str(config.address) == "http://localhost:50080"


def test_another_machine_is_spoken_to_over_tls_unless_told_otherwise() -> None:
    assert settle(profiles=Profiles(), host="far.example").tls
    assert not settle({"COLONIES_TLS": "false"}, Profiles(), host="far.example").tls
    assert not settle({"COLONIES_SERVER_TLS": "false"}, Profiles(), host="far.example").tls


def test_the_newer_name_of_a_variable_wins() -> None:
    environ = {"COLONIES_TLS": "true", "COLONIES_SERVER_TLS": "false"}
    assert settle(environ).tls


def test_a_named_profile_replaces_the_current_one() -> None:
    assert settle(profile="there").address.host == "there.example"
    assert settle({"COLONIES_PROFILE": "there"}).address.host == "there.example"


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as refusal:
        settle(profile="nowhere")
    assert refusal.value.hint == "known profiles: here, there"


def test_work_of_an_executor_is_signed_with_its_own_key() -> None:
    config = settle()
    assert config.identity(Role.MEMBER).id == KEY.id
    assert config.identity(Role.EXECUTOR).id == OTHER.id


def test_a_key_that_was_said_goes_before_the_profile_for_executors_too() -> None:
    said = Identity.generate()
    assert settle({"COLONIES_PRVKEY": said.prvkey}).identity(Role.EXECUTOR).id == said.id
    assert settle(prvkey=said.prvkey).identity(Role.EXECUTOR).id == said.id


def test_a_missing_key_is_named_with_its_variable() -> None:
    with pytest.raises(UsageError) as refusal:
        settle().identity(Role.OWNER)
    assert "COLONIES_COLONY_PRVKEY is not set" in refusal.value.message


def test_a_broken_key_is_never_shown() -> None:
    with pytest.raises(UsageError) as refusal:
        settle({"COLONIES_PRVKEY": "secret-but-broken"}).identity(Role.MEMBER)
    assert "secret" not in str(refusal.value)
    assert "environment COLONIES_PRVKEY" in refusal.value.message


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", ""])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    config = settle({"COLONIES_SERVER_PORT": port or "x"})
    with pytest.raises(UsageError, match="port must be"):
        _ = config.address
