"""What to do next after a refusal, by what was asked; the server's own text says what was wrong."""

from cli.config import Config, Role
from cli.errors import RpcError

_DENIED = 403
_PAUSED = frozenset({408, 503})

_ID_TAKEN = "names and ids are unique, an id is 64 hex digits: `colonies key generate` makes one"
_NEW_ID = "the id of a new key is 64 hex digits: `colonies key generate` makes one"
_PROCESSES = "`colonies process ls --state STATE` lists the ids of processes"
_HELD = "`colonies process ps` lists what runs, `colonies process get -p ID` shows who holds it"
_EXECUTORS = "`colonies executor ls --all` lists the executors"
_FUNCTIONS = "`colonies executor get NAME` shows an executor's functions and their ids"
_USERS = "`colonies user ls` lists the users"
_COLONIES = "`colonies colony ls` lists the colonies"
_LOCATIONS = "`colonies location ls` lists the locations"

_WORKFLOWS = "`colonies workflow ls --state STATE` lists the ids of workflows"
_SPEC = "a workflow is a list of function specs, each with its own nodename; see docs/examples"

_CRONS = "`colonies cron ls` lists the crons"
_EXPRESSION = "names are unique; `colonies cron add --help` explains cron expressions"
_GENERATORS = "`colonies generator ls` lists the generators"

_CHANNELS = (
    "a function spec lists the names of its `channels`; they are there until the process ends"
)

_BLUEPRINTS = "`colonies blueprint ls` lists the blueprints"
_DEFINITIONS = "`colonies blueprint definition ls` lists the kinds of blueprints"
_SCHEMA = "`colonies blueprint definition get NAME` shows what the spec of a kind may hold"

_FILES = "`colonies fs label ls` lists the labels, `colonies fs ls -l LABEL` the files of one"
_SNAPSHOTS = "`colonies fs snapshot ls` lists the snapshots"

_BY_MESSAGE = {
    "addattributemsg": _HELD,
    "addblueprintdefinitionmsg": _DEFINITIONS,
    "addblueprintmsg": _SCHEMA,
    "addcolonymsg": _ID_TAKEN,
    "addcronmsg": _EXPRESSION,
    "addexecutormsg": _ID_TAKEN,
    "addfunctionmsg": _EXECUTORS,
    "addgeneratormsg": "names are unique, and --trigger is 1 or more; `colonies generator ls`",
    "addexecutorlogmsg": _EXECUTORS,
    "addlocationmsg": _LOCATIONS,
    "addlogmsg": _HELD,
    "addusermsg": _ID_TAKEN,
    "approveexecutormsg": _EXECUTORS,
    "assignprocessmsg": "`colonies process psw` lists what waits; --timeout SECONDS waits longer",
    "cancelprocessgraphmsg": _WORKFLOWS,
    "cancelprocessmsg": _HELD,
    "changecolonyidmsg": _NEW_ID,
    "changeexecutoridmsg": _NEW_ID,
    "changeserveridmsg": _NEW_ID,
    "changeuseridmsg": _NEW_ID,
    "channelappendmsg": _CHANNELS,
    "channelreadmsg": _CHANNELS,
    "closefailedmsg": _HELD,
    "closesuccessfulmsg": _HELD,
    "createsnapshotmsg": f"names of snapshots are unique: {_SNAPSHOTS}; {_FILES}",
    "getattributemsg": "`colonies process get -p ID` lists the attributes of a process",
    "getblueprintdefinitionmsg": _DEFINITIONS,
    "getblueprinthistorymsg": _BLUEPRINTS,
    "getblueprintmsg": _BLUEPRINTS,
    "getcolonymsg": _COLONIES,
    "getcolonystatsmsg": _COLONIES,
    "getcronmsg": _CRONS,
    "getexecutorbyidmsg": _EXECUTORS,
    "getexecutormsg": _EXECUTORS,
    "getfilemsg": _FILES,
    "getgeneratormsg": _GENERATORS,
    "getlocationmsg": _LOCATIONS,
    "getlogsmsg": f"{_PROCESSES}, `colonies executor ls` the names of executors",
    "getprocessesmsg": "--count takes at most 100",
    "getprocessgraphmsg": _WORKFLOWS,
    "getprocessgraphsmsg": "--count takes at most 100",
    "getprocessmsg": _PROCESSES,
    "getsnapshotmsg": _SNAPSHOTS,
    "getusermsg": _USERS,
    "packgeneratormsg": _GENERATORS,
    "reconcileblueprintmsg": (
        "a definition whose handler names executorType and functionName says who reconciles; "
        "`colonies blueprint doctor` looks"
    ),
    "rejectexecutormsg": _EXECUTORS,
    "removeallprocessgraphsmsg": _WORKFLOWS,
    "removeblueprintdefinitionmsg": (
        f"its blueprints are removed first: {_BLUEPRINTS}, `colonies blueprint remove` ends one"
    ),
    "removeblueprintmsg": _BLUEPRINTS,
    "removecolonymsg": _COLONIES,
    "removecronmsg": _CRONS,
    "removeexecutormsg": _EXECUTORS,
    "removefunctionmsg": _FUNCTIONS,
    "removegeneratormsg": _GENERATORS,
    "removelocationmsg": _LOCATIONS,
    "removeprocessgraphmsg": "what runs is cancelled first: `colonies workflow cancel ID`",
    "removeprocessmsg": _PROCESSES,
    "removesnapshotmsg": _SNAPSHOTS,
    "removeusermsg": _USERS,
    "runcronmsg": _CRONS,
    "searchlogsmsg": "--days takes at most 30, --count at most 100",
    "submitworkflowspecmsg": _SPEC,
    "updateblueprintmsg": _SCHEMA,
}


def after(refusal: RpcError, config: Config, signed_by: Role | None) -> str:
    """What to do about a refusal; empty when the server's text has to be enough."""
    if refusal.status == _DENIED:
        return _after_denial(config, signed_by)
    if refusal.asked == "assignprocessmsg" and refusal.status in _PAUSED:
        return "the colony gives out no work; its owner ends that: `colonies process resume`"
    return _BY_MESSAGE.get(refusal.asked, "")


def _after_denial(config: Config, signed_by: Role | None) -> str:
    value = config.key(signed_by) if signed_by else None
    if signed_by is None or value is None:
        return ""
    own = config.identity(signed_by).id
    return (
        f"signed as {signed_by.value} with id {own} ({value.source}); "
        "`colonies doctor` checks every key"
    )
