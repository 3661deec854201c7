"""Colonies with members, and the things people do in them."""

import itertools
import os
from dataclasses import dataclass
from typing import Any

from broker.identity import Identity
from tests.acceptance.asking import Answer, Api

_numbers = itertools.count()
STRANGER = Identity.from_hex("ab" * 32)
"""Somebody with a key that nobody knows."""
WAITING, RUNNING, SUCCESS, FAILED, CANCELLED = range(5)


@dataclass(frozen=True)
class Executor:
    """A member that asks for work."""

    colony: str
    name: str
    identity: Identity

    async def assign(self, api: Api, timeout: int = -1, **fields: Any) -> Answer:  # noqa: ANN401, ASYNC109 - the protocol's own word
        """Ask for work."""
        return await api.ask(
            self.identity,
            "assignprocessmsg",
            colonyname=self.colony,
            timeout=timeout,
            **fields,
        )

    async def close(self, api: Api, process_id: str, *out: Any) -> Answer:  # noqa: ANN401 - JSON
        """Say that a process is done."""
        return await api.ask(
            self.identity, "closesuccessfulmsg", processid=process_id, out=list(out)
        )


@dataclass(frozen=True)
class Tenant:
    """A colony, its owner and one user."""

    name: str
    owner: Identity
    user: Identity

    async def executor(
        self,
        api: Api,
        name: str = "",
        *,
        kind: str = "cli",
        approve: bool = True,
        **fields: Any,  # noqa: ANN401 - the protocol's own fields
    ) -> Executor:
        """A new executor."""
        name = name or f"executor{next(_numbers)}"
        identity = Identity.generate()
        wish = {
            "executorid": identity.id,
            "executorname": name,
            "executortype": kind,
            "colonyname": self.name,
            **fields,
        }
        (await api.ask(self.owner, "addexecutormsg", executor=wish)).ok  # noqa: B018 - asserts
        if approve:
            await self.own(api, "approveexecutormsg", executorname=name)
        return Executor(self.name, name, identity)

    async def own(self, api: Api, kind: str, **fields: Any) -> Any:  # noqa: ANN401
        """Do something as the owner; it must succeed."""
        return (await api.ask(self.owner, kind, colonyname=self.name, **fields)).ok

    async def see(self, api: Api, kind: str, **fields: Any) -> Any:  # noqa: ANN401
        """Ask something as the user; it must succeed."""
        return (await api.ask(self.user, kind, colonyname=self.name, **fields)).ok

    def spec(self, *, kind: str = "cli", **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        """A function spec; what conditions know goes there."""
        names = {"executornames", "cpu", "mem", "locationname"}
        asked = {k: v for k, v in fields.items() if k in names}
        rest = {k: v for k, v in fields.items() if k not in names}
        conditions = {"colonyname": self.name, "executortype": kind, **asked}
        return {"funcname": "echo", "maxexectime": -1, "conditions": conditions, **rest}

    async def submit(self, api: Api, *, kind: str = "cli", **fields: Any) -> str:  # noqa: ANN401
        """Submit as the user; the process id."""
        spec = self.spec(kind=kind, **fields)
        return (await api.ask(self.user, "submitfuncspecmsg", spec=spec)).ok["processid"]

    async def process(self, api: Api, process_id: str) -> dict[str, Any]:
        """Read a process as the user."""
        return (await api.ask(self.user, "getprocessmsg", processid=process_id)).ok

    async def counts(self, api: Api) -> list[int]:
        """How many processes wait, run, succeeded, failed, were cancelled."""
        seen = await self.see(api, "getcolonystatsmsg")
        names = ("waiting", "running", "successful", "failed", "cancelled")
        return [seen[f"{name}processes"] for name in names]


async def found(api: Api, server: Identity, name: str = "") -> Tenant:
    """A new colony with a user."""
    name = name or f"colony{next(_numbers)}-{os.getpid()}"
    owner, user = Identity.generate(), Identity.generate()
    wish = {"colonyid": owner.id, "name": name}
    (await api.ask(server, "addcolonymsg", colony=wish)).ok  # noqa: B018 - asserts
    joining = {"colonyname": name, "userid": user.id, "name": "user"}
    (await api.ask(owner, "addusermsg", user=joining)).ok  # noqa: B018 - asserts
    return Tenant(name, owner, user)
