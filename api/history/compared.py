"""A difference between the live rows and the log, field by field."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from projections.replay import Difference, Elements
from projections.rows import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """One element of a row that is not what the log says; None is "is not there".

    ``field`` is a field of a hash, a member of a set, or a place in a list.
    """

    key: str
    field: str
    live: str | None
    log: str | None


def elements_of(difference: Difference) -> Iterator[Differing]:
    """What exactly differs."""
    live, folded = _named(difference.live), _named(difference.folded)
    for field in sorted(live.keys() | folded.keys()):
        if live.get(field) != folded.get(field):
            yield Differing(
                key=difference.key,
                field=_text(field) or "",
                live=_text(live.get(field)),
                log=_text(folded.get(field)),
            )


def _named(value: Value | Elements | None) -> Mapping[bytes, bytes | float]:
    """The elements of a row by name."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list):
        return {b"%d" % place: element for place, element in enumerate(value)}
    return dict.fromkeys(value or (), b"")


def _text(value: bytes | float | None) -> str | None:
    """As people read it; bytes that are no text are shown as Python writes them."""
    if value is None:
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return repr(value)[2:-1]
    return f"{value:.0f}" if float(value).is_integer() else repr(value)
