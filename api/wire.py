"""Messages exactly as the protocol spells them (core.md, sections 2, 5 and 6).

Requests decode into one struct a message, replies encode from structs, both with msgspec. The
decoders are strict and fast for the spelling the protocol prescribes. What Go's decoder would have
accepted besides (other letter case, unknown keys, ``null`` for anything) takes the slow road in
``decode``, which rewrites the text to the prescribed spelling and decodes that.

Free-form values (``args``, ``kwargs``, ``in``, ``out``) stay the client's own JSON text, so
numbers and key order come back exactly as they were sent.
"""

import base64
import binascii
from datetime import UTC, datetime
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from broker.aggregates.backoff import Backoff
from broker.errors import Malformed

Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
NO_TIME = "0001-01-01T00:00:00Z"
_MICRO = 1_000
_SECOND = 1_000_000
_FIRST_YEAR, _LAST_YEAR = 1678, 2261


class Wire(Struct, kw_only=True, forbid_unknown_fields=True):
    """What every structure of the protocol has in common."""


class Message(Wire, kw_only=True):
    """A request. ``nonce`` and ``issuedat`` (Unix ns) are ours: with them it is accepted once."""

    msgtype: str = ""
    nonce: str = ""
    issuedat: Int = 0


# ---------------------------------------------------------------- envelopes


class Request(Wire):
    """The outer request; ``payload`` is base64 text, ``signature`` signs that text."""

    payloadtype: str = ""
    payload: str = ""
    signature: str = ""


class Reply(Wire):
    """The outer reply; ``error`` is always present."""

    payloadtype: str
    payload: str
    error: bool = False


class Success(Wire):
    """The outer reply to what succeeded; the encoder puts ``payload`` in base64."""

    payloadtype: str
    payload: bytes
    error: bool = False


class Failure(Wire):
    """Payload of an error reply; ``status`` equals the HTTP status."""

    status: int
    message: str


# ---------------------------------------------------------------- data model


class Colony(Wire):
    """A tenant; ``colonyid`` is the identity of its owner."""

    colonyid: str = ""
    name: str = ""


class User(Wire):
    """A person or program that submits; a member of one colony."""

    colonyname: str = ""
    userid: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""


class Gpu(Wire):
    """Graphics processors asked for or offered; ``mem`` as in section 5.1."""

    name: str | None = ""
    mem: str | None = ""
    count: Int | None = 0
    nodecount: Int | None = 0


class Hardware(Wire):
    """What an executor runs on; strings are kept as they are."""

    model: str = ""
    nodes: Int = 0
    cpu: str = ""
    cores: Int = 0
    mem: str = ""
    storage: str = ""
    gpu: Gpu = field(default_factory=Gpu)
    platform: str = ""
    architecture: str = ""
    network: list[str] | None = None


class Software(Wire):
    """What an executor has installed."""

    name: str = ""
    type: str = ""
    version: str = ""


class Capabilities(Wire):
    """Lists, or single objects as v1.7.0 executors send them."""

    hardware: list[Hardware] | Hardware | None = None
    software: list[Software] | Software | None = None


class Project(Wire):
    """One project's share of an executor, in whatever unit its site accounts."""

    allocatedcpu: Int = 0
    usedcpu: Int = 0
    allocatedgpu: Int = 0
    usedgpu: Int = 0
    allocatedstorage: Int = 0
    usedstorage: Int = 0


class Allocations(Wire):
    """Allocations by project name."""

    projects: dict[str, Project] | None = None


class Executor(Wire, omit_defaults=False):
    """A worker; ``state`` 0 pending, 1 approved, 2 rejected, 3 unregistered."""

    executorid: str = ""
    executortype: str = ""
    executorname: str = ""
    colonyname: str = ""
    state: Int = 0
    requirefuncreg: bool = False
    commissiontime: str = NO_TIME
    lastheardfromtime: str = NO_TIME
    locationname: str | UnsetType = UNSET
    capabilities: Capabilities = field(default_factory=Capabilities)
    allocations: Allocations = field(default_factory=Allocations)
    blueprintid: str | UnsetType = UNSET
    blueprintgen: Int | UnsetType = UNSET


class Conditions(Wire):
    """Who may run a process. Both spellings of a key are read where versions differ."""

    colonyname: str | None = ""
    executornames: list[str] | None = None
    executorids: list[str] | UnsetType | None = UNSET
    executortype: str | None = ""
    locationname: str | UnsetType | None = UNSET
    dependencies: list[str] | None = None
    nodes: Int | None = 0
    cpu: str | None = ""
    processes: Int | None = 0
    processespernode: Int | None = 0
    processes_per_node: Int | UnsetType | None = field(name="processes-per-node", default=UNSET)
    mem: str | None = ""
    storage: str | None = ""
    gpu: Gpu | None = None
    walltime: Int | None = 0


class OnStart(Wire):
    """Conflict rule of one side of a synchronisation."""

    keeplocal: bool = False


class OnConflicts(Wire):
    """Conflict rules when a process starts and when it closes."""

    onstart: OnStart = field(default_factory=OnStart)
    onclose: OnStart = field(default_factory=OnStart)


class SyncDir(Wire):
    """A directory kept in step with a label."""

    label: str = ""
    dir: str = ""
    keepfiles: bool = False
    onconflicts: OnConflicts = field(default_factory=OnConflicts)


class SnapshotMount(Wire):
    """A snapshot put into a directory."""

    snapshotid: str = ""
    label: str = ""
    dir: str = ""
    keepfiles: bool = False
    keepsnapshot: bool = False


class Filesystem(Wire):
    """The ``fs`` field of a function spec."""

    mount: str | None = ""
    snapshots: list[SnapshotMount] | None = None
    dirs: list[SyncDir] | None = None


class FunctionSpec(Wire):
    """What to run and where. ``args`` is a JSON list and ``kwargs`` a JSON object, as sent."""

    nodename: str | None = ""
    funcname: str | None = ""
    args: Raw = Raw(b"[]")
    kwargs: Raw = Raw(b"{}")
    priority: Int | None = 0
    maxwaittime: Int | None = 0
    maxexectime: Int | None = 0
    maxretries: Int | None = 0
    conditions: Conditions | None = None
    label: str | None = ""
    fs: Filesystem | None = None
    env: dict[str, str] | None = None
    channels: list[str] | UnsetType | None = UNSET
    retrybackoff: Backoff | UnsetType | None = UNSET


class Attribute(Wire):
    """A named value on a process; ``attributetype`` 0 IN, 1 OUT, 2 ERR, 3 ENV."""

    attributeid: str = ""
    targetid: str = ""
    targetcolonyname: str = ""
    targetprocessgraphid: str = ""
    state: Int = 0
    attributetype: Int = 0
    key: str = ""
    value: str = ""


class Process(Wire):
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
    attributes: list[Attribute]
    spec: Raw
    waitforparents: bool
    parents: list[str]
    children: list[str]
    processgraphid: str
    input: Raw = field(name="in")
    output: Raw = field(name="out")
    errors: list[str]


class FunctionArgument(Wire):
    """Documentation of one argument of a registered function."""

    name: str = ""
    type: str = ""
    description: str | UnsetType = UNSET
    required: bool | UnsetType = UNSET
    enum: list[str] | UnsetType = UNSET


class Function(Wire):
    """A function an executor says it has, with what it has been seen to take (seconds)."""

    functionid: str = ""
    executorname: str = ""
    executortype: str = ""
    colonyname: str = ""
    funcname: str = ""
    description: str | UnsetType = UNSET
    args: list[FunctionArgument] | UnsetType = UNSET
    counter: Int = 0
    minwaittime: float = 0
    maxwaittime: float = 0
    minexectime: float = 0
    maxexectime: float = 0
    avgwaittime: float = 0
    avgexectime: float = 0
    locationname: str | UnsetType = UNSET


class Location(Wire):
    """A place executors may say they are at; degrees."""

    locationid: str = ""
    name: str = ""
    colonyname: str = ""
    description: str = ""
    long: float = 0
    lat: float = 0


class Statistics(Wire):
    """Counts of one colony, or of the whole server."""

    colonies: int = 0
    executors: int = 0
    activeexecutors: int = 0
    unregisteredexecutors: int = 0
    waitingprocesses: int = 0
    runningprocesses: int = 0
    successfulprocesses: int = 0
    failedprocesses: int = 0
    cancelledprocesses: int = 0
    waitingworkflows: int = 0
    runningworkflows: int = 0
    successfulworkflows: int = 0
    failedworkflows: int = 0
    cancelledworkflows: int = 0


class Node(Wire):
    """One server of a cluster."""

    name: str = ""
    host: str = ""
    port: int = 0
    peerport: int = 0
    relayport: int = 0
    apiport: int = 0


class Cluster(Wire):
    """Every server, and the one that leads."""

    nodes: list[Node]
    leader: Node


class Version(Wire):
    """What this server was built from."""

    buildversion: str = ""
    buildtime: str = ""
    msgtype: str = "versionmsg"


class Backend(Wire):
    """One address a server answers on."""

    type: str
    port: int
    host: str | UnsetType = UNSET
    tls: bool | UnsetType = UNSET
    insecure: bool | UnsetType = UNSET


class ServerInfo(Wire):
    """``extensions``, ``durability`` and ``servertime`` are ours.

    What this server can do beyond the protocol, what an acknowledgement promises ("always": it is
    on disk), and the time of its store.
    """

    buildversion: str = ""
    buildtime: str = ""
    backends: list[Backend] = []
    extensions: list[str] = []
    durability: str = ""
    servertime: str = ""


class PauseStatus(Wire):
    """Whether a colony gives out work."""

    msgtype: str = "pausestatusreplymsg"
    colonyname: str = ""
    ispaused: bool = False


class Empty(Wire):
    """The reply of a message that has nothing to say: ``{}``."""


# ---------------------------------------------------------------- requests


class VersionMsg(Message):
    """Ask for the version; unsigned. What the client says of itself is ignored."""

    buildversion: str = ""
    buildtime: str = ""


class GetServerInfoMsg(Message):
    """Ask where the server listens; unsigned, the payload is not read."""


class GetStatisticsMsg(Message):
    """Count everything on the server."""


class GetClusterMsg(Message):
    """Ask which servers there are."""


class ChangeServerIdMsg(Message):
    """Hand the server to another key."""

    serverid: str = ""


class AddColonyMsg(Message):
    """Create a colony."""

    colony: Colony | None = None


class GetColoniesMsg(Message):
    """List all colonies."""


class OfColony(Message):
    """A message that names a colony and nothing else."""

    colonyname: str = ""


class RemoveColonyMsg(OfColony):
    """Remove a colony with everything in it."""


class GetColonyMsg(OfColony):
    """Read a colony."""


class GetColonyStatsMsg(OfColony):
    """Count what is in a colony."""


class ChangeColonyIdMsg(OfColony):
    """Hand a colony to another key."""

    colonyid: str = ""


class ColonySettings(Wire):
    """Settings of a colony; None leaves one as it is. Ours, not the reference's."""

    requirenonce: bool | None = None
    logretentionseconds: Int | None = None
    logretentionbytes: Int | None = None


class SetColonySettingsMsg(OfColony):
    """Change the settings of a colony. Ours, not the reference's."""

    settings: ColonySettings | None = None


class GetColonySettingsMsg(OfColony):
    """Read the settings of a colony. Ours, not the reference's."""


class AddUserMsg(Message):
    """Add a user."""

    user: User | None = None


class GetUsersMsg(OfColony):
    """List the users of a colony."""


class GetUserMsg(OfColony):
    """Read a user by name."""

    name: str = ""


class GetUserByIdMsg(OfColony):
    """Read a user by id."""

    userid: str = ""


class RemoveUserMsg(OfColony):
    """Remove a user."""

    name: str = ""


class ChangeUserIdMsg(OfColony):
    """Move the calling user to another key."""

    userid: str = ""


class AddExecutorMsg(Message):
    """Add an executor, pending until approved."""

    executor: Executor | None = None


class OfExecutor(OfColony):
    """A message that names an executor; old clients put the name under ``executorid``."""

    executorname: str = ""
    executorid: str = ""


class ApproveExecutorMsg(OfExecutor):
    """Approve an executor."""


class RejectExecutorMsg(OfExecutor):
    """Reject an executor."""


class RemoveExecutorMsg(OfExecutor):
    """Unregister an executor; its running work goes back to the queue."""


class GetExecutorsMsg(OfColony):
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


class ChangeExecutorIdMsg(OfColony):
    """Move the calling executor to another key."""

    executorid: str = ""


class AddFunctionMsg(Message):
    """Register a function of the calling executor."""

    fun: Function | None = None


class GetFunctionsMsg(OfColony):
    """List functions, of one executor or of the whole colony."""

    executorname: str = ""


class GetFunctionsByExecutorMsg(GetFunctionsMsg):
    """The same question as the Rust SDK asks it."""


class RemoveFunctionMsg(Message):
    """Forget a registered function."""

    functionid: str = ""


class SubmitFuncSpecMsg(Message):
    """Submit a process."""

    spec: FunctionSpec | None = None


class AssignProcessMsg(OfColony):
    """Ask for work; ``timeout`` in seconds, negative means do not wait."""

    timeout: Int = 0
    availablecpu: str = ""
    availablemem: str = ""


class PauseAssignmentsMsg(OfColony):
    """Stop giving out work."""


class ResumeAssignmentsMsg(OfColony):
    """Give out work again."""


class GetPauseStatusMsg(OfColony):
    """Ask whether work is given out."""


class OfProcess(Message):
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

    errors: list[str] = []


class GetProcessesMsg(OfColony):
    """List processes in one state."""

    count: Int = 0
    state: Int = 0
    executortype: str = ""
    label: str = ""
    initiator: str = ""
    processgraphid: str = ""
    """Only those of a workflow; then in its order, and state -1 is any."""


class GetProcessHistMsg(OfColony):
    """List processes submitted within the last ``seconds``."""

    executorid: str = ""
    seconds: Int = 0
    state: Int = 0


class RemoveAllProcessesMsg(OfColony):
    """Remove all processes in one state, or (-1) in any."""

    state: Int = 0


class AddAttributeMsg(Message):
    """Put an attribute on a running process."""

    attribute: Attribute | None = None


class GetAttributeMsg(Message):
    """Read an attribute."""

    attributeid: str = ""


class AddLocationMsg(Message):
    """Add a location."""

    location: Location | None = None


class GetLocationsMsg(OfColony):
    """List locations."""


class GetLocationMsg(OfColony):
    """Read a location."""

    name: str = ""


class RemoveLocationMsg(OfColony):
    """Remove a location."""

    name: str = ""


# ---------------------------------------------------------------- reading and writing

M = TypeVar("M", bound=Struct)

encode = msgspec.json.Encoder().encode


def payload_text(value: Any) -> str:  # noqa: ANN401 - any reply structure
    """The base64 text of a reply or request structure."""
    return base64.b64encode(encode(value)).decode("ascii")


def decode(text: bytes, kind: type[M]) -> M:
    """Read one structure, as leniently as the reference does and no more.

    Raises:
        Malformed: not JSON, not an object, or a value of a wrong type; the text names the place.
    """
    try:
        return _decoder(kind).decode(text)
    except msgspec.ValidationError:
        return _decode_slowly(text, kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from error


@lru_cache(maxsize=256)
def _decoder(kind: type[M]) -> msgspec.json.Decoder[M]:
    return msgspec.json.Decoder(kind)


def _decode_slowly(text: bytes, kind: type[M]) -> M:
    try:
        loose = _respell(msgspec.json.decode(text), kind)
        return _decoder(kind).decode(encode(loose))
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Malformed(str(error)) from error


def _respell(value: Any, kind: Any) -> Any:  # noqa: ANN401 - walks JSON beside its type
    """Keys in the prescribed letter case, unknown keys and nulls left out, as far as typed."""
    if get_origin(kind) in (Union, UnionType):
        kinds = [k for k in get_args(kind) if k not in (NoneType, UnsetType)]
        structs = [k for k in kinds if isinstance(value, dict) == _is_struct(k)]
        kind = structs[0] if structs else kinds[0]
    if isinstance(value, dict):
        return _respell_object(cast("dict[str, Any]", value), kind)
    if get_origin(kind) is list and isinstance(value, list):
        items, item_kind = cast("list[Any]", value), get_args(kind)[0]
        return [_zero(item_kind) if i is None else _respell(i, item_kind) for i in items]
    return value


def _respell_object(value: dict[str, Any], kind: Any) -> dict[str, Any]:  # noqa: ANN401
    if _is_struct(kind):
        known = _fields(kind)
        pairs = ((known.get(k.lower()), v) for k, v in value.items())
        return {f[0]: _respell(v, f[1]) for f, v in pairs if f and v is not None}
    if get_origin(kind) is dict:
        of = get_args(kind)[1]
        return {k: _zero(of) if v is None else _respell(v, of) for k, v in value.items()}
    return value


def _zero(kind: Any) -> Any:  # noqa: ANN401
    """What ``null`` means where nothing can be left out: the zero value of a type."""
    return {} if _is_struct(kind) else kind() if isinstance(kind, type) else None


def _is_struct(kind: Any) -> bool:  # noqa: ANN401
    return isinstance(kind, type) and issubclass(kind, Struct)


@lru_cache(maxsize=256)
def _fields(kind: type[Struct]) -> dict[str, tuple[str, Any]]:
    return {f.encode_name.lower(): (f.encode_name, f.type) for f in msgspec.structs.fields(kind)}


def unwrap(payload: str) -> bytes:
    """The message text inside a base64 payload; a broken one ends as text that does not parse."""
    try:
        return binascii.a2b_base64(payload, strict_mode=True)
    except (binascii.Error, ValueError):
        return b""


def rfc3339(at_ns: int) -> str:
    """A time as the protocol writes it: UTC, microseconds, no trailing zeros; 0 is "never"."""
    if at_ns == 0:
        return NO_TIME
    seconds, micros = divmod(at_ns // _MICRO, _SECOND)
    head = _whole_seconds(seconds)
    return f"{head}.{micros:06d}".rstrip("0") + "Z" if micros else head + "Z"


@lru_cache(maxsize=1024)
def _whole_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(text: str) -> int:
    """Unix ns of an RFC 3339 text; "never" (year 1) is 0.

    Raises:
        Malformed: not such a text.
    """
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from error
    if moment.tzinfo is None:
        raise Malformed("time without zone")
    if moment.year <= 1:
        return 0
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise Malformed(f"the year {moment.year} does not fit a time in ns")
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + moment.microsecond * _MICRO
