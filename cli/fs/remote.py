"""What the server says of files, labels and snapshots, and what it is told."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from api.wire_colony import Colony, GetColonyMsg
from api.wire_file import (
    AddFileMsg,
    AddFilesMsg,
    File,
    FileData,
    GetFileLabelsMsg,
    GetFileMsg,
    GetFilesMsg,
    GetSnapshotMsg,
    GetSnapshotsMsg,
    Label,
    Reference,
    RemoveFileMsg,
    S3Object,
    Snapshot,
)
from cli.client import Client
from cli.errors import CliError, RpcError
from cli.fs import safe
from cli.fs.crypt import Facts
from cli.fs.download import Object
from cli.fs.plan import Remote
from cli.fs.settings import S3Settings
from cli.fs.transfer import SEALED_SUFFIX

_PAGE = 1000
_CHECKSUM = "SHA256"
_PROTOCOL = "s3"
_NOT_FOUND = frozenset({400, 404})
_ID = re.compile(r"[0-9a-f]{64}")


class NoId(CliError):
    """A colony without an id, as other servers may have it."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The files of one colony, as one of its members sees them."""

    client: Client
    colony: str

    async def labels(self, root: str = "", *, distinct: bool = False) -> list[Label]:
        """All labels, or those that are the root or below it, by name.

        Args:
            root: the label, normalised.
            distinct: count files and not their revisions, where the server can.
        """
        found: list[Label] = []
        after = ""
        while True:
            # By their beginning: the reference knows nothing below a label that has no files.
            message = GetFileLabelsMsg(
                colonyname=self.colony,
                name="" if root == "/" else root,
                count=_PAGE,
                after=after,
                distinct=distinct,
            )
            page = await self.client.ask_list(message, Label)
            found += page
            after = max((each.name for each in page), default="")
            if len(page) != _PAGE or len({each.name for each in found}) != len(found):
                break
        known = {each.name: each for each in found if not root or safe.is_below(each.name, root)}
        return [known[name] for name in sorted(known)]

    async def files(self, label: str) -> dict[str, Remote]:
        """The newest revision of each file of exactly one label, by name."""
        found: dict[str, Remote] = {}
        after = ""
        while True:
            message = GetFilesMsg(colonyname=self.colony, label=label, count=_PAGE, after=after)
            page = await self.client.ask_list(message, FileData)
            known = len(found)
            found |= {
                each.name: Remote(each.name, each.size, each.checksum, each.s3filename)
                for each in page
            }
            # A server that knows of no pages gives all at once, or the same ones again.
            if len(page) != _PAGE or len(found) == known:
                return found
            after = max(each.name for each in page)

    async def prefix(self) -> str:
        """What the keys of the colony's objects begin with: its id, as names recur.

        Raises:
            CliError: the server says no id that could be told from other keys.
        """
        found = await self.client.ask(GetColonyMsg(colonyname=self.colony), Colony)
        if not _ID.fullmatch(found.colonyid):
            raise NoId(f"the server says no id of {self.colony}, which its objects begin with")
        return f"{found.colonyid}/"

    async def upload_prefix(self) -> str:
        """The same for new objects; without an id they begin with nothing, and are nobody's."""
        try:
            return await self.prefix()
        except (NoId, RpcError):
            return ""

    async def snapshots(self) -> list[Snapshot]:
        """All snapshots, newest first."""
        message = GetSnapshotsMsg(colonyname=self.colony)
        return await self.client.ask_list(message, Snapshot)

    async def revisions(self, label: str, name: str, *, latest: bool = False) -> list[File]:
        """All revisions of a file, newest first, or only that one."""
        message = GetFileMsg(colonyname=self.colony, label=label, name=name, latest=latest)
        return await self.client.ask_list(message, File)

    async def revision(self, file_id: str) -> File:
        """One revision.

        Raises:
            RpcError: there is none with this id.
        """
        message = GetFileMsg(colonyname=self.colony, fileid=file_id)
        found = await self.client.ask_list(message, File)
        if not found:
            raise CliError(f"the server knows no file with id {file_id}")
        return found[0]

    async def add(self, label: str, name: str, kept: Object, settings: S3Settings) -> File:
        """Say where the bytes of a new revision are; no key of the object store is said."""
        file = self._revision(label, name, kept, settings)
        return await self.client.ask(AddFileMsg(file=file), File)

    async def add_many(
        self, added: Iterable[tuple[str, str, Object]], settings: S3Settings
    ) -> None:
        """The same for several files at once, by label and name: all of them or none.

        For servers that announce ``addfiles``.
        """
        files = [self._revision(*each, settings) for each in added]
        await self.client.tell(AddFilesMsg(colonyname=self.colony, files=files))

    def _revision(self, label: str, name: str, kept: Object, settings: S3Settings) -> File:
        place = S3Object(
            server=settings.host,
            port=settings.port,
            tls=settings.tls,
            region=settings.region,
            encryptionkey=kept.encryption_key,
            encryptionalg=kept.encryption_alg,
            object=kept.key,
            bucket=settings.bucket,
        )
        return File(
            colonyname=self.colony,
            label=label,
            name=name,
            size=kept.size,
            checksum=kept.checksum,
            checksumalg=_CHECKSUM,
            ref=Reference(protocol=_PROTOCOL, s3object=place),
        )

    async def place(self, label: str, remote: Remote) -> Object:
        """Where the bytes of a listed file are; those of an encrypted one have to be asked for."""
        if not remote.object.endswith(SEALED_SUFFIX):
            return Object(key=remote.object, size=remote.size, checksum=remote.checksum)
        found = await self.revisions(label, remote.name, latest=True)
        return object_of(found[0])

    async def remove(self, label: str, name: str) -> list[Object]:
        """Forget all revisions of a file; the objects that nothing names any more."""
        found = await self.revisions(label, name)
        await self.client.tell(RemoveFileMsg(colonyname=self.colony, label=label, name=name))
        return await self._unnamed(found)

    async def remove_revision(self, file: File) -> list[Object]:
        """Forget one revision; its object, unless something still names it."""
        await self.client.tell(RemoveFileMsg(colonyname=self.colony, fileid=file.fileid))
        return await self._unnamed([file])

    async def _unnamed(self, files: Sequence[File]) -> list[Object]:
        """The objects of removed revisions of a file that no snapshot and no other one names.

        Clients of other makes may give several revisions of a file the same object.
        """
        named = [found for file in files for found in await self._left(fileid=file.fileid)]
        named += await self._left(label=files[0].label, name=files[0].name) if files else []
        keys = {found.ref.s3object.object for found in named}
        return [object_of(file) for file in files if file.ref.s3object.object not in keys]

    async def _left(self, *, fileid: str = "", label: str = "", name: str = "") -> list[File]:
        """What is still there, in its label or kept by a snapshot."""
        message = GetFileMsg(colonyname=self.colony, fileid=fileid, label=label, name=name)
        try:
            return await self.client.ask_list(message, File)
        except RpcError as error:
            if error.status not in _NOT_FOUND:
                raise
            return []

    async def snapshot(self, *, snapshot_id: str = "", name: str = "") -> Snapshot:
        """A snapshot by its id, or by its name."""
        message = GetSnapshotMsg(colonyname=self.colony, snapshotid=snapshot_id, name=name)
        return await self.client.ask(message, Snapshot)

    def facts(self, label: str, name: str, size: int, checksum: str) -> Facts:
        """What the key of an encrypted file is bound to."""
        return Facts(colony=self.colony, label=label, name=name, size=size, checksum=checksum)


def object_of(file: File) -> Object:
    """Where the bytes of a revision are.

    Raises:
        CliError: not in S3.
    """
    if file.ref.protocol not in {_PROTOCOL, ""}:
        raise CliError(f"{file.name} is not in S3 but in {file.ref.protocol!r}")
    place = file.ref.s3object
    return Object(
        key=place.object,
        size=file.size,
        checksum=file.checksum,
        bucket=place.bucket,
        encryption_key=place.encryptionkey,
        encryption_alg=place.encryptionalg,
    )
