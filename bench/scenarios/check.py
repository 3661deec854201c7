"""What the server itself says about the processes, against what the generator saw."""

from collections.abc import Mapping

from bench.connection import Connection
from bench.errors import WrongAnswer
from bench.wire import Colony, Statistics, process_of, statistics_of

_SAMPLE = 100
_SUCCESS = 2


async def check_counts(
    connection: Connection, colony: Colony, *, success: int, waiting: int = 0
) -> None:
    """Compare the colony's counts by state; nothing may be running.

    Raises:
        WrongAnswer: they differ from what was done.
    """
    said = statistics_of(await connection.request(colony.statistics()))
    meant = Statistics(
        waitingprocesses=waiting, runningprocesses=0, successfulprocesses=success, failedprocesses=0
    )
    if said != meant:
        raise WrongAnswer(f"the server counts {said}, the load generator {meant}")


async def check_sample(connection: Connection, colony: Colony, closers: Mapping[str, str]) -> None:
    """Read some processes back: closed, and by the executor that closed them.

    Raises:
        WrongAnswer: a process that was closed is not, or is somebody else's.
    """
    step = max(1, len(closers) // _SAMPLE)
    for process_id in list(closers)[::step]:
        request = colony.user.request("getprocessmsg", processid=process_id)
        process = process_of(await connection.request(request))
        if (process.state, process.assignedexecutorid) != (_SUCCESS, closers[process_id]):
            raise WrongAnswer(f"process {process_id} reads back as {process}")
