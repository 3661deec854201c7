"""Messages about crons, as the protocol spells them (extended.md, section 3)."""

from msgspec import UNSET, UnsetType

from api import wire


class Cron(wire.Wire):
    """A workflow that is started by the clock; ``workflowspec`` is JSON text.

    ``missed`` is ours: "run" makes up for a time that passed while no server was there.
    """

    cronid: str = ""
    initiatorid: str = ""
    initiatorname: str = ""
    colonyname: str = ""
    name: str = ""
    cronexpression: str = ""
    interval: wire.Int = 0
    random: bool = False
    nextrun: str = wire.NO_TIME
    lastrun: str = wire.NO_TIME
    workflowspec: str = ""
    prevprocessgraphid: str = ""
    waitforprevprocessgraph: bool = False
    checkerperiod: wire.Int = 0
    missed: str | UnsetType = UNSET


class AddCronMsg(wire.Message):
    """Add a cron."""

    cron: Cron | None = None


class OfCron(wire.Message):
    """A message that names a cron."""

    cronid: str = ""


class GetCronMsg(OfCron):
    """Read a cron."""


class RunCronMsg(OfCron):
    """Start the workflow of a cron now."""


class RemoveCronMsg(OfCron):
    """Remove a cron."""

    all: bool = False


class GetCronsMsg(wire.OfColony):
    """List crons, oldest first."""

    count: wire.Int = 0
