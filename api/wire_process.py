"""Messages about processes, as the protocol spells them (core.md, section 6.6)."""

from msgspec import Raw, field

from api import wire, wire_attribute, wire_spec


class Process(wire.Wire):
    """A function spec with its state; ``spec``, ``input`` and ``output`` are stored JSON text."""

    processid: str
    initiatorid: str
    initiatorname: str
    assignedexecutorid: str
    isassigned: bool
    state: int
    prioritytime: int
    submissiontime: str
    starttime: str
    endtime: str
    waitdeadline: str
    execdeadline: str
    retries: int
    attributes: list[wire_attribute.Attribute]
    spec: Raw
    waitforparents: bool
    parents: list[str]
    children: list[str]
    processgraphid: str
    input: Raw = field(name="in")
    output: Raw = field(name="out")
    errors: list[str]


class SubmitFuncSpecMsg(wire.Message):
    """Submit a process."""

    spec: wire_spec.FunctionSpec | None = None


class AssignProcessMsg(wire.OfColony):
    """Ask for work; ``timeout`` in seconds, negative means do not wait."""

    timeout: wire.Int = 0
    availablecpu: str = ""
    availablemem: str = ""


class OfProcess(wire.Message):
    """A message that names a process and nothing else."""

    processid: str = ""


class GetProcessMsg(OfProcess):
    """Read a process."""


class CancelProcessMsg(OfProcess):
    """Cancel a waiting or running process."""


class RemoveProcessMsg(OfProcess):
    """Remove a process that is not running."""

    all: bool = False


class SetOutputMsg(OfProcess):
    """Set the output of a running process; ``out`` is a JSON list."""

    output: Raw = field(name="out", default=Raw(b"[]"))


class CloseSuccessfulMsg(OfProcess):
    """Close a process as successful; ``out`` is a JSON list."""

    output: Raw = field(name="out", default=Raw(b"[]"))


class CloseFailedMsg(OfProcess):
    """Close a process as failed."""

    errors: list[str] = field(default_factory=list[str])


class GetProcessesMsg(wire.OfColony):
    """List processes in one state."""

    count: wire.Int = 0
    state: wire.Int = 0
    executortype: str = ""
    label: str = ""
    initiator: str = ""
    processgraphid: str = ""
    """Only those of a workflow; then in its order, and state -1 is any."""


class GetProcessHistMsg(wire.OfColony):
    """List processes submitted within the last ``seconds``."""

    executorid: str = ""
    seconds: wire.Int = 0
    state: wire.Int = 0


class RemoveAllProcessesMsg(wire.OfColony):
    """Remove all processes in one state, or (-1) in any."""

    state: wire.Int = 0
