"""The user guide as a test: every command of it as typed, against a real server.

``guide.rst`` holds the chapters verbatim. What is wrong in the guide itself is repaired by the
lists below and nowhere else; what has to be there first (a file, an executor the prose assumes)
is put there before the command that needs it.
"""

import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, Shell, free_port, new_key, running_dev

GUIDE = Path(__file__).with_name("guide.rst")
HELLOWORLD_KEY = "8c32cdcea68600e05df8661eb0cb6679b9ba1d62c901b2a0a55c2eecd9bbbf58"
SAME_ID_AGAIN = "24bbbc074019734fc4676ec1641ca6f22c3ac943c48067ded3649602653a96c1"

# What the guide types wrongly: the command it shows an output for, and what it means.
REPAIRS = (
    # Backslash and space: a shell would end the command there.
    ("", r"\\ *\n\s*", " "),
    # The second of two equal commands is shown with the output of another.
    ("Process closed as Failed", r"process close (.*) --out Hej", r"process fail \1"),
)
# Labels that the guide misspells or that have been corrected since.
LABELS = {
    "FUNC": "FUNCNAME",
    "Memmory": "Memory",
    "ExecutorIDs": "ExecutorNames",
}
ASKS_FIRST = ("colony remove", "user remove", "process removeall")


@dataclass(frozen=True)
class Step:
    """A command of the guide and what it shows as the result."""

    command: str
    shown: str


def steps() -> Iterator[Step]:
    """The commands in order, each with the block that follows it when that is its output."""
    text = GUIDE.read_text(encoding="utf-8")
    found = re.findall(
        r"^\.\. code-block:: *(\w+) *\n((?:[ \t]+\S.*\n|\s*\n)+)", text, re.MULTILINE
    )
    blocks = [(kind, textwrap.dedent(body).strip("\n").strip()) for kind, body in found]
    for number, (_, body) in enumerate(blocks):
        if not body.startswith("colonies"):
            continue
        following = blocks[number + 1][1] if number + 1 < len(blocks) else ""
        kind = blocks[number + 1][0] if number + 1 < len(blocks) else ""
        is_output = kind == "console" and not re.match(r"colonies\b|export ", following)
        yield Step(body, following if is_output else "")


class Story:
    """Walks through the guide in the colony ``dev``."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.process = ""
        self.attribute = ""
        self.done: list[str] = []

    def walk(self, step: Step) -> Ran:
        """Run one command as typed; ids that the server makes are the ones of this run."""
        command = self._repaired(step)
        self._prepare(command)
        command = self._with_ids(command)
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

    def _add_executor(self, name: str, options: str = "--type ml") -> None:
        made = new_key()["id"]
        self.shell.ok(f"executor add --name {name} {options} --executorid {made} --approve")

    def _forget(self, name: str) -> None:
        self.shell(f"executor remove --name {name}")

    def _running(self) -> str:
        self.shell.ok("function submit --spec examples/functions/helloworld.json")
        return self.shell.ok(f"process assign --prvkey {HELLOWORLD_KEY}").id

    def _remember(self, command: str, ran: Ran) -> None:
        words = " ".join(command.split()[1:3])
        self.done.append(words)
        if words == "process assign":
            self.process = ran.id
        if words == "attribute add":
            self.attribute = ran.id


def write_examples(directory: Path) -> None:
    """The files that the guide tells to copy."""
    blocks = re.findall(
        r"^\.\. code-block:: json\n\n((?:[ \t]+.*\n|\s*\n)+)", GUIDE.read_text(), re.MULTILINE
    )
    documents = [json.loads(block) for block in blocks[:3]]
    executor, minimal, function = documents
    assert (minimal["executortype"], function["funcname"]) == ("ml", "helloworld")
    for name, document in (("executors/executor", executor), ("functions/helloworld", function)):
        path = directory / "examples" / f"{name}.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(document))


def expected_labels(shown: str) -> set[str]:
    """Headers and first columns of the tables in an output, captions, and names of fields."""
    lines = [line.strip() for line in shown.splitlines()]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    header = {cell for row in rows[:1] if len(row) > 2 for cell in row}
    first = {row[0] for row in rows if len(row) == 2 and row[0]}
    single = {row[0] for row in rows[:1] if len(row) == 1}
    captions = {line for line in lines if re.fullmatch(r"[A-Z]\w+( \w+)*:", line)}
    fields = {
        f"{name}=" for name in re.findall(r"^\s*(\w+)=|\s(\w+)=", shown) for name in name if name
    }
    return {LABELS.get(label, label) for label in header | first | single | captions | fields}


def message(shown: str) -> str:
    """The text of the message line, if there is one."""
    found = re.search(r"^INFO\[\d+\] (.*?) *$", shown, re.MULTILINE)
    return found[1] if found else ""


def test_every_command_of_the_guide_works_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_examples(tmp_path)
    monkeypatch.chdir(tmp_path)
    walked = list(steps())
    assert len(walked) == 44
    with running_dev(tmp_path / "home", free_port()) as dev:
        story = Story(dev.shell)
        for step in walked:
            ran = story.walk(step)
            assert ran.code == 0, f"{step.command}\n{ran.out}{ran.err}"
            said = ran.out + ran.err
            assert message(step.shown) in said, step.command
            missing = {label for label in expected_labels(step.shown) if label not in said}
            assert missing == set(), f"{step.command}\n{said}"
