"""What the executor that holds a process says of it: its output, and that it is done."""

from msgspec import Struct

from broker.access import Gate, member
from broker.aggregates.process import OutputSet, ProcessClosed, State
from broker.aggregates.process_row import ProcessRow, held_as_read
from broker.decision import Decision
from broker.errors import Denied, Invalid, Missing


class CloseProcess(Struct, frozen=True, kw_only=True):
    """Finish a process the caller holds."""

    process_id: str
    outcome: State
    out: bytes | None
    errors: list[str]


def set_output(gate: Gate, row: ProcessRow | None, out: bytes | None, now_ns: int) -> Decision:
    """Give a running process output before it is closed.

    Raises:
        Missing, Denied: no such process; not running, or not the caller's.
    """
    if row is None:
        raise Missing("Failed to set output, process is nil")
    expects = member(gate)
    if row.holder != gate.caller:
        raise Denied(
            "Failed to close process as successful, not allowed to close process as successful"
        )
    if row.state is not State.RUNNING:
        raise Denied("Failed to set output, process is not running")
    if out is None:
        return Decision(expects=expects)
    event = OutputSet(subject=row.id, actor=gate.caller, at_ns=now_ns, out=out)
    return Decision(expects=(*expects, *held_as_read(row)), events=(event,))


def close(gate: Gate, command: CloseProcess, row: ProcessRow | None, now_ns: int) -> Decision:
    """Finish a process. Only the executor that holds it may, and only once.

    Raises:
        Missing, Denied, Invalid: no such process; not the caller's; not running.
    """
    outcome = "successful" if command.outcome is State.SUCCESS else "failed"
    if row is None:
        raise Missing(f"Failed to close process as {outcome}, process is nil")
    expects = member(gate)
    if not row.holder:
        raise Denied(f"Failed to close process as {outcome}, process is not assigned")
    if row.holder != gate.caller:
        raise Denied(
            f"Failed to close process as {outcome}, not allowed to close process as {outcome}"
        )
    if row.state is not State.RUNNING:
        raise Invalid(_cannot_close(row.state, outcome))
    closed = ProcessClosed(
        subject=row.id,
        actor=gate.caller,
        at_ns=now_ns,
        outcome=int(command.outcome),
        out=command.out,
        errors=command.errors,
        function=row.given["function"],
        executor_name=gate.member.name if gate.member else "",
        waited_ns=row.started_ns - row.submitted_ns,
        ran_ns=now_ns - row.started_ns,
        timed=row.given["max_exec_s"] > 0,
    )
    return Decision(expects=(*expects, *held_as_read(row)), events=(closed,))


def _cannot_close(state: State, outcome: str) -> str:
    names = {State.SUCCESS: "successful", State.FAILED: "failed", State.CANCELLED: "cancelled"}
    if state is State.WAITING:
        return f"Tried to set waiting process as {outcome} without being running"
    return f"Tried to set {names[state]} process as {outcome}"
