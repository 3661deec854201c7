"""What a synchronisation has to do."""

from hypothesis import given
from hypothesis import strategies as st

from cli.fs.partial import Stamp
from cli.fs.plan import Down, Local, Plan, Remote, Totals, Up, make, to_compare

NAMES = st.sampled_from("abcd")
CONTENTS = st.sampled_from(["", "x", "y", "longer"])
FILES = st.dictionaries(NAMES, CONTENTS)


def local(files: dict[str, str]) -> dict[str, Local]:
    return {name: Local(Stamp(1, len(text), 1), f"sha-{text}") for name, text in files.items()}


def remote(files: dict[str, str]) -> dict[str, Remote]:
    return {n: Remote(n, len(text), f"sha-{text}", f"o-{n}") for n, text in files.items()}


def plan(here: dict[str, str], there: dict[str, str], *, keeplocal: bool = True) -> Plan:
    return make("/x", (), local=local(here), remote=remote(there), keeplocal=keeplocal)


@given(FILES, FILES, st.booleans())
def test_both_sides_are_alike_afterwards_and_nothing_is_gone(
    here: dict[str, str],
    there: dict[str, str],
    keeplocal: bool,  # noqa: FBT001 - drawn
) -> None:
    made = plan(here, there, keeplocal=keeplocal)
    after_there = there | {up.name: here[up.name] for up in made.ups}
    after_here = here | {down.name: there[down.name] for down in made.downs}
    assert after_here == after_there
    assert set(after_here) == {*here, *there}
    winner = here if keeplocal else there
    assert all(after_here[name] == winner[name] for name in {*here} & {*there})
    assert not plan(after_here, after_there, keeplocal=keeplocal)


def test_equal_files_need_nothing() -> None:
    assert not plan({"a": "x"}, {"a": "x"})


def test_a_conflict_is_decided_by_who_is_kept() -> None:
    kept = plan({"a": "x"}, {"a": "longer"})
    assert (kept.replace_remote, kept.replace_local) == ((Up("a", 1),), ())
    replaced = plan({"a": "x"}, {"a": "longer"}, keeplocal=False)
    assert replaced.replace_remote == ()
    assert replaced.replace_local == (Down(remote({"a": "longer"})["a"], Stamp(1, 1, 1)),)


def test_only_files_of_equal_size_are_read_to_compare_them() -> None:
    here = {name: each.stamp for name, each in local({"a": "x", "b": "y", "c": ""}).items()}
    assert to_compare(here, remote({"a": "longer", "b": "x"})) == ["b"]


def test_totals_count_each_file_once() -> None:
    plans = [plan({"a": "x", "b": "y"}, {"b": "longer", "c": "longer"}), plan({}, {"d": "x"})]
    assert Totals.of(plans) == Totals(uploads=1, downloads=2, conflicts=1, size=1 + 6 + 1 + 1)
