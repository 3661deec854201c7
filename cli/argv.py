"""What people type, as the commands read it: pure functions from argument list to argument list.

Aliases of groups and commands, global options in front of the command, the spellings of other
versions, and two traps of the guide's own examples.
"""

from collections.abc import Sequence

from cli.errors import UsageError

GROUPS = {
    "attributes": "attribute",
    "blueprints": "blueprint",
    "channels": "channel",
    "clusters": "cluster",
    "colonies": "colony",
    "event": "events",
    "executors": "executor",
    "functions": "function",
    "keys": "key",
    "locations": "location",
    "logs": "log",
    "processes": "process",
    "security": "key",
    "servers": "server",
    "users": "user",
    "workflows": "workflow",
    "worklflow": "workflow",
    "crons": "cron",
    "generators": "generator",
}
COMMANDS = {
    "list": "ls",
    "rm": "remove",
    "delete": "remove",
    "del": "remove",
    "show": "get",
    "info": "get",
}
# These have a command of that name themselves.
_OWN_WORDS = {
    "config": {"show", "remove"},
    "cluster": {"info"},
    "completion": set(COMMANDS),
    "history": {"show"},
    "fs": {"info"},
    "key": {"show"},
    "snapshot": {"info"},
}

# Their commands are groups themselves.
NESTED = {
    "blueprint": {"definition", "definitions"},
    "fs": {"key", "label", "labels", "snapshot", "snapshots"},
}

_VALUE_OPTIONS = frozenset(
    {
        "--host",
        "--port",
        "--colony",
        "--colonyname",
        "--profile",
        "--prvkey",
        "--colonyprvkey",
        "--serverprvkey",
        "--output",
        "-o",
        "--request-timeout",
    }
)
_SWITCHES = frozenset(
    {
        "--insecure",
        "--tls",
        "--skip-tls-verify",
        "--json",
        "--verbose",
        "-v",
        "--yes",
        "-y",
    }
)
_SINGLE_DASH = {"-follow": "--follow", "-wait": "--wait", "-json": "--json", "-help": "--help"}
# Their values may begin with a dash, or be one; where `--out` is a switch it takes none.
_FREE_TEXT = frozenset(
    {
        "--args",
        "--arg",
        "--kwargs",
        "--errors",
        "--msg",
        "-m",
        "--file",
        "--text",
        "-t",
        "--value",
        "--spec",
        "--prvkey",
        "--colonyprvkey",
        "--serverprvkey",
    }
)
CONTINUATION = "a backslash that continues a line must be the last character of the line"
_COLONY_BY_ID_NAME = frozenset({"executor", "generator", "workflow"})


def normalise(argv: Sequence[str]) -> list[str]:
    """The arguments as the commands are declared.

    Raises:
        UsageError: a blank argument, which is what is left of a broken line continuation.
    """
    _check_continuations(argv)
    front, rest = _split_globals(argv)
    if rest and rest[0] == "help":
        rest = [*rest[1:], "--help"]
    if not rest or rest[0].startswith("-"):
        return [*rest, *front]
    group, *tail = rest
    group = GROUPS.get(group, group)
    if tail and tail[0] not in _OWN_WORDS.get(group, ()):
        tail[0] = COMMANDS.get(tail[0], tail[0])
    if tail and tail[0] in NESTED.get(group, ()):
        nested = tail[0].removesuffix("s")
        own_words = _OWN_WORDS.get(nested, ())
        inner = [word if word in own_words else COMMANDS.get(word, word) for word in tail[1:2]]
        tail = [nested, *inner, *tail[2:]]
    command = tail[:1]
    own, foreign = _split_at_separator(tail[1:])
    own = _numbered([_respelled(group, argument) for argument in own])
    return [group, *command, *_joined(group, command, own), *front, *foreign]


def _check_continuations(argv: Sequence[str]) -> None:
    for previous, argument in zip(["", *argv], argv, strict=False):
        # An empty or blank value of an option is somebody's wish, a blank word alone is not.
        if argument.isspace() and not previous.startswith("-"):
            raise UsageError(
                "an argument is blank",
                hint=CONTINUATION,
            )


def _split_globals(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Global options in front of the command, and the rest."""
    position = 0
    while position < len(argv):
        name, equals, _ = argv[position].partition("=")
        if name in _SWITCHES or (name in _VALUE_OPTIONS and equals):
            position += 1
        elif name in _VALUE_OPTIONS:
            position += 2
        else:
            break
    return list(argv[:position]), list(argv[position:])


def _split_at_separator(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is ours, and what follows ``--`` (with it)."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    return list(arguments[:cut]), list(arguments[cut:])


def _respelled(group: str, argument: str) -> str:
    name, equals, value = argument.partition("=")
    name = _SINGLE_DASH.get(name, name)
    if name == "--colonyid" and group in _COLONY_BY_ID_NAME:
        name = "--colony"
    return name + equals + value


def _numbered(arguments: Sequence[str]) -> list[str]:
    """The number that the guide writes behind the switch ``--random``, as an option of its own."""
    return [
        f"--ignored-number={argument}"
        if previous == "--random" and argument.isdecimal()
        else argument
        for previous, argument in zip(["", *arguments], arguments, strict=False)
    ]


def _joined(group: str, command: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Options with a free text as ``--name=value``, so that the text may begin with a dash."""
    free = _FREE_TEXT | {"--out"} if (group, *command) == ("process", "close") else _FREE_TEXT
    joined: list[str] = []
    pending = ""
    for argument in arguments:
        if pending:
            joined.append(f"{pending}={argument}")
            pending = ""
        elif argument in free:
            pending = argument
        else:
            joined.append(argument)
    return [*joined, pending] if pending else joined
