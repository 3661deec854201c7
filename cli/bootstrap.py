"""The development colony: its identities, and how it is put into an empty server.

Every step looks first and does only what is missing, so a start that was interrupted half-way is
finished by the next one.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from api import wire, wire_colony, wire_executor, wire_user
from broker.errors import Malformed
from broker.identity import Identity
from cli.client import Client
from cli.errors import CliError, RpcError
from cli.profile import write_private

COLONY, USER, EXECUTOR, EXECUTOR_TYPE = "dev", "dev-user", "dev-executor", "cli"
_APPROVED = 1
_DENIED = 403
_FILE = "identities.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """The keys of a development colony."""

    server: Identity
    colony: Identity
    user: Identity
    executor: Identity

    @classmethod
    def of(cls, directory: Path, *, make: bool) -> "Identities":
        """The identities that belong to the data in a directory.

        Args:
            directory: where the data is.
            make: there is no data yet, so that new ones can be made.

        Raises:
            CliError: their file is lost or broken; without it the data cannot be used.
        """
        path = directory / _FILE
        if make and not path.exists():
            made = cls(**{name: Identity.generate() for name in cls.__dataclass_fields__})
            made._write(path)
            return made
        try:
            keys = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls(**{name: Identity.from_hex(keys[name]) for name in cls.__dataclass_fields__})
        except (OSError, ValueError, KeyError, TypeError, Malformed) as error:
            raise CliError(
                f"{path} cannot be read: {error}",
                hint=f"restore it, or start anew by removing {directory}",
            ) from error

    def _write(self, path: Path) -> None:
        fields = self.__dataclass_fields__
        lines = [f'{name} = "{getattr(self, name).prvkey}"\n' for name in fields]
        write_private(path, "# Private keys of the development colony.\n" + "".join(lines))


async def ensure_colony(anyone: Client, keys: Identities) -> list[str]:
    """Make the colony, its user and its approved executor, as far as they are missing.

    Somebody may have given one of them another key since (``chid``, an executor that registered
    itself again); that is theirs to do and is only noted.

    Returns:
        What is not as at the first start.

    Raises:
        CliError: the server belongs to somebody else.
    """
    owner, user = anyone.as_identity(keys.colony), anyone.as_identity(keys.user)
    found = [
        await _ensure_colony(anyone.as_identity(keys.server), keys),
        await _ensure_user(owner, user, keys),
        await _ensure_executor(owner, user, keys),
    ]
    return [note for note in found if note]


async def _ensure_colony(server: Client, keys: Identities) -> str:
    wanted = wire_colony.Colony(colonyid=keys.colony.id, name=COLONY)
    try:
        colonies = await server.ask_list(wire_colony.GetColoniesMsg(), wire_colony.Colony)
    except RpcError as error:
        if error.status == _DENIED:
            error.hint = f"the server key in {_FILE} is not this data's; restore the right file"
        raise
    found = next((colony for colony in colonies if colony.name == COLONY), None)
    if found is None:
        found = await server.ask(wire_colony.AddColonyMsg(colony=wanted), wire_colony.Colony)
    return _note("colony", COLONY, same=found.colonyid == keys.colony.id)


async def _ensure_user(owner: Client, user: Client, keys: Identities) -> str:
    wanted = wire_user.User(colonyname=COLONY, userid=keys.user.id, name=USER)
    try:
        await user.ask_list(wire_user.GetUsersMsg(colonyname=COLONY), wire_user.User)
    except RpcError as error:
        if error.status != _DENIED:
            raise
        return await _added(owner, wire_user.AddUserMsg(user=wanted), ("user", USER))
    return ""


async def _ensure_executor(owner: Client, user: Client, keys: Identities) -> str:
    wanted = wire_executor.Executor(
        colonyname=COLONY,
        executorid=keys.executor.id,
        executorname=EXECUTOR,
        executortype=EXECUTOR_TYPE,
    )
    try:
        executors = await user.ask_list(
            wire_executor.GetExecutorsMsg(colonyname=COLONY), wire_executor.Executor
        )
    except RpcError as error:
        if error.status != _DENIED:
            raise
        return ""  # the user's key is another one, which was noted
    found = next((one for one in executors if one.executorname == EXECUTOR), None)
    if found is not None and found.executorid != keys.executor.id:
        return _note("executor", EXECUTOR, same=False)
    if found is None:
        note = await _added(
            owner, wire_executor.AddExecutorMsg(executor=wanted), ("executor", EXECUTOR)
        )
        if note:
            return note
    if found is None or found.state != _APPROVED:
        approval = wire_executor.ApproveExecutorMsg(colonyname=COLONY, executorname=EXECUTOR)
        return await _added(owner, approval, ("executor", EXECUTOR))
    return ""


async def _added(owner: Client, message: wire.Message, what: tuple[str, str]) -> str:
    """Say it as the colony owner; a refusal means that the owner or the name has another key."""
    try:
        await owner.tell(message)
    except RpcError as error:
        return f"{_note(*what, same=False)}: {error.message}"
    return ""


def _note(what: str, name: str, *, same: bool) -> str:
    return "" if same else f"{what} {name!r} has another key by now than {_FILE} and the profile"


def profile(keys: Identities, *, host: str, port: int) -> dict[str, str]:
    """The profile with which clients on this machine need nothing else."""
    return {
        "host": host,
        "port": str(port),
        "tls": "false",
        "colony": COLONY,
        "prvkey": keys.user.prvkey,
        "colony_prvkey": keys.colony.prvkey,
        "server_prvkey": keys.server.prvkey,
        "executor_name": EXECUTOR,
        "executor_type": EXECUTOR_TYPE,
        "executor_prvkey": keys.executor.prvkey,
    }
