"""Everything a command can end with besides success, and its exit code.

CliError                 1  what, and what to do about it
├── UsageError           2  the command line or the configuration cannot be right
├── Unreachable          3  no server answered
│   ├── Unanswered       3  a message was sent, and its answer is missing
│   └── CutOff           3  what was being followed ended, and could not be taken up again
├── RpcError             1  a server answered with a refusal: status and message
├── Aborted              1  a question was answered with no
└── Interrupted        130  a wait was ended by Ctrl-C, and what was waited for goes on

Ctrl-C elsewhere is 130 without a word, as a shell expects. ``cli/app.py`` prints what ends here.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class CliError(Exception):
    """A command cannot go on; ``hint`` says what to do next."""

    exit_code = Exit.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CliError):
    """The command line, a file it names or the configuration cannot be right."""

    exit_code = Exit.USAGE


class Unreachable(CliError):
    """Nobody answered, or what answered is not a colonies server."""

    exit_code = Exit.UNREACHABLE


class Unanswered(Unreachable):
    """The message was sent and no answer came: whether it took effect is unknown."""


class CutOff(Unreachable):
    """The connection over which something was followed ended."""


class RpcError(CliError):
    """A refusal: ``status`` equals the HTTP status, ``message`` is the server's own text.

    ``asked`` is the type of the message that was refused.
    """

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.asked = ""


class Aborted(CliError):
    """The user did not want to."""


class Interrupted(CliError):
    """The user does not want to wait any longer."""

    exit_code = Exit.INTERRUPTED


def first(group: BaseExceptionGroup[CliError]) -> CliError:
    """What went wrong first, of several at once: the others mostly follow from it."""
    error = group.exceptions[0]
    return first(error) if isinstance(error, BaseExceptionGroup) else error
