"""Where results and messages go: results to stdout, everything said about them to stderr."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TextIO

from msgspec import Struct

from cli import render
from cli.errors import Aborted
from cli.options import Format, Options

_STARTED = time.monotonic()
_YES = "YES"
_AGREED = frozenset({"yes", "y"})


class Output(Struct, frozen=True, kw_only=True):
    """The two streams of a command and how they may be used."""

    format: Format
    stdout: TextIO
    stderr: TextIO
    results: render.Style
    messages: render.Style
    assume_yes: bool = False
    verbose: bool = False

    @classmethod
    def of(cls, options: Options, environ: Mapping[str, str]) -> "Output":
        """What fits the terminal, the options, and ``NO_COLOR`` and its kin in the environment."""
        verbose = environ.get("COLONIES_VERBOSE", "").lower() in {"true", "1"}
        return cls(
            format=options.format,
            stdout=sys.stdout,
            stderr=sys.stderr,
            results=_style(sys.stdout, environ),
            messages=_style(sys.stderr, environ),
            assume_yes=options.yes,
            verbose=verbose if options.verbose is None else options.verbose,
        )

    def show(self, result: render.Listing | render.Detail) -> None:
        """Print a result in the format that was asked for; an empty list is ``[]`` in JSON."""
        match self.format:
            case Format.JSON:
                self.stdout.write(render.to_json(result.data))
            case Format.YAML:
                self.stdout.write(render.to_yaml(result.data))
            case Format.ID:
                self.stdout.writelines(f"{line}\n" for line in result.ids)
            case Format.TABLE if isinstance(result, render.Listing):
                self._show_listing(result)
            case Format.TABLE if isinstance(result, render.Detail):
                self.stdout.write(render.blocks(result.blocks, self.results))
            case _:
                raise AssertionError(result)
        self.stdout.flush()

    def done(self, text: str, *, ids: str = "", data: object = None, **fields: str) -> None:
        """Say that something was done.

        Its id goes to stdout when that is read by a program, or is asked for; on a terminal the
        message already shows it.
        """
        match self.format:
            case Format.JSON:
                self.stdout.write(render.to_json(fields if data is None else data))
            case Format.YAML:
                self.stdout.write(render.to_yaml(fields if data is None else data))
            case Format.ID:
                self.stdout.write(f"{ids}\n" if ids else "")
            case Format.TABLE:
                self.say(text, **fields)
                if ids and not self.stdout.isatty():
                    self.stdout.write(f"{ids}\n")
        self.stdout.flush()

    def say(self, text: str, *, level: str = "INFO", **fields: str) -> None:
        """Say something on stderr, in the form of the guide."""
        line = render.message(
            level,
            text,
            fields,
            elapsed_s=int(time.monotonic() - _STARTED),
            colour=self.messages.colour,
        )
        # A message that nobody reads any more must not end what it is about.
        with suppress(BrokenPipeError):
            self.stderr.write(f"{line}\n")
            self.stderr.flush()

    def write(self, text: str) -> None:
        """Print a result as it is."""
        self.stdout.write(text)
        self.stdout.flush()

    def stream(self, items: Sequence[tuple[str, object]]) -> None:
        """Print some of many results, each an id and plain JSON values.

        As JSON each is a line of its own; as YAML all of them are one list.
        """
        match self.format:
            case Format.YAML:
                texts = [render.to_yaml([data]) for _, data in items]
            case Format.ID:
                texts = [f"{identity}\n" for identity, _ in items]
            case Format.JSON | Format.TABLE:
                texts = [f"{json.dumps(data, ensure_ascii=False)}\n" for _, data in items]
        self.write("".join(texts))

    def clear(self) -> None:
        """Begin a new screen where there is one; elsewhere what was printed stays."""
        if self.stdout.isatty():
            self.stdout.write("\x1b[H\x1b[2J\x1b[3J")

    def confirm(self, question: str) -> None:
        """Go on only if the user types exactly YES, or said so before with ``--yes``.

        Raises:
            Aborted: anything else, the end of the input too.
        """
        if self.assume_yes:
            return
        self.stderr.write(f"WARNING!!! {question} This operation cannot be undone! (YES,no): ")
        self.stderr.flush()
        answer = sys.stdin.readline()
        if not sys.stdin.isatty() or not answer:
            self.stderr.write("\n")
        if answer.strip() != _YES:
            raise Aborted("aborted, nothing was changed", hint="type YES, or pass --yes")

    def agree(self, question: str) -> None:
        """Go on only if the user types yes or y, or said so before with ``--yes``.

        Raises:
            Aborted: anything else, the end of the input too.
        """
        if self.assume_yes:
            return
        self.stdout.flush()
        self.stderr.write(f"{question} (yes,no): ")
        self.stderr.flush()
        answer = sys.stdin.readline()
        if not sys.stdin.isatty() or not answer:
            self.stderr.write("\n")
        if answer.strip().lower() not in _AGREED:
            raise Aborted("aborted, nothing was changed", hint="type yes, or pass --yes")

    def _show_listing(self, result: render.Listing) -> None:
        if result.rows:
            self.stdout.write(render.table(result.header, result.rows, self.results))
        else:
            self.say(result.nothing, level=result.level)


def _style(stream: TextIO, environ: Mapping[str, str]) -> render.Style:
    terminal = stream.isatty()
    ascii_only = environ.get("COLONIES_CLI_ASCII", "").lower() in {"true", "1"}
    speaks_unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
    colour = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return render.Style(
        width=_width(environ) if terminal else 0,
        unicode=terminal and speaks_unicode and not ascii_only,
        colour=colour or environ.get("CLICOLOR_FORCE", "0") not in {"", "0"},
    )


def _width(environ: Mapping[str, str]) -> int:
    import shutil  # noqa: PLC0415 - only a terminal has a width

    columns = environ.get("COLUMNS", "")
    return int(columns) if columns.isdigit() else shutil.get_terminal_size().columns
