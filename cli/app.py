"""The root of the command line: what there is, how it is called, and how it ends.

Every group is named here with one line of help and imported only when it is called, so that
``colonies --help`` and every single command start quickly.
"""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from cli.argv import CONTINUATION, normalise
from cli.errors import CliError, Exit, Interrupted, UsageError
from cli.nearest import nearest

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError, MissingArgumentError, UnknownCommandError

GROUPS = {
    "attribute": "Manage process attributes",
    "blueprint": "Manage blueprints",
    "channel": "Manage channels",
    "cluster": "Manage clusters",
    "colony": "Manage colonies",
    "completion": "Generate the autocompletion script for the specified shell",
    "config": "Show the configuration and manage profiles",
    "cron": "Manage cron",
    "database": "Manage the database that keeps the archive",
    "dev": "Start a development server",
    "doctor": "Check the configuration, the server and every key",
    "events": "Follow what happens in a colony",
    "executor": "Manage executors, or run one",
    "fs": "Manage file storage",
    "function": "Manage functions",
    "generator": "Manage generators",
    "history": "Show, verify, rebuild, restore and export the log of a colony",
    "key": "Manage private keys",
    "location": "Manage locations",
    "log": "Manage logging",
    "monitor": "Manage Prometheus monitoring",
    "process": "Manage processes",
    "server": "Manage production server",
    "user": "Manage users",
    "version": "Show the version",
    "workflow": "Manage workflows",
}
_HELP = frozenset({"-h", "--help"})


def build() -> "App":
    """The command tree; the groups in it are still names of modules."""
    from cyclopts import App, Parameter  # noqa: PLC0415 - `colonies --help` does without

    app = App(
        name="colonies",
        help="Colonies CLI tool",
        help_format="plaintext",
        version_flags=(),
        default_parameter=Parameter(show_default=False),
    )
    for name, summary in GROUPS.items():
        app.command(f"cli.commands.{name}:app", name=name, help=summary)
    return app


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    # Most commands end before there is garbage; looking for it costs a tenth of their time.
    gc.set_threshold(50_000)
    code = run(sys.argv[1:])
    # The interpreter looks for garbage once more when it ends, several times; all of it is.
    gc.freeze()
    sys.exit(code)


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; whatever goes wrong is said on stderr."""
    try:
        if argv[:1] == ["__complete"]:
            return _complete(argv[1:])
        arguments = normalise(argv)
        if not arguments or arguments[0] in _HELP:
            sys.stdout.write(overview())
            return Exit.DONE
        if arguments[0] == "--version":
            arguments[0] = "version"
        return _dispatch(arguments)
    except CliError as error:
        if isinstance(error, Interrupted) and sys.stderr.isatty():
            sys.stderr.write("\n")  # the terminal has shown ^C where the cursor was
        _complain(error.message, error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except OSError as error:
        return _failed_by(error)


def _failed_by(error: OSError) -> int:
    """What a file, or this machine, does not let us do; of servers the client speaks."""
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has gone; the interpreter must not try to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        said = error.strerror or str(error)
        _complain(f"{error.filename}: {said}" if error.filename else said, "")
    return Exit.FAILED


def _dispatch(arguments: Sequence[str]) -> int:
    from cyclopts import CycloptsError  # noqa: PLC0415 - see build

    _check_group(arguments[0])
    app = build()
    if _HELP.intersection(arguments):
        _let_help_flow(app, arguments)
    try:
        result: object = app(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        raise _usage_error(error, arguments) from error
    return result if isinstance(result, int) else Exit.DONE


def _let_help_flow(app: "App", arguments: Sequence[str]) -> None:
    """Have the terminal fold what a command says of itself, not the lines of its source."""
    import re  # noqa: PLC0415 - see build
    from inspect import cleandoc  # noqa: PLC0415 - see build

    for word in arguments:
        if word.startswith("-") or word not in app:
            break
        app = app[word]
    # A group that is itself a command has two texts; the command's own says more than one line.
    told = (app.default_command.__doc__ if app.default_command else None) or app.help
    described, sections, rest = cleandoc(told).partition("\n\nArgs:\n")
    app.help = re.sub(r"(?<!\n)\n(?![\n ])", " ", described) + sections + rest


def _usage_error(error: "CycloptsError", arguments: Sequence[str]) -> UsageError:
    """What cyclopts found wrong, in our words where its own are none of a user's."""
    from cyclopts import (  # noqa: PLC0415 - see build
        MissingArgumentError,
        UnknownCommandError,
        UnusedCliTokensError,
    )

    text = str(error).strip()
    known = arguments[:2]
    if isinstance(error, UnknownCommandError):
        known = list(error.command_chain or arguments[:1])
        text = _unknown_command(known, error)
    if isinstance(error, MissingArgumentError):
        text = _missing(error)
    if isinstance(error, UnusedCliTokensError):
        unused = error.unused_tokens or []
        text = f"nothing is expected here: {' '.join(unused)}"
        if "n" in unused:
            return UsageError(text, hint=f"\\n continues no line; {CONTINUATION}")
        switch = _switch_before(unused, arguments)
        if switch:
            return UsageError(text, hint=f"a switch is set with an equals sign: {switch}")
    words = [word for word in known if not word.startswith("-")]
    return UsageError(text, hint=f"see `colonies {' '.join([*words, '--help'])}`")


def _unknown_command(known: Sequence[str], error: "UnknownCommandError") -> str:
    """What is said of the first word that is no command of the group before it."""
    group, unknown = " ".join(known), (error.unused_tokens or [""])[0]
    if unknown.startswith("-"):
        return f"`colonies {group}` needs a command"
    commands = [name for name in error.app or () if not name.startswith("-")]
    near = nearest(unknown, commands)
    return f"unknown command '{group} {unknown}'" + (
        f", did you mean '{group} {near}'?" if near else ""
    )


def _missing(error: "MissingArgumentError") -> str:
    """What is said of an argument that is not there, or of an option without its value."""
    argument = error.argument
    if argument is None:
        return "an argument is missing"
    typed = [error.keyword, *(token.keyword for token in argument.tokens)]
    for option in filter(None, typed):
        return f"{option} needs a value"
    name = argument.name
    if argument.field_info.is_positional:
        return f"{name.lstrip('-').upper()} ({name}) is missing"
    return f"{name} is missing"


def _switch_before(unused: Sequence[str], arguments: Sequence[str]) -> str:
    """A switch and the value behind it as it should have been typed; empty when it is none."""
    for option, value in pairwise(arguments):
        if value in unused and value.lower() in {"true", "false"} and option.startswith("--"):
            return f"{option}={value.lower()}"
    return ""


def _complete(words: Sequence[str]) -> int:
    """Offer a shell what could come next; see cli/complete.py."""
    import asyncio  # noqa: PLC0415 - see build

    from cli.complete import candidates  # noqa: PLC0415 - it needs this module

    sys.stdout.writelines(f"{word}\n" for word in asyncio.run(candidates(words)))
    return Exit.DONE


def _check_group(name: str) -> None:
    if name in GROUPS:
        return
    near = nearest(name, GROUPS)
    what = "option" if name.startswith("-") else "command"
    raise UsageError(
        f"unknown {what} {name!r}" + (f", did you mean {near!r}?" if near else ""),
        hint="`colonies --help` lists the commands",
    )


def overview() -> str:
    """The text of ``colonies`` alone and of ``colonies --help``."""
    width = max(len(name) for name in GROUPS) + 2
    commands = "".join(f"  {name:<{width}}{summary}\n" for name, summary in GROUPS.items())
    return (
        "Colonies CLI tool\n\nUsage:\n  colonies [command]\n\n"
        f"Available Commands:\n{commands}\n"
        f"Flags:\n{_FLAGS}\n"
        "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 server unreachable\n\n"
        'Use "colonies [command] --help" for more information about a command.\n'
    )


_FLAGS = """\
  -h, --help              help for colonies
      --colony NAME       colony to act on
      --host HOST         server host
      --insecure          Disable TLS and use HTTP
      --json              print JSON, the same as -o json
  -o, --output FORMAT     table, json, yaml or id
      --port PORT         server port
      --profile NAME      profile to use, see colonies config
      --skip-tls-verify   Skip TLS certificate verification
  -v, --verbose           Verbose (debugging)
      --version           show the version
  -y, --yes               do not ask before removing something
"""


def _complain(message: str, hint: str) -> None:
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    paint: Callable[[str, str], str] = lambda code, text: (  # noqa: E731
        f"\x1b[{code}m{text}\x1b[0m" if colour else text
    )
    sys.stderr.write(f"{paint('31', 'error:')} {message}\n")
    if hint:
        sys.stderr.write(f"{paint('36', 'hint:')} {hint}\n")
