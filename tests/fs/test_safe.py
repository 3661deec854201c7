"""Labels and names that the server says, and what they may be here."""

from pathlib import Path

import pytest

from cli.fs import safe
from cli.fs.partial import InTheWay
from cli.fs.tree import Directory

HOSTILE = [
    "",
    ".",
    "..",
    "a/b",
    "/etc/passwd",
    "..\\up",
    "C:",
    "c:evil",
    "a\0b",
    "\ud800",
    "x" * 256,
    ".cfs",
    ".cfs-0123456789abcdef.part",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(safe.Unsafe, match="is refused"):
        safe.checked(name)


@pytest.mark.parametrize(
    "name", ["a", "with space", "ümläut", "日本", "-x", "ab:c", "...", "new\nline", "x" * 255, "😀"]
)
def test_an_unusual_name_is_none_the_worse(name: str) -> None:
    assert safe.checked(name) == name


@pytest.mark.parametrize(
    "label",
    ["/x/..", "/x/../../etc", "/x/./y", "/x//y", "/x/a\\b", "/x/C:/y", "/x/a\0", "/x/" + "y" * 256],
)
def test_a_label_that_leads_out_is_refused(label: str) -> None:
    with pytest.raises(safe.Unsafe, match="is refused"):
        safe.place(label, "/x")


@pytest.mark.parametrize(
    ("label", "root", "parts"),
    [
        ("/x", "/x", ()),
        ("/x/a", "/x", ("a",)),
        ("/x/a/b c", "/x", ("a", "b c")),
        ("/a", "/", ("a",)),
        ("/", "/", ()),
    ],
)
def test_a_label_below_the_root_is_a_place_below_it(
    label: str, root: str, parts: tuple[str, ...]
) -> None:
    assert safe.place(label, root) == parts
    assert safe.below(root, parts) == label
    assert safe.is_below(label, root)


@pytest.mark.parametrize(("label", "root"), [("/xy", "/x"), ("/", "/x"), ("x/a", "/x")])
def test_a_label_beside_the_root_is_not_below_it(label: str, root: str) -> None:
    assert not safe.is_below(label, root)


@pytest.mark.parametrize("typed", ["x", "/x", "x/", "/x/", "//x//"])
def test_a_label_is_normalised(typed: str) -> None:
    assert safe.normalised(typed) == "/x"


def test_a_link_on_the_way_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").symlink_to(tmp_path / "outside")
    directory = Directory(tmp_path / "root")
    with (
        pytest.raises(InTheWay, match="symbolic link"),
        directory.writing(("a", "b"), "n", instead_of=None),
    ):
        pytest.fail("it was followed")
    directory.close()
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "dangling", "directory"])
def test_what_is_in_the_place_of_a_file_stays(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    outside = tmp_path / "outside"
    if kind == "directory":
        (root / "n").mkdir()
    else:
        (root / "n").symlink_to(outside)
    if kind == "link":
        outside.write_text("mine")
    directory = Directory(root)
    with (
        pytest.raises(InTheWay, match="is not replaced"),
        directory.writing((), "n", instead_of=None),
    ):
        pytest.fail("it was replaced")
    directory.close()
    assert outside.exists() == (kind == "link")
    assert [path.name for path in root.iterdir()] == ["n"]
