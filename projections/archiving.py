"""The way to the archive for those that may do without: its driver is an extra."""

from typing import TYPE_CHECKING

from broker.errors import Malformed
from broker.position import Position
from broker.reading import Older
from broker.settings import Settings
from broker.store import EventStore
from projections import ASYNC
from projections.core import fold

if TYPE_CHECKING:
    from projections.archive.archive import Archive
    from projections.archive.archiver import Archiver
    from projections.archive.restore import Restore

_SECOND_MS = 1_000


def archive_at(url: str, *, timescaledb: bool | None = None) -> "Archive":
    """The archive at an address; nothing is asked of it yet.

    Raises:
        Malformed: the driver is not installed, or the address is none.
    """
    try:
        from projections.archive.archive import Archive  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise Malformed(
            f"the archive needs the extra archive: pip install 'colonies-broker[archive]' ({error})"
        ) from error
    return Archive(url, timescaledb=timescaledb)


def archiver_of(
    store: EventStore, waits: EventStore, archive: "Archive", settings: Settings
) -> "Archiver":
    """What copies a store to an archive; see ``projections.archive.archiver``."""
    from projections.archive.archiver import Archiver  # noqa: PLC0415 - an extra

    return Archiver(
        store,
        waits,
        archive,
        projections=ASYNC,
        keep_ms=settings.stream_keep_s * _SECOND_MS,
        lines_ms=settings.archive_lines_s * _SECOND_MS,
    )


def older_in(archive: "Archive") -> Older:
    """What reads trimmed events from an archive."""
    from projections.archive.older import Older as OfArchive  # noqa: PLC0415 - an extra

    return OfArchive(archive)


def restore_from(archive: "Archive", store: EventStore, lines_after: Position) -> "Restore":
    """What brings a store back from its archive; see ``projections.archive.restore``."""
    from projections.archive.restore import Restore  # noqa: PLC0415 - an extra

    return Restore(store, archive, fold, lines_after)
