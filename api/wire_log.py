"""Messages about log lines, as the protocol spells them (core.md, section 6.8)."""

from api import wire


class Log(wire.Wire):
    """One log line; ``timestamp`` Unix ns, ``processid`` "" for a line of an executor."""

    processid: str
    colonyname: str
    executorname: str
    message: str
    timestamp: int


class AddLogMsg(wire.Message):
    """Say a line about a process."""

    processid: str = ""
    message: str = ""


class AddLogsMsg(wire.Message):
    """Say many lines about a process at once. Ours, not the reference's."""

    processid: str = ""
    messages: list[str] | None = None


class AddExecutorLogMsg(wire.Message):
    """Say a line about oneself."""

    colonyname: str = ""
    executorname: str = ""
    message: str = ""


class GetLogsMsg(wire.Message):
    """Read lines; old clients name the executor by its id."""

    colonyname: str = ""
    processid: str = ""
    executorname: str = ""
    executorid: str = ""
    count: wire.Int = 0
    since: wire.Int = 0
    latest: bool = False


class SearchLogsMsg(wire.Message):
    """Look for lines with a text in the last days."""

    colonyname: str = ""
    text: str = ""
    days: wire.Int = 0
    count: wire.Int = 0
