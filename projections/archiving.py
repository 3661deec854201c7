"""The way to the archive for those that may do without: its driver is an extra."""

from typing import TYPE_CHECKING

from broker.errors import Malformed
from broker.store import EventStore

if TYPE_CHECKING:
    from projections.archive.archive import Archive
    from projections.archive.archiver import Archiver


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


def archiver_of(store: EventStore, waits: EventStore, archive: "Archive") -> "Archiver":
    """What copies a store to an archive; see ``projections.archive.archiver``."""
    from projections.archive.archiver import Archiver  # noqa: PLC0415 - an extra

    return Archiver(store, waits, archive)
