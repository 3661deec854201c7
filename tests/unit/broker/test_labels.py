"""Labels and their trees, and the order of revisions in the index of a label."""

from hypothesis import given
from hypothesis import strategies as st

from broker.labels import beginning, tree, trees_with
from broker.revisions import (
    LARGEST,
    Kept,
    Listed,
    at,
    behind,
    behind_revision,
    kept,
    kept_member,
    listed,
    listed_member,
    place,
)

LABELS = st.text("ab/\u00e9", max_size=8)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
NUMBERS = st.integers(1, LARGEST)


def is_between(member: bytes, low: bytes, high: bytes) -> bool:
    """As ZRANGEBYLEX sees it."""
    above = member > low[1:] or (low[:1] == b"[" and member == low[1:])
    return above and (member < high[1:] or (high[:1] == b"[" and member == high[1:]))


@given(LABELS, LABELS)
def test_tree_of_a_label_is_itself_and_what_is_below(label: str, other: str) -> None:
    is_inside = not label or other == label or other.startswith(label + "/")

    assert any(is_between(other.encode(), *bounds) for bounds in tree(label)) == is_inside
    assert (label in trees_with(other)) == is_inside


@given(LABELS, LABELS)
def test_labels_are_found_by_their_beginning(text: str, label: str) -> None:
    (bounds,) = beginning(text)

    assert is_between(label.encode(), *bounds) == label.startswith(text)


@given(NAMES, NUMBERS, NAMES, NUMBERS)
def test_revisions_stand_by_name_and_newest_first(
    name: str, number: int, other: str, lower: int
) -> None:
    first, second = place(name, number), place(other, lower)

    assert (first < second) == ((name.encode(), -number) < (other.encode(), -lower))
    assert is_between(first, at(name), behind(name))
    assert is_between(second, at(name), behind(name)) == (name == other)


@given(NAMES, NUMBERS, st.integers(0, 2**53), NAMES)
def test_members_say_what_was_put_into_them(name: str, number: int, made: int, text: str) -> None:
    there = Listed(name, number, "id", made, 7, text, text)
    gone = Kept(name, number, "id", made, made + 1)

    assert listed(listed_member(there)) == there
    assert kept(kept_member(gone)) == gone
    for member in (listed_member(there), kept_member(gone)):
        assert place(name, number) < member < behind_revision(name, number)[1:]
