"""HTTP as nobody's library writes it: one byte at a time, all at once, or not HTTP at all."""

import pytest

from tests.acceptance.asking import Api, sealed
from tests.acceptance.raw import connected, posted
from tests.acceptance.tenants import Tenant


async def test_requests_in_one_write_are_answered_in_order(tenant: Tenant, api: Api) -> None:
    bodies = [
        sealed(tenant.user, "submitfuncspecmsg", spec=tenant.spec(funcname=f"f{i}"))
        for i in range(50)
    ]
    async with connected(api.port) as raw:
        await raw.send(*(posted(body) for body in bodies))
        replies = [await raw.reply() for _ in bodies]

    names = [reply.answer.ok["spec"]["funcname"] for reply in replies if reply]
    assert names == [f"f{i}" for i in range(50)]


async def test_http_1_0_is_answered_and_closed(tenant: Tenant, api: Api) -> None:
    body = sealed(tenant.user, "getcolonymsg", colonyname=tenant.name)
    async with connected(api.port) as raw:
        await raw.send(posted(body, version=b"1.0"))
        reply = await raw.reply()
        assert reply is not None
        assert reply.answer.ok["name"] == tenant.name
        assert await raw.ended()


async def test_connection_that_shall_close_is_closed(tenant: Tenant, api: Api) -> None:
    body = sealed(tenant.user, "getcolonymsg", colonyname=tenant.name)
    async with connected(api.port) as raw:
        await raw.send(posted(body, b"Connection: close"))
        reply = await raw.reply()
        assert reply is not None
        assert reply.answer.ok["name"] == tenant.name
        assert await raw.ended()


async def test_body_in_chunks_is_read(tenant: Tenant, api: Api) -> None:
    body = sealed(tenant.user, "getcolonymsg", colonyname=tenant.name)
    head = b"POST /api HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    async with connected(api.port) as raw:
        await raw.send(head)
        for byte in body:
            await raw.send(b"1\r\n%c\r\n" % byte)
        await raw.send(b"0\r\n\r\n")
        reply = await raw.reply()
        assert reply is not None
        assert reply.answer.ok["name"] == tenant.name


async def test_client_that_waits_for_continue_is_told_to(tenant: Tenant, api: Api) -> None:
    body = sealed(tenant.user, "getcolonymsg", colonyname=tenant.name)
    whole = posted(body, b"expect: 100-continue")
    async with connected(api.port) as raw:
        await raw.send(whole.removesuffix(body))
        assert (await raw.line()).startswith(b"HTTP/1.1 100")
        await raw.line()
        await raw.send(body)
        reply = await raw.reply()
        assert reply is not None
        assert reply.answer.ok["name"] == tenant.name


async def test_request_byte_by_byte_is_read(tenant: Tenant, api: Api) -> None:
    async with connected(api.port) as raw:
        for byte in posted(sealed(tenant.user, "getcolonymsg", colonyname=tenant.name)):
            await raw.send(bytes([byte]))
        reply = await raw.reply()
        assert reply is not None
        assert reply.answer.ok["name"] == tenant.name


@pytest.mark.parametrize("cut", [-40, -10, -1, 0, 7])
async def test_head_that_came_before_means_the_same_wherever_it_is_cut(
    tenant: Tenant, api: Api, cut: int
) -> None:
    """``cut`` is counted from the beginning of the body."""
    bodies = [
        sealed(tenant.user, "submitfuncspecmsg", spec=tenant.spec(funcname=f"f{i}"))
        for i in range(6)
    ]
    assert len({len(body) for body in bodies}) == 1
    requests = [posted(body) for body in bodies]
    at = len(requests[0]) - len(bodies[0]) + cut
    names: list[str] = []

    async with connected(api.port) as raw, connected(api.port) as beat:

        async def send(*parts: bytes) -> None:
            """What the server answers another client shows that it has read this."""
            await raw.send(*parts)
            await beat.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert await beat.reply()

        async def hear() -> None:
            reply = await raw.reply()
            assert reply is not None
            names.append(reply.answer.ok["spec"]["funcname"])

        for whole in requests[:2]:
            await send(whole)
            await hear()
        await send(requests[2], requests[3][:at])
        await send(requests[3][at:], requests[4], requests[5][:at])
        await send(requests[5][at:])
        for _ in requests[2:]:
            await hear()

    assert names == [f"f{i}" for i in range(6)]


async def test_head_that_came_before_waits_for_what_is_answered_before_it(
    tenant: Tenant, api: Api
) -> None:
    call = posted(sealed(tenant.user, "getcolonymsg", colonyname=tenant.name))
    other = b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n"
    async with connected(api.port) as raw:
        await raw.send(call)
        assert await raw.reply()
        await raw.send(other)
        await raw.send(call)
        replies = [await raw.reply(), await raw.reply()]

    assert [reply.status for reply in replies if reply] == [404, 200]


BAD_HTTP = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100,
    "no request": b"\r\n\r\n\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two lengths": b"POST /api HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "negative length": b"POST /api HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    "huge length": b"POST /api HTTP/1.1\r\ncontent-length: %s\r\n\r\n" % (b"9" * 40),
    "word as length": b"POST /api HTTP/1.1\r\ncontent-length: ten\r\n\r\n",
    "length and chunks": b"POST /api HTTP/1.1\r\ncontent-length: 4\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n",
    "bad chunk": b"POST /api HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "null in header": b"POST /api HTTP/1.1\r\nx: a\0b\r\ncontent-length: 2\r\n\r\n{}",
    "space before colon": b"POST /api HTTP/1.1\r\nx : y\r\ncontent-length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("name", BAD_HTTP)
async def test_what_is_not_http_is_refused(untouched: Tenant, api: Api, name: str) -> None:
    async with connected(api.port) as raw:
        await raw.send(BAD_HTTP[name])
        if name == "no request":
            raw.finish()
        reply = await raw.reply()
        assert reply is None or reply.status in {400, 403, 404, 413, 501, 505}, reply
        if reply is not None:
            assert reply.body or reply.status == 400, reply
        assert await raw.ended()
    assert untouched


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api"),
        ("PUT", "/api"),
        ("DELETE", "/api"),
        ("POST", "/health"),
        ("POST", "/"),
        ("POST", "/api/x"),
        ("GET", "/%00"),
        ("GET", "/../../etc/passwd"),
        ("GET", "//health"),
        ("GET", "/" + "a" * 20_000),
        ("GET", "/health%2f"),
        ("BREW", "/api"),
    ],
)
async def test_other_paths_are_not_found(api: Api, method: str, path: str) -> None:
    async with connected(api.port) as raw:
        await raw.send(f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        reply = await raw.reply()
    assert reply is not None
    assert reply.status in {400, 404, 414, 431}
    assert reply.body
