"""A server without its sockets: handlers on a store, called as the endpoint calls them."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from api import wire, wire_colony, wire_executor, wire_process, wire_spec, wire_user
from api.context import Call, Context
from api.handlers import assign, colony, executor, process, server, user
from api.said import Said
from api.specs import SubmitMsg
from broker.directory import Directory
from broker.keys import Tag
from broker.presence import Presence
from broker.settings import Settings
from broker.store import EventStore, Signed
from broker.waiting import WaitingRoom
from projections.progress import Progress
from tests.facts import COLONY, EXECUTOR, OWNER, SERVER_OWNER, USER
from tests.patience import until

M = TypeVar("M", bound=wire.Message)
N = TypeVar("N", bound=wire_executor.OfExecutor)
WINDOW_MS = 60_000
_BEHIND_NS = 2_000_000


@dataclass
class PhoneLine:
    """The other end of a request, which a test may hang up."""

    gone: bool = False
    undelivered: Callable[[], None] | None = None
    listeners: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def watch(self, listener: Callable[[], None] | None = None) -> None:
        """Notice from now on when the client goes away."""
        if listener is not None and self.gone:
            listener()
        elif listener is not None:
            self.listeners.append(listener)

    def hang_up(self) -> None:
        """The client goes away."""
        self.gone = True
        for listener in self.listeners:
            listener()


async def _heard(_channel: str) -> None:
    """Within one process, notices need no subscription."""


def _ignored(_channel: str) -> None:
    """Nor do they need to be left."""


class Stage:
    """One API process. Several on one store are several processes."""

    def __init__(self, store: EventStore, *, allow_reregister: bool = False) -> None:
        self.store = store
        self.context = Context(
            settings=Settings(
                redis_url="unix:///none",
                server_id=SERVER_OWNER,
                allow_reregister=allow_reregister,
            ),
            store=store,
            directory=Directory(store),
            waiting=WaitingRoom(),
            presence=Presence(store),
            listen=_heard,
            said=Said(_heard, _ignored),
            progress=Progress(store, _heard, _ignored),
        )

    async def say(
        self,
        handler: Callable[[Context, Call, M], Awaitable[Any]],
        caller: str,
        message: M,
        *,
        nonce: str = "",
        line: PhoneLine | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the handler answers
        """Send one message, signed by ``caller``."""
        payload = wire.encode(message)
        signed = Signed(
            caller=caller,
            proof=hashlib.sha3_256(payload).digest() + bytes(65),
            nonce=nonce,
            nonce_ms=WINDOW_MS if nonce else 0,
        )
        call = Call(caller=caller, signed=signed, payload=payload, line=line or PhoneLine())
        return await handler(self.context, call, message)

    def pass_time(self, seconds: float) -> None:
        """Move the store's time on, by the moment more that a look at what is due is behind."""
        local = time.monotonic_ns()
        then = self.store.clock.now_ns() + int(seconds * 1_000_000_000) + _BEHIND_NS
        self.store.clock.synchronise(local, then, local)

    async def settle(self) -> None:
        """Until nothing runs in the background."""
        while self.context.tasks:
            await asyncio.gather(*self.context.tasks)

    # ------------------------------------------------------------ short for the usual messages

    async def found(self) -> None:
        """The server and its colony, a user and an approved executor."""
        await server.ensure_founded(self.context)
        await self.add_colony()
        await self.say(
            user.add,
            OWNER,
            wire_user.AddUserMsg(user=wire_user.User(colonyname=COLONY, userid=USER, name="alice")),
        )
        await self.add_executor()

    async def add_colony(self, name: str = COLONY, owner: str = OWNER) -> None:
        """A colony."""
        given = wire_colony.Colony(colonyid=owner, name=name)
        await self.say(colony.add, SERVER_OWNER, wire_colony.AddColonyMsg(colony=given))

    async def add_executor(
        self,
        executor_id: str = EXECUTOR,
        name: str = "worker",
        executor_type: str = "cli",
        colony_name: str = COLONY,
        *,
        location: str = "",
        approve: bool = True,
    ) -> None:
        """An executor, approved unless told otherwise."""
        given = wire_executor.Executor(
            executorid=executor_id,
            executorname=name,
            executortype=executor_type,
            colonyname=colony_name,
            locationname=location,
        )
        await self.say(executor.add, OWNER, wire_executor.AddExecutorMsg(executor=given))
        if approve:
            await self.say(executor.approve, OWNER, _named(wire_executor.ApproveExecutorMsg, name))

    async def remove_executor(self, name: str = "worker") -> None:
        """An executor leaves."""
        await self.say(executor.remove, OWNER, _named(wire_executor.RemoveExecutorMsg, name))

    async def submit(
        self, *, nonce: str = "", caller: str = USER, priority: int = 0, **conditions: object
    ) -> wire_process.Process:
        """A process, for executors of type cli unless told otherwise."""
        given: dict[str, Any] = {"colonyname": COLONY, "executortype": "cli"}
        asked = msgspec.convert(given | conditions, wire_spec.Conditions)
        spec = wire_spec.FunctionSpec(funcname="echo", priority=priority, conditions=asked)
        text = wire.encode(wire_process.SubmitFuncSpecMsg(spec=spec))
        message = wire.decode(text, SubmitMsg)
        answer: bytes = await self.say(process.submit, caller, message, nonce=nonce)
        return wire.decode(answer, wire_process.Process)

    async def assign(
        self,
        caller: str = EXECUTOR,
        timeout_s: int = -1,
        *,
        nonce: str = "",
        line: PhoneLine | None = None,
        cpu: str = "",
        mem: str = "",
    ) -> wire_process.Process:
        """Ask for work."""
        message = wire_process.AssignProcessMsg(
            colonyname=COLONY, timeout=timeout_s, availablecpu=cpu, availablemem=mem
        )
        answer: bytes = await self.say(assign.assign, caller, message, nonce=nonce, line=line)
        return wire.decode(answer, wire_process.Process)

    async def close(self, process_id: str, caller: str = EXECUTOR, *, nonce: str = "") -> None:
        """Close as successful."""
        message = wire_process.CloseSuccessfulMsg(processid=process_id)
        await self.say(process.close_successful, caller, message, nonce=nonce)

    async def look(self, process_id: str, caller: str = USER) -> wire_process.Process:
        """Read a process."""
        message = wire_process.GetProcessMsg(processid=process_id)
        answer: wire_process.Process = await self.say(process.get, caller, message)
        return answer

    async def waiting(self, number: int) -> None:
        """Until so many executors wait and none of them is trying."""
        room = self.context.waiting
        await until(lambda: idle_waiters(room) == number)

    async def tag(self, name: str = COLONY) -> Tag:
        """Where a colony's keys are."""
        found = await self.context.directory.named(name, fresh=True)
        assert found is not None
        return found.tag


def idle_waiters(room: WaitingRoom) -> int:
    """How many wait and are not trying."""
    rooms = room._rooms.values()  # pyright: ignore[reportPrivateUsage] - nobody else needs to know
    return sum(waiter.idle for each in rooms for waiter in each.all())


def _named(kind: type[N], name: str) -> N:
    return kind(colonyname=COLONY, executorname=name)
