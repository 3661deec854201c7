"""Messages that subscribe to what happens (extended.md, section 11), and our own event feed."""

from api import wire


class SubscribeProcessMsg(wire.Message):
    """Hear when a process is in a state; ``executortype`` "" is that of the process."""

    colonyname: str = ""
    processid: str = ""
    executortype: str = ""
    state: wire.Int = 0
    timeout: wire.Int = 0


class SubscribeProcessesMsg(wire.Message):
    """Hear when any process for executors of a type is in a state."""

    colonyname: str = ""
    executortype: str = ""
    state: wire.Int = 0
    timeout: wire.Int = 0


class SubscribeChannelMsg(wire.Message):
    """Hear what is said in a channel after the first ``afterseq`` entries; 0 seconds mean 30."""

    processid: str = ""
    name: str = ""
    afterseq: wire.Int = 0
    timeout: wire.Int = 0


class SubscribeLogsMsg(wire.Message):
    """Hear log lines after a time, of a process or an executor. Ours, not the reference's.

    What is named, and ``since``, are as in ``getlogsmsg``; 0 seconds mean 30.
    """

    colonyname: str = ""
    processid: str = ""
    executorname: str = ""
    executorid: str = ""
    since: wire.Int = 0
    timeout: wire.Int = 0


class SubscribeEventsMsg(wire.Message):
    """Follow the events of a colony. Ours, not the reference's.

    ``after`` is a position of the stream, "" for from now on; whatever else is set filters.
    """

    colonyname: str = ""
    types: list[str] | None = None
    processid: str = ""
    workflowid: str = ""
    executorid: str = ""
    after: str = ""
