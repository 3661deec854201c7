"""The typed client: what goes over the wire, and what happens when it does not."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

import pytest

from api import wire_colony, wire_process, wire_server, wire_spec
from broker.identity import Identity, recover
from cli.client import Client, Timeouts
from cli.errors import RpcError, Unreachable
from cli.transport import Address
from tests.patience import PATIENCE_S
from tests.ports import free_port

ME = Identity.generate()
PATIENT = Timeouts(connect_s=20, reply_s=20, patience_s=20)
Answer = Callable[[bytes], bytes | None]


def reply(payload: object, *, status: int = 200, error: bool = False) -> bytes:
    text = base64.b64encode(json.dumps(payload).encode()).decode()
    body = json.dumps({"payloadtype": "x", "payload": text, "error": error}).encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def refusal(status: int, message: str) -> bytes:
    return reply({"status": status, "message": message}, status=status, error=True)


class Listener:
    """A socket that answers each request with the next of its answers; None hangs up."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.connections = 0
        self.handlers: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection in a task that outlives neither the test nor its client."""
        self.handlers.add(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        self.connections += 1
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) and self.answers:
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                self.bodies.append(await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass  # the client has hung up, as it does at the end of each test
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[Address]:
        """Listen on a free port."""
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        async with server:
            port = cast("int", server.sockets[0].getsockname()[1])
            yield Address(host="127.0.0.1", port=port)
        await asyncio.gather(*self.handlers)

    def message(self, number: int = 0) -> dict[str, object]:
        """The message inside a request."""
        request = cast("dict[str, str]", json.loads(self.bodies[number]))
        return cast("dict[str, object]", json.loads(base64.b64decode(request["payload"])))


async def test_a_message_is_signed_and_carries_nonce_and_time() -> None:
    listener = Listener(reply({"colonyid": "i", "name": "dev"}))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        before = time.time_ns()
        await client.ask(wire_colony.GetColonyMsg(colonyname="dev"), wire_colony.Colony)
    request = cast("dict[str, str]", json.loads(listener.bodies[0]))
    assert request["payloadtype"] == "getcolonymsg"
    assert recover(request["payload"].encode(), request["signature"]) == ME.id
    message = listener.message()
    assert message["msgtype"] == "getcolonymsg"
    assert message["colonyname"] == "dev"
    assert len(bytes.fromhex(cast("str", message["nonce"]))) == 16
    assert before <= cast("int", message["issuedat"]) <= time.time_ns()


async def test_equal_messages_have_different_nonces() -> None:
    listener = Listener(reply([]), reply(None))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        for _ in range(2):
            assert await client.ask_list(wire_colony.GetColoniesMsg(), wire_colony.Colony) == []
    assert listener.message(0)["nonce"] != listener.message(1)["nonce"]


async def test_without_an_identity_nothing_is_signed() -> None:
    listener = Listener(reply({"buildversion": "1", "buildtime": "", "msgtype": "versionmsg"}))
    async with listener.listening() as address, Client(address, timeouts=PATIENT) as client:
        version = await client.ask(wire_server.VersionMsg(), wire_server.Version)
    assert version.buildversion == "1"
    assert json.loads(listener.bodies[0])["signature"] == ""
    assert listener.message()["nonce"] == ""


async def test_a_refusal_is_raised_with_status_and_text() -> None:
    listener = Listener(refusal(403, "Access denied, not server owner"))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        with pytest.raises(RpcError, match="not server owner") as raised:
            await client.tell(wire_colony.GetColoniesMsg())
    assert raised.value.status == 403


@pytest.mark.parametrize("broken", [None, refusal(503, "the store is away")])
async def test_what_may_not_have_arrived_is_repeated_with_the_same_bytes(
    broken: bytes | None,
) -> None:
    listener = Listener(broken, broken, reply({"colonyid": "i", "name": "dev"}))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        colony = await client.ask(wire_colony.GetColonyMsg(colonyname="dev"), wire_colony.Colony)
    assert colony.name == "dev"
    assert len(listener.bodies) == 3
    assert len(set(listener.bodies)) == 1


KNOWS_NONCES = reply({"extensions": ["nonce"]})
KNOWS_NONE = reply({"buildversion": "v1.9.12", "backends": []})
SUBMIT = wire_process.SubmitFuncSpecMsg(spec=wire_spec.FunctionSpec(funcname="f"))


@pytest.mark.parametrize("broken", [None, refusal(503, "the store is away")])
async def test_a_change_is_repeated_only_when_the_server_knows_nonces(broken: bytes | None) -> None:
    listener = Listener(broken, KNOWS_NONCES, broken, reply({}))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        await client.tell(SUBMIT)
    kinds = [listener.message(number)["msgtype"] for number in range(4)]
    assert kinds == ["submitfuncspecmsg", "getserverinfomsg", *["submitfuncspecmsg"] * 2]
    assert listener.bodies[0] == listener.bodies[2] == listener.bodies[3]
    assert json.loads(listener.bodies[1])["signature"] == ""


@pytest.mark.parametrize("answer", [KNOWS_NONE, refusal(403, "invalid rpcMsg.PayloadType")])
async def test_a_change_is_never_repeated_to_a_server_without_nonces(answer: bytes) -> None:
    listener = Listener(None, answer, reply({}))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        with pytest.raises(Unreachable, match="broke") as raised:
            await client.tell(SUBMIT)
    assert len(listener.bodies) == 2
    assert "look before you repeat it" in raised.value.hint


async def test_nothing_is_repeated_while_it_is_unknown_whether_the_server_knows_nonces() -> None:
    listener = Listener(None, None, refusal(503, "the store is away"), KNOWS_NONCES, reply({}))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        await client.tell(SUBMIT)
    kinds = [listener.message(number)["msgtype"] for number in range(5)]
    assert kinds == ["submitfuncspecmsg", *["getserverinfomsg"] * 3, "submitfuncspecmsg"]


async def test_a_server_is_asked_once_what_it_knows() -> None:
    listener = Listener(None, KNOWS_NONCES, reply({}), None, reply({}))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        await client.tell(SUBMIT)
        await client.as_identity(Identity.generate()).tell(SUBMIT)
    assert len(listener.bodies) == 5


async def test_an_ordinary_refusal_is_not_repeated() -> None:
    listener = Listener(refusal(400, "no"), reply({}))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        with pytest.raises(RpcError):
            await client.tell(wire_colony.GetColoniesMsg())
    assert len(listener.bodies) == 1


async def test_a_paused_colony_is_not_asked_again_by_one_who_does_not_wait() -> None:
    listener = Listener(refusal(503, "paused"), reply({}))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        with pytest.raises(RpcError):
            await client.tell(wire_process.AssignProcessMsg(colonyname="dev", timeout=-1))


async def test_patience_ends() -> None:
    impatient = Timeouts(patience_s=0)
    listener = Listener(None, reply({}))
    async with listener.listening() as address, Client(address, ME, timeouts=impatient) as client:
        with pytest.raises(Unreachable, match="broke"):
            await client.tell(wire_colony.GetColoniesMsg())
    assert len(listener.bodies) == 1


async def test_connections_are_kept_and_shared_between_identities() -> None:
    listener = Listener(*[reply({})] * 3)
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        await client.tell(wire_colony.GetColoniesMsg())
        await client.as_identity(Identity.generate()).tell(wire_colony.GetColoniesMsg())
        await client.tell(wire_colony.GetColoniesMsg())
    assert listener.connections == 1


async def test_side_by_side_messages_use_a_connection_each() -> None:
    listener = Listener(*[reply({})] * 4)
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        await asyncio.gather(*(client.tell(wire_colony.GetColoniesMsg()) for _ in range(4)))
    assert listener.connections == 4


async def test_a_cancelled_wait_gives_its_connection_up() -> None:
    waiting = asyncio.Event()

    class Silent(Listener):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            waiting.set()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(10**6)
            hung_up.set()
            writer.close()

    hung_up = asyncio.Event()
    async with Silent().listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        task = asyncio.create_task(client.tell(wire_colony.GetColoniesMsg()))
        await waiting.wait()
        task.cancel()
        async with asyncio.timeout(PATIENCE_S):
            await hung_up.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_no_answer_in_time_is_said() -> None:
    class Silent(Listener):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

    soon = Timeouts(reply_s=0.05, patience_s=0)
    async with Silent().listening() as address, Client(address, ME, timeouts=soon) as client:
        with pytest.raises(Unreachable, match=r"did not answer within 0\.05 s"):
            await client.tell(wire_colony.GetColoniesMsg())


async def test_a_closed_port_says_what_to_do() -> None:
    address = Address(host="127.0.0.1", port=free_port())
    async with Client(address, ME, timeouts=Timeouts(patience_s=0)) as client:
        with pytest.raises(Unreachable, match="connection refused") as raised:
            await client.tell(wire_colony.GetColoniesMsg())
    assert "colonies dev" in raised.value.hint


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_something_else_at_the_address_is_recognised(nonsense: bytes) -> None:
    listener = Listener(nonsense)
    async with (
        listener.listening() as address,
        Client(address, ME, timeouts=Timeouts(patience_s=0)) as client,
    ):
        with pytest.raises(Unreachable):
            await client.tell(wire_colony.GetColoniesMsg())


async def test_tls_to_a_plain_server_says_how_to_do_without() -> None:
    class Plain(Listener):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            await reader.read()
            writer.close()

    async with Plain().listening() as plain:
        address = Address(host=plain.host, port=plain.port, tls=True)
        async with Client(address, ME, timeouts=Timeouts(patience_s=0)) as client:
            with pytest.raises(Unreachable) as raised:
                await client.tell(wire_colony.GetColoniesMsg())
    assert "--insecure" in raised.value.hint


async def test_the_servers_clock_is_known_after_an_answer() -> None:
    dated = reply({}).replace(b"\r\n\r\n", b"\r\nDate: Mon, 23 Nov 2026 07:00:00 GMT\r\n\r\n", 1)
    listener = Listener(dated)
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        await client.tell(wire_colony.GetColoniesMsg())
        assert client.server_date == "Mon, 23 Nov 2026 07:00:00 GMT"
