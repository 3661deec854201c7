"""Two directories that are synchronised back and forth become equal."""

import itertools
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.conftest import Shell
from tests.fs.test_sync import read, write

NAMES = st.sampled_from(["a", "b c", "d/e", "d/f", "ü"])
FILES = st.dictionaries(NAMES, st.sampled_from(["", "one", "two", "longer"]), max_size=4)
STEP = st.tuples(st.sampled_from("ab"), FILES, st.booleans(), st.booleans())
_labels = itertools.count()


@settings(
    max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(st.lists(STEP, min_size=1, max_size=4))
def test_back_and_forth_both_are_alike(
    shell: Shell, steps: list[tuple[str, dict[str, str], bool, bool]]
) -> None:
    label = f"/converge-{next(_labels)}"
    with tempfile.TemporaryDirectory() as directory:
        sides = {name: Path(directory) / name for name in "ab"}
        for side, files, keeplocal, encrypt in steps:
            write(sides[side], files)
            options = f"--keeplocal={str(keeplocal).lower()} {'--encrypt' if encrypt else ''}"
            shell.ok(f"fs sync -l {label} -d {sides[side]} --yes --quiet {options}")
        # What one has to give, the other takes, and takes back.
        for side, keeplocal in (("a", "true"), ("b", "false"), ("a", "false")):
            line = f"fs sync -l {label} -d {sides[side]} --yes --quiet --keeplocal={keeplocal}"
            shell.ok(line)
        assert read(sides["a"]) == read(sides["b"])
        written = {name for _, files, _, _ in steps for name in files}
        assert set(read(sides["a"])) == written
        for side in "ab":
            ran = shell.ok(f"fs sync -l {label} -d {sides[side]}")
            assert "nothing to do" in ran.err
