"""One bucket: objects in, objects out, in pieces, each of them repeated until it has arrived.

Nothing larger than a slice of a piece is held in memory. A piece that goes out carries its
Content-MD5, which object stores check, and its SHA-256 in the signature; what comes in continues
where the connection broke.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from cli.errors import CliError
from cli.fs.aws import ClientError, Control, control, refusal
from cli.fs.refusals import Interrupted, StoreRefusal, retried, translated, untrusted, why
from cli.fs.settings import S3Settings
from cli.fs.signer import Signer

SLICE = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
_NOTHING_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# What may go better the next time, of the answers that are no server errors.
_TRANSIENT = frozenset(
    {
        "BadDigest",
        "IncompleteBody",
        "InvalidDigest",
        "OperationAborted",
        "RequestTimeout",
        "SlowDown",
        "XAmzContentSHA256Mismatch",
    }
)
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_LONGEST_ERROR = 4096


class Piece(Protocol):
    """Bytes that go out, as often as they have to."""

    @property
    def length(self) -> int:
        """How many."""
        ...

    @property
    def sha256(self) -> str:
        """Their digest, hexadecimal."""
        ...

    @property
    def md5(self) -> str:
        """Their other digest, base64."""
        ...

    @property
    def data(self) -> bytes | None:
        """All of them, where they are few and in memory."""
        ...

    def slices(self) -> AsyncIterator[bytes]:
        """The bytes, from the first."""
        ...


Count = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Upload:
    """An object that is being put together from parts."""

    key: str
    id: str


@dataclass(frozen=True, slots=True)
class Present:
    """An object that is there, since when by the clock of the object store."""

    key: str
    size: int
    modified: datetime


class ObjectStore:
    """The bucket of some settings; connections are shared."""

    def __init__(self, settings: S3Settings, *, connections: int) -> None:
        self.settings = settings
        self._connections = connections
        self._signer = Signer(settings)
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None
        self._control: Control | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        tls = _context(self.settings) if self.settings.tls else True
        connector = aiohttp.TCPConnector(limit=self._connections, ssl=tls)
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=_TIMEOUT)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, at)

    async def ensure_bucket(self) -> None:
        """Make the bucket if there is none."""
        bucket = self.settings.bucket
        client = await self._client()
        with translated(self.settings, f"show the bucket {bucket}"):
            try:
                await client.head_bucket(Bucket=bucket)
            except ClientError as error:
                if refusal(error)[0] != HTTPStatus.NOT_FOUND:
                    raise
                await client.create_bucket(Bucket=bucket)

    async def look(self) -> bool:
        """Whether the bucket is there; asked once.

        Raises:
            Unreachable, StoreRefusal: why nobody can tell.
        """
        path = f"/{quote(self.settings.bucket, safe='')}"
        query = {"list-type": "2", "max-keys": "1"}
        async with retried(tries=1) as retry:
            try:
                async with self._request("GET", path, query=query) as reply:
                    await self._check(reply, "list the bucket", gone_is_fine=True)
                    return reply.status != HTTPStatus.NOT_FOUND
            except Interrupted as error:
                await retry.pause(error)
        raise AssertionError

    async def put(self, key: str, piece: Piece, count: Count) -> None:
        """Keep a whole object."""
        await self._send(key, {}, piece, count)

    async def begin(self, key: str) -> Upload:
        """Begin an object of several parts; it is not there before it is completed."""
        client = await self._client()
        with translated(self.settings, "begin an upload"):
            made = await client.create_multipart_upload(Bucket=self.settings.bucket, Key=key)
        return Upload(key, made["UploadId"])

    async def put_part(self, upload: Upload, number: int, piece: Piece, count: Count) -> str:
        """Keep one part, from 1; returns what completing asks for."""
        query = {"partNumber": str(number), "uploadId": upload.id}
        return await self._send(upload.key, query, piece, count)

    async def complete(self, upload: Upload, tags: list[str], *, size: int) -> None:
        """Make an object of its parts; it must have so many bytes."""
        client = await self._client()
        parts = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, start=1)]
        try:
            with translated(self.settings, "complete an upload"):
                await client.complete_multipart_upload(
                    Bucket=self.settings.bucket,
                    Key=upload.key,
                    UploadId=upload.id,
                    MultipartUpload={"Parts": parts},
                )
        except StoreRefusal as error:
            # A completion whose answer was lost is asked for again, and is no upload any more.
            if error.code != "NoSuchUpload" or await self._size(upload.key) != size:
                raise

    async def abort(self, upload: Upload) -> None:
        """Forget the parts of an object that is not completed."""
        client = await self._client()
        with translated(self.settings, "abort an upload"):
            await client.abort_multipart_upload(
                Bucket=self.settings.bucket, Key=upload.key, UploadId=upload.id
            )

    async def delete(self, key: str, *, bucket: str = "") -> None:
        """Remove an object; one that is not there is removed, too."""
        async with retried() as retry:
            while True:
                try:
                    async with self._request("DELETE", self._path(key, bucket)) as reply:
                        await self._check(reply, "remove an object", gone_is_fine=True)
                        return
                except Interrupted as error:
                    await retry.pause(error)

    async def present(self, prefix: str) -> AsyncGenerator[Present]:
        """The objects whose keys begin like this, by key; none where there is no bucket."""
        client, after = await self._client(), ""
        while True:
            try:
                with translated(self.settings, "list the bucket"):
                    page = await client.list_objects_v2(
                        Bucket=self.settings.bucket, Prefix=prefix, StartAfter=after
                    )
            except StoreRefusal as error:
                if error.code != "NoSuchBucket":
                    raise
                return
            found = [
                Present(each["Key"], each["Size"], each["LastModified"])
                for each in page.get("Contents", ())
            ]
            for each in found:
                yield each
            if not page.get("IsTruncated") or not found:
                return
            after = found[-1].key

    async def get(
        self, key: str, start: int, length: int, *, total: int, bucket: str = ""
    ) -> AsyncGenerator[bytes]:
        """The bytes of a range of an object, in order, across broken connections.

        Raises:
            StoreRefusal: there is no such object, or it has not ``total`` bytes.
        """
        position, end = start, start + length
        async with retried() as retry:
            while position < end:
                headers = {"range": f"bytes={position}-{end - 1}"}
                try:
                    path = self._path(key, bucket)
                    async with self._request("GET", path, headers=headers) as reply:
                        await self._check(reply, "give an object")
                        _check_range(reply, position, end, total)
                        async for chunk in reply.content.iter_chunked(SLICE):
                            position += len(chunk)
                            retry.succeeded()
                            yield chunk
                except Interrupted as error:
                    await retry.pause(error)
                else:
                    if position < end:
                        await retry.pause(Interrupted("the answer ended early"))

    async def _size(self, key: str) -> int:
        """How many bytes an object has."""
        async with retried() as retry:
            while True:
                try:
                    async with self._request("HEAD", self._path(key)) as reply:
                        await self._check(reply, "show an object")
                        return int(reply.headers.get("content-length", "-1"))
                except Interrupted as error:
                    await retry.pause(error)

    async def _send(self, key: str, query: Mapping[str, str], piece: Piece, count: Count) -> str:
        headers = {"content-md5": piece.md5, "content-length": str(piece.length)}
        async with retried() as retry:
            while True:
                sent = _Sent(piece, count)
                try:
                    async with self._request(
                        "PUT",
                        self._path(key),
                        query=query,
                        headers=headers,
                        sha256=piece.sha256,
                        sent=sent,
                    ) as reply:
                        await self._check(reply, "keep an object")
                        return reply.headers.get("etag", "")
                except Interrupted as error:
                    sent.take_back()
                    if sent.failure is not None:
                        raise sent.failure from error
                    await retry.pause(error)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        sha256: str = _NOTHING_SHA256,
        sent: "_Sent | None" = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        asked = urlencode(sorted((query or {}).items()), quote_via=quote)
        signed = self._signer.headers(
            method, path, asked, sha256=sha256, headers=headers or {}, now=datetime.now(tz=UTC)
        )
        url = f"{self.settings.url}{path}?{asked}" if asked else f"{self.settings.url}{path}"
        assert self._http is not None, "entered"  # noqa: S101 - a mistake of ours
        body = None if sent is None else sent.at_once() or sent.body()
        try:
            async with self._http.request(
                method,
                URL(url, encoded=True),
                headers=signed,
                data=body,
                allow_redirects=False,
                read_bufsize=SLICE,
            ) as reply:
                yield reply
        except aiohttp.ClientConnectorCertificateError as error:
            raise untrusted(self.settings) from error
        except aiohttp.ClientConnectorError as error:
            raise Interrupted(f"{self.settings.url} {why(error)}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Interrupted(str(error) or type(error).__name__) from error

    async def _check(
        self, reply: aiohttp.ClientResponse, what: str, *, gone_is_fine: bool = False
    ) -> None:
        status = reply.status
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return
        found = _CODE.search(await reply.content.read(_LONGEST_ERROR))
        code = found[1].decode() if found else ""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _TRANSIENT:
            raise Interrupted(f"the object store answers {code or status}")
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise Interrupted("the object store asks for patience")
        if not (gone_is_fine and status == HTTPStatus.NOT_FOUND):
            raise StoreRefusal(what, status, code)

    def _path(self, key: str, bucket: str = "") -> str:
        return f"/{quote(bucket or self.settings.bucket, safe='')}/{quote(key, safe='/~')}"

    async def _client(self) -> Control:
        async with self._opening:
            if self._control is None:
                self._control = await self._stack.enter_async_context(control(self.settings))
            return self._control


class _Sent:
    """A piece on its way, and how much of it was counted."""

    def __init__(self, piece: Piece, count: Count) -> None:
        self._piece = piece
        self._count = count
        self._counted = 0
        self.failure: CliError | None = None

    def at_once(self) -> bytes | None:
        """All of a small piece, which then leaves together with the headers."""
        if self._piece.data is not None:
            self._counted += self._piece.length
            self._count(self._piece.length)
        return self._piece.data

    async def body(self) -> AsyncGenerator[bytes]:
        try:
            async for chunk in self._piece.slices():
                yield chunk
                self._counted += len(chunk)
                self._count(len(chunk))
        except CliError as error:
            # The HTTP library would make a broken connection of it.
            self.failure = error
            raise

    def take_back(self) -> None:
        self._count(-self._counted)


def _check_range(reply: aiohttp.ClientResponse, start: int, end: int, total: int) -> None:
    """That the answer is the range that was asked for, of an object of the size it should have."""
    found = _RANGE.fullmatch(reply.headers.get("content-range", ""))
    if found is None:
        if start != 0 or reply.content_length != end:
            raise StoreRefusal("give part of an object", reply.status, "NoRange")
        return
    if (int(found[1]), int(found[2]) + 1, int(found[3])) != (start, end, total):
        raise StoreRefusal("give an object of the right size", reply.status, "WrongSize")


def _context(settings: S3Settings) -> ssl.SSLContext:
    """How TLS is spoken: as the system trusts, or as AWS_S3_SKIPVERIFY asks for."""
    context = ssl.create_default_context()
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
