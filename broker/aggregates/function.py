"""Functions: what executors say they can run. Informational; assignment never looks."""

from typing import ClassVar

from msgspec import Struct

from broker import keys
from broker.access import EXECUTOR, Gate, MemberRow, member
from broker.decision import Decision, Event, has, lacks
from broker.errors import Denied, Invalid, NotFound


class FunctionAdded(Event, frozen=True, kw_only=True):
    """An executor registered a function; ``subject`` is the function id.

    ``described`` is JSON of the fields that are only documentation: description and args.
    """

    TYPE: ClassVar[str] = "FunctionAdded"
    executor: str
    executor_type: str
    name: str
    location: str
    described: bytes


class FunctionRemoved(Event, frozen=True, kw_only=True):
    """An executor forgot a function; ``subject`` is the function id."""

    TYPE: ClassVar[str] = "FunctionRemoved"
    executor: str


EVENTS = (FunctionAdded, FunctionRemoved)


class FunctionRow(Struct, frozen=True, kw_only=True):
    """A registered function as it is stored."""

    function_id: str
    executor: str
    executor_type: str
    name: str
    location: str
    described: bytes


class AddFunction(Struct, frozen=True, kw_only=True):
    """Register a function of the executor that is named."""

    function_id: str
    executor: str
    name: str
    described: bytes


def add(
    gate: Gate,
    command: AddFunction,
    named: MemberRow | None,
    same_id: FunctionRow | None,
    now_ns: int,
) -> Decision:
    """Register a function.

    Raises:
        Denied, Invalid: not an approved member; unknown executor or not the caller; id taken.
    """
    expects = member(gate)
    if named is None:
        raise Invalid(
            f"Failed to add function, Executor with name <{command.executor}> does not exist"
        )
    if named.id != gate.caller:
        raise Denied("Not allowed to add a function to another executor")
    if same_id is not None:
        raise Invalid(f"A function with Id <{command.function_id}> already exists")
    event = FunctionAdded(
        subject=command.function_id,
        actor=gate.caller,
        at_ns=now_ns,
        executor=named.name,
        executor_type=named.executor_type,
        name=command.name,
        location=named.location,
        described=command.described,
    )
    expected = lacks(keys.functions(named.name), command.function_id)
    return Decision(expects=(*expects, expected), events=(event,))


def remove(gate: Gate, row: FunctionRow | None, now_ns: int) -> Decision:
    """Forget a function.

    Raises:
        NotFound, Denied: no such function; not a member; another executor's.
    """
    if row is None:
        raise NotFound("Failed to remove function, function does not exist")
    expects = member(gate)
    caller = gate.member
    if caller is None or caller.kind != EXECUTOR or caller.name != row.executor:
        raise Denied("Not allowed to remove a function from another executor")
    event = FunctionRemoved(
        subject=row.function_id, actor=gate.caller, at_ns=now_ns, executor=row.executor
    )
    return Decision(
        expects=(*expects, has(keys.functions(row.executor), row.function_id)), events=(event,)
    )
