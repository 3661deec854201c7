"""Hypothesis strategies for what is stored."""

from typing import Any, ClassVar, get_origin, get_type_hints

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from broker import keys
from broker.access import MemberState
from broker.aggregates.executor import ExecutorIdChanged
from broker.aggregates.process import ProcessAssigned, State
from broker.aggregates.workflow import WorkflowStarted
from broker.decision import Event
from broker.matching import Requirement

INT64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)
MOMENTS = st.integers(min_value=0, max_value=2**63 - 1)
TEXTS = st.text(max_size=20)
HEX = st.sampled_from("0123456789abcdef")
IDS = st.text(HEX, min_size=keys.ID_DIGITS, max_size=keys.ID_DIGITS)
NAMES = st.text(
    st.characters(min_codepoint=32, exclude_characters=":", exclude_categories=("Cs",)),
    min_size=1,
    max_size=20,
)
REQUIREMENTS = st.builds(
    Requirement,
    executor_type=TEXTS,
    names=st.lists(NAMES, max_size=3).map(tuple),
    location=TEXTS,
    cpu=INT64,
    mem=INT64,
)
_BY_TYPE: dict[Any, SearchStrategy[Any]] = {
    str: TEXTS,
    bytes: st.binary(max_size=20),
    int: INT64,
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    bytes | None: st.none() | st.binary(max_size=20),
    list[str]: st.lists(TEXTS, max_size=3),
    dict[str, list[str]]: st.dictionaries(TEXTS, st.lists(TEXTS, max_size=3), max_size=3),
    dict[str, str]: st.dictionaries(TEXTS, TEXTS, max_size=3),
    dict[str, bytes]: st.dictionaries(TEXTS, st.binary(max_size=20), max_size=3),
}
_BY_FIELD: dict[str, SearchStrategy[Any]] = {
    "requires": REQUIREMENTS.map(Requirement.pack),
    "at_ns": MOMENTS,
    "was": st.sampled_from(State).map(int),
    "outcome": st.sampled_from([State.SUCCESS, State.FAILED]).map(int),
}


def _member_row(state: MemberState, name: str) -> dict[str, bytes]:
    return {"state": b"%d" % state, "name": name.encode(), "kind": b"executor"}


_MEMBER_ROW = st.builds(_member_row, st.sampled_from(MemberState), NAMES)
_BY_KIND: dict[type[Event], dict[str, SearchStrategy[Any]]] = {
    ExecutorIdChanged: {"row": _MEMBER_ROW},
    WorkflowStarted: {"submitted_us": st.integers(10**15, 10**16 - 1).map(str)},
    ProcessAssigned: {"max_exec_s": st.integers(0, 9_999_999_999).map(lambda n: f"{n:010d}")},
}


def events(kind: type[Event]) -> SearchStrategy[Any]:
    """Events of one type with any values its fields may have."""
    hints = {n: t for n, t in get_type_hints(kind).items() if get_origin(t) is not ClassVar}
    fields = {n: _BY_FIELD[n] if n in _BY_FIELD else _BY_TYPE[t] for n, t in hints.items()}
    return st.builds(kind, **fields | _BY_KIND.get(kind, {}))
