"""The user guide as a test: every command of it as typed, against a real server.

``guide.rst`` holds the chapters verbatim. What is wrong in the guide itself is repaired by the
lists below and nowhere else; what has to be there first (a file, an executor the prose assumes)
is put there before the command that needs it.
"""

import json
import re
import shlex
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.cli.conftest import Ran, Shell, new_key, running_dev
from tests.ports import free_port

GUIDE = Path(__file__).with_name("guide.rst")
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
HELLOWORLD_KEY = "8c32cdcea68600e05df8661eb0cb6679b9ba1d62c901b2a0a55c2eecd9bbbf58"
SAME_ID_AGAIN = "24bbbc074019734fc4676ec1641ca6f22c3ac943c48067ded3649602653a96c1"

# What the guide types wrongly: the command it shows an output for, and what it means.
REPAIRS = (
    # Backslash and space: a shell would end the command there.
    ("", r"\\ *\n\s*", " "),
    # What a line break is in C: a shell would hand over the letter.
    ("", r"\\n\n\s*", " "),
    # The second of two equal commands is shown with the output of another.
    ("Process closed as Failed", r"process close (.*) --out Hej", r"process fail \1"),
    # The clock of the author's prompt.
    ("", r" +\d\d:\d\d:\d\d$", ""),
)
# Messages that the guide shows and that are wrong there: shown, and what is right.
MESSAGES = {("workflow psf", "No successful workflows found"): "No failed workflows found"}
# Labels that the guide misspells or that have been corrected since.
LABELS = {
    "FUNC": "FUNCNAME",
    "Memmory": "Memory",
    "ExecutorIDs": "ExecutorNames",
}
ASKS_FIRST = (
    "fs sync",
    "colony remove",
    "user remove",
    "process removeall",
    "workflow removeall",
    "worklflow removeall",
)


@dataclass(frozen=True)
class Step:
    """A command of the guide and what it shows as the result."""

    command: str
    shown: str


def steps(first: str, end: str = "") -> list[Step]:
    """The commands of some chapters, each with the block that follows it when that is its output.

    Args:
        first: title of the first chapter; empty for the first of all.
        end: title of the first chapter that is left out.
    """
    text = GUIDE.read_text(encoding="utf-8")
    text = text[text.index(f"\n{first}\n====") if first else 0 :]
    text = text[: text.index(f"\n{end}\n====") if end else len(text)]
    found = re.findall(
        r"^\.\. code-block:: *(\w+) *\n((?:[ \t]+\S.*\n|\s*\n)+)", text, re.MULTILINE
    )
    blocks = [(kind, textwrap.dedent(body).strip("\n").strip()) for kind, body in found]
    return [step for number in range(len(blocks)) for step in _steps(blocks[number:][:2])]


def _steps(blocks: list[tuple[str, str]]) -> Iterator[Step]:
    """The commands in the first block; the second is the output of the last of them, or is not."""
    (_, body), (kind, following) = blocks[0], [*blocks, ("", "")][1]
    if not body.startswith("colonies"):
        return
    is_output = kind in {"console", "text"} and not re.match(r"colonies\b|export ", following)
    *commands, last = re.split(r"\n(?=colonies )", body)
    yield from (Step(command, "") for command in commands)
    yield Step(last, following if is_output else "")


class Story:
    """Walks through the guide in the colony ``dev``."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.process = ""
        self.attribute = ""
        self.made: dict[str, str] = {}
        self.done: list[str] = []

    def walk(self, step: Step) -> Ran:
        """Run one command as typed; ids that the server makes are the ones of this run."""
        command = self._repaired(step)
        self._prepare(command)
        command = self._with_ids(command)
        if "fs sync" in command:
            make_files(Path("myfiles"))
        stdin = "YES\n" if any(words in command for words in ASKS_FIRST) else ""
        assert shlex.split(command)[0] == "colonies"
        ran = self.shell(command.removeprefix("colonies"), stdin=stdin)
        self._remember(command, ran)
        return ran

    def _repaired(self, step: Step) -> str:
        command = step.command
        for output, wrong, right in REPAIRS:
            if output in step.shown:
                command = re.sub(wrong, right, command)
        return command

    def _with_ids(self, command: str) -> str:
        command = re.sub(r"-p +[0-9a-f]{64}", f"-p {self.process}", command)
        command = re.sub(r"--attributeid [0-9a-f]{64}", f"--attributeid {self.attribute}", command)
        for what, made in self.made.items():
            command = re.sub(rf"--{what}id +[0-9a-f]{{64}}", f"--{what}id {made}", command)
        # One id cannot be that of three executors.
        return command.replace(SAME_ID_AGAIN, new_key()["id"])

    def _prepare(self, command: str) -> None:
        """What the prose assumes at this point."""
        words = command.split()[1:3]
        if words in (["executor", "approve"], ["executor", "remove"]):
            name = shlex.split(command)[-1]
            if name not in self.shell.ok("executor ls -o id").out.split():
                self._add_executor(name)
        if words == ["executor", "ls"]:
            self._add_executor("ml-executor", "--spec examples/executors/executor.json")
        if words == ["executor", "add"] and "--name my_name" in command:
            self._forget("my_name")
        if words in (["process", "fail"], ["attribute", "add"]):
            self.process = self._running()
        if words == ["process", "ps"]:
            self._running()
        if words == ["process", "psf"]:
            self.shell.ok(f"process fail -p {self._running()} --prvkey {HELLOWORLD_KEY}")
        if words == ["process", "get"] and "attribute add" not in self.done:
            self.process = self.shell.ok("process pss -o id").out.split()[0]
        if words[1:] == ["psw"] and {*self.done[-1:]} & {"cron add", "generator pack"}:
            self.made["workflow"] = self._started()

    def _add_executor(self, name: str, options: str = "--type ml") -> None:
        made = new_key()["id"]
        self.shell.ok(f"executor add --name {name} {options} --executorid {made} --approve")

    def _forget(self, name: str) -> None:
        self.shell(f"executor remove --name {name}")

    def _running(self) -> str:
        self.shell.ok("function submit --spec examples/functions/helloworld.json")
        return self.shell.ok(f"process assign --prvkey {HELLOWORLD_KEY}").id

    def _started(self) -> str:
        """The workflow that a cron or a generator starts, once it is there."""
        late = time.monotonic() + 20
        while not (found := self.shell.ok("workflow psw --count 1 -o id").out.split()):
            assert time.monotonic() < late, "no workflow was started"
        return found[0]

    def _remember(self, command: str, ran: Ran) -> None:
        words = " ".join(command.split()[1:3])
        self.done.append(words)
        if words == "process assign":
            self.process = ran.id
        if words == "attribute add":
            self.attribute = ran.id
        if words in {"workflow submit", "cron add", "generator add"}:
            self.made[words.split()[0]] = ran.id


def make_files(directory: Path) -> None:
    """The files that the guide makes with the shell."""
    (directory / "subdir").mkdir(parents=True, exist_ok=True)
    (directory / "hello.txt").write_text("Hello\n")
    (directory / "subdir" / "hello2.txt").write_text("Hello 2\n")


def documents() -> list[object]:
    """The JSON documents that the guide tells to copy."""
    blocks = re.findall(
        r"^\.\. code-block:: json *\n\n((?:[ \t]+.*\n|\s*\n)+)", GUIDE.read_text(), re.MULTILINE
    )
    return [cast("object", json.loads(block)) for block in blocks]


@pytest.mark.parametrize(
    "name",
    ["executors/executor", "functions/helloworld", "workflows/workflow", "cron/cron_workflow"],
)
def test_the_examples_are_those_of_the_guide(name: str) -> None:
    assert json.loads((EXAMPLES / f"{name}.json").read_text()) in documents()


def expected_labels(shown: str) -> set[str]:
    """Headers and first columns of the tables in an output, captions, and names of fields."""
    lines = [line.strip() for line in shown.splitlines()]
    rows = {
        n: [cell.strip() for cell in line.strip("|").split("|")]
        for n, line in enumerate(lines)
        if "|" in line
    }
    # Below a header there is a rule, and below that the first row.
    headers = {n for n in rows if n + 1 not in rows and n + 2 in rows and n - 1 not in rows}
    header = {cell for n in headers for cell in rows[n]}
    headed = {n for n in rows if any(m + 1 <= n for m in headers)}
    first = {row[0] for n, row in rows.items() if n not in headers | headed and row[0]}
    captions = {line for line in lines if re.fullmatch(r"[A-Z]\w+( \w+)*:", line)}
    fields = {
        f"{name}=" for name in re.findall(r"^\s*(\w+)=|\s(\w+)=", shown) for name in name if name
    }
    return {LABELS.get(label, label) for label in header | first | captions | fields}


def messages(step: Step) -> list[str]:
    """The texts of the message lines."""
    words = " ".join(step.command.split()[1:3])
    found = re.findall(r"^ *(?:INFO|WARN)\[\d+\] (.*?)(?:   .*| *)$", step.shown, re.MULTILINE)
    return [MESSAGES.get((words, text), text) for text in cast("list[str]", found)]


def objects(chapter: str) -> tuple[str, ...]:
    """What a chapter needs besides of ``colonies dev``."""
    return ("--s3", "--s3-port", str(free_port())) if chapter == "Filesystem" else ()


@pytest.mark.parametrize(
    ("first", "end", "count"),
    [
        ("", "Workflows", 50),
        ("Workflows", "Crons", 12),
        ("Crons", "Generators", 8),
        ("Generators", "Filesystem", 11),
        ("Filesystem", "", 8),
    ],
)
def test_every_command_of_the_guide_works_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, end: str, count: int
) -> None:
    walked = steps(first, end)
    assert len(walked) == count
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    with running_dev(tmp_path / "home", free_port(), *objects(first)) as dev:
        story = Story(dev.shell)
        for step in walked:
            ran = story.walk(step)
            assert ran.code == 0, f"{step.command}\n{ran.out}{ran.err}"
            said = ran.out + ran.err
            assert [text for text in messages(step) if text not in said] == [], step.command
            missing = {label for label in expected_labels(step.shown) if label not in said}
            assert missing == set(), f"{step.command}\n{said}"
