"""Messages about colonies, as the protocol spells them (core.md, section 6.2)."""

from api import wire


class Colony(wire.Wire):
    """A tenant; ``colonyid`` is the identity of its owner."""

    colonyid: str = ""
    name: str = ""


class ColonySettings(wire.Wire):
    """Settings of a colony. Ours, not the reference's."""

    requirenonce: bool | None = None
    logretentionseconds: wire.Int | None = None
    logretentionbytes: wire.Int | None = None
    successretentionseconds: wire.Int | None = None
    failedretentionseconds: wire.Int | None = None
    cancelledretentionseconds: wire.Int | None = None
    filerevisions: wire.Int | None = None
    filerevisionseconds: wire.Int | None = None


class WishedSettings(ColonySettings, wire.Strict):
    """What is to be set; None leaves a setting as it is."""


class Statistics(wire.Wire):
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


class PauseStatus(wire.Wire):
    """Whether a colony gives out work."""

    msgtype: str = "pausestatusreplymsg"
    colonyname: str = ""
    ispaused: bool = False


class AddColonyMsg(wire.Message):
    """Create a colony."""

    colony: Colony | None = None


class GetColoniesMsg(wire.Message):
    """List all colonies."""


class RemoveColonyMsg(wire.OfColony):
    """Remove a colony with everything in it."""


class GetColonyMsg(wire.OfColony):
    """Read a colony."""


class GetColonyStatsMsg(wire.OfColony):
    """Count what is in a colony."""


class ChangeColonyIdMsg(wire.OfColony):
    """Hand a colony to another key."""

    colonyid: str = ""


class SetColonySettingsMsg(wire.OfColony):
    """Change the settings of a colony. Ours, not the reference's."""

    settings: WishedSettings | None = None


class GetColonySettingsMsg(wire.OfColony):
    """Read the settings of a colony. Ours, not the reference's."""


class PauseAssignmentsMsg(wire.OfColony):
    """Stop giving out work."""


class ResumeAssignmentsMsg(wire.OfColony):
    """Give out work again."""


class GetPauseStatusMsg(wire.OfColony):
    """Ask whether work is given out."""
