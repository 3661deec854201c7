"""What a server is told at its start: TLS, roles, what the store must promise; and CORS."""

import socket
import ssl
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from broker.settings import Durability, Role, Tls
from tests.acceptance.asking import Api
from tests.acceptance.conftest import OWNER, settings_on
from tests.acceptance.processes import SERVE, Running, Server, environment, own_store, started
from tests.acceptance.raw import connected
from tests.acceptance.tenants import Tenant, found
from tests.certificates import Certificate
from tests.valkey import ARGUMENTS

PREFLIGHT = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
    "access-control-allow-headers": "Origin,Content-Length,Content-Type",
    "access-control-max-age": "43200",
}
ELSEWHERE = "https://elsewhere.example"


def refused_start(settings: dict[str, str]) -> tuple[int, str]:
    """The exit code and the words of a server that must not start."""
    running = Running.start(SERVE, environment(settings))
    try:
        code = running.ended(30)
    finally:
        running.kill()
    assert "Traceback" not in running.log.text, running.log.text
    assert '"event": "ready"' not in running.log.text, running.log.text
    return code, running.log.text


# ---------------------------------------------------------------- TLS


def served_with(certificate: Certificate) -> Tls:
    """As settings."""
    return Tls(cert=str(certificate.cert), key=str(certificate.key))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate made here."""
    return Certificate.made_in(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def secure(
    valkey: str, certificate: Certificate, request: pytest.FixtureRequest
) -> Generator[Server]:
    """A server that speaks TLS."""
    settings = settings_on(valkey, tls=served_with(certificate), workers=request.param)
    with started(settings) as server:
        yield server
        assert server.stop() == 0, server.log.text


async def test_tls_is_served(secure: Server, certificate: Certificate) -> None:
    context = ssl.create_default_context(cafile=str(certificate.cert))
    async with Api(secure.url, verify=context) as api:
        tenant = await found(api, OWNER)
        executor = await tenant.executor(api)
        submitted = await tenant.submit(api, args=["x" * 300_000])
        assert (await executor.assign(api, 30)).ok["processid"] == submitted
        (await executor.close(api, submitted, "out")).ok  # noqa: B018 - asserts
        assert (await tenant.process(api, submitted))["out"] == ["out"]
        info = (await api.ask(None, "getserverinfomsg")).ok
        assert [(b["port"], b["tls"]) for b in info["backends"]] == [(secure.port, True)]


async def test_plain_http_is_not_answered_where_tls_is_served(secure: Server) -> None:
    async with connected(secure.port) as raw:
        await raw.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await raw.reply() is None


async def test_old_tls_is_refused(secure: Server) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", secure.port)) as plain,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        context.wrap_socket(plain)


@pytest.mark.parametrize("broken", ["cert", "key", "swapped", "garbage", "other key"])
def test_unusable_certificate_is_refused_at_the_start(
    valkey: str, certificate: Certificate, tmp_path: Path, broken: str
) -> None:
    good = served_with(certificate)
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("garbage")
    other = tmp_path / "other.pem"
    other.write_text(_other_key())
    tls = {
        "cert": Tls(cert=str(tmp_path / "none"), key=good.key),
        "key": Tls(cert=good.cert, key=str(tmp_path / "none")),
        "swapped": Tls(cert=good.key, key=good.cert),
        "garbage": Tls(cert=str(garbage), key=good.key),
        "other key": Tls(cert=good.cert, key=str(other)),
    }[broken]

    code, said = refused_start(settings_on(valkey, tls=tls))

    assert code in {1, 2}
    assert tls.cert in said or tls.key in said


def _other_key() -> str:
    made = subprocess.run(
        ["openssl", "genrsa", "2048"],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    )
    return made.stdout


# ---------------------------------------------------------------- CORS


async def test_preflight_is_answered(api: Api) -> None:
    reply = await api.options("/api", Origin=ELSEWHERE)

    assert (reply.status_code, reply.content) == (204, b"")
    assert PREFLIGHT.items() <= dict(reply.headers).items()


async def test_options_without_origin_is_not_found(api: Api) -> None:
    assert (await api.options("/api")).status_code == 404


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/api"])
async def test_foreign_origin_may_read_every_answer(api: Api, path: str) -> None:
    reply = await api.get(path, Origin=ELSEWHERE)

    assert reply.headers["access-control-allow-origin"] == "*"


async def test_own_origin_needs_no_permission(api: Api) -> None:
    reply = await api.get("/health", Origin=api.url)

    assert "access-control-allow-origin" not in reply.headers


async def test_browser_elsewhere_may_call(tenant: Tenant, api: Api) -> None:
    reply = await api.ask(tenant.user, "getcolonymsg", colonyname=tenant.name)
    assert "access-control-allow-origin" not in reply.headers

    from_elsewhere = await api.ask_from(
        ELSEWHERE, tenant.user, "getcolonymsg", colonyname=tenant.name
    )

    assert from_elsewhere.ok == reply.ok
    assert from_elsewhere.headers["access-control-allow-origin"] == "*"


async def test_waiting_executor_in_a_browser_is_woken(tenant: Tenant, api: Api, other: Api) -> None:
    executor = await tenant.executor(api)
    submitted = await tenant.submit(other)

    given = await api.ask_from(
        ELSEWHERE, executor.identity, "assignprocessmsg", colonyname=tenant.name, timeout=30
    )

    assert given.ok["processid"] == submitted


# ---------------------------------------------------------------- durability


def changed(**options: str) -> tuple[str, ...]:
    """The arguments of a store that differs from what we insist on."""
    pairs = dict(zip(ARGUMENTS[::2], ARGUMENTS[1::2], strict=True))
    pairs |= {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    return tuple(part for pair in pairs.items() for part in pair)


CARELESS: dict[str, tuple[dict[str, str], str]] = {
    "no log": ({"appendonly": "no"}, "append-only file"),
    "lazy log": ({"appendfsync": "everysec"}, "appendfsync everysec"),
    "evicting": ({"maxmemory_policy": "allkeys-lru"}, "noeviction"),
}


@pytest.mark.parametrize("what", CARELESS)
def test_careless_store_is_refused_with_a_remedy(what: str) -> None:
    options, word = CARELESS[what]
    with own_store(changed(**options)) as store:
        code, said = refused_start(settings_on(store.url))

    assert code == 1
    assert word in said


@pytest.mark.parametrize(
    ("options", "durability"),
    [({"appendonly": "no"}, Durability.NONE), ({"appendfsync": "everysec"}, Durability.EVERYSEC)],
)
def test_careless_store_is_accepted_by_who_asks_for_it(
    options: dict[str, str], durability: Durability
) -> None:
    with (
        own_store(changed(**options)) as store,
        started(settings_on(store.url, durability=durability)) as server,
    ):
        assert server.stop() == 0, server.log.text


def test_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, said = refused_start(settings_on(f"unix://{tmp_path}/nowhere.sock"))

    assert code == 1
    assert "cannot be reached" in said


def test_all_workers_give_up_when_the_store_is_not_there(tmp_path: Path) -> None:
    code, said = refused_start(settings_on(f"unix://{tmp_path}/nowhere.sock", workers=2))

    assert code == 1
    assert "cannot be reached" in said


# ---------------------------------------------------------------- settings


WRONG = {
    "COLONIES_SERVER_ID": "x" * 64,
    "COLONIES_SERVER_PORT": "70000",
    "COLONIES_REDIS_URL": "http://example.com",
    "COLONIES_WORKERS": "0",
    "COLONIES_ROLES": "api,cook",
    "COLONIES_DURABILITY": "sometimes",
    "COLONIES_VERBOSE": "maybe",
    "COLONIES_MAX_BODY_BYTES": "-1",
}


def test_every_wrong_setting_is_named_at_once(valkey: str) -> None:
    code, said = refused_start(settings_on(valkey) | WRONG)

    assert code == 2
    assert [name for name in WRONG if name not in said] == []


def test_missing_server_id_is_named_with_a_remedy(valkey: str) -> None:
    code, said = refused_start(settings_on(valkey) | {"COLONIES_SERVER_ID": ""})

    assert code == 2
    assert "COLONIES_SERVER_ID" in said
    assert "key generate" in said


def test_taken_port_is_named(servers: tuple[Server, Server], valkey: str) -> None:
    code, said = refused_start(settings_on(valkey, port=servers[0].port))

    assert code == 1
    assert str(servers[0].port) in said


@pytest.mark.parametrize("role", [Role.TIMER, Role.PROJECTOR])
async def test_server_without_the_api_role_serves_health_alone(valkey: str, role: Role) -> None:
    with started(settings_on(valkey, roles=frozenset({role}))) as server:
        async with Api(server.url) as api:
            health = await api.get("/health")
            assert (health.status_code, health.content) == (200, b"")
            async with connected(server.port) as raw:
                await raw.send(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
                reply = await raw.reply()
                assert reply is not None
                assert (reply.status, reply.body) == (404, b"404 page not found")
            assert (await api.get("/pubsub")).status_code == 404
        assert server.stop() == 0, server.log.text


async def test_another_owner_in_the_environment_does_not_take_the_server_over(
    valkey: str, tenant: Tenant
) -> None:
    """The first start founds the server; later it is changed by message only."""
    with started(settings_on(valkey, server_id=tenant.owner.id)) as server:
        async with Api(server.url) as usurped:
            denied = await usurped.ask(tenant.owner, "getcoloniesmsg")
            assert denied.refusal == (403, "Access denied, not server owner")
            (await usurped.ask(OWNER, "getcoloniesmsg")).ok  # noqa: B018 - asserts
        assert server.stop() == 0, server.log.text


def test_python_prints_no_warning_at_the_start(valkey: str) -> None:
    arguments = [sys.executable, "-W", "error", "-m", "api.serve"]
    running = Running.start(arguments, environment(settings_on(valkey)))
    try:
        running.log.entry("ready")
        assert running.stop() == 0, running.log.text
    finally:
        running.kill()
