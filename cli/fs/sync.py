"""Synchronising a directory with a label: what is to be done, and doing it.

Whatever ends it, nothing is half-done: an object is named on the server only when all of it is
kept, a file gets its name only when all of it is on the disk. Synchronising again does the rest.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from cli.errors import CliError, first
from cli.fs import plan as planning
from cli.fs import safe
from cli.fs.announce import Announcer
from cli.fs.crypt import Facts, Undecipherable
from cli.fs.download import Corrupted, Object
from cli.fs.partial import InTheWay, Stamp
from cli.fs.pieces import Changed, read
from cli.fs.plan import Down, Local, Plan, Up
from cli.fs.progress import Watching
from cli.fs.refusals import StoreRefusal
from cli.fs.remote import Shelf
from cli.fs.store import Count
from cli.fs.threads import in_thread
from cli.fs.transfer import SMALL, Naming, Transfer
from cli.fs.tree import Directory, Parts, Scan

PARALLEL = 16
_GONE = 404
# What goes wrong with one file only; everything else ends the whole of it.
_OF_ONE_FILE = (InTheWay, Changed, Corrupted, Undecipherable, safe.Unsafe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be synchronised, and how."""

    label: str
    keeplocal: bool
    encrypt: bool = False
    parallel: int = PARALLEL


@dataclass(slots=True)
class Outlook:
    """What is to be done, and what cannot be."""

    plans: list[Plan] = field(default_factory=list[Plan])
    skipped: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Outcome:
    """What was done."""

    uploaded: int = 0
    downloaded: int = 0
    failures: list[str] = field(default_factory=list[str])


async def survey(shelf: Shelf, directory: Directory | None, task: Task) -> Outlook:
    """Compare a directory, if there is one, and a label, and everything below both."""
    scan = await in_thread(directory.scan) if directory else Scan(files={(): {}})
    outlook = Outlook(skipped=scan.skipped)
    remote = {label.name for label in await shelf.labels(task.label)}
    places = {safe.below(task.label, parts): parts for parts in scan.files}
    for label in sorted(remote - set(places)):
        try:
            places[label] = safe.place(label, task.label)
        except safe.Unsafe as error:
            outlook.refused.append(error.message)
    plans: dict[str, Plan] = {}

    async def compare(label: str) -> None:
        listed = await shelf.files(label) if label in remote else {}
        parts = places[label]
        here = scan.files.get(parts, {})
        named = {name: listed[name] for name in _safe_names(listed, outlook)}
        local = await _compared(directory, parts, here, named) if directory else {}
        plans[label] = planning.make(
            label, parts, local=local, remote=named, keeplocal=task.keeplocal
        )

    await each(task.parallel, (partial(compare, label) for label in places))
    outlook.plans = [plans[label] for label in sorted(plans) if plans[label]]
    return outlook


def _safe_names(listed: Iterable[str], outlook: Outlook) -> Iterator[str]:
    for name in listed:
        try:
            yield safe.checked(name)
        except safe.Unsafe as error:
            # Somebody put a note or a part there; it is none of ours to take.
            if not safe.is_ours(name):
                outlook.refused.append(error.message)


async def _compared(
    directory: Directory,
    parts: Parts,
    here: Mapping[str, Stamp],
    remote: Mapping[str, planning.Remote],
) -> dict[str, Local]:
    """The files that are here, with the digests that matter."""
    wanted = planning.to_compare(here, remote)
    digests = await in_thread(
        lambda: {name: digest_of(directory, parts, name, here[name].size) for name in wanted}
    )
    return {name: Local(stamp, digests.get(name, "")) for name, stamp in here.items()}


def digest_of(directory: Directory, parts: Parts, name: str, size: int) -> str:
    """The digest of a file that is here.

    Raises:
        InTheWay, Changed: it is not, or was changed meanwhile.
    """
    digest = hashlib.sha256()
    with directory.reading(parts, name) as file:
        for data in read(file, 0, size, directory.shown(parts, name)):
            digest.update(data)
    return digest.hexdigest()


async def noted(outcome: Outcome, step: Callable[[], Awaitable[None]]) -> None:
    """Take a step with one file; what goes wrong with that one only is noted, and no more.

    Raises:
        CliError: the other files would not do better.
    """
    try:
        await step()
    except CliError as error:
        gone = isinstance(error, StoreRefusal) and error.status == _GONE
        if not (gone or isinstance(error, _OF_ONE_FILE)):
            raise
        outcome.failures.append(error.message)


async def surplus(shelf: Shelf, directory: Directory, task: Task) -> list[tuple[Parts, str]]:
    """The files of a directory that are not in the label that belongs to it.

    Raises:
        CliError: there is no such label; nobody wants to remove everything by a slip.
    """
    scan = await in_thread(directory.scan)
    remote = {label.name for label in await shelf.labels(task.label)}
    if not remote:
        raise CliError(f"there is no label {task.label}", hint="`colonies fs label ls`")
    found: list[tuple[Parts, str]] = []
    for parts, files in sorted(scan.files.items()):
        label = safe.below(task.label, parts)
        listed = await shelf.files(label) if label in remote else {}
        found += [(parts, name) for name in sorted(files) if name not in listed]
    return found


class Synchroniser:
    """Carries out plans."""

    def __init__(
        self, shelf: Shelf, directory: Directory, transfer: Transfer, watching: Watching
    ) -> None:
        self._shelf = shelf
        self._directory = directory
        self._transfer = transfer
        self._announcer = Announcer(shelf, transfer)
        self._watching = watching
        self._outcome = Outcome()

    async def run(self, plans: Iterable[Plan], task: Task) -> Outcome:
        """Do what the plans say, so many files side by side; files that fail are noted.

        Raises:
            CliError: the server or the object store does not let us go on.
        """
        kept = list(plans)
        await in_thread(lambda: self._prepare(kept))
        await each(task.parallel, self._steps(kept, task))
        await in_thread(lambda: self._settle(kept))
        return self._outcome

    def _prepare(self, plans: Iterable[Plan]) -> None:
        for plan in plans:
            try:
                self._directory.note_label(plan.parts, plan.label)
                self._directory.remove_leftovers(plan.parts)
            except InTheWay as error:
                self._outcome.failures.append(error.message)

    def _settle(self, plans: Iterable[Plan]) -> None:
        for plan in plans:
            # A directory that could not be made was said to be in the way.
            if plan.downs and self._directory.exists(plan.parts):
                self._directory.sync(plan.parts)

    def _steps(self, plans: Iterable[Plan], task: Task) -> Iterator[Callable[[], Awaitable[None]]]:
        for plan in plans:
            for up in plan.ups:
                step = partial(self._up, plan, up, encrypt=task.encrypt)
                yield partial(noted, self._outcome, step)
            for down in plan.downs:
                yield partial(noted, self._outcome, partial(self._down, plan, down))

    async def _up(self, plan: Plan, up: Up, *, encrypt: bool) -> None:
        sealed_for = partial(self._shelf.facts, plan.label, up.name) if encrypt else None
        with self._watching.file("Uploading", up.name, up.size) as count:
            kept = await self._kept(plan, up, count, sealed_for)
            await self._announcer.tell(plan.label, up.name, kept)
        self._outcome.uploaded += 1

    async def _kept(self, plan: Plan, up: Up, count: Count, sealed_for: Naming) -> Object:
        """The bytes of a file, as an object."""
        if up.size <= SMALL:
            data = await in_thread(
                lambda: self._directory.contents(plan.parts, up.name, most=SMALL)
            )
            if data is not None:
                return await self._transfer.upload_small(data, count, sealed_for=sealed_for)
        shown = self._directory.shown(plan.parts, up.name)
        with self._directory.reading(plan.parts, up.name) as file:
            return await self._transfer.upload(file, shown, count, sealed_for=sealed_for)

    async def _down(self, plan: Plan, down: Down) -> None:
        kept = await self._shelf.place(plan.label, down.remote)
        await fetch(
            self._transfer,
            kept,
            self._shelf.facts(plan.label, down.name, kept.size, kept.checksum),
            self._watching,
            into=self._directory,
            parts=plan.parts,
            instead_of=down.instead_of,
        )
        self._outcome.downloaded += 1


async def fetch(
    transfer: Transfer,
    kept: Object,
    facts: Facts,
    watching: Watching,
    *,
    into: Directory,
    parts: Parts,
    instead_of: Stamp | None,
) -> None:
    """Bring the bytes of a revision into a directory, under the name in its facts, whole.

    Raises:
        InTheWay: something else is there by now.
    """
    name = safe.checked(facts.name)
    with watching.file("Downloading", name, kept.size) as count:
        if kept.size <= SMALL:
            data = await transfer.contents(kept, count, facts)
            await in_thread(lambda: into.put(parts, name, data, instead_of=instead_of))
            return
        with into.writing(parts, name, instead_of=instead_of) as file:
            await transfer.download(kept, file, count, facts)
            await in_thread(file.keep)


async def each(parallel: int, steps: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Take all steps, so many side by side; the first that fails ends the others.

    Raises:
        CliError: what it failed with.
    """
    waiting = iter(steps)

    async def lane() -> None:
        for step in waiting:
            await step()

    try:
        async with asyncio.TaskGroup() as lanes:
            for _ in range(parallel):
                lanes.create_task(lane())
    except* CliError as group:
        raise first(group) from group
