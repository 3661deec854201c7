"""``colonies doctor``: is everything as the configuration says, and what to do where it is not."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cyclopts import App

from api import wire_colony, wire_executor, wire_server, wire_user
from broker.errors import Malformed
from broker.identity import Identity
from cli import render
from cli.config import Role
from cli.errors import CliError, Exit, RpcError
from cli.options import NONE, Options
from cli.session import Session

app = App(
    name="doctor",
    help="Check the configuration, the server and every key.",
    help_format="plaintext",
)

_APPROVED = 1
_HEALTHY = 200
_SLOW_MS = 250
# A server takes a signed message that is at most minutes old; this leaves it some time to travel.
_CLOCK_OFF_S = 60
_CLOCK_INEXACT_S = 2
_OK, _WARN, _FAIL, _SKIP = "ok", "warn", "fail", "skip"
_DURABILITY = {
    "always": (_OK, "what is acknowledged is on disk"),
    "everysec": (_WARN, "up to a second of acknowledged work is lost in a crash of the store"),
    "none": (_FAIL, "all work since the last snapshot is lost in a crash of the store"),
}
_MORE_DURABLE = (
    "run the store with appendonly yes and appendfsync always, the server with "
    "COLONIES_DURABILITY=always"
)
_SET_CLOCK = "set the clock of this machine (or of the server), for example with NTP"


_S3 = ("s3_endpoint", "s3_accesskey", "s3_secretkey", "s3_bucket")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    verdict: str
    found: str
    cure: str = ""


@app.default
async def doctor(*, options: Options = NONE) -> int:
    """Check the server, its store and clock, the colony and every configured key.

    The exit code is 1 when something is wrong.
    """
    async with Session(options) as session:
        checks = dict(_CHECKS)
        if any(session.config.get(name) for name in _S3):
            checks["object store"] = _object_store
        findings = _told_once(
            [await _guarded(name, check, session) for name, check in checks.items()]
        )
        rows: list[render.Row] = [(f.check, f.verdict, f.found, f.cure) for f in findings]
        session.out.show(
            render.Listing(
                header=("CHECK", "RESULT", "FOUND", "WHAT TO DO"),
                rows=rows,
                nothing="",
                data=[
                    {"check": f.check, "result": f.verdict, "found": f.found, "cure": f.cure}
                    for f in findings
                ],
                ids=[f.check for f in findings if f.verdict == _FAIL],
            )
        )
    return Exit.FAILED if any(f.verdict == _FAIL for f in findings) else Exit.DONE


async def _guarded(
    name: str, check: Callable[[Session, str], Awaitable[Finding]], session: Session
) -> Finding:
    """A check's finding; an error is one too."""
    try:
        return await check(session, name)
    except CliError as error:
        return Finding(name, _FAIL, error.message, error.hint)


def _told_once(findings: Sequence[Finding]) -> list[Finding]:
    """The findings; those that failed as an earlier one did, as they all do without a server."""
    told: dict[tuple[str, str], str] = {}
    shown: list[Finding] = []
    for one in findings:
        first = told.setdefault((one.found, one.cure), one.check) if one.verdict == _FAIL else ""
        again = first not in {"", one.check}
        shown.append(Finding(one.check, _SKIP, f"see {first}") if again else one)
    return shown


async def _server(session: Session, name: str) -> Finding:
    began = time.monotonic()
    answer = await session.client(None).ask(wire_server.VersionMsg(), wire_server.Version)
    took_ms = (time.monotonic() - began) * 1000
    found = f"{session.config.address}, version {answer.buildversion or '?'}, {took_ms:.0f} ms"
    if took_ms > _SLOW_MS:
        return Finding(name, _WARN, found, "the way to the server is slow")
    return Finding(name, _OK, found)


async def _store(session: Session, name: str) -> Finding:
    status, text = await session.client(None).health()
    if status != _HEALTHY:
        cure = "look at the server's log and at its COLONIES_REDIS_URL"
        return Finding(name, _FAIL, f"the server says {status}: {text}", cure)
    return Finding(name, _OK, "the server is content with it")


async def _colony(session: Session, name: str) -> Finding:
    return Finding(name, _OK, session.colony)


async def _durability(session: Session, name: str) -> Finding:
    info = await _info(session)
    if info.durability not in _DURABILITY:
        return Finding(name, _SKIP, "the server does not say what an acknowledgement promises")
    verdict, found = _DURABILITY[info.durability]
    return Finding(name, verdict, found, "" if verdict == _OK else _MORE_DURABLE)


async def _clock(session: Session, name: str) -> Finding:
    """How far our clock is from the server's; half the way there and back is counted in."""
    began = datetime.now(UTC)
    info = await _info(session)
    half = (datetime.now(UTC) - began) / 2
    date = session.client(None).server_date
    there = render.parse_moment(info.servertime) or (parsedate_to_datetime(date) if date else None)
    if there is None:
        return Finding(name, _SKIP, "the server does not say what time it has")
    off_s = (began + half - there).total_seconds()
    side = "ahead of" if off_s > 0 else "behind"
    found = f"{abs(off_s):.3f} s {side} the server's, give or take {half.total_seconds():.3f} s"
    if abs(off_s) > _CLOCK_OFF_S:
        return Finding(name, _FAIL, f"{found}: signed messages are refused", _SET_CLOCK)
    if abs(off_s) > _CLOCK_INEXACT_S:
        return Finding(name, _WARN, f"{found}: waiting times look wrong", _SET_CLOCK)
    return Finding(name, _OK, found)


async def _info(session: Session) -> wire_server.ServerInfo:
    """What the server says of itself; nothing where it is too old for the question."""
    try:
        return await session.client(None).ask(
            wire_server.GetServerInfoMsg(), wire_server.ServerInfo
        )
    except RpcError:
        return wire_server.ServerInfo()


async def _member(session: Session, name: str) -> Finding:
    return await _membership(session, name, Role.MEMBER)


async def _executor(session: Session, name: str) -> Finding:
    key, member = session.config.key(Role.EXECUTOR), session.config.key(Role.MEMBER)
    if key is None or (member is not None and key.text == member.text):
        return Finding(name, _SKIP, "no key of its own")
    return await _membership(session, name, Role.EXECUTOR)


async def _membership(session: Session, name: str, role: Role) -> Finding:
    missing = _missing(session, name, role, "COLONIES_PRVKEY")
    if missing:
        return missing
    client, own = session.client(role), session.config.identity(role).id
    try:
        users = await client.ask_list(
            wire_user.GetUsersMsg(colonyname=session.colony), wire_user.User
        )
        executors = await client.ask_list(
            wire_executor.GetExecutorsMsg(colonyname=session.colony), wire_executor.Executor
        )
    except RpcError as error:
        cure = f"the colony owner adds it: colonies user add --name NAME --userid {own}"
        return Finding(name, _FAIL, error.message, cure)
    user = next((user.name for user in users if user.userid == own), None)
    if user is not None:
        return Finding(name, _OK, f"user {user}")
    executor = next((one for one in executors if one.executorid == own), None)
    if executor is None:
        return Finding(name, _FAIL, f"{own} is nobody in this colony", "use another key")
    if executor.state != _APPROVED:
        state = render.state_of(render.EXECUTOR_STATES, executor.state).value
        cure = f"colonies executor approve --name {executor.executorname}"
        return Finding(name, _FAIL, f"executor {executor.executorname} is {state}", cure)
    return Finding(name, _OK, f"executor {executor.executorname}")


async def _owner(session: Session, name: str) -> Finding:
    missing = _missing(session, name, Role.OWNER, "COLONIES_COLONY_PRVKEY")
    if missing:
        return missing
    own = session.config.identity(Role.OWNER).id
    if session.config.key(Role.MEMBER) is None:
        return Finding(name, _SKIP, f"{own}; no member's key to compare it with the colony")
    message = wire_colony.GetColonyMsg(colonyname=session.colony)
    try:
        colony = await session.client().ask(message, wire_colony.Colony)
    except RpcError as error:
        return Finding(name, _SKIP, f"{own}; cannot be compared: {error.message}")
    if colony.colonyid == own:
        return Finding(name, _OK, f"owns {session.colony}")
    cure = "COLONIES_COLONY_PRVKEY is the key of another colony"
    return Finding(name, _FAIL, f"{own} does not own {session.colony}", cure)


async def _server_owner(session: Session, name: str) -> Finding:
    missing = _missing(session, name, Role.SERVER, "COLONIES_SERVER_PRVKEY")
    if missing:
        return missing
    try:
        colonies = await session.client(Role.SERVER).ask_list(
            wire_colony.GetColoniesMsg(), wire_colony.Colony
        )
    except RpcError as error:
        own = session.config.identity(Role.SERVER).id
        cure = "COLONIES_SERVER_PRVKEY is the key of another server"
        return Finding(name, _FAIL, f"{own}: {error.message}", cure)
    return Finding(name, _OK, f"owns the server; number of colonies: {len(colonies)}")


async def _object_store(session: Session, name: str) -> Finding:
    from cli.fs.settings import S3Settings  # noqa: PLC0415 - takes a while, and not all have one
    from cli.fs.store import ObjectStore  # noqa: PLC0415 - as above

    settings = S3Settings.of(session.config)
    async with ObjectStore(settings, connections=1) as store:
        is_there = await store.look()
    found = f"{settings.url}, bucket {settings.bucket}"
    if not is_there:
        cure = "the first upload makes it; check AWS_S3_BUCKET if it should be there"
        return Finding(name, _WARN, f"{found} is not there", cure)
    return Finding(name, _OK, found)


def _missing(session: Session, name: str, role: Role, variable: str) -> Finding | None:
    value = session.config.key(role)
    if value is None:
        wanted = role is Role.MEMBER
        return Finding(name, _FAIL if wanted else _SKIP, f"{variable} is not set")
    try:
        Identity.from_hex(value.text)
    except Malformed as error:
        return Finding(name, _FAIL, f"{value.source}: {error}", "colonies key generate")
    return None


_CHECKS: dict[str, Callable[[Session, str], Awaitable[Finding]]] = {
    "server": _server,
    "store": _store,
    "durability": _durability,
    "clock": _clock,
    "colony": _colony,
    "key": _member,
    "executor key": _executor,
    "colony owner key": _owner,
    "server owner key": _server_owner,
}
