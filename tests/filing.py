"""A stage on which files and snapshots are kept, and what tests say of them."""

from typing import Any

import msgspec

from api import wire_file as files
from api.handlers import file, snapshot
from broker.access import Hash
from broker.aggregates.file import FileAdded, FileRemoved
from broker.reactors.forget import Forgetter
from projections.core import fold
from projections.replay import verify
from tests.facts import COLONY, LATER, SUFFIX, T0, USER
from tests.stage import Stage

REVISION = "a" * 56 + SUFFIX
SECOND_REVISION = "b" * 56 + SUFFIX
SNAPSHOT = "5" * 56 + SUFFIX

_files = msgspec.json.Decoder(list[files.File]).decode
_data = msgspec.json.Decoder(list[files.FileData]).decode
_labels = msgspec.json.Decoder(list[files.Label]).decode
_snapshot = msgspec.json.Decoder(files.Snapshot).decode
_snapshots = msgspec.json.Decoder(list[files.Snapshot]).decode


def added(
    file_id: str = REVISION,
    name: str = "x",
    number: int = 1,
    **fields: Any,  # noqa: ANN401
) -> FileAdded:
    """A revision is there."""
    given: dict[str, Any] = {
        "subject": file_id,
        "actor": USER,
        "at_ns": T0 + number,
        "label": "/a",
        "name": name,
        "size": 1,
        "checksum": "c",
        "checksum_alg": "SHA256",
        "reference": b"{}",
        "object": f"o{number}",
        "number": number,
        "made": 0,
        "first": number == 1,
    }
    return FileAdded(**given | fields)


def gone(file_id: str = REVISION, number: int = 1, **fields: Any) -> FileRemoved:  # noqa: ANN401
    """A revision was removed."""
    given: dict[str, Any] = {
        "subject": file_id,
        "actor": USER,
        "at_ns": LATER,
        "label": "/a",
        "name": "x",
        "number": number,
        "made": 0,
        "until": 0,
        "ends_file": False,
        "ends_label": False,
    }
    return FileRemoved(**given | fields)


class Filing(Stage):
    """A stage with files; ``by`` is who asks."""

    async def put(
        self,
        label: str = "/a",
        name: str = "x",
        *,
        by: str = USER,
        colony_name: str = COLONY,
        nonce: str = "",
        **fields: Any,  # noqa: ANN401 - whatever a file has
    ) -> files.File:
        """Add a revision."""
        given = files.File(colonyname=colony_name, label=label, name=name, **fields)
        answer: files.File = await self.say(file.add, by, files.AddFileMsg(file=given), nonce=nonce)
        return answer

    async def look(  # pyright: ignore[reportIncompatibleMethodOverride] - at files here
        self,
        label: str = "",
        name: str = "",
        *,
        file_id: str = "",
        latest: bool = False,
        by: str = USER,
        colony_name: str = COLONY,
    ) -> list[files.File]:
        """Read revisions."""
        message = files.GetFileMsg(
            colonyname=colony_name, fileid=file_id, label=label, name=name, latest=latest
        )
        return _files(await self.say(file.get, by, message))

    async def listed(self, label: str = "/a", **rest: Any) -> list[files.FileData]:  # noqa: ANN401
        """The files of a label."""
        message = files.GetFilesMsg(colonyname=COLONY, label=label, **rest)
        return _data(await self.say(file.get_many, USER, message))

    async def labels(self, name: str = "", **rest: Any) -> dict[str, int]:  # noqa: ANN401
        """Labels with how many revisions they have."""
        message = files.GetFileLabelsMsg(colonyname=COLONY, name=name, **rest)
        found = _labels(await self.say(file.get_labels, USER, message))
        return {each.name: each.files for each in found}

    async def remove(
        self, label: str = "", name: str = "", *, file_id: str = "", by: str = USER, nonce: str = ""
    ) -> None:
        """Remove a revision or a file."""
        message = files.RemoveFileMsg(colonyname=COLONY, fileid=file_id, label=label, name=name)
        await self.say(file.remove, by, message, nonce=nonce)

    async def snap(
        self, label: str = "/a", name: str = "s", *, by: str = USER, nonce: str = ""
    ) -> files.Snapshot:
        """Make a snapshot."""
        message = files.CreateSnapshotMsg(colonyname=COLONY, label=label, name=name)
        return _snapshot(await self.say(snapshot.create, by, message, nonce=nonce))

    async def snapshot(
        self, snapshot_id: str = "", name: str = "", *, by: str = USER
    ) -> files.Snapshot:
        """Read a snapshot."""
        message = files.GetSnapshotMsg(colonyname=COLONY, snapshotid=snapshot_id, name=name)
        return _snapshot(await self.say(snapshot.get, by, message))

    async def snapshots(self, **rest: Any) -> list[files.Snapshot]:  # noqa: ANN401
        """All snapshots, newest first."""
        message = files.GetSnapshotsMsg(colonyname=COLONY, **rest)
        return _snapshots(await self.say(snapshot.get_many, USER, message))

    async def unsnap(self, snapshot_id: str = "", name: str = "", *, nonce: str = "") -> None:
        """Remove a snapshot."""
        message = files.RemoveSnapshotMsg(colonyname=COLONY, snapshotid=snapshot_id, name=name)
        await self.say(snapshot.remove, USER, message, nonce=nonce)

    async def unsnap_all(self, *, nonce: str = "") -> None:
        """Remove every snapshot."""
        message = files.RemoveAllSnapshotMsg(colonyname=COLONY)
        await self.say(snapshot.remove_all, USER, message, nonce=nonce)

    async def forget(self) -> None:
        """What the timer does each second."""
        colony = await self.context.directory.named(COLONY)
        assert colony is not None
        forgetter = Forgetter(store=self.store, happened=self.context.happened)
        await forgetter.forget(colony)

    async def rows(self, prefix: str) -> dict[str, Hash]:
        """The hashes whose keys begin like this."""
        tag = await self.tag()
        names = await self.store.send("KEYS", tag.key(prefix) + "*")
        keys = [name.decode().removeprefix(tag.prefix) for name in names]
        found = await self.store.hashes(tag, *keys) if keys else []  # pyright: ignore[reportArgumentType] - keys are texts
        return dict(zip(keys, found, strict=True))

    async def is_sound(self) -> None:
        """The rows are what the log says."""
        assert (await verify(self.store, await self.tag(), fold)).differences == ()
