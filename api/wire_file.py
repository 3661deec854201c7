"""Messages about files and snapshots, as the protocol spells them (extended.md, 5 and 6).

Where the bytes of a file are is the client's business: the server keeps what is said of them.
"""

from msgspec import field

from api import wire


class S3Object(wire.Wire):
    """Where the bytes are; Go clients say the port in ``server`` and -1 in ``port``."""

    server: str = ""
    port: wire.Int = 0
    tls: bool = False
    accesskey: str = ""
    secretkey: str = ""
    region: str = ""
    encryptionkey: str = ""
    encryptionalg: str = ""
    object: str = ""
    bucket: str = ""


class Reference(wire.Wire):
    """How the bytes are reached; without a protocol it is S3."""

    protocol: str = ""
    s3object: S3Object = field(default_factory=S3Object)


class File(wire.Wire):
    """One revision of a file; its id, number and time are the server's."""

    fileid: str = ""
    colonyname: str = ""
    label: str = ""
    name: str = ""
    size: wire.Int = 0
    sequencenr: wire.Int = 0
    checksum: str = ""
    checksumalg: str = ""
    ref: Reference = field(default_factory=Reference)
    added: str = wire.NO_TIME


class FileData(wire.Wire):
    """The newest revision of a file, in short; ``s3filename`` is the object it is in."""

    name: str = ""
    checksum: str = ""
    size: wire.Int = 0
    s3filename: str = ""


class Label(wire.Wire):
    """A label with how many revisions of files it has."""

    name: str = ""
    files: wire.Int = 0


class Snapshot(wire.Wire):
    """The newest revisions in a label and below it, as they were when it was made."""

    snapshotid: str = ""
    colonyname: str = ""
    label: str = ""
    name: str = ""
    fileids: list[str] = field(default_factory=list[str])
    added: str = wire.NO_TIME


class AddFileMsg(wire.Message):
    """Add a revision of a file."""

    file: File | None = None


class AddFilesMsg(wire.Message):
    """Add revisions of different files of a colony: all of them, or none."""

    colonyname: str = ""
    files: list[File] | None = None


class OfFile(wire.OfColony):
    """A message about one revision, or about a file by its label and name."""

    fileid: str = ""
    label: str = ""
    name: str = ""


class GetFileMsg(OfFile):
    """Read a revision; of a file the newest (``latest``), or all, newest first."""

    latest: bool = False


class GetFilesMsg(wire.OfColony):
    """List the files of exactly one label, by name.

    ``count`` and ``after`` are ours: at most so many (0: all), with names after this one.
    """

    label: str = ""
    count: wire.Int = 0
    after: str = ""


class GetFileLabelsMsg(wire.OfColony):
    """List labels that begin with ``name``, or (``exact``) this one and those below it.

    ``count``, ``after`` and ``distinct`` are ours: at most so many (0: all), after this one, with
    ``files`` the number of files, and not that of their revisions.
    """

    name: str = ""
    exact: bool = False
    count: wire.Int = 0
    after: str = ""
    distinct: bool = False


class RemoveFileMsg(OfFile):
    """Remove a revision, or all of a file."""


class CreateSnapshotMsg(wire.OfColony):
    """Make a snapshot of a label and those below it."""

    label: str = ""
    name: str = ""


class OfSnapshot(wire.OfColony):
    """A message that names a snapshot; the id counts."""

    snapshotid: str = ""
    name: str = ""


class GetSnapshotMsg(OfSnapshot):
    """Read a snapshot."""


class GetSnapshotsMsg(wire.OfColony):
    """List snapshots, newest first.

    ``count`` and ``offset`` are ours: at most so many (0: all), without the newest so many.
    """

    count: wire.Int = 0
    offset: wire.Int = 0


class RemoveSnapshotMsg(OfSnapshot):
    """Remove a snapshot; the files it names stay as far as they are there besides."""


class RemoveAllSnapshotMsg(wire.OfColony):
    """Remove every snapshot of a colony."""
