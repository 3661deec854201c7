"""Keys: one hash tag a colony, and an order that is exact."""

import re

from hypothesis import given
from hypothesis import strategies as st

from broker import keys
from tests.strategies import IDS, INT64, NAMES


@given(INT64, IDS, INT64, IDS)
def test_queue_members_sort_by_priority_time_and_then_by_id(
    one: int, one_id: str, two: int, two_id: str
) -> None:
    first, second = keys.queue_member(one, one_id), keys.queue_member(two, two_id)

    assert (first.encode() < second.encode()) == ((one, one_id) < (two, two_id))


@given(INT64, IDS)
def test_queue_member_has_a_fixed_width_and_names_its_process(at: int, process_id: str) -> None:
    member = keys.queue_member(at, process_id)

    assert len(member) == 84
    assert keys.queued_process(member) == process_id


@given(NAMES, st.text(max_size=10))
def test_keys_of_a_colony_share_one_hash_tag(name: str, key: str) -> None:
    tag = keys.colony_tag(name, "0dec0dec")

    whole = tag.key(key)
    hashed = re.match(r"[^{]*\{([^}]+)\}", whole)

    assert hashed is not None
    assert hashed[1] == tag.text
    assert whole == "{" + tag.text + "}:" + key


@given(NAMES, NAMES)
def test_two_colonies_have_two_tags(one: str, two: str) -> None:
    tags = keys.colony_tag(one, "0dec0dec"), keys.colony_tag(two, "0dec0dec")

    assert (tags[0] == tags[1]) == (one == two)


@given(NAMES)
def test_tag_is_no_pattern(name: str) -> None:
    assert not set("*?[]\\") & set(keys.colony_tag(name, "0dec0dec").text)


def test_tags_that_are_equal_are_one_key_of_a_mapping() -> None:
    assert {keys.Tag("a"): 1}[keys.Tag("a")] == 1
    assert keys.Tag("a") != "a"


def test_ids_name_their_colony_and_cannot_be_guessed() -> None:
    ids = {keys.new_id("0dec0dec") for _ in range(100)}

    assert len(ids) == 100
    assert all(re.fullmatch(r"[0-9a-f]{64}", each) for each in ids)
    assert {keys.suffix_of(each) for each in ids} == {"0dec0dec"}


def test_suffixes_are_eight_hex_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}", keys.new_suffix())


def test_attribute_id_follows_from_process_key_and_type() -> None:
    assert (
        keys.attribute_id("p", "k", 3)
        == "640821d8c45821fcca84bdbe04a14a160f285c848b281c7863593aee83197618"
    )
