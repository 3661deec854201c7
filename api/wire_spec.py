"""Function specs: as the protocol spells them (core.md, section 5), and as the server reads them.

The server looks at no more of them than it has to.
"""

from msgspec import UNSET, Raw, UnsetType, field

from api import wire
from broker.aggregates.backoff import Backoff


class Gpu(wire.Wire):
    """Graphics processors asked for or offered; ``mem`` as in section 5.1."""

    name: str | None = ""
    mem: str | None = ""
    count: wire.Int | None = 0
    nodecount: wire.Int | None = 0


class Conditions(wire.Wire):
    """Who may run a process. Both spellings of a key are read where versions differ."""

    colonyname: str | None = ""
    executornames: list[str] | None = None
    executorids: list[str] | UnsetType | None = UNSET
    executortype: str | None = ""
    locationname: str | UnsetType | None = UNSET
    dependencies: list[str] | None = None
    nodes: wire.Int | None = 0
    cpu: str | None = ""
    processes: wire.Int | None = 0
    processespernode: wire.Int | None = 0
    processes_per_node: wire.Int | UnsetType | None = field(
        name="processes-per-node", default=UNSET
    )
    mem: str | None = ""
    storage: str | None = ""
    gpu: Gpu | None = None
    walltime: wire.Int | None = 0


class OnStart(wire.Wire):
    """Conflict rule of one side of a synchronisation."""

    keeplocal: bool = False


class OnConflicts(wire.Wire):
    """Conflict rules when a process starts and when it closes."""

    onstart: OnStart = field(default_factory=OnStart)
    onclose: OnStart = field(default_factory=OnStart)


class SyncDir(wire.Wire):
    """A directory kept in step with a label."""

    label: str = ""
    dir: str = ""
    keepfiles: bool = False
    onconflicts: OnConflicts = field(default_factory=OnConflicts)


class SnapshotMount(wire.Wire):
    """A snapshot put into a directory."""

    snapshotid: str = ""
    label: str = ""
    dir: str = ""
    keepfiles: bool = False
    keepsnapshot: bool = False


class Filesystem(wire.Wire):
    """The ``fs`` field of a function spec."""

    mount: str | None = ""
    snapshots: list[SnapshotMount] | None = None
    dirs: list[SyncDir] | None = None


class FunctionSpec(wire.Wire):
    """What to run and where. ``args`` is a JSON list and ``kwargs`` a JSON object, as sent."""

    nodename: str | None = ""
    funcname: str | None = ""
    args: Raw = Raw(b"[]")
    kwargs: Raw = Raw(b"{}")
    priority: wire.Int | None = 0
    maxwaittime: wire.Int | None = 0
    maxexectime: wire.Int | None = 0
    maxretries: wire.Int | None = 0
    conditions: Conditions | None = None
    label: str | None = ""
    fs: Filesystem | None = None
    env: dict[str, str] | None = None
    channels: list[str] | UnsetType | None = UNSET
    retrybackoff: Backoff | UnsetType | None = UNSET


class SubmittedSpec(wire.Wire):
    """A function spec of which the parts that clients send again and again stay text."""

    nodename: str | None = ""
    funcname: str | None = ""
    args: Raw = Raw(b"[]")
    kwargs: Raw = Raw(b"{}")
    priority: wire.Int | None = 0
    maxwaittime: wire.Int | None = 0
    maxexectime: wire.Int | None = 0
    maxretries: wire.Int | None = 0
    conditions: Raw = Raw(b"{}")
    label: str | None = ""
    fs: Raw = Raw(b"{}")
    env: dict[str, str] | None = None
    channels: list[str] | UnsetType | None = UNSET
    retrybackoff: Backoff | UnsetType | None = UNSET
