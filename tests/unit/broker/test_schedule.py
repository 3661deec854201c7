"""Cron expressions against their own definition, looked at second by second."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.clock import LAST_NS
from broker.errors import Invalid
from broker.schedule import Every, parse
from broker.zones import zone_named

SECOND_NS = 1_000_000_000
LOW = (0, 0, 0, 1, 1, 0)
HIGH = (59, 59, 23, 31, 12, 6)
NAMES = {4: "jan feb mar apr may jun jul aug sep oct nov dec", 5: "sun mon tue wed thu fri sat"}
ZONES = ["UTC", "Europe/Stockholm", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
FINE_S = 2 * 3_600
COARSE_S = 1_800
COARSE_DAYS = 120


@dataclass(frozen=True)
class Part:
    """One item of a field: ``text`` says which values it allows."""

    text: str
    allowed: frozenset[int]
    star: bool = False


def _name(number: int, value: int, shape: int) -> str:
    """A value as a number or, where there are any, as a name in some spelling."""
    if number not in NAMES or shape == 0:
        return str(value)
    name = NAMES[number].split()[value - LOW[number]]
    return [name, name.upper(), name.title()][shape % 3]


@st.composite
def parts(draw: st.DrawFn, number: int) -> Part:
    """A star, a value or a range, with a step or none."""
    low, high = LOW[number], HIGH[number]
    step = draw(st.sampled_from([0, 0, 1, 2, 7]))
    every, shape = max(step, 1), draw(st.integers(0, 3))
    tail = f"/{step}" if step else ""
    kind = draw(st.sampled_from(["star", "value", "range"]))
    if kind == "star":
        text = draw(st.sampled_from("*?")) + tail
        return Part(text, frozenset(range(low, high + 1, every)), star=every == 1)
    first = draw(st.integers(low, high))
    if kind == "value":
        last = high if step else first
        return Part(_name(number, first, shape) + tail, frozenset(range(first, last + 1, every)))
    last = draw(st.integers(first, high))
    text = f"{_name(number, first, shape)}-{_name(number, last, shape)}{tail}"
    return Part(text, frozenset(range(first, last + 1, every)))


@dataclass(frozen=True)
class Expression:
    """Six fields, and what they mean."""

    fields: tuple[tuple[Part, ...], ...]

    @property
    def text(self) -> str:
        """As it is written."""
        return " ".join(",".join(part.text for part in field) for field in self.fields)

    def matches(self, local: datetime) -> bool:
        """Whether a clock that shows this is at a time that is meant."""
        shown = (local.second, local.minute, local.hour, local.day, local.month)
        values = (*shown, local.isoweekday() % 7)
        fits = [
            any(value in part.allowed for part in field)
            for field, value in zip(self.fields, values, strict=True)
        ]
        second, minute, hour, day, month, weekday = fits
        free = any(part.star for field in (self.fields[3], self.fields[5]) for part in field)
        return (
            second and minute and hour and month and (day and weekday if free else day or weekday)
        )


def expressions(**of: str) -> st.SearchStrategy[Expression]:
    """Any expression; fields that are named consist of just this text."""
    names = ("second", "minute", "hour", "day", "month", "weekday")
    fixed = {
        name: st.just((Part(text, frozenset(map(int, text.split(",")))),))
        for name, text in of.items()
    }
    fields = [
        fixed.get(name, st.lists(parts(number), min_size=1, max_size=3).map(tuple))
        for number, name in enumerate(names)
    ]
    return st.tuples(*fields).map(Expression)


def first_match(expression: Expression, zone: tzinfo, start_s: int, step: int, times: int) -> int:
    """The first second that matches, by looking; 0 if none does."""
    seconds = range(start_s, start_s + step * times, step)
    found = (s for s in seconds if expression.matches(datetime.fromtimestamp(s, zone)))
    return next(found, 0)


def shown(moment_ns: int) -> str:
    """A time one can read; "" for never."""
    return datetime.fromtimestamp(moment_ns / SECOND_NS, UTC).isoformat() if moment_ns else ""


def moment(text: str) -> int:
    """Unix ns of a time."""
    return int(datetime.fromisoformat(text).timestamp()) * SECOND_NS


MOMENTS = st.integers(moment("2024-01-01T00:00:00+00:00"), moment("2034-01-01T00:00:00+00:00"))
CHANGES = st.sampled_from([
    ("Europe/Stockholm", "2026-03-29T01:00:00+00:00"),
    ("Europe/Stockholm", "2026-10-25T01:00:00+00:00"),
    ("America/New_York", "2026-03-08T07:00:00+00:00"),
    ("America/New_York", "2026-11-01T06:00:00+00:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00+00:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00+00:00"),
    ("Africa/Casablanca", "2026-02-15T02:00:00+00:00"),
    ("Pacific/Apia", "2011-12-30T10:00:00+00:00"),
])  # fmt: skip


def _agree(expression: Expression, zone: tzinfo, start_ns: int, step: int, times: int) -> None:
    first_s = start_ns // SECOND_NS + 1
    found = parse(expression.text, zone).after(start_ns)
    wanted = first_match(expression, zone, first_s, step, times)
    if wanted:
        assert shown(found) == shown(wanted * SECOND_NS)
    else:
        assert found == 0 or found >= (first_s + step * times) * SECOND_NS


@settings(max_examples=60)
@given(expressions(), MOMENTS, st.sampled_from(ZONES))
def test_next_time_is_the_first_that_matches(
    expression: Expression, start_ns: int, zone: str
) -> None:
    _agree(expression, ZoneInfo(zone), start_ns, 1, FINE_S)


@settings(max_examples=60)
@given(expressions(second="0,20"), CHANGES, st.integers(-FINE_S // 2, FINE_S // 2))
def test_next_time_is_the_first_that_matches_when_clocks_change(
    expression: Expression, change: tuple[str, str], offset_s: int
) -> None:
    start_ns = moment(change[1]) + (offset_s - FINE_S // 2) * SECOND_NS
    _agree(expression, ZoneInfo(change[0]), start_ns, 1, FINE_S)


@settings(max_examples=60)
@given(
    expressions(second="0", minute="0,30"),
    MOMENTS.map(lambda ns: ns - ns % (COARSE_S * SECOND_NS) - 1),
    st.sampled_from(["UTC", "Europe/Stockholm", "Australia/Lord_Howe"]),
)
def test_next_day_is_the_first_that_matches(
    expression: Expression, start_ns: int, zone: str
) -> None:
    _agree(expression, ZoneInfo(zone), start_ns, COARSE_S, COARSE_DAYS * 86_400 // COARSE_S)


NOW = moment("2026-11-23T07:12:05+00:00") + 123_456_789


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("0/1 * * * * *", "2026-11-23T07:12:06+00:00"),
        ("59 3 15 * * MON", "2026-11-23T15:03:59+00:00"),
        ("0 0 15 24 12 *", "2026-12-24T15:00:00+00:00"),
        ("30 1-5,7 */2 ? jan-mar tue,thu", "2027-01-05T00:01:30+00:00"),
        ("@daily", "2026-11-24T00:00:00+00:00"),
        ("@weekly", "2026-11-29T00:00:00+00:00"),
        ("@yearly", "2027-01-01T00:00:00+00:00"),
        ("@every 1h30m", "2026-11-23T08:42:05+00:00"),
        ("@every 1.5s", "2026-11-23T07:12:06+00:00"),
        ("@every 1ms", "2026-11-23T07:12:06+00:00"),
        ("TZ=Europe/Stockholm 0 0 12 1 * *", "2026-12-01T11:00:00+00:00"),
        ("CRON_TZ=Asia/Tokyo 0 0 12 * * *", "2026-11-24T03:00:00+00:00"),
        ("TZ=Asia/Tokyo @daily", "2026-11-23T15:00:00+00:00"),
        ("TZ= 0 0 12 * * *", "2026-11-23T12:00:00+00:00"),
        ("  0   0\t12 * * * ", "2026-11-23T12:00:00+00:00"),
        ("0 0 0 13 * FRI", "2026-11-27T00:00:00+00:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00+00:00"),
        ("0 0 0 30 2 *", ""),
        ("TZ=Europe/Stockholm 0 0 0 30 2 *", ""),
        ("0 0 0 1,,2, * *", "2026-12-01T00:00:00+00:00"),
    ],
)
def test_next_time(expression: str, wanted: str) -> None:
    assert shown(parse(expression, UTC).after(NOW)) == wanted


def test_leap_day_beyond_five_years_is_never() -> None:
    assert parse("0 0 0 29 2 *", UTC).after(moment("2097-01-01T00:00:00+00:00")) == 0


def test_next_time_is_after_the_moment_and_not_at_it() -> None:
    at = moment("2026-11-23T12:00:00+00:00")

    assert shown(parse("0 0 12 * * *", UTC).after(at)) == "2026-11-24T12:00:00+00:00"
    assert parse("0 0 12 * * *", UTC).after(at - 1) == at


def test_time_that_the_clock_skips_is_left_out_and_one_it_repeats_comes_twice() -> None:
    schedule = parse("0 30 2 * * *", ZoneInfo("Europe/Stockholm"))
    spring, autumn = moment("2026-03-28T12:00:00+00:00"), moment("2026-10-25T00:00:00+00:00")

    assert shown(schedule.after(spring)) == "2026-03-30T00:30:00+00:00"
    first = schedule.after(autumn)
    assert shown(first) == "2026-10-25T00:30:00+00:00"
    assert shown(schedule.after(first)) == "2026-10-25T01:30:00+00:00"


def test_time_after_the_longest_interval_is_the_last_there_can_be() -> None:
    assert parse("@every 2562047h47m16s", UTC).after(NOW) == LAST_NS


def test_zone_of_the_server_counts_where_the_expression_names_none() -> None:
    local = ZoneInfo("America/New_York")

    assert shown(parse("0 0 12 * * *", local).after(NOW)) == "2026-11-23T17:00:00+00:00"
    assert shown(parse("TZ=Local 0 0 12 * * *", local).after(NOW)) == "2026-11-23T17:00:00+00:00"
    assert shown(parse("TZ=UTC 0 0 12 * * *", local).after(NOW)) == "2026-11-23T12:00:00+00:00"


def _integer(text: str, problem: str = "invalid syntax") -> str:
    return f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": {problem}'


def _duration(text: str, problem: str) -> str:
    return f'failed to parse duration @every {text}: time: {problem} "{text}" (character 8)'


def _too_long(text: str) -> str:
    said = _duration(text, "invalid duration")
    return said.replace(" (", ", the longest is 2562047h47m16s (")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("", "empty cron expression string"),
        (" ", "empty cron expression string"),
        ("* * * * *", "expected exactly 6 fields, found 5: [* * * * *] (character 10)"),
        ("* * * * * * *", "expected exactly 6 fields, found 7: [* * * * * * *] (character 13)"),
        ("TZ=UTC", "expected exactly 6 fields, found 0: [] (character 7)"),
        ("60 * * * * *", "end of range (60) above maximum (59): 60 (field 1, character 1)"),
        ("0 0 0 1 foo *", _integer("foo") + " (field 5, character 9)"),
        ("0 0 0 * * 7", "end of range (7) above maximum (6): 7 (field 6, character 11)"),
        ("0 0 0 0 * *", "beginning of range (0) below minimum (1): 0 (field 4, character 7)"),
        (
            "*/0 * * * * *",
            "step of range should be a positive number: */0 (field 1, character 1)",
        ),
        (
            "0 30-10 * * * *",
            "beginning of range (30) beyond end of range (10): 30-10 (field 2, character 3)",
        ),
        ("0 -1 * * * *", _integer("") + " (field 2, character 3)"),
        ("0 , * * * *", _integer("") + " (field 2, character 3)"),
        ("0/1/2 * * * * *", "too many slashes: 0/1/2 (field 1, character 1)"),
        ("1-2-3 * * * * *", "too many hyphens: 1-2-3 (field 1, character 1)"),
        ("0 0 0 1,2,40 * *", "end of range (40) above maximum (31): 40 (field 4, character 11)"),
        ("0 0 \u0663 * * *", _integer("\u0663") + " (field 3, character 5)"),
        (
            f"{'9' * 19} * * * * *",
            _integer("9" * 19, "value out of range") + " (field 1, character 1)",
        ),
        ("@sometimes", "unrecognized descriptor: @sometimes (character 1)"),
        ("TZ=UTC @never", "unrecognized descriptor: @never (character 8)"),
        ("@every x", _duration("x", "invalid duration")),
        ("@every 5", _duration("5", "missing unit in duration")),
        ("@every 5d", _duration("5d", 'unknown unit "d" in duration')),
        (f"@every {10**9}h", _too_long(f"{10**9}h")),
        ("@every 2562047h48m", _too_long("2562047h48m")),
        ("@every -2562048h", _too_long("-2562048h")),
        (
            "TZ=Mars/Base 0 0 0 * * *",
            "provided bad location Mars/Base: unknown time zone Mars/Base (character 4)",
        ),
        (
            "CRON_TZ=../passwd 0 0 0 * * *",
            "provided bad location ../passwd: unknown time zone ../passwd (character 9)",
        ),
        ("* " * 1_000, "cron expression is longer than 1024 characters"),
    ],
)
def test_mistake_is_named_with_its_place(expression: str, text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse(expression, UTC)

    assert str(refusal.value) == text


@given(st.text(max_size=40))
def test_any_other_text_is_refused_and_nothing_worse(text: str) -> None:
    try:
        schedule = parse(text, UTC)
    except Invalid:
        return
    assert schedule.after(NOW) == 0 or schedule.after(NOW) > NOW


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["h", "m", "s"])), min_size=1))
def test_duration_is_the_sum_of_its_parts(given_parts: list[tuple[int, str]]) -> None:
    lengths = {"h": 3_600, "m": 60, "s": 1}
    text = "".join(f"{number}{unit}" for number, unit in given_parts)
    seconds = sum(number * lengths[unit] for number, unit in given_parts)

    assert parse(f"@every {text}", UTC) == Every(max(seconds, 1) * SECOND_NS)


@pytest.mark.parametrize("name", ["Mars/Base", "../UTC", "/etc/passwd", "Europe", "a\0b"])
def test_zone_that_is_not_known_is_none(name: str) -> None:
    assert zone_named(name) is None


def test_zone_without_a_name_is_utc() -> None:
    assert zone_named("") == UTC
    assert zone_named("Europe/Stockholm") == ZoneInfo("Europe/Stockholm")
    assert datetime.now(UTC).astimezone(UTC).utcoffset() == timedelta()
