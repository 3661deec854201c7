"""``python -m bench``: start the targets, run the scenarios, print the table, store the run."""

import argparse
import asyncio
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from bench import machine, report, servers
from bench.connection import Endpoint
from bench.errors import BenchError
from bench.plan import Plan, Stage
from bench.report import Measurement
from bench.scenarios import (
    deadlines,
    depth,
    files,
    fleet,
    following,
    history,
    lifecycle,
    logs,
    purge,
    realtime,
    startup,
    workflow,
)
from bench.servers import Target
from bench.wire import Member
from broker.identity import Identity
from broker.settings import Durability, Limits, Settings
from cli.store_program import find_program

_SCENARIOS: dict[str, Callable[[Stage], Awaitable[list[Measurement]]]] = {
    "lifecycle": lifecycle.measure,
    "depth": depth.measure,
    "deadlines": deadlines.measure,
    "workflow": workflow.measure,
    "logs": logs.measure,
    "files": files.measure,
    "fleet": fleet.measure,
    "following": following.measure,
    "realtime": realtime.measure,
    "purge": purge.measure,
    "history": history.measure,
    "startup": startup.measure,
}
_DEFAULT_PORT = 50080
_MOST_WAITING = 10_000_000
"""The bench lets more wait than a server does by itself."""
_TOLD_TO_STOP = 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios that were asked for; not 0 when any answer was wrong."""
    given = _parser().parse_args(arguments)
    _allow_many_connections()
    wrong = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run_until_told(given))
    except* asyncio.CancelledError:
        wrong = _TOLD_TO_STOP
    except* BenchError as errors:
        for error in _leaves(errors):
            sys.stderr.write(f"bench: {type(error).__name__}: {error}\n")
        wrong = 1
    return wrong


def _leaves(group: BaseExceptionGroup[BenchError]) -> Iterator[BenchError]:
    for error in group.exceptions:
        if isinstance(error, BenchError):
            yield error
        else:
            yield from _leaves(error)


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*_SCENARIOS, []], help="default: all")
    parser.add_argument("--target", default="ours", help="ours, floor, or http://HOST:PORT")
    parser.add_argument("--workers", type=int, default=2, help="API workers of ours and the floor")
    parser.add_argument("--connections", type=int, default=plan.connections)
    parser.add_argument("--rounds", type=int, help="of every scenario")
    parser.add_argument("--processes", type=int, help="per phase of a lifecycle round")
    parser.add_argument("--fleet", type=int, help="waiting executors")
    parser.add_argument("--waiting", type=int, help="processes among which deadlines are met")
    parser.add_argument("--events", type=int, help="of the log in which one goes back")
    parser.add_argument("--finished", type=int, help="processes that are purged")
    parser.add_argument("--quick", action="store_true", help="smaller sizes; not for publishing")
    parser.add_argument(
        "--server-prvkey",
        default=os.environ.get("COLONIES_SERVER_PRVKEY", ""),
        help="with a URL: key of the server's owner",
    )
    parser.add_argument("--redis-url", help="with a URL: the Redis behind it, to read its memory")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser


def _plan(given: argparse.Namespace) -> Plan:
    plan = Plan().quick() if given.quick else Plan()
    plan = replace(plan, connections=given.connections)
    if given.rounds:
        plan = replace(
            plan,
            rounds=given.rounds,
            depth_rounds=given.rounds,
            workflow_rounds=given.rounds,
            log_rounds=given.rounds,
            following_rounds=given.rounds,
            file_rounds=given.rounds,
            fleet_rounds=given.rounds,
            history_rounds=given.rounds,
        )
    if given.processes:
        plan = replace(plan, processes=given.processes)
    if given.events:
        plan = replace(plan, history_events=given.events)
    if given.finished:
        plan = replace(plan, finished=given.finished)
    if given.waiting:
        plan = replace(plan, deadline_depths=(min(plan.deadline_depths), given.waiting))
    return replace(plan, fleet=given.fleet) if given.fleet else plan


async def _run_until_told(given: argparse.Namespace) -> None:
    """Run; SIGTERM ends what was started, as SIGINT does."""
    running = asyncio.ensure_future(_run(given))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await running


async def _run(given: argparse.Namespace) -> None:
    plan, found = _plan(given), list[Measurement]()
    for name in given.scenarios or _SCENARIOS:
        # Every scenario begins with new servers and an empty store.
        async with AsyncExitStack() as stack:
            targets = await _targets(given, stack)
            found += await _SCENARIOS[name](Stage(plan=plan, targets=targets))
    report.print_table(report.rows_of(found))
    store = machine.store_version(find_program())
    if given.target == "ours":
        sys.stdout.write(f"store: {store}\n")
    about = {
        **machine.describe(store),
        "settings": {
            "target": given.target,
            "workers": given.workers,
            "durability": str(Durability.ALWAYS),
            **asdict(plan),
        },
    }
    sys.stdout.write(f"stored in {report.write_json(given.out, about, found)}\n")


async def _targets(given: argparse.Namespace, stack: AsyncExitStack) -> tuple[Target, ...]:
    floor = await stack.enter_async_context(servers.floor(given.workers))
    if given.target == report.FLOOR:
        return (floor,)
    if given.target == "ours":
        limits = Limits(max_waiting=_MOST_WAITING)
        settings = Settings(redis_url="", server_id="", workers=given.workers, limits=limits)
        return (floor, await stack.enter_async_context(servers.ours(settings)))
    return (floor, _elsewhere(given))


def _elsewhere(given: argparse.Namespace) -> Target:
    parts = urlsplit(str(given.target))
    if parts.scheme != "http" or not parts.hostname:
        raise BenchError(f"no target: {given.target!r}; ours, floor, or http://HOST:PORT")
    if not given.server_prvkey:
        raise BenchError("a URL needs --server-prvkey or COLONIES_SERVER_PRVKEY")
    endpoint = Endpoint(host=parts.hostname, port=parts.port or _DEFAULT_PORT)
    owner = Member(endpoint, "server", Identity.from_hex(given.server_prvkey))
    return Target(
        name=given.target, endpoint=endpoint, server_owner=owner, redis_url=given.redis_url
    )


def _allow_many_connections() -> None:
    """A fleet needs more files than the usual soft limit; what we start inherits it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
