"""Every Redis key is spelled here.

A colony's keys share one hash tag, ``{name.suffix}``, so a colony is one shard and one script may
touch all of them. Folds, expectations and reads speak of keys *within* a colony (``p:3f9c…``);
``Tag.key`` puts the tag in front, once, at the edge to Redis.

``suffix`` is eight hex digits that the server gives a colony when it is added. Every id the server
makes in a colony ends with it, so a message that names only a process finds its colony without an
index, and a colony that is removed and added again starts with empty keys.
"""

import hashlib
import secrets
from typing import NewType
from urllib.parse import quote

Key = NewType("Key", str)
"""A key within one hash tag."""

SUFFIX_DIGITS = 8
ID_DIGITS = 64
ENV = 3
"""Attribute type of an environment variable."""
_BIAS = 1 << 63
_ID_BYTES = (ID_DIGITS - SUFFIX_DIGITS) // 2
_RANDOM_BYTES = _ID_BYTES * 128
_random = b""
_random_at = 0
_PRIORITY_DIGITS = 20


class Tag:
    """The hash tag of a colony, or of the server itself."""

    __slots__ = ("prefix", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.prefix = "{" + text + "}:"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tag) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Tag({self.text!r})"

    def key(self, key: str) -> str:
        """The whole Redis key of a key within this tag."""
        return self.prefix + key


SERVER = Tag("server")
"""The server's own stream and directory of colonies."""


def colony_tag(name: str, suffix: str) -> Tag:
    """The tag of a colony; characters that would end a hash tag are percent-encoded."""
    return Tag(f"{quote(name, safe=' ')}.{suffix}")


def new_suffix() -> str:
    """A random colony suffix; the directory refuses one that is taken."""
    return secrets.token_hex(SUFFIX_DIGITS // 2)


def new_id(suffix: str) -> str:
    """An unpredictable id of 64 hex digits in the colony with this suffix."""
    global _random, _random_at  # noqa: PLW0603 - drawn in advance: a system call an id is dear
    if _random_at + _ID_BYTES > len(_random):
        _random, _random_at = secrets.token_bytes(_RANDOM_BYTES), 0
    drawn = _random[_random_at : _random_at + _ID_BYTES]
    _random_at += _ID_BYTES
    return drawn.hex() + suffix


def suffix_of(identifier: str) -> str:
    """The colony suffix that an id made by ``new_id`` ends with."""
    return identifier[-SUFFIX_DIGITS:]


def attribute_id(process_id: str, name: str, kind: int) -> str:
    """The id of an attribute (core.md, section 2.4): it follows from what the attribute is on."""
    return hashlib.sha3_256(f"{process_id}{name}{kind}".encode()).hexdigest()


# ---------------------------------------------------------------- within any tag

EVENTS = Key("events")


NONCES = "nonce:"
"""What keys of nonces begin with; they expire by themselves and are not folded."""


def nonce(signer: str, text: str) -> Key:
    """Where a request that may take effect only once leaves its position."""
    return Key(f"{NONCES}{signer}:{text}")


# ---------------------------------------------------------------- within SERVER

SERVER_ROW = Key("server")
COLONIES = Key("colonies")
"""Hash: colony name -> suffix."""
SUFFIXES = Key("suffixes")
"""Hash: suffix -> colony name."""
COLONY_IDS = Key("colonyids")
"""Hash: identity of a colony -> colony name."""
REMOVED = Key("removed")
"""Hash: tag of a removed colony whose keys are still to be deleted -> colony name."""

# ---------------------------------------------------------------- within a colony

COLONY = Key("colony")
NAMES = Key("names")
"""Hash: ``executor/<name>`` or ``user/<name>`` -> member id."""
CLASSES = Key("classes")
"""Hash: requirement class -> what it requires; field ``epoch`` counts changes of the set."""
EPOCH = "epoch"
LOCATIONS = Key("locations")
"""Hash: location name -> location."""
ATTRIBUTES = Key("attributes")
"""Hash: attribute id -> process id."""
BLUEPRINTS = Key("blueprints")
"""Sorted set: blueprints; score 0, member name."""
BLUEPRINT_IDS = Key("blueprintids")
"""Hash: blueprint id -> name."""
DEFINITIONS = Key("definitions")
"""Sorted set: blueprint definitions; score 0, member name."""
DEFINITION_IDS = Key("definitionids")
"""Hash: id of a blueprint definition -> name."""
DUE = Key("due")
"""Sorted set: what must happen at a time; score Unix ms, member ``<kind>/<id>``."""
CRONS = Key("crons")
"""Sorted set: crons; score Unix μs of when they were added, member id."""
CRON_NAMES = Key("cronnames")
"""Hash: cron name -> id."""
HELD_CRONS = Key("heldcrons")
"""Set: crons of which a time has come, and which wait for their previous workflow to end."""
GENERATORS = Key("generators")
"""Sorted set: generators; score Unix μs of when they were added, member id."""
GENERATOR_NAMES = Key("generatornames")
"""Hash: generator name -> id."""
FILES = Key("files")
"""Hash: how many snapshots were ever ``made``, and how many of them are ``gone``."""
FILE_NUMBER = Key("filenumber")
"""Sorted set: ``LAST`` with the highest number that a revision of a file ever had."""
LAST = "last"
LABELS = Key("labels")
"""Sorted set: labels with files; score 0, member label."""
KEPT_LABELS = Key("keptlabels")
"""Sorted set: labels with removed revisions that snapshots may name; score 0, member label."""
SNAPSHOTS = Key("snapshots")
"""Sorted set: snapshots; score their number, member id."""
UNNAMED = Key("unnamed")
"""Hash: label -> its last removed snapshot; what only that named is still to be forgotten."""
LEAVING = Key("leaving")
"""Sorted set: executors that left and may still hold work; score Unix ms."""
HEARD = Key("heard")
"""Hash: executor id -> Unix ns it was last heard from. Presence, not history: no event, no fold."""


LOGS = Key("logs")
"""Stream: log lines, see broker/logs.py."""
LOG_STATE = Key("logstate")
"""Hash: the ``bytes`` that log lines are counted with."""
PROCESS_LOGS, EXECUTOR_LOGS = "lp:", "le:"
"""What keys of lists of the times of log lines begin with."""


def process_log(process_id: str) -> Key:
    """List: times (Unix ns) of the log lines of one process, ascending."""
    return Key(f"{PROCESS_LOGS}{process_id}")


def executor_log(executor_name: str) -> Key:
    """List: times (Unix ns) of the log lines of one executor, ascending."""
    return Key(f"{EXECUTOR_LOGS}{executor_name}")


CHANNELS, CHANNEL_PACES = "ch:", "cp:"
"""What keys of channels, and of how fast a process' channels were written, begin with."""


def channel(process_id: str, name: str) -> Key:
    """Stream: what was said in one channel of a process."""
    return Key(f"{CHANNELS}{process_id}:{name}")


def channel_pace(process_id: str) -> Key:
    """Hash: how many entries a process may ``left`` have now, and the ``bytes`` it has."""
    return Key(f"{CHANNEL_PACES}{process_id}")


def member(member_id: str) -> Key:
    """Hash: one executor or user."""
    return Key(f"m:{member_id}")


def functions(executor_name: str) -> Key:
    """Hash: function id -> registration, of one executor."""
    return Key(f"f:{executor_name}")


def definition(name: str) -> Key:
    """Hash: one blueprint definition."""
    return Key(f"bd:{name}")


def definitions_of(kind: str) -> Key:
    """Sorted set: definitions of one kind; score Unix μs of when they were added, member name."""
    return Key(f"bk:{kind}")


def blueprint(name: str) -> Key:
    """Hash: one blueprint."""
    return Key(f"b:{name}")


def blueprints_of(kind: str) -> Key:
    """Sorted set: blueprints of one kind; score 0, member name."""
    return Key(f"bo:{kind}")


def blueprints_at(kind: str, location: str) -> Key:
    """Set: names of the blueprints of one kind at one location."""
    return Key(f"bl:{len(kind)}:{kind}{location}")


def blueprint_history(blueprint_id: str) -> Key:
    """Sorted set: the newest changes of a blueprint; score 0, member the time and the change."""
    return Key(f"bh:{blueprint_id}")


def revision(file_id: str) -> Key:
    """Hash: one revision of a file."""
    return Key(f"fr:{file_id}")


def file(label: str, name: str) -> Key:
    """Hash: how many ``revisions`` a file has, and the number of the ``last``."""
    return Key(f"fn:{len(label)}:{label}{name}")


def label(name: str) -> Key:
    """Hash: how many revisions (``files``) a label has, of how many files (``names``)."""
    return Key(f"fc:{name}")


def files_in(label: str) -> Key:
    """Sorted set: the revisions in a label; see broker/revisions.py."""
    return Key(f"fl:{label}")


def kept_in(label: str) -> Key:
    """Sorted set: the removed revisions of a label that snapshots may name."""
    return Key(f"fk:{label}")


def snapshot(snapshot_id: str) -> Key:
    """Hash: one snapshot."""
    return Key(f"s:{snapshot_id}")


def snapshot_named(name: str) -> Key:
    """Hash: the id of the snapshot with a name."""
    return Key(f"sn:{name}")


def snapshots_of(label: str) -> Key:
    """Sorted set: snapshots of exactly this label; score their number, member id."""
    return Key(f"sl:{label}")


def process(process_id: str) -> Key:
    """Hash: one process."""
    return Key(f"p:{process_id}")


def workflow(workflow_id: str) -> Key:
    """Hash: one workflow."""
    return Key(f"w:{workflow_id}")


def nodes(workflow_id: str) -> Key:
    """Sorted set: the processes of a workflow; score their order, member process id."""
    return Key(f"n:{workflow_id}")


def cron(cron_id: str) -> Key:
    """Hash: one cron."""
    return Key(f"c:{cron_id}")


def generator(generator_id: str) -> Key:
    """Hash: one generator."""
    return Key(f"g:{generator_id}")


def packed_arguments(generator_id: str) -> Key:
    """List: the arguments that wait in a generator, oldest first."""
    return Key(f"a:{generator_id}")


def workflows(state: int) -> Key:
    """Sorted set: workflows in one state; score Unix μs of their submission, member id."""
    return Key(f"w{state}")


def queue(requirement_class: str) -> Key:
    """Sorted set: waiting processes of one requirement class, score 0, member ``queue_member``."""
    return Key(f"q:{requirement_class}")


def listing(state: int) -> Key:
    """Sorted set: processes in one state; score Unix μs of start or end, member process id."""
    return Key(f"i:{state}")


def held(executor_id: str) -> Key:
    """Set: running processes of one executor."""
    return Key(f"h:{executor_id}")


def queue_member(priority_time: int, process_id: str) -> str:
    """A queue member that sorts bytewise by priority time, exact to the nanosecond, then by id."""
    return f"{priority_time + _BIAS:0{_PRIORITY_DIGITS}d}{process_id}"


def queued_process(queue_member: str) -> str:
    """The process id in a queue member."""
    return queue_member[_PRIORITY_DIGITS:]


def due_wait(process_id: str) -> str:
    """Member of DUE: the wait deadline of a process."""
    return f"wait/{process_id}"


def due_parts(member: str) -> tuple[str, str]:
    """What a member of DUE is about, and the id."""
    kind, _, identifier = member.partition("/")
    return kind, identifier


def due_sweep(workflow_id: str) -> str:
    """Member of DUE: processes of a workflow are to be ended or removed."""
    return f"sweep/{workflow_id}"


def due_ready(process_id: str) -> str:
    """Member of DUE: a process is to be offered again."""
    return f"ready/{process_id}"


def due_cron(cron_id: str) -> str:
    """Member of DUE: the next time of a cron."""
    return f"cron/{cron_id}"


def due_flush(generator_id: str) -> str:
    """Member of DUE: what waits in a generator has waited long enough."""
    return f"flush/{generator_id}"


def due_exec(process_id: str) -> str:
    """Member of DUE: the execution deadline of a process."""
    return f"exec/{process_id}"


ASYNC_ROWS = "v:"
"""What keys of async projections begin with; they follow the log at their own pace."""


BUILDS = Key(f"{ASYNC_ROWS}builds")
"""Hash: ``<projection>:<version>`` -> which build of it is served, ``…:next`` -> is being built."""


ARCHIVED = Key(f"{ASYNC_ROWS}archived")
"""Hash: up to where ``events`` and ``lines`` are archived, and events ``trimmed``: positions."""
RESTORING = Key(f"{ASYNC_ROWS}restoring")
"""Text, within SERVER: there while a store is being restored, and is no place for servers."""
ARCHIVE = Key(f"{ASYNC_ROWS}archive")
"""Hash, within SERVER: ``why`` archiving does not go on, "" when it does, and Unix ms ``at``."""


def projected(name: str, version: int, row: str) -> Key:
    """A row of one version of an async projection."""
    return Key(f"{ASYNC_ROWS}{name}:{version}:{row}")


def checkpoint(name: str, version: int) -> Key:
    """Text: the last position one version of an async projection has applied."""
    return projected(name, version, "checkpoint")


def progress_channel(tag: Tag) -> str:
    """Pub/sub channel on which async projections of a colony say how far they are."""
    return tag.key("progress")


def said_channel(tag: Tag) -> str:
    """Pub/sub channel on which a colony says ``<process id>/<channel>`` that got an entry."""
    return tag.key("said")


def wake_channel(tag: Tag) -> str:
    """Pub/sub channel on which a colony says which requirement class got work."""
    return tag.key("wake")
