"""A real S3 gateway for the tests of the meta-filesystem."""

import itertools
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace

import pytest

from broker.identity import Identity
from cli import gateway
from cli.client import Client, Timeouts
from cli.fs.crypt import ColonyKey
from cli.fs.settings import S3Settings
from cli.fs.store import ObjectStore
from cli.fs.transfer import Transfer
from cli.transport import Address
from tests.cli.conftest import Dev, Shell, running_dev
from tests.fs.faults import Proxy, faulty
from tests.ports import free_port

PARTS = 3
_buckets = itertools.count()


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gateway.Gateway]:
    """A running gateway; each test process (xdist worker) has its own."""
    with gateway.running(tmp_path_factory.mktemp("objects")) as running:
        yield running


def settings_of(running: gateway.Gateway, bucket: str) -> S3Settings:
    """How a client finds a gateway."""
    host, port = running.endpoint.rsplit(":", 1)
    return S3Settings(
        host=host,
        port=int(port),
        access_key=running.keys.access,
        secret_key=running.keys.secret,
        bucket=bucket,
    )


@pytest.fixture
def s3(objects: gateway.Gateway) -> S3Settings:
    """An object store with an empty bucket of a name of its own, which is not there yet."""
    return settings_of(objects, f"bucket-{next(_buckets)}")


@pytest.fixture
async def store(s3: S3Settings) -> AsyncGenerator[ObjectStore]:
    """The bucket."""
    async with ObjectStore(s3, connections=8) as opened:
        await opened.ensure_bucket()
        yield opened


@pytest.fixture
async def proxy(s3: S3Settings) -> AsyncGenerator[Proxy]:
    """A way to the gateway on which things happen."""
    async with faulty(s3.host, s3.port) as running:
        yield running


@pytest.fixture
async def shaky(store: ObjectStore, proxy: Proxy) -> AsyncGenerator[ObjectStore]:
    """The bucket, over that way."""
    settings = replace(store.settings, host="127.0.0.1", port=proxy.port)
    async with ObjectStore(settings, connections=8) as opened:
        yield opened


@pytest.fixture
def colony_key() -> ColonyKey:
    """A key to encrypt with."""
    return ColonyKey.fresh()


@pytest.fixture
def transfer(store: ObjectStore, colony_key: ColonyKey) -> Transfer:
    """Files to and from the bucket."""
    return Transfer(store, parts=PARTS, colony_key=colony_key)


@pytest.fixture
def shaky_transfer(shaky: ObjectStore, colony_key: ColonyKey) -> Transfer:
    """The same over the way on which things happen."""
    return Transfer(shaky, parts=PARTS, colony_key=colony_key)


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """A development server with an object store; tests keep apart by their labels."""
    home = tmp_path_factory.mktemp("dev") / "home"
    with running_dev(home, free_port(), "--s3", "--s3-port", str(free_port())) as server:
        yield server


@pytest.fixture
def shell(dev: Dev) -> Shell:
    """Command lines that find it, each with a key to encrypt with."""
    return dev.shell.with_environ(COLONIES_FS_KEY="ab" * 32)


@pytest.fixture
def label() -> str:
    """A label that nobody uses."""
    return f"/label-{next(_buckets)}"


@pytest.fixture
async def member(dev: Dev) -> AsyncGenerator[Client]:
    """The user of the development server."""
    identity = Identity.from_hex(dev.exports["COLONIES_PRVKEY"])
    address = Address(host="127.0.0.1", port=dev.port, tls=False)
    async with Client(address, identity, timeouts=Timeouts(patience_s=10)) as client:
        yield client
