"""The claim script, completed with the fold's own events and writes.

Values in the packed body have fixed widths (member 84, class 16, exec 10), so that it stays
well-formed msgpack.
"""

from msgspec import Struct
from msgspec.structs import replace

from broker.aggregates.process import UNLIMITED_EXEC, ProcessAssigned
from broker.aggregates.workflow import WorkflowStarted
from broker.decision import Fold
from broker.keys import Key
from broker.lua_source import Source
from broker.script import CLAIM, Script

_AT = 1_111_111_111_111_111_111
_SAMPLE = ProcessAssigned(
    subject="i" * 64,
    actor="a" * 63 + "z",
    at_ns=_AT,
    class_key="k" * 16,
    queued_as="m" * 84,
    max_exec_s="x" * 10,
)
_ONE_SECOND = "0000000001"
_STARTED = WorkflowStarted(subject="g" * 64, actor=_SAMPLE.actor, at_ns=_AT, submitted_us="2" * 16)
_SOURCE = Source(
    {
        _STARTED.subject: "graph",
        _STARTED.submitted_us: "since",
        _SAMPLE.subject: "id",
        _SAMPLE.actor: "actor",
        _SAMPLE.queued_as: "member",
        _SAMPLE.class_key: "class",
        _SAMPLE.max_exec_s: "exec",
        _AT: "at",
        _AT // 1_000: "us",
        _AT // 1_000_000 + 1_000: "due",
        _AT // 1_000_000: "ms",
    }
)


_ASKER = _SAMPLE.actor
"""In place of the id of who asks, in keys."""


class ClaimScript(Struct, frozen=True):
    """The script, and the keys that it may write to as far as they are known before.

    ``own`` are those with the id of who asks in them, or rather with _ASKER.
    """

    script: Script
    shared: tuple[Key, ...]
    own: tuple[Key, ...]

    def written_for(self, executor_id: str) -> list[Key]:
        """These keys for an executor."""
        return [*self.shared, *[Key(key.replace(_ASKER, executor_id)) for key in self.own]]


def claim_script(fold: Fold) -> ClaimScript:
    """Complete claim.lua from a fold."""
    always = list(fold(replace(_SAMPLE, max_exec_s=UNLIMITED_EXEC)))
    bounded = list(fold(replace(_SAMPLE, max_exec_s=_ONE_SECOND)))
    deadline = [write for write in bounded if write not in always]
    started = list(fold(_STARTED))
    script = CLAIM.completed(
        {
            "event": _SOURCE.entry(_SAMPLE, "signed"),
            "writes": _SOURCE.writes(always, _SOURCE.prefixed),
            "deadline": _SOURCE.writes(deadline, _SOURCE.prefixed),
            # the request is kept once: digest and signature have 97 bytes
            "event: started": _SOURCE.entry(_STARTED, "string.sub(signed, 1, 97)"),
            "writes: started": _SOURCE.writes(started, _SOURCE.prefixed),
        }
    )
    found = (_SAMPLE.subject, _SAMPLE.class_key, _STARTED.subject)
    written = dict.fromkeys(key for _, key, _ in (*bounded, *started))
    known = [key for key in written if not any(one in key for one in found)]
    own = tuple(key for key in known if _ASKER in key)
    return ClaimScript(script, tuple(key for key in known if _ASKER not in key), own)
