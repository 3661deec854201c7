"""Ctrl-C, and worse, at any moment; and how much memory a large file takes."""

import random
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Dev, Shell, clean_environ

MOMENTS = 3
_MEASURE = """
import re, sys
from cli.app import run
code = run(sys.argv[1:])
# Of this program only; getrusage says what the one had that started it.
status = open("/proc/self/status").read()
print("peak", re.search(r"VmHWM:\\s*([0-9]+)", status)[1], file=sys.stderr)
sys.exit(code)
"""


def start(dev: Dev, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - ourselves
        [*PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**clean_environ(), "COLONIES_HOME": str(dev.home)},
    )


def contents(root: Path) -> dict[str, int]:
    """What there is below a directory, whatever it is called, by its size."""
    return {
        str(path.relative_to(root)): path.stat().st_size
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".cfs"
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ended_at_any_moment_nothing_is_half_done_and_the_next_does_the_rest(
    dev: Dev, shell: Shell, tmp_path: Path, label: str, number: signal.Signals
) -> None:
    chance = random.Random(number)  # noqa: S311 - moments
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    for n in range(40):
        (source / f"small{n}").write_bytes(chance.randbytes(2000))
    (source / "large").write_bytes(chance.randbytes(20_000_000))
    whole = contents(source)
    for way, directory in (("up", source), ("down", target)):
        line = ("fs", "sync", "-l", label, "-d", str(directory), "--yes")
        for _ in range(MOMENTS):
            interrupt(dev, line, number, chance.random())
            done = contents(directory)
            left = {n: size for n, size in done.items() if not n.startswith(".cfs-")}
            assert left.items() <= whole.items(), way
            if number is signal.SIGINT:
                assert left == done, "no part is left behind"
        shell.ok(" ".join(line))
        assert contents(directory) == whole
    for name in whole:
        assert (target / name).read_bytes() == (source / name).read_bytes()


def interrupt(dev: Dev, line: tuple[str, ...], number: signal.Signals, share: float) -> None:
    """Send a signal somewhere between the first line about a file and the end."""
    with start(dev, *line) as running:
        assert running.stderr is not None
        lines = 1 + int(share * 20)
        for said in running.stderr:
            lines -= b"loading" in said
            if not lines:
                break
        running.send_signal(number)
        running.stderr.read()
        code = running.wait(60)
    # It may have been quicker; a second Ctrl-C is never needed.
    assert code in {0, 130, -number}


@pytest.mark.parametrize("option", ["", "--encrypt"])
def test_memory_does_not_grow_with_the_size_of_a_file(
    dev: Dev, tmp_path: Path, label: str, option: str
) -> None:
    size_mib = 160
    (tmp_path / "a").mkdir()
    block = random.Random(1).randbytes(1024 * 1024)  # noqa: S311 - content
    with (tmp_path / "a" / "large").open("wb") as file:
        for _ in range(size_mib):
            file.write(block)
    peaks = [
        peak_kib(dev, f"fs sync -l {label} -d {tmp_path / side} --yes {option}".split())
        for side in "ab"
    ]
    assert (tmp_path / "b" / "large").stat().st_size == size_mib * 1024 * 1024
    assert max(peaks) < 100 * 1024, peaks


def peak_kib(dev: Dev, arguments: list[str]) -> int:
    """The most memory that a command line had resident, in KiB."""
    ran = subprocess.run(  # noqa: S603 - ourselves
        [PROGRAM[0], "-c", _MEASURE, *arguments],
        capture_output=True,
        text=True,
        env={
            **clean_environ(),
            "COLONIES_HOME": str(dev.home),
            "COLONIES_FS_KEY": "ab" * 32,
        },
        timeout=120,
        check=True,
    )
    return int(re.findall(r"^peak (\d+)$", ran.stderr, re.MULTILINE)[0])
