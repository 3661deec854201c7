"""The seam to aioboto3 and botocore, which have no types: what we use of them, typed.

What happens once for a file of several parts, or once for a bucket, goes through aioboto3's client.
What happens for every file or part goes through ``Signer`` and a plain HTTP session: the client's
machinery costs 2.6 ms of processor time a request.
"""

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

import aioboto3  # pyright: ignore[reportMissingTypeStubs] - this is its seam
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, SSLError

from cli.fs.settings import S3Settings

__all__ = ["BotoCoreError", "ClientError", "Control", "SSLError", "control", "refusal"]

_CONNECT_S = 10
_READ_S = 60
_TRIES = 5


class Control(Protocol):
    """The calls of an S3 client that are rare."""

    async def head_bucket(self, *, Bucket: str) -> object: ...  # noqa: N803, D102 - botocore's name
    async def create_bucket(self, *, Bucket: str) -> object: ...  # noqa: N803, D102
    async def create_multipart_upload(self, *, Bucket: str, Key: str) -> Mapping[str, str]: ...  # noqa: N803, D102
    async def complete_multipart_upload(  # noqa: D102
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        MultipartUpload: Mapping[str, Sequence[Mapping[str, object]]],  # noqa: N803
    ) -> object: ...
    async def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> object: ...  # noqa: N803, D102
    async def list_objects_v2(  # noqa: D102
        self,
        *,
        Bucket: str,  # noqa: N803
        Prefix: str,  # noqa: N803
        StartAfter: str,  # noqa: N803
    ) -> Mapping[str, Any]: ...


@asynccontextmanager
async def control(settings: S3Settings) -> AsyncGenerator[Control]:
    """An S3 client of aioboto3."""
    options = Config(
        s3={"addressing_style": "path"},
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session: Any = aioboto3.Session(  # as all below: it has no types
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        region_name=settings.signing_region,
    )
    async with session.client(
        "s3", endpoint_url=settings.url, verify=_trusted(settings), config=options
    ) as client:
        yield cast("Control", client)


def _trusted(settings: S3Settings) -> bool | str:
    """Whose certificates are accepted: those that the system trusts, as elsewhere.

    By itself botocore brings a list of its own, which knows no authority of one's own.
    """
    return settings.verify and (ssl.get_default_verify_paths().cafile or True)


def refusal(error: ClientError) -> tuple[int, str]:
    """Status and code of what an object store refused to the client."""
    response = cast("Mapping[str, Mapping[str, Any]]", cast("Any", error).response)
    return (
        int(response["ResponseMetadata"]["HTTPStatusCode"]),
        str(response["Error"].get("Code", "")),
    )
