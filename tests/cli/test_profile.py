"""The file of profiles: private, written in one step, and readable by people."""

import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.errors import UsageError
from cli.profile import Profiles, ProfileStore, config_dir, data_dir


@pytest.fixture
def store(tmp_path: Path) -> ProfileStore:
    return ProfileStore({"COLONIES_HOME": str(tmp_path / "home")})


def test_there_are_no_profiles_before_the_first(store: ProfileStore) -> None:
    assert store.read() == Profiles()


def test_what_was_set_is_read_back(store: ProfileStore) -> None:
    store.set("dev", {"host": "localhost", "port": "50080", "prvkey": ""})
    assert store.read() == Profiles(
        current="dev", profiles={"dev": {"host": "localhost", "port": "50080"}}
    )


def test_only_the_owner_may_read_the_file(store: ProfileStore) -> None:
    store.set("dev", {"host": "localhost"})
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_may_read_is_refused(store: ProfileStore) -> None:
    store.set("dev", {"host": "localhost"})
    store.path.chmod(0o640)
    with pytest.raises(UsageError) as refusal:
        store.read()
    assert refusal.value.hint == f"chmod 600 {store.path}"


def test_nothing_is_left_beside_the_file(store: ProfileStore) -> None:
    store.set("one", {"host": "a"})
    store.set("two", {"host": "b"})
    assert {path.name for path in store.path.parent.iterdir()} == {"config.toml", ".config.lock"}


def test_the_first_profile_becomes_current_and_stays_so(store: ProfileStore) -> None:
    store.set("one", {"host": "a"})
    store.set("two", {"host": "b"})
    assert store.read().current == "one"
    store.use("two")
    assert store.read().current == "two"


def test_a_removed_profile_is_not_current_any_more(store: ProfileStore) -> None:
    store.set("one", {"host": "a"})
    store.remove("one")
    assert store.read() == Profiles()


@pytest.mark.parametrize("text", ["current = ", "current = 1", "profiles = 1", "[profiles]\nx = 1"])
def test_a_broken_file_is_named(store: ProfileStore, text: str) -> None:
    store.set("dev", {"host": "localhost"})
    store.path.write_text(text)
    with pytest.raises(UsageError, match=r"config\.toml cannot be read"):
        store.read()


def test_numbers_and_truth_values_written_by_hand_are_read(store: ProfileStore) -> None:
    store.set("dev", {"host": "localhost"})
    store.path.write_text("[profiles.dev]\nport = 50080\ntls = false\n")
    assert store.read().profiles == {"dev": {"port": "50080", "tls": "false"}}


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=3), st.text(min_size=1))
def test_any_text_survives_the_file(values: dict[str, str], name: str) -> None:
    values = {f"key{number}": value for number, value in enumerate(values.values())}
    document = Profiles().with_profile(name, values).to_toml()
    assert tomllib.loads(document) == {"current": name, "profiles": {name: values}}


def test_the_directories_follow_the_xdg_variables() -> None:
    environ = {"XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d"}
    assert config_dir(environ) == Path("/c/colonies")
    assert data_dir(environ) == Path("/d/colonies")
    assert config_dir({"XDG_CONFIG_HOME": "relative"}) == Path.home() / ".config/colonies"
    assert data_dir({}) == Path.home() / ".local/share/colonies"
