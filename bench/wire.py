"""Messages of the protocol as a client writes and reads them (core.md, sections 2, 3 and 6)."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from bench.connection import Connection, Endpoint, Reply
from bench.errors import WrongAnswer
from broker.identity import Identity

_OK = 200
_EXECUTOR_TYPE = "bench"
_SHOWN = 300


class _Envelope(msgspec.Struct):
    """A reply; msgspec decodes base64 text into bytes by itself."""

    payload: bytes
    error: bool


class _Spec(msgspec.Struct):
    label: str = ""


class Process(msgspec.Struct):
    """What the generator reads of a process."""

    processid: str
    state: int
    spec: _Spec
    assignedexecutorid: str = ""


class Statistics(msgspec.Struct):
    """Processes of a colony by state."""

    waitingprocesses: int
    runningprocesses: int
    successfulprocesses: int
    failedprocesses: int


_envelope = msgspec.json.Decoder(_Envelope)
_process = msgspec.json.Decoder(Process)
_statistics = msgspec.json.Decoder(Statistics)


def payload_of(reply: Reply) -> bytes:
    """The message inside a reply that says it succeeded.

    Raises:
        WrongAnswer: any other reply.
    """
    try:
        envelope = _envelope.decode(reply.body)
    except msgspec.DecodeError as error:
        raise WrongAnswer(f"HTTP {reply.status}, no envelope: {reply.body[:_SHOWN]!r}") from error
    if reply.status != _OK or envelope.error:
        raise WrongAnswer(f"HTTP {reply.status}: {envelope.payload[:_SHOWN].decode()}")
    return envelope.payload


def process_of(reply: Reply) -> Process:
    """The process inside a reply.

    Raises:
        WrongAnswer: the reply is an error, or holds no process.
    """
    payload = payload_of(reply)
    try:
        return _process.decode(payload)
    except msgspec.DecodeError as error:
        raise WrongAnswer(f"no process ({error}): {payload[:_SHOWN]!r}") from error


def statistics_of(reply: Reply) -> Statistics:
    """The statistics inside a reply.

    Raises:
        WrongAnswer: the reply is an error, or holds no statistics.
    """
    payload = payload_of(reply)
    try:
        return _statistics.decode(payload)
    except msgspec.DecodeError as error:
        raise WrongAnswer(f"no statistics ({error}): {payload[:_SHOWN]!r}") from error


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with a key, writing signed requests to one server."""

    endpoint: Endpoint
    name: str
    identity: Identity = field(default_factory=Identity.generate)

    def request(self, msgtype: str, **fields: object) -> bytes:
        """The bytes of one signed request."""
        return self._signed(msgtype, msgspec.json.encode({**fields, "msgtype": msgtype}))

    def close(self, process_id: str) -> bytes:
        """The request that closes a process as successful."""
        message = '{"processid":"%s","out":["done"],"msgtype":"closesuccessfulmsg"}' % process_id  # noqa: UP031 - braces
        return self._signed("closesuccessfulmsg", message.encode())

    def _signed(self, msgtype: str, message: bytes) -> bytes:
        payload = b64encode(message)
        return self.endpoint.post(
            b'{"payloadtype":"%b","payload":"%b","signature":"%b"}'
            % (msgtype.encode(), payload, self.identity.sign(payload).encode())
        )


@dataclass(frozen=True, slots=True)
class Colony:
    """A colony made for one scenario, with everybody in it."""

    name: str
    owner: Member
    user: Member
    executors: tuple[Member, ...]

    @classmethod
    def imagine(cls, endpoint: Endpoint, name: str, executors: int) -> "Colony":
        """Make the keys; no server knows them yet."""
        return cls(
            name=name,
            owner=Member(endpoint, "owner"),
            user=Member(endpoint, "user"),
            executors=tuple(Member(endpoint, f"executor-{n}") for n in range(executors)),
        )

    async def found(self, connection: Connection, server_owner: Member) -> None:
        """Register the colony, its user and its executors, and approve these.

        Raises:
            WrongAnswer: the server refused.
        """
        colony = {"colonyid": self.owner.identity.id, "name": self.name}
        await ask(connection, server_owner.request("addcolonymsg", colony=colony))
        user = {"colonyname": self.name, "userid": self.user.identity.id, "name": self.user.name}
        await ask(connection, self.owner.request("addusermsg", user=user))
        for member in self.executors:
            await self._hire(connection, member)

    async def _hire(self, connection: Connection, member: Member) -> None:
        executor = {
            "executorid": member.identity.id,
            "executortype": _EXECUTOR_TYPE,
            "executorname": member.name,
            "colonyname": self.name,
        }
        await ask(connection, self.owner.request("addexecutormsg", executor=executor))
        approval = self.owner.request(
            "approveexecutormsg", colonyname=self.name, executorname=member.name
        )
        await ask(connection, approval)

    def submit(
        self, label: str, conditions: Mapping[str, object] | None = None, **spec: object
    ) -> bytes:
        """The request with which the user submits a process for the colony's executors."""
        return self.user.request("submitfuncspecmsg", spec=self.spec(label, conditions, **spec))

    def spec(
        self, label: str, conditions: Mapping[str, object] | None = None, **spec: object
    ) -> dict[str, object]:
        """A function spec as SDKs send it, of ordinary size."""
        return {
            "nodename": label,
            "funcname": "echo",
            "args": ["hello, world"],
            "kwargs": {},
            "priority": 0,
            "maxwaittime": -1,
            "maxexectime": -1,
            "maxretries": -1,
            "conditions": {
                "colonyname": self.name,
                "executortype": _EXECUTOR_TYPE,
                **(conditions or {}),
            },
            "label": label,
            "env": {},
            **spec,
        }

    def assign(self, executor: Member, *, timeout_s: int, cpu: str = "", mem: str = "") -> bytes:
        """The request with which an executor asks for work; the same bytes every time."""
        return executor.request(
            "assignprocessmsg",
            colonyname=self.name,
            timeout=timeout_s,
            availablecpu=cpu,
            availablemem=mem,
        )

    def statistics(self) -> bytes:
        """The request for the colony's counts by state."""
        return self.user.request("getcolonystatsmsg", colonyname=self.name)


async def ask(connection: Connection, request: bytes) -> Reply:
    """Send a request whose success matters and whose answer does not.

    Raises:
        WrongAnswer: it was refused.
    """
    reply = await connection.request(request)
    payload_of(reply)
    return reply
