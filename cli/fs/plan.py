"""What a synchronisation has to do. Pure.

Contents are compared by their digests, never by time; what is missing on one side is copied there,
so nothing is ever deleted. What is different on both sides is a conflict: the local file wins and
becomes a new revision, or the newest revision replaces the local file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cli.fs.partial import Stamp
from cli.fs.tree import Parts


@dataclass(frozen=True, slots=True)
class Remote:
    """The newest revision of a file, as the server lists it."""

    name: str
    size: int
    checksum: str
    object: str


@dataclass(frozen=True, slots=True)
class Local:
    """A file of ours; its digest is empty where nobody needed it."""

    stamp: Stamp
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Up:
    """A file to be uploaded; from what it was when the plan was made."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Down:
    """A revision to be downloaded, instead of a file of ours or of none."""

    remote: Remote
    instead_of: Stamp | None = None

    @property
    def name(self) -> str:
        """Of the file."""
        return self.remote.name

    @property
    def size(self) -> int:
        """In bytes."""
        return self.remote.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done for one label and its directory."""

    label: str
    parts: Parts
    uploads: tuple[Up, ...] = ()
    downloads: tuple[Down, ...] = ()
    replace_remote: tuple[Up, ...] = ()
    replace_local: tuple[Down, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.uploads or self.downloads or self.replace_remote or self.replace_local)

    @property
    def ups(self) -> tuple[Up, ...]:
        """All that goes to the server."""
        return self.uploads + self.replace_remote

    @property
    def downs(self) -> tuple[Down, ...]:
        """All that comes from there."""
        return self.downloads + self.replace_local


@dataclass(frozen=True, slots=True)
class Totals:
    """How much several plans are."""

    uploads: int
    downloads: int
    conflicts: int
    size: int

    @classmethod
    def of(cls, plans: Iterable[Plan]) -> "Totals":
        """Of these plans."""
        kept = list(plans)
        return cls(
            uploads=sum(len(plan.uploads) for plan in kept),
            downloads=sum(len(plan.downloads) for plan in kept),
            conflicts=sum(len(plan.replace_remote) + len(plan.replace_local) for plan in kept),
            size=sum(each.size for plan in kept for each in (*plan.ups, *plan.downs)),
        )


def to_compare(local: Mapping[str, Stamp], remote: Mapping[str, Remote]) -> list[str]:
    """The files whose digests decide: on both sides, and of the same size."""
    return [
        name for name, stamp in local.items() if name in remote and remote[name].size == stamp.size
    ]


def make(
    label: str,
    parts: Parts,
    *,
    local: Mapping[str, Local],
    remote: Mapping[str, Remote],
    keeplocal: bool,
) -> Plan:
    """What is to be done so that both sides have the same files."""
    differing = [name for name in local if name in remote and _differs(local[name], remote[name])]
    kept = differing if keeplocal else []
    replaced = [] if keeplocal else differing
    return Plan(
        label=label,
        parts=parts,
        uploads=tuple(Up(n, local[n].stamp.size) for n in sorted(local) if n not in remote),
        downloads=tuple(Down(remote[n]) for n in sorted(remote) if n not in local),
        replace_remote=tuple(Up(n, local[n].stamp.size) for n in sorted(kept)),
        replace_local=tuple(Down(remote[n], local[n].stamp) for n in sorted(replaced)),
    )


def _differs(local: Local, remote: Remote) -> bool:
    return local.stamp.size != remote.size or local.checksum != remote.checksum
