"""Limits that are settings: sizes, times and numbers of what one client may cost."""

import asyncio
import signal
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.settings import Limits, Tls
from tests.acceptance.asking import Api, sealed
from tests.acceptance.conftest import settings_on
from tests.acceptance.processes import Server, started
from tests.acceptance.raw import Raw, connected, posted
from tests.acceptance.tenants import Executor, Tenant
from tests.certificates import Certificate

BODY = 100_000
HEADER = 10_000
CONNECTIONS = 40
STRICT = Limits(
    max_body_bytes=BODY,
    max_header_bytes=HEADER,
    max_connections=CONNECTIONS,
    header_timeout_ms=600_000,
    idle_timeout_ms=600_000,
)
HEADER_MS = 700
IDLE_MS = 1_500
LONG_S = 3
"""Longer than either."""
HASTY = Limits(max_body_bytes=BODY, header_timeout_ms=HEADER_MS, idle_timeout_ms=IDLE_MS)


@pytest.fixture(scope="module")
def strict(valkey: str) -> Generator[Server]:
    """A server that takes little, and has all the time for it."""
    with started(settings_on(valkey, limits=STRICT)) as server:
        yield server
        assert server.stop() == 0, server.log.text


@pytest.fixture(scope="module")
def hasty(valkey: str) -> Generator[Server]:
    """A server that waits for nobody for long."""
    with started(settings_on(valkey, limits=HASTY)) as server:
        yield server
        assert server.stop() == 0, server.log.text


@dataclass(frozen=True)
class Place:
    """A server, and somebody who may speak there."""

    port: int
    tenant: Tenant
    executor: Executor

    @property
    def question(self) -> bytes:
        """A request that is answered."""
        return posted(sealed(self.tenant.user, "getcolonymsg", colonyname=self.tenant.name))

    def submit(self, size: int) -> bytes:
        """A body of exactly so many bytes."""
        empty = sealed(self.tenant.user, "submitfuncspecmsg", spec=self.tenant.spec())
        return empty + b" " * (size - len(empty))


@pytest.fixture
async def place(strict: Server, tenant: Tenant, api: Api) -> Place:
    """The strict server, with a colony."""
    return Place(strict.port, tenant, await tenant.executor(api))


@pytest.fixture
async def hasty_place(hasty: Server, tenant: Tenant, api: Api) -> Place:
    """The hasty one."""
    return Place(hasty.port, tenant, await tenant.executor(api))


async def waiting(tenant: Tenant, api: Api) -> int:
    """How many processes wait."""
    return (await tenant.counts(api))[0]


async def answered(raw: Raw, name: str) -> None:
    """The connection answers a question about a colony."""
    reply = await raw.reply()
    assert reply is not None
    assert reply.answer.ok["name"] == name


async def too_large(raw: Raw) -> None:
    """The connection says that the request is too large, and ends."""
    reply = await raw.reply()
    assert reply is not None
    assert reply.status == 413
    assert f"{BODY} bytes" in reply.answer.message
    assert await raw.ended()


async def test_body_of_the_largest_size_is_read(place: Place) -> None:
    async with connected(place.port) as raw:
        await raw.send(posted(place.submit(BODY)))
        reply = await raw.reply()
    assert reply is not None
    assert reply.answer.ok["state"] == 0


async def test_body_of_one_byte_more_is_refused(place: Place, api: Api) -> None:
    async with connected(place.port) as raw:
        await raw.send(posted(place.submit(BODY + 1)))
        await too_large(raw)
    assert await waiting(place.tenant, api) == 0


async def test_announced_body_is_refused_before_it_comes(hasty_place: Place) -> None:
    async with connected(hasty_place.port) as raw:
        await raw.send(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n")
        await too_large(raw)


@pytest.mark.parametrize("length", [99_999_999, 2])
async def test_page_from_elsewhere_may_read_why_it_is_refused(place: Place, length: int) -> None:
    """Its body is too large, or else its head."""
    padding = b"a" * (HEADER if length == 2 else 0)
    async with connected(place.port) as raw:
        await raw.send(
            b"POST /api HTTP/1.1\r\nhost: x\r\norigin: http://elsewhere.example\r\n"
            b"x: %b\r\ncontent-length: %d\r\n\r\n" % (padding, length)
        )
        reply = await raw.reply()
    assert reply is not None
    assert reply.status == (431 if length == 2 else 413)
    assert reply.headers["access-control-allow-origin"] == "*"


async def test_body_of_many_sizes_of_the_limit_is_refused_to_a_client_that_sends_it_all(
    place: Place,
) -> None:
    """A client that writes everything before it reads must find the refusal, not a reset."""
    async with connected(place.port) as raw:
        await raw.send(posted(b" " * (20 * BODY)))
        await too_large(raw)


@pytest.mark.parametrize("chunk", [1000, 50_000, 300_000])
async def test_body_in_chunks_is_refused_beyond_the_limit(
    place: Place, api: Api, chunk: int
) -> None:
    async with connected(place.port) as raw:
        await raw.send(b"POST /api HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(3 * BODY // chunk + 1):
            await raw.send(b"%x\r\n" % chunk, b" " * chunk, b"\r\n")
        await raw.send(b"0\r\n\r\n")
        await too_large(raw)
    assert await waiting(place.tenant, api) == 0


async def test_large_body_is_refused_to_those_who_ask_first(hasty_place: Place) -> None:
    async with connected(hasty_place.port) as raw:
        await raw.send(
            b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 999999\r\n"
            b"expect: 100-continue\r\n\r\n"
        )
        await too_large(raw)


async def test_refusal_of_a_large_body_does_not_overtake_an_answer(place: Place) -> None:
    poll = sealed(
        place.executor.identity, "assignprocessmsg", colonyname=place.tenant.name, timeout=1
    )
    async with connected(place.port) as raw:
        await raw.send(posted(poll), posted(b" " * (BODY + 1)))

        first, second = await raw.reply(), await raw.reply()

    assert first is not None
    assert first.answer.refusal == (404, "No process available for assignment")
    assert second is None or second.status == 413


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 2_000_000,
        b"POST /api HTTP/1.1\r\nx: " + b"a" * 2_000_000,
        b"POST /api HTTP/1.1\r\n" + b"x: y\r\n" * 300_000,
        b"POST /api HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 300_000,
    ],
    ids=["path", "header", "headers", "trailers"],
)
async def test_head_without_end_is_refused_at_once(place: Place, head: bytes) -> None:
    async with connected(place.port) as raw:
        await raw.send(head)
        reply = await raw.reply()
        assert reply is None or reply.status in {400, 413, 414, 431}


@pytest.mark.parametrize(
    "request_line", [b"POST /api", b"GET /health", b"GET /pubsub", b"GET /" + b"a" * HEADER]
)
async def test_complete_head_beyond_the_limit_is_refused(place: Place, request_line: bytes) -> None:
    """Also when it comes in one read, and whatever is asked for."""
    fields = b"x: %b\r\nupgrade: websocket\r\nconnection: upgrade" % (b"a" * HEADER)
    async with connected(place.port) as raw:
        await raw.send(request_line, b" HTTP/1.1\r\n", fields, b"\r\n\r\n")
        reply = await raw.reply()
        assert reply is not None
        assert (reply.status, reply.headers["connection"]) == (431, "close")
        assert await raw.ended()


async def test_call_with_a_head_beyond_the_limit_is_refused_before_its_body(
    place: Place, api: Api
) -> None:
    async with connected(place.port) as raw:
        await raw.send(posted(place.submit(5000), b"x: " + b"a" * HEADER))
        reply = await raw.reply()
        assert reply is not None
        assert reply.status == 431
        assert await raw.ended()
    assert await waiting(place.tenant, api) == 0


@pytest.mark.parametrize(
    "refused",
    [
        b"GET /health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * HEADER + b"\r\n\r\n",
        b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n",
    ],
)
async def test_a_refusal_is_not_taken_for_the_reply_that_is_owed(
    place: Place, refused: bytes
) -> None:
    """What came before in the same read is answered, and nothing comes behind that."""
    async with connected(place.port) as raw:
        await raw.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" + refused)
        reply = await raw.reply()
        assert reply is not None
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await raw.ended()


CHUNKED = b"POST /api HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "part",
    [b"", b"POST", b"POST /api HTTP/1.1\r\nhost: x\r\n", CHUNKED + b"1;" + b"x=y;" * 500_000],
    ids=["silence", "method", "headers", "chunk extensions"],
)
async def test_client_that_does_not_finish_its_request_is_let_go(
    hasty_place: Place, part: bytes
) -> None:
    async with connected(hasty_place.port) as raw:
        await raw.send(part)
        reply = await raw.reply()
        assert reply is None or reply.status in {408, 431}
        assert await raw.ended()


async def test_client_that_does_not_finish_its_tls_handshake_is_let_go(
    valkey: str, tmp_path: Path
) -> None:
    made = Certificate.made_in(tmp_path)
    tls = Tls(cert=str(made.cert), key=str(made.key))
    with started(settings_on(valkey, limits=HASTY, tls=tls)) as server:
        async with connected(server.port) as raw:
            assert await raw.ended(30)  # it was a minute, whatever is set
        assert server.stop() == 0, server.log.text
        assert "Traceback" not in server.log.text


async def test_what_came_while_the_server_paused_is_answered(
    hasty: Server, hasty_place: Place
) -> None:
    """The client is not to blame for the time that has passed."""
    name = hasty_place.tenant.name
    async with connected(hasty_place.port) as raw:
        await raw.send(hasty_place.question)
        await answered(raw, name)
        hasty.tell(signal.SIGSTOP)
        try:
            await raw.send(hasty_place.question)
            with pytest.raises(TimeoutError):
                await raw.reply(IDLE_MS / 1000 * 1.5)
        finally:
            hasty.tell(signal.SIGCONT)
        await answered(raw, name)


async def test_client_that_drips_headers_is_let_go(hasty_place: Place) -> None:
    """Each byte alone must not win more time."""
    async with connected(hasty_place.port) as raw:
        ending = asyncio.create_task(raw.reply())
        await raw.send(b"POST /api HTTP/1.1\r\n")
        while not ending.done():
            await raw.send(b"x: y\r\n")
            await asyncio.wait({ending}, timeout=0.05)
        reply = await ending
        assert reply is None or reply.status == 408


async def test_client_that_drips_its_body_is_let_go(hasty_place: Place, api: Api) -> None:
    body = hasty_place.submit(5000)
    async with connected(hasty_place.port) as raw:
        ending = asyncio.create_task(raw.reply())
        await raw.send(posted(body).removesuffix(body))
        for byte in body:
            await raw.send(bytes([byte]))
            await asyncio.wait({ending}, timeout=0.05)
            if ending.done():
                break
        reply = await ending
        assert reply is None or reply.status == 408
    assert await waiting(hasty_place.tenant, api) == 0


async def test_idle_connection_is_closed(hasty_place: Place) -> None:
    async with connected(hasty_place.port) as raw:
        await raw.send(hasty_place.question)
        await answered(raw, hasty_place.tenant.name)
        assert await raw.ended()


async def test_long_poll_outlives_every_timeout(hasty_place: Place) -> None:
    """Nothing is sent for longer than idle and header timeouts allow, and the poll still waits."""
    poll = sealed(
        hasty_place.executor.identity,
        "assignprocessmsg",
        colonyname=hasty_place.tenant.name,
        timeout=LONG_S,
    )
    async with connected(hasty_place.port) as raw:
        await raw.send(posted(poll))
        reply = await raw.reply()
        assert reply is not None
        assert reply.answer.refusal == (404, "No process available for assignment")
        await raw.send(hasty_place.question)
        await answered(raw, hasty_place.tenant.name)


async def test_one_connection_too_many_is_refused_with_a_reason(place: Place) -> None:
    polls = [
        posted(
            sealed(
                place.executor.identity,
                "assignprocessmsg",
                colonyname=place.tenant.name,
                timeout=60,
            )
        )
    ] * CONNECTIONS
    async with asyncio.timeout(60):
        held = [await _opened(place.port) for _ in polls]
        try:
            for raw, poll in zip(held, polls, strict=True):
                await raw.send(poll)
            async with connected(place.port) as raw:
                reply = await raw.reply()
            assert reply is not None
            assert reply.status == 503
            assert reply.headers["retry-after"]
            assert reply.body
        finally:
            for raw in held:
                raw.vanish()
        await _answers_again(place)


async def _opened(port: int) -> Raw:
    return Raw(*await asyncio.open_connection("127.0.0.1", port))


async def _answers_again(place: Place) -> None:
    """Return when a new connection is answered; the places of those who left are free."""
    while True:
        async with connected(place.port) as raw:
            await raw.send(place.question)
            reply = await raw.reply()
            if reply is not None and reply.status == 200:
                return
