"""Cron expressions: six fields, seconds first, as robfig/cron has them (extended.md, section 3.3).

Parsing is ours, because the fields differ from APScheduler's: ``N/STEP`` goes on to the maximum,
Sunday is 0, and a star in a field of days matters. The arithmetic of dates is its CronTrigger's. It
is asked about a zone with the UTC offset of the moment, up to where the offset changes: what it
makes of the hour that a clock skips or repeats differs from version to version.

A schedule is about moments: the first whole second after one at which the clocks in the zone show
what the expression says. So a time of day that a clock skips is left out, and one that it shows
twice comes twice.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, Protocol

from apscheduler.triggers.cron import CronTrigger

from broker.clock import LAST_NS, SECOND_NS
from broker.errors import Invalid
from broker.zones import zone_named

_YEARS = 5
"""How far ahead a time is looked for, as the reference does."""
_DAY = timedelta(days=1)
_FIELDS = 6
_LONGEST = 1_024
_MOST_INT = 2**63 - 1
_LONGEST_DELAY = "2562047h47m16s"
_trigger: Any = CronTrigger  # APScheduler 3 is untyped

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_EVERY = "@every "
_WORDS = re.compile(r"\S+")
_ZONE = re.compile(r"(?:CRON_)?TZ=")
_DURATION = re.compile(r"(\d*(?:\.\d*)?)([^\d.]*)", re.ASCII)
_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3_600 * SECOND_NS,
}


class Schedule(Protocol):
    """When something happens."""

    def after(self, moment_ns: int) -> int:
        """The first time after a moment, both Unix ns; 0 is never."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """Again and again after so many ns, counted from the whole second."""

    delay_ns: int

    def after(self, moment_ns: int) -> int:
        """The moment without its fraction of a second, and the delay; at most the last there is."""
        return min(moment_ns - moment_ns % SECOND_NS + self.delay_ns, LAST_NS)


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: int
    high: int
    names: Mapping[str, int]


_BOUNDS = (
    _Bounds(0, 59, {}),
    _Bounds(0, 59, {}),
    _Bounds(0, 23, {}),
    _Bounds(1, 31, {}),
    _Bounds(1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Bounds(0, 6, {name: number for number, name in enumerate(_DAYS)}),
)


@dataclass(frozen=True, slots=True)
class Field:
    """The values of one field; ``star`` when it says nothing, which matters for days."""

    values: frozenset[int]
    star: bool


@dataclass(frozen=True, slots=True)
class Calendar:
    """The times at which the clocks of a zone show certain values. Sunday is weekday 0."""

    zone: tzinfo
    second: Field
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    def after(self, moment_ns: int) -> int:
        """The first such second after a moment, 0 when there is none within five years."""
        begin = datetime.fromtimestamp(moment_ns // SECOND_NS + 1, UTC)
        year = begin.astimezone(self.zone).year + _YEARS
        last = datetime(year, 12, 31, 23, 59, 59, tzinfo=self.zone).astimezone(UTC)
        while begin <= last:
            found = self._with_offset(_offset(begin, self.zone), begin, last)
            change = _change(begin, found or last, self.zone)
            if change is None:
                return int(found.timestamp()) * SECOND_NS if found else 0
            begin = change
        return 0

    def _with_offset(self, offset: timedelta, begin: datetime, last: datetime) -> datetime | None:
        """The first of a zone that always has this offset, from ``begin`` to ``last``."""
        fixed = timezone(offset)
        triggers = (_trigger(**rule, timezone=fixed, end_date=last) for rule in self._rules())
        times = [trigger.get_next_fire_time(None, begin) for trigger in triggers]
        return min((time for time in times if time is not None), default=None)

    def _rules(self) -> Iterator[dict[str, str]]:
        """What CronTrigger is asked: twice when either of two fields of days is enough."""
        time = {
            "year": "*",
            "month": _listed(self.month.values),
            "week": "*",
            "hour": _listed(self.hour.values),
            "minute": _listed(self.minute.values),
            "second": _listed(self.second.values),
        }
        day = _listed(self.day.values)
        weekday = _listed({(number - 1) % 7 for number in self.weekday.values})
        if self.day.star or self.weekday.star:
            yield {**time, "day": day, "day_of_week": weekday}
        else:
            yield {**time, "day": day, "day_of_week": "*"}
            yield {**time, "day": "*", "day_of_week": weekday}


def _listed(values: frozenset[int] | set[int]) -> str:
    """A set of numbers as a list of ranges."""
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and parts[-1][1] == value - 1:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _change(begin: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """The first second, from ``begin`` to ``end`` (inclusive), with another UTC offset."""
    if isinstance(zone, timezone):
        return None
    offset, at = _offset(begin, zone), begin
    while at < end:
        following = min(at + _DAY, end)
        if _offset(following, zone) != offset:
            return _change_within(at, following, zone)
        at = following
    return None


def _change_within(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """When the offset of ``before``, which is no longer that of ``after``, ends."""
    offset = _offset(before, zone)
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(before + timedelta(seconds=middle), zone) == offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)


# -------------------------------------------------------------------- parsing


@lru_cache(maxsize=1_024)
def parse(expression: str, zone: tzinfo) -> Schedule:
    """The schedule an expression means; ``zone`` unless it names another.

    Raises:
        Invalid: it means none; the text says where the mistake is.
    """
    if not expression.strip():
        raise Invalid("empty cron expression string")
    if len(expression) > _LONGEST:
        raise Invalid(f"cron expression is longer than {_LONGEST} characters")
    words = [(found[0], found.start()) for found in _WORDS.finditer(expression)]
    prefix = _ZONE.match(words[0][0])
    if prefix:
        name = words.pop(0)[0][prefix.end() :]
        zone = _zone(name, prefix.end(), zone)
    if words and words[0][0].startswith("@"):
        return _described(expression[words[0][1] :].rstrip(), words[0][1], zone)
    if len(words) != _FIELDS:
        shown = " ".join(word for word, _ in words)
        at = words[_FIELDS][1] if len(words) > _FIELDS else len(expression.rstrip())
        where = f" (character {at + 1})"
        raise Invalid(f"expected exactly {_FIELDS} fields, found {len(words)}: [{shown}]{where}")
    return Calendar(zone, *(_field(word, at, n) for n, (word, at) in enumerate(words)))


def _zone(name: str, at: int, local: tzinfo) -> tzinfo:
    zone = local if name == "Local" else zone_named(name)
    if zone is None:
        raise Invalid(
            f"provided bad location {name}: unknown time zone {name} (character {at + 1})"
        )
    return zone


def _described(text: str, at: int, zone: tzinfo) -> Schedule:
    if text in _DESCRIPTORS:
        return parse(_DESCRIPTORS[text], zone)
    if not text.startswith(_EVERY):
        raise Invalid(f"unrecognized descriptor: {text} (character {at + 1})")
    duration = text.removeprefix(_EVERY)
    where = f" (character {at + len(_EVERY) + 1})"
    try:
        delay_ns = _duration_ns(duration)
    except ValueError as error:
        raise Invalid(f"failed to parse duration {text}: time: {error}{where}") from error
    return Every(max(delay_ns - delay_ns % SECOND_NS, SECOND_NS))


def _duration_ns(text: str) -> int:
    """A duration as Go writes it: ``1h30m``, ``1.5h``.

    Raises:
        ValueError: it is none, in Go's words, or longer than its 63 bits of ns.
    """
    negative, rest = text.startswith("-"), text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'invalid duration "{text}"')
    total, at = 0.0, 0
    while at < len(rest):
        found = _DURATION.match(rest, at)
        number, unit = found.groups() if found else ("", "")
        if not any(c.isdigit() for c in number):
            raise ValueError(f'invalid duration "{text}"')
        if not unit:
            raise ValueError(f'missing unit in duration "{text}"')
        if unit not in _UNIT_NS:
            raise ValueError(f'unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _UNIT_NS[unit]
        at += len(number) + len(unit)
    if total > _MOST_INT:
        raise ValueError(f'invalid duration "{text}", the longest is {_LONGEST_DELAY}')
    return -int(total) if negative else int(total)


def _field(text: str, at: int, number: int) -> Field:
    """One of the six fields, which stands at a place in the expression."""
    values, star, found_any = set[int](), False, False
    for part in text.split(","):
        if part:
            try:
                found = _range(part, _BOUNDS[number])
            except ValueError as error:
                where = f" (field {number + 1}, character {at + 1})"
                raise Invalid(f"{error}{where}") from error
            values |= found.values
            star = star or found.star
            found_any = True
        at += len(part) + 1
    if not found_any:
        where = f" (field {number + 1}, character {at - len(text)})"
        raise Invalid(f'failed to parse int from : strconv.Atoi: parsing "": invalid syntax{where}')
    return Field(frozenset(values), star)


def _range(text: str, bounds: _Bounds) -> Field:
    """``*``, ``N``, ``A-B``, each with a step if there is one.

    Raises:
        ValueError: it is none of them, or out of bounds, in the reference's words.
    """
    span, *steps = text.split("/")
    ends = span.split("-")
    star = span in {"*", "?"}
    if star:
        low, high = bounds.low, bounds.high
    else:
        low = _number(ends[0], bounds.names)
        if len(ends) > 2:  # noqa: PLR2004 - a range has two ends
            raise ValueError(f"too many hyphens: {text}")
        high = low if len(ends) == 1 else _number(ends[1], bounds.names)
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = _number(steps[0], {}) if steps else 1
    if steps and len(ends) == 1:
        high = bounds.high
    _check(low, high, step, text, bounds)
    return Field(frozenset(range(low, high + 1, step)), star and step == 1)


def _check(low: int, high: int, step: int, text: str, bounds: _Bounds) -> None:
    if low < bounds.low:
        raise ValueError(f"beginning of range ({low}) below minimum ({bounds.low}): {text}")
    if high > bounds.high:
        raise ValueError(f"end of range ({high}) above maximum ({bounds.high}): {text}")
    if low > high:
        raise ValueError(f"beginning of range ({low}) beyond end of range ({high}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")


def _number(text: str, names: Mapping[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    digits = text.removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        problem = "invalid syntax"
    elif len(digits) > len(str(_MOST_INT)) or int(digits) > _MOST_INT:
        problem = "value out of range"
    else:
        return int(digits)
    raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": {problem}')
