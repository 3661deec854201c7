"""Messages about executors, as the protocol spells them (core.md, section 6.4)."""

from msgspec import UNSET, UnsetType, field

from api import wire, wire_spec


class Hardware(wire.Wire):
    """What an executor runs on; strings are kept as they are."""

    model: str = ""
    nodes: wire.Int = 0
    cpu: str = ""
    cores: wire.Int = 0
    mem: str = ""
    storage: str = ""
    gpu: wire_spec.Gpu = field(default_factory=wire_spec.Gpu)
    platform: str = ""
    architecture: str = ""
    network: list[str] | None = None


class Software(wire.Wire):
    """What an executor has installed."""

    name: str = ""
    type: str = ""
    version: str = ""


class Capabilities(wire.Wire):
    """Lists, or single objects as v1.7.0 executors send them."""

    hardware: list[Hardware] | Hardware | None = None
    software: list[Software] | Software | None = None


class Project(wire.Wire):
    """One project's share of an executor, in whatever unit its site accounts."""

    allocatedcpu: wire.Int = 0
    usedcpu: wire.Int = 0
    allocatedgpu: wire.Int = 0
    usedgpu: wire.Int = 0
    allocatedstorage: wire.Int = 0
    usedstorage: wire.Int = 0


class Allocations(wire.Wire):
    """Allocations by project name."""

    projects: dict[str, Project] | None = None


class Executor(wire.Wire, omit_defaults=False):
    """A worker; ``state`` 0 pending, 1 approved, 2 rejected, 3 unregistered."""

    executorid: str = ""
    executortype: str = ""
    executorname: str = ""
    colonyname: str = ""
    state: wire.Int = 0
    requirefuncreg: bool = False
    commissiontime: str = wire.NO_TIME
    lastheardfromtime: str = wire.NO_TIME
    locationname: str | UnsetType = UNSET
    capabilities: Capabilities = field(default_factory=Capabilities)
    allocations: Allocations = field(default_factory=Allocations)
    blueprintid: str | UnsetType = UNSET
    blueprintgen: wire.Int | UnsetType = UNSET


class AddExecutorMsg(wire.Message):
    """Add an executor, pending until approved."""

    executor: Executor | None = None


class OfExecutor(wire.OfColony):
    """A message that names an executor; old clients put the name under ``executorid``."""

    executorname: str = ""
    executorid: str = ""


class ApproveExecutorMsg(OfExecutor):
    """Approve an executor."""


class RejectExecutorMsg(OfExecutor):
    """Reject an executor."""


class RemoveExecutorMsg(OfExecutor):
    """Unregister an executor; its running work goes back to the queue."""


class GetExecutorsMsg(wire.OfColony):
    """List the executors of a colony."""


class GetExecutorMsg(OfExecutor):
    """Read an executor by name."""


class GetExecutorByIdMsg(OfExecutor):
    """Read an executor by id."""


class ReportAllocationMsg(OfExecutor):
    """Replace the allocations of the calling executor."""

    allocations: Allocations | None = None


class UpdateExecutorMsg(OfExecutor):
    """Replace the capabilities of the calling executor."""

    capabilities: Capabilities | None = None


class ChangeExecutorIdMsg(wire.OfColony):
    """Move the calling executor to another key."""

    executorid: str = ""
