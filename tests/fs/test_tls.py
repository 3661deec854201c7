"""An object store over TLS: trusted, not trusted, and not asked."""

import os
import re
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cli import gateway
from cli.errors import Unreachable
from cli.fs.crypt import ColonyKey
from cli.fs.settings import S3Settings
from cli.fs.store import ObjectStore
from cli.fs.transfer import PART, Transfer
from tests.certificates import Certificate
from tests.cli.conftest import Shell
from tests.fs.test_transfer import Box, content

ACCESS, SECRET = "access-key", "0123456789abcdef"
_LISTENING = re.compile(r"Starting s3 server on \[https://127\.0\.0\.1:(\d+)/\]")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One that nobody trusts by itself."""
    return Certificate.made_in(tmp_path_factory.mktemp("tls"))


@contextmanager
def serving(folder: Path, certificate: Certificate) -> Generator[int]:
    """The gateway over TLS; its port."""
    command = [
        *(gateway.find_program(), "serve", "s3", str(folder), "--config", ""),
        *("--addr", "127.0.0.1:0", "--cert", str(certificate.cert), "--key", str(certificate.key)),
    ]
    environ = {**os.environ, "RCLONE_AUTH_KEY": f'"{ACCESS},{SECRET}"'}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as running:  # noqa: S603 - the gateway
        try:
            assert running.stderr is not None
            said = ""
            for line in running.stderr:
                said += line
                found = _LISTENING.search(line)
                if found:
                    yield int(found[1])
                    break
            else:
                pytest.fail(f"the gateway did not start: {said}")
        finally:
            running.terminate()


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Generator[S3Settings]:
    """How it is found by who verifies certificates."""
    with serving(tmp_path_factory.mktemp("objects"), certificate) as port:
        yield S3Settings(
            host="127.0.0.1",
            port=port,
            access_key=ACCESS,
            secret_key=SECRET,
            bucket="bucket",
            tls=True,
        )


async def there_and_back(settings: S3Settings, path: Path, colony_key: ColonyKey) -> None:
    async with ObjectStore(settings, connections=4) as store:
        await store.ensure_bucket()
        box = Box(path, Transfer(store, parts=2, colony_key=colony_key))
        for size in (5, PART + 1):
            kept = await box.up(f"f{size}", content(size))
            assert await box.down(kept, f"f{size}") == content(size)


async def test_files_travel_over_tls_when_the_certificate_is_trusted(
    secure: S3Settings,
    certificate: Certificate,
    tmp_path: Path,
    colony_key: ColonyKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.cert))
    await there_and_back(secure, tmp_path, colony_key)


async def test_files_travel_over_tls_when_it_is_not_verified(
    secure: S3Settings, tmp_path: Path, colony_key: ColonyKey
) -> None:
    await there_and_back(replace(secure, verify=False), tmp_path, colony_key)


async def test_a_certificate_that_is_not_trusted_is_an_error_that_says_so(
    secure: S3Settings,
) -> None:
    async with ObjectStore(secure, connections=1) as store:
        with pytest.raises(Unreachable, match=r"certificate of .* is not trusted") as refused:
            await store.look()
        assert "AWS_S3_SKIPVERIFY" in refused.value.hint
        with pytest.raises(Unreachable, match=r"certificate of .* is not trusted"):
            await store.ensure_bucket()


def test_the_guides_variables_say_so(
    secure: S3Settings, shell: Shell, tmp_path: Path, label: str
) -> None:
    over_tls = shell.with_environ(
        AWS_S3_ENDPOINT=f"127.0.0.1:{secure.port}",
        AWS_S3_ACCESSKEY=ACCESS,
        AWS_S3_SECRETKEY=SECRET,
        AWS_S3_BUCKET="from-guide",
        AWS_S3_TLS="true",
        AWS_S3_SKIPVERIFY="true",
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "name").write_text("over TLS")
    over_tls.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    over_tls.ok(f"fs sync -l {label} -d {tmp_path / 'b'} --yes")
    assert (tmp_path / "b" / "name").read_text() == "over TLS"
    plain = over_tls(f"fs sync -l {label} -d {tmp_path / 'c'} --yes", AWS_S3_TLS="false")
    assert plain.code != 0
