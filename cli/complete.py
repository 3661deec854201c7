"""What could come next on a command line: commands, options, and names known to the server.

Asked by the shell while somebody types, so it is quick and never says what went wrong: where the
server cannot be asked there is simply nothing to offer.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from cyclopts import App

from api import wire_colony, wire_executor, wire_function, wire_location, wire_process, wire_user
from cli import render
from cli.app import GROUPS, build
from cli.argv import COMMANDS, NESTED, normalise
from cli.argv import GROUPS as ALIASES
from cli.client import Client
from cli.config import Role
from cli.errors import CliError
from cli.options import Format, Options
from cli.profile import ProfileStore
from cli.session import Session

if TYPE_CHECKING:
    from api.wire_file import Snapshot

_REPLY_S = 1.5
_COUNT = 50
_MOST_FILES = 1000
"""Labels or files of a label that are offered; what is typed is not known to the server."""
_STATES = {
    "close": (1,),
    "fail": (1,),
    "cancel": (0, 1),
    "append": (0, 1),
    "follow": (0, 1),
    "read": (0, 1),
    "remove": (0, 2, 3, 4),
}
_NAMED = {
    "executor": "executors",
    "user": "users",
    "location": "locations",
    "colony": "colonies",
    "blueprint": "blueprints",
    "blueprint definition": "definitions",
}
_BY_ID = {
    "channel": "processes",
    "log": "processes",
    "process": "processes",
    "workflow": "workflows",
    "cron": "crons",
    "generator": "generators",
}
_OPTIONS = {
    "--targettype": "types",
    "--type": "types",
    "--executortype": "types",
    "--targetname": "executors",
    "--executorname": "executors",
    "-e": "executors",
    "--initiator": "users",
    "--func": "functions",
    "--processid": "processes",
    "-p": "processes",
    "--workflowid": "workflows",
    "--cronid": "crons",
    "--generatorid": "generators",
    "--kind": "kinds",
    "--profile": "profiles",
    "--output": "formats",
    "-o": "formats",
    "--state": "states",
}
_OF_FILES = {
    "fs": {"--label": "labels", "-l": "labels", "--name": "files", "-n": "files"},
    "fs label": {"--label": "labels", "-l": "labels"},
    "fs snapshot": {
        "--label": "labels",
        "-l": "labels",
        "--name": "snapshots",
        "-n": "snapshots",
        "--snapshotid": "snapshotids",
    },
}


async def candidates(words: Sequence[str]) -> list[str]:
    """What may stand where the last of the words is being typed, sorted; it may be empty."""
    typed = words[-1] if words else ""
    try:
        found = await _candidates(list(words[:-1]), typed)
    except CliError:
        return []
    return sorted({word for word in found if word.startswith(typed)})


async def _candidates(before: Sequence[str], typed: str) -> Sequence[str]:
    words = normalise(before)
    group = words[0] if words else ""
    if not group:
        return list(GROUPS)
    if ALIASES.get(group, group) not in GROUPS:
        return []
    if len(words) > 1 and words[1] in NESTED.get(group, ()):
        group, words = f"{group} {words[1]}", words[1:]
    commands = _commands(group)
    if len(words) == 1 and commands and not typed.startswith("-"):
        return commands
    command = COMMANDS.get(words[1], words[1]) if len(words) > 1 else ""
    if typed.startswith("-"):
        return _options(group, command)
    kind = _kind(group, command, words[-1])
    detail = _label_in(words) if kind == "files" else command
    return await _values(kind, detail) if kind else []


def _label_in(words: Sequence[str]) -> str:
    """The label that was typed, of which the files are wanted."""
    return next((label for option, label in pairwise(words) if option in {"--label", "-l"}), "")


def _commands(group: str) -> list[str]:
    if group == "completion":
        return ["bash", "fish", "zsh"]
    return [name for name in _app(group) if not name.startswith("-")]


def _app(group: str) -> App:
    """A group; one in another is written behind it."""
    found = build()
    for name in group.split():
        found = found[name]
    return found


def _options(group: str, command: str) -> list[str]:
    app = _app(group)
    target = app[command] if command in set(app) else app
    if target.default_command is None:
        return ["--help"]
    arguments = target.assemble_argument_collection()
    return [name for argument in arguments for name in argument.names if name.startswith("--")]


def _kind(group: str, command: str, previous: str) -> str:
    """What is expected after the previous word: as the value of an option, or by itself."""
    of_files = _OF_FILES.get(group, {}).get(previous, "")
    if of_files and (command, of_files) != ("create", "snapshots"):
        return of_files
    if previous in _OPTIONS:
        return _OPTIONS[previous]
    if previous in ("--name", command):
        by_name = {"config": "profiles", **_BY_ID, **_NAMED}
        nameless = {"add", "ls", "create", "generate", "assign", "submit", "stats", "search"}
        if command in nameless or (group, command) == ("executor", "run"):
            return ""
        return by_name.get(group, "")
    return ""


async def _values(kind: str, command: str) -> list[str]:
    if kind == "formats":
        return list(Format)
    if kind == "states":
        return [state.value.lower() for state in render.PROCESS_STATES]
    if kind == "profiles":
        import os  # noqa: PLC0415 - for this kind only

        return list(ProfileStore(os.environ).read().profiles)
    async with Session(Options(timeout=_REPLY_S)) as session:
        role = Role.SERVER if kind == "colonies" else Role.MEMBER
        return await _ASK[kind](session.client(role), session, command)


async def _executors(client: Client, session: Session, _command: str) -> list[str]:
    message = wire_executor.GetExecutorsMsg(colonyname=session.colony)
    return [one.executorname for one in await client.ask_list(message, wire_executor.Executor)]


async def _types(client: Client, session: Session, _command: str) -> list[str]:
    message = wire_executor.GetExecutorsMsg(colonyname=session.colony)
    return [one.executortype for one in await client.ask_list(message, wire_executor.Executor)]


async def _users(client: Client, session: Session, _command: str) -> list[str]:
    message = wire_user.GetUsersMsg(colonyname=session.colony)
    return [user.name for user in await client.ask_list(message, wire_user.User)]


async def _locations(client: Client, session: Session, _command: str) -> list[str]:
    message = wire_location.GetLocationsMsg(colonyname=session.colony)
    return [place.name for place in await client.ask_list(message, wire_location.Location)]


async def _functions(client: Client, session: Session, _command: str) -> list[str]:
    message = wire_function.GetFunctionsMsg(colonyname=session.colony)
    return [one.funcname for one in await client.ask_list(message, wire_function.Function)]


async def _colonies(client: Client, _session: Session, _command: str) -> list[str]:
    return [
        one.name for one in await client.ask_list(wire_colony.GetColoniesMsg(), wire_colony.Colony)
    ]


async def _processes(client: Client, session: Session, command: str) -> list[str]:
    found: list[str] = []
    for state in _STATES.get(command, range(len(render.PROCESS_STATES))):
        message = wire_process.GetProcessesMsg(colonyname=session.colony, count=_COUNT, state=state)
        found += [one.processid for one in await client.ask_list(message, wire_process.Process)]
    return found


async def _workflows(client: Client, session: Session, command: str) -> list[str]:
    from api.wire_workflow import GetProcessGraphsMsg, ProcessGraph  # noqa: PLC0415 - takes a while

    found: list[str] = []
    for state in _STATES.get(command, range(len(render.PROCESS_STATES))):
        message = GetProcessGraphsMsg(colonyname=session.colony, count=_COUNT, state=state)
        found += [one.processgraphid for one in await client.ask_list(message, ProcessGraph)]
    return found


async def _crons(client: Client, session: Session, _command: str) -> list[str]:
    from api.wire_cron import Cron, GetCronsMsg  # noqa: PLC0415 - for this kind only

    message = GetCronsMsg(colonyname=session.colony, count=_COUNT)
    found = await client.ask_list(message, Cron)
    return [text for one in found for text in (one.name, one.cronid)]


async def _generators(client: Client, session: Session, _command: str) -> list[str]:
    from api.wire_generator import Generator, GetGeneratorsMsg  # noqa: PLC0415 - as above

    message = GetGeneratorsMsg(colonyname=session.colony, count=_COUNT)
    found = await client.ask_list(message, Generator)
    return [text for one in found for text in (one.name, one.generatorid)]


async def _blueprints(client: Client, session: Session, _command: str) -> list[str]:
    from api.wire_blueprint import Blueprint, GetBlueprintsMsg  # noqa: PLC0415 - as above

    message = GetBlueprintsMsg(namespace=session.colony)
    return [one.metadata.name for one in await client.ask_list(message, Blueprint)]


async def _definitions(client: Client, session: Session, _command: str) -> list[str]:
    from cli import blueprints  # noqa: PLC0415 - as above

    return [one.metadata.name for one in await blueprints.definitions(client, session.colony)]


async def _kinds(client: Client, session: Session, _command: str) -> list[str]:
    from cli import blueprints  # noqa: PLC0415 - as above

    return [one.spec.names.kind for one in await blueprints.definitions(client, session.colony)]


async def _labels(client: Client, session: Session, _command: str) -> list[str]:
    from api.wire_file import GetFileLabelsMsg, Label  # noqa: PLC0415 - as above

    message = GetFileLabelsMsg(colonyname=session.colony, count=_MOST_FILES)
    return [one.name for one in await client.ask_list(message, Label)]


async def _files(client: Client, session: Session, label: str) -> list[str]:
    from api.wire_file import FileData, GetFilesMsg  # noqa: PLC0415 - as above

    message = GetFilesMsg(
        colonyname=session.colony, label="/" + label.strip("/"), count=_MOST_FILES
    )
    return [one.name for one in await client.ask_list(message, FileData)]


async def _snapshots(client: Client, session: Session) -> "list[Snapshot]":
    from api.wire_file import GetSnapshotsMsg, Snapshot  # noqa: PLC0415 - as above

    return await client.ask_list(GetSnapshotsMsg(colonyname=session.colony), Snapshot)


async def _snapshot_names(client: Client, session: Session, _command: str) -> list[str]:
    return [one.name for one in await _snapshots(client, session)]


async def _snapshot_ids(client: Client, session: Session, _command: str) -> list[str]:
    return [one.snapshotid for one in await _snapshots(client, session)]


_ASK: dict[str, Callable[[Client, Session, str], Awaitable[list[str]]]] = {
    "executors": _executors,
    "types": _types,
    "users": _users,
    "locations": _locations,
    "functions": _functions,
    "colonies": _colonies,
    "processes": _processes,
    "workflows": _workflows,
    "crons": _crons,
    "generators": _generators,
    "blueprints": _blueprints,
    "definitions": _definitions,
    "kinds": _kinds,
    "labels": _labels,
    "files": _files,
    "snapshots": _snapshot_names,
    "snapshotids": _snapshot_ids,
}
