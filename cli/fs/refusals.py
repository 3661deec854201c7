"""How an object store says no, and how long it is asked again."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType

import aiohttp

from cli.errors import CliError, Unreachable
from cli.fs.aws import BotoCoreError, ClientError, SSLError, refusal
from cli.fs.settings import S3Settings

_TRIES = 7
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class StoreRefusal(CliError):
    """The object store answered with a refusal."""

    def __init__(self, what: str, status: int, code: str) -> None:
        super().__init__(
            f"the object store refuses to {what}: {code or HTTPStatus(status).phrase} ({status})",
            hint=_HINTS.get(code, "check AWS_S3_*; `colonies config show` says what is in use"),
        )
        self.status = status
        self.code = code


_HINTS = {
    "NoSuchKey": "the bytes of this file are not in the bucket that is configured (any more)",
    "NoSuchBucket": "check AWS_S3_BUCKET; the first upload makes the bucket",
    "SignatureDoesNotMatch": "check AWS_S3_SECRETKEY",
    "InvalidAccessKeyId": "check AWS_S3_ACCESSKEY",
    "AccessDenied": "check AWS_S3_ACCESSKEY, and what it is allowed to do",
}


class Interrupted(Exception):
    """A request did not get through; repeating it may help."""


class Retry:
    """Ever longer pauses between tries; whoever gets on has all of them again."""

    def __init__(self, tries: int) -> None:
        self._left = tries
        self._pause_s = _FIRST_PAUSE_S

    def succeeded(self) -> None:
        """Have all tries again."""
        self._left, self._pause_s = _TRIES, _FIRST_PAUSE_S

    async def pause(self, failure: Interrupted) -> None:
        """Wait before the next try, or give up with what went wrong."""
        self._left -= 1
        if not self._left:
            raise failure
        await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)


@asynccontextmanager
async def retried(tries: int = _TRIES) -> AsyncGenerator[Retry]:
    """So many tries; when they are used up the object store is unreachable."""
    try:
        yield Retry(tries)
    except Interrupted as error:
        raise Unreachable(
            f"the object store: {error}", hint="is it running? check AWS_S3_ENDPOINT and AWS_S3_TLS"
        ) from error


class translated:  # noqa: N801 - used as a statement
    """Errors of aioboto3 as ours."""

    def __init__(self, settings: S3Settings, what: str) -> None:
        self._settings = settings
        self._what = what

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if isinstance(error, ClientError):
            raise StoreRefusal(self._what, *refusal(error)) from error
        if isinstance(error, SSLError):
            raise untrusted(self._settings) from error
        if isinstance(error, BotoCoreError):
            raise Unreachable(
                f"the object store at {self._settings.url} cannot be reached",
                hint="is it running? check AWS_S3_ENDPOINT and AWS_S3_TLS",
            ) from error


def why(error: aiohttp.ClientConnectorError) -> str:
    """What kept from connecting, as a user reads it."""
    if isinstance(error, aiohttp.ClientSSLError):
        return "does not speak TLS"
    refused = isinstance(error.os_error, ConnectionRefusedError)
    reason = "connection refused" if refused else error.os_error.strerror or str(error.os_error)
    return f"cannot be reached: {reason}"


def untrusted(settings: S3Settings) -> Unreachable:
    """What is raised for a certificate that nobody vouches for."""
    return Unreachable(
        f"the certificate of {settings.url} is not trusted",
        hint="trust its authority, or accept any certificate with AWS_S3_SKIPVERIFY=true",
    )
