"""Results as text: tables, JSON, YAML, times, durations. No I/O, and nothing about commands.

A command describes what it found as a ``Listing`` (many things alike) or a ``Detail`` (one thing,
in captioned blocks); how that looks is decided here and by nobody else.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timezone
from enum import StrEnum
from itertools import zip_longest
from typing import cast

from msgspec import Struct

_SHORT_ID = 12
_MILLI, _SECOND = 1_000, 1_000_000  # microseconds
_NEVER = "0001-01-01T"
_MESSAGE_WIDTH = 44
_LEVEL_COLOURS = {"INFO": 36, "WARN": 33, "ERRO": 31, "DEBU": 90}
_NO_TEXT = re.compile("[\ud800-\udfff]")
"""Halves of characters: JSON can say them, and nothing can print them."""
_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_PLAIN_VALUE = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+:,=~%"
)


class State(StrEnum):
    """A state as users read it; drawn with a colour and a symbol where that is possible."""

    WAITING = "Waiting"
    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    PENDING = "Pending"
    APPROVED = "Approved"
    REJECTED = "Rejected"
    UNREGISTERED = "Unregistered"
    UNKNOWN = "Unknown"


_STATE_STYLES = {
    State.WAITING: ("◷", "yellow"),
    State.RUNNING: ("▶", "cyan"),
    State.SUCCESSFUL: ("✔", "green"),
    State.FAILED: ("✘", "red"),
    State.CANCELLED: ("⊘", "magenta"),
    State.PENDING: ("◷", "yellow"),
    State.APPROVED: ("✔", "green"),
    State.REJECTED: ("✘", "red"),
    State.UNREGISTERED: ("⊘", "bright_black"),
    State.UNKNOWN: ("?", "red"),
}

_COLOUR_NUMBERS = {
    "yellow": "33",
    "cyan": "36",
    "green": "32",
    "red": "31",
    "magenta": "35",
    "bright_black": "90",
}

PROCESS_STATES = (
    State.WAITING,
    State.RUNNING,
    State.SUCCESSFUL,
    State.FAILED,
    State.CANCELLED,
)
EXECUTOR_STATES = (State.PENDING, State.APPROVED, State.REJECTED, State.UNREGISTERED)


def state_of(states: Sequence[State], number: int) -> State:
    """The state a number of the protocol means."""
    return states[number] if 0 <= number < len(states) else State.UNKNOWN


def state_style(state: State) -> tuple[str, str]:
    """The symbol of a state, and the number of its colour."""
    symbol, colour = _STATE_STYLES[state]
    return symbol, _COLOUR_NUMBERS[colour]


class Id(Struct, frozen=True):
    """An identifier: may be shortened on a terminal too narrow for it, never elsewhere."""

    text: str


Cell = str | Id | State
Row = Sequence[Cell]


class Block(Struct, frozen=True, kw_only=True):
    """A table with a caption; without a header it is a list of labels and values."""

    caption: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Row] = ()
    nothing: str = ""


class Listing(Struct, frozen=True, kw_only=True):
    """Many things alike; ``nothing`` is said when there are none, at this level."""

    header: Sequence[str]
    rows: Sequence[Row]
    nothing: str
    data: object
    ids: Sequence[str] = ()
    level: str = "INFO"


class Detail(Struct, frozen=True, kw_only=True):
    """One thing, in blocks."""

    blocks: Sequence[Block]
    data: object
    ids: Sequence[str] = ()


class Style(Struct, frozen=True, kw_only=True):
    """What the place of printing can show; ``width`` 0 is as wide as it needs to be."""

    width: int = 0
    unicode: bool = False
    colour: bool = False


def table(header: Sequence[str], rows: Iterable[Row], style: Style) -> str:
    """Draw a table as the guide does; rounded and coloured where the terminal can."""
    kept = list(rows)
    full = [[_drawn(cell, style, short=False) for cell in row] for row in kept]
    if style == Style():
        return _plain_table(header, [[text for text, _ in row] for row in full])
    from cli import draw  # noqa: PLC0415 - rich takes a while, and what is piped does without

    short = [[_drawn(cell, style, short=True) for cell in row] for row in kept]
    return draw.table(
        header,
        full,
        short,
        draw.Canvas(width=style.width, unicode=style.unicode, colour=style.colour),
        # Labels and values stand below each other: there an id must not widen other values.
        whole=_id_columns(kept) if header else frozenset(),
    )


def _id_columns(rows: Sequence[Row]) -> frozenset[int]:
    return frozenset(n for row in rows for n, cell in enumerate(row) if isinstance(cell, Id))


def _drawn(cell: Cell, style: Style, *, short: bool) -> tuple[str, str]:
    """The text and the colour of a cell."""
    if isinstance(cell, Id):
        cut = short and len(cell.text) > _SHORT_ID
        return cell.text[:_SHORT_ID] + ("…" if style.unicode else "") if cut else cell.text, ""
    if isinstance(cell, State):
        symbol, colour = _STATE_STYLES[cell]
        return (f"{symbol} {cell.value}" if style.unicode else cell.value), colour
    return printable(cell), ""


def _plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The guide's own drawing: headers centred, everything else left, as wide as needed."""
    cells = [[cell.split("\n") for cell in row] for row in rows]
    columns = max([len(header), *(len(row) for row in rows)])
    widths = [
        max(
            [
                len(header[column]) if header else 0,
                *(len(line) for row in cells for line in row[column]),
            ]
        )
        for column in range(columns)
    ]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    lines = [rule]
    if header:
        titles = zip(header, widths, strict=True)
        lines += ["|" + "|".join(f" {title:^{width}} " for title, width in titles) + "|\n", rule]
    for row in cells:
        for line in zip_longest(*row, fillvalue=""):
            pairs = zip(line, widths, strict=True)
            lines.append("|" + "|".join(f" {text:<{width}} " for text, width in pairs) + "|\n")
    return "".join([*lines, rule])


def blocks(parts: Iterable[Block], style: Style) -> str:
    """Draw captioned tables, a blank line between them."""
    return "\n".join(_block(part, style) for part in parts)


def _block(part: Block, style: Style) -> str:
    caption = f"{part.caption}:\n" if part.caption else ""
    if not part.rows:
        return caption + (f"{part.nothing}\n" if part.nothing or not caption else "")
    return caption + table(part.header, part.rows, style)


def printable(text: str) -> str:
    """A text that cannot steer the terminal: control characters are shown, line breaks kept."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def message(level: str, text: str, fields: dict[str, str], *, elapsed_s: int, colour: bool) -> str:
    """One line about what happened, with its fields sorted, as the guide shows them."""
    head = f"{level}[{elapsed_s:04d}]"
    pairs = "".join(f" {key}={_quoted(value)}" for key, value in sorted(fields.items()))
    line = f"{head} {printable(text):<{_MESSAGE_WIDTH}}{pairs}".rstrip()
    if not colour:
        return line
    return f"\x1b[{_LEVEL_COLOURS[level]}m{level}\x1b[0m{line[len(level) :]}"


def _quoted(value: str) -> str:
    return value if set(value) <= _PLAIN_VALUE else json.dumps(value, ensure_ascii=False)


def to_json(data: object) -> str:
    """Indented JSON; two runs print the same."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    return _NO_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def to_yaml(data: object) -> str:
    """Block style YAML; every text is written as a JSON string, which YAML reads the same."""
    return "\n".join(_yaml(data, 0)) + "\n"


def _yaml(data: object, depth: int) -> list[str]:
    indent = "  " * depth
    items: list[tuple[str, object]] = []
    scalar = data
    if isinstance(data, dict):
        pairs = cast("dict[str, object]", data).items()
        items = [(f"{indent}{_yaml_key(key)}:", value) for key, value in pairs]
    elif isinstance(data, list):
        items = [(f"{indent}-", value) for value in cast("list[object]", data)]
    if not items:
        return [indent + _scalar(scalar)]
    return [line for head, value in items for line in _yaml_item(head, value, depth)]


def _yaml_item(head: str, value: object, depth: int) -> list[str]:
    if type(value) not in {dict, list} or not value:
        return [f"{head} {_scalar(value)}"]
    lines = _yaml(value, depth + 1)
    if head.endswith("-"):
        return [f"{head} {lines[0].lstrip()}", *lines[1:]]
    return [head, *lines]


def _scalar(value: object) -> str:
    """JSON, with the characters escaped that YAML does not take as they are."""
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _yaml_key(key: str) -> str:
    plain = key.replace("_", "a").replace("-", "a").isalnum() and key.isascii()
    # "yes", "no", "null", "1" as keys would be read as something else.
    reserved = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
    return key if plain and key[0].isalpha() and key.lower() not in reserved else _scalar(key)


def moment(text: str, zone: timezone | None = None) -> str:
    """A time of the protocol in local time (or ``zone``), to the second; ``-`` for never."""
    at = parse_moment(text)
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if at else "-"


def parse_moment(text: str) -> datetime | None:
    """A time of the protocol; None for never."""
    if not text or text.startswith(_NEVER):
        return None
    head, _, tail = text.partition(".")
    digits = "".join(c for c in tail if c.isdigit())[:6] if tail else ""
    zone = tail[len(tail) - len(tail.lstrip("0123456789")) :] if tail else ""
    parsed = datetime.fromisoformat(f"{head}.{digits:0<6}{zone}" if tail else head)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def duration(seconds: float) -> str:
    """A duration as the guide writes it: ``1m19.767467s``, ``265.655ms``, ``0s``."""
    if seconds <= 0:
        return "0s"
    micros = round(seconds * _SECOND)
    if micros < _MILLI:
        return f"{micros}\N{MICRO SIGN}s"
    if micros < _SECOND:
        return f"{_trimmed(micros / _MILLI)}ms"
    minutes, rest = divmod(micros, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    tail = f"{_trimmed(rest / _SECOND)}s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail


def _trimmed(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
