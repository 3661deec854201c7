"""Compare an answer with a recorded one: what has to be the same, and what cannot be.

core.md section 11 names what differs between two runs of one server: ids, times, priority times,
build data, timings, server-wide statistics, the list of colonies, port numbers, and the wording of
texts that come from a database or a parser. Everything else has to be equal, and even a volatile
value has to be of its kind and stay the same wherever the recording repeats it.
"""

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass

from tests.contract.answer import Answer, Envelope, Json, Unchecked
from tests.contract.names import ID, Names

UNSET_TIME = "0001-01-01T00:00:00Z"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z")
_NOT_CONTRACTUAL = re.compile(r"pq: |strconv|^unexpected end of JSON|^invalid character|^json: ")

BUILD_DATA = frozenset({"buildversion", "buildtime"})
PORTS = frozenset({"port", "peerport", "relayport", "apiport"})
# What a node of a cluster is called depends on its configuration, as its ports do.
NODE = frozenset({"name", "host"})
NANOSECONDS = frozenset({"prioritytime", "timestamp"})
FUNCTION_TIMINGS = frozenset(
    {"minwaittime", "maxwaittime", "minexectime", "maxexectime", "avgwaittime", "avgexectime"}
)
# Counts and lists that include what other recordings left on the reference server.
LEFTOVERS = frozenset({"getstatisticsmsg", "getcoloniesmsg"})
# The time somebody was last heard from moves on.
MOVING_TIMES = frozenset({"lastheardfromtime"})
# Lists for which the protocol promises no order.
UNORDERED_REPLIES = frozenset(
    {
        "getexecutorsmsg",
        "getusersmsg",
        "getfunctionsmsg",
        "getlocationsmsg",
        "searchlogsmsg",
        "getfilesmsg",
        "getfilelabelsmsg",
    }
)
UNORDERED_KEYS = frozenset({"attributes", "children", "nodes", "edges", "fileids"})
# In the order of the specs there; elsewhere in that of a walk through children of any order.
SPEC_ORDER = "submitworkflowspecmsg"


def compare(expected: Answer, answered: Answer, names: Names) -> list[str]:
    """What is different, one line per place; new server-made values are added to ``names``."""
    return [
        *_statuses(expected, answered),
        *_headers(expected, answered),
        *_bodies(expected.body, answered.body, names),
    ]


def matches(expected: Answer, answered: Answer, names: Names) -> bool:
    """Whether nothing is different; leaves ``names`` as they are."""
    return not compare(expected, answered, deepcopy(names))


def _statuses(expected: Answer, answered: Answer) -> Iterator[str]:
    if expected.status != answered.status:
        yield f"status: expected {expected.status}, answered {answered.status}"


def _headers(expected: Answer, answered: Answer) -> Iterator[str]:
    got = {name.lower(): value for name, value in answered.headers.items()}
    for name, value in expected.headers.items():
        # The length follows from the body, and bodies may be formatted differently.
        if name.lower() != "content-length" and got.get(name.lower()) != value:
            yield f"header {name}: expected {value!r}, answered {got.get(name.lower())!r}"


def _bodies(expected: Envelope | str, answered: Envelope | str, names: Names) -> Iterator[str]:
    if isinstance(expected, str) or isinstance(answered, str):
        if expected != answered:
            yield f"body: expected {_shown(expected)}, answered {_shown(answered)}"
        return
    for key in ("payloadtype", "error"):
        wanted, got = getattr(expected, key), getattr(answered, key)
        if wanted != got:
            yield f"{key}: expected {wanted!r}, answered {got!r}"
    if expected.payloadtype != answered.payloadtype:
        yield f"payload: expected {_shown(expected.payload)}, answered {_shown(answered.payload)}"
    elif expected.payloadtype in LEFTOVERS:
        yield from _kinds(expected.payload, answered.payload, "payload")
    else:
        reply = expected.payloadtype
        where = _Place("payload", reply, unordered=reply in UNORDERED_REPLIES)
        yield from _values(expected.payload, answered.payload, where, names)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the payload of a reply a value stands."""

    path: str
    reply: str
    key: str = ""
    unordered: bool = False
    siblings: frozenset[str] = frozenset()

    def at(self, key: str, siblings: Iterable[str]) -> "_Place":
        walked = key == "processids" and self.reply != SPEC_ORDER
        unordered = key in UNORDERED_KEYS or walked
        return _Place(f"{self.path}.{key}", self.reply, key, unordered, frozenset(siblings))

    def item(self, index: int) -> "_Place":
        return _Place(f"{self.path}[{index}]", self.reply, self.key)

    def is_configured(self) -> bool:
        """Whether the value says how a server was built or set up."""
        return self.key in BUILD_DATA | PORTS or (self.key in NODE and "apiport" in self.siblings)

    def is_timing(self) -> bool:
        """Whether the value is how long something took."""
        return self.key in FUNCTION_TIMINGS and "functionid" in self.siblings

    def is_drawn(self) -> bool:
        """Whether the value is how far to the right a node of a workflow is drawn."""
        return self.key == "x" and "y" in self.siblings


def _values(recorded: Json, ours: Json, place: _Place, names: Names) -> Iterator[str]:
    if isinstance(recorded, Unchecked):
        return
    if isinstance(recorded, dict) and isinstance(ours, dict):
        yield from _objects(recorded, ours, place, names)
    elif isinstance(recorded, list) and isinstance(ours, list):
        yield from _lists(recorded, ours, place, names)
    elif problem := _scalar(recorded, ours, place, names):
        yield f"{place.path}: {problem}"


def _objects(
    recorded: dict[str, Json], ours: dict[str, Json], place: _Place, names: Names
) -> Iterator[str]:
    for key in sorted(recorded.keys() - ours.keys()):
        yield f"{place.path}.{key}: recorded {_shown(recorded[key])}, not answered"
    for key in sorted(ours.keys() - recorded.keys()):
        yield f"{place.path}.{key}: not recorded, answered {_shown(ours[key])}"
    for key, value in recorded.items():
        if key in ours:
            yield from _values(value, ours[key], place.at(key, recorded), names)


def _lists(recorded: list[Json], ours: list[Json], place: _Place, names: Names) -> Iterator[str]:
    if len(recorded) != len(ours):
        yield f"{place.path}: recorded {len(recorded)} items, answered {len(ours)}: {_shown(ours)}"
        return
    if place.key == "nodes":
        yield from _drawings(recorded, ours, place)
    left = list(ours)
    if place.unordered:
        recorded, left = _without_unnamed_ids(recorded, left, names)
    for index, value in enumerate(recorded):
        other = _nearest(value, left, place.item(index), names) if place.unordered else left[0]
        left.remove(other)
        yield from _values(value, other, place.item(index), names)


def _drawings(recorded: list[Json], ours: list[Json], place: _Place) -> Iterator[str]:
    """Compare where nodes are drawn; which of those on one level is where is not promised."""
    wanted, got = sorted(map(_position, recorded)), sorted(map(_position, ours))
    if wanted != got:
        yield f"{place.path}: recorded the positions {wanted}, answered {got}"


def _position(node: Json) -> str:
    return repr(node.get("position")) if isinstance(node, dict) else ""


def _without_unnamed_ids(
    recorded: list[Json], ours: list[Json], names: Names
) -> tuple[list[Json], list[Json]]:
    """Two lists without the ids that nothing has shown before, if there are as many in both.

    Nothing says which of them is which; that is left to the first reply that shows what they are.
    """
    unnamed = [each for each in recorded if isinstance(each, str) and names.is_new_id(each)]
    made = [each for each in ours if isinstance(each, str) and names.is_free(each)]
    if len(unnamed) != len(made):
        return recorded, ours
    return [x for x in recorded if x not in unnamed], [x for x in ours if x not in made]


def _nearest(recorded: Json, candidates: list[Json], place: _Place, names: Names) -> Json:
    """The candidate with the fewest differences."""

    def distance(candidate: Json) -> int:
        return len(list(_values(recorded, candidate, place, deepcopy(names))))

    return min(candidates, key=distance)


def _scalar(recorded: Json, ours: Json, place: _Place, names: Names) -> str | None:
    if place.is_configured() or place.is_drawn():
        return _kind(recorded, ours)
    if place.is_timing():
        return _timing(recorded, ours)
    if _is_named(recorded, ours, place, names):
        return names.same(str(recorded), str(ours))
    if isinstance(recorded, str) and isinstance(ours, str):
        return _text(recorded, ours, place, names)
    if _kind(recorded, ours) is None and recorded == ours:
        return None
    return f"recorded {_shown(recorded)}, answered {_shown(ours)}"


def _is_named(recorded: Json, ours: Json, place: _Place, names: Names) -> bool:
    """Whether a value has to be the same one whenever the recording repeats it."""
    if place.key in NANOSECONDS:
        return _kind(recorded, ours) is None
    return str(recorded) in names.declared and not ID.fullmatch(str(recorded))


def _text(recorded: str, ours: str, place: _Place, names: Names) -> str | None:
    if names.is_new_id(recorded):
        return names.name_id(recorded, ours)
    if _is_made_time(recorded, names):
        return _time(recorded, ours, place, names)
    if place.key == "message" and _NOT_CONTRACTUAL.search(recorded):
        return None if ours else "recorded a text, answered none"
    wanted = names.translate(recorded)
    return None if wanted == ours else f"expected {wanted!r}, answered {ours!r}"


def _is_made_time(recorded: str, names: Names) -> bool:
    """Whether a text is a time that the server took from its own clock."""
    if recorded == UNSET_TIME or not _TIME.fullmatch(recorded):
        return False
    return recorded[:19] not in names.sent


def _time(recorded: str, ours: str, place: _Place, names: Names) -> str | None:
    if ours == UNSET_TIME or not _TIME.fullmatch(ours):
        return f"recorded a time, answered {ours!r}"
    if place.key in MOVING_TIMES:
        return None
    return names.same(recorded, ours)


def _timing(recorded: Json, ours: Json) -> str | None:
    """Seconds something took: any number will do, but only where something was measured."""
    if (
        isinstance(recorded, int | float)
        and isinstance(ours, int | float)
        and (recorded > 0) == (ours > 0)
    ):
        return None
    return f"recorded {_shown(recorded)} seconds, answered {_shown(ours)}"


def _kinds(recorded: Json, ours: Json, path: str) -> Iterator[str]:
    """Compare shapes alone: the keys of objects, the kind of every item, no values."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        if recorded.keys() != ours.keys():
            yield f"{path}: recorded the keys {sorted(recorded)}, answered {sorted(ours)}"
        for key in recorded.keys() & ours.keys():
            yield from _kinds(recorded[key], ours[key], f"{path}.{key}")
    elif isinstance(recorded, list) and isinstance(ours, list):
        for index, value in enumerate(ours):
            yield from _kinds(recorded[0], value, f"{path}[{index}]") if recorded else ()
    elif problem := _kind(recorded, ours):
        yield f"{path}: {problem}"


def _kind(recorded: Json, ours: Json) -> str | None:
    """The problem if two scalars are not both texts, both numbers, both booleans or both null."""
    number = (int, float)
    if isinstance(recorded, number) and isinstance(ours, number):
        # In Python a boolean is a number too, in JSON it is not.
        same = isinstance(recorded, bool) == isinstance(ours, bool)
    else:
        same = type(recorded) is type(ours)
    return None if same else f"recorded {_shown(recorded)}, answered {_shown(ours)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"
