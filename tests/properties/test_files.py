"""Any order of commands leaves files, labels and snapshots as a simple model says.

The model keeps every revision that was ever added with when it came and went, and what each
snapshot held when it was made. Two API processes share a store, and a third of the commands come in
pairs that run at the same time.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from api.wire_file import File
from broker import shelf
from broker.clock import StoreClock
from broker.errors import Invalid, Taken
from broker.store import EventStore
from projections.core import fold
from projections.replay import live_rows, replay
from tests.filing import Filing
from tests.links import FakeLink

LONG = os.environ.get("PROPERTIES") == "long"
SEARCH = settings(
    max_examples=500 if LONG else 15,
    stateful_step_count=60 if LONG else 30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    phases=list(Phase) if LONG else [Phase.explicit, Phase.reuse, Phase.generate],
)
LABELS = st.sampled_from(["", "a", "/a", "/a/b", "/a/b/c", "/ab", "/a//b", "/é", "/a/"])
NAMES = st.sampled_from(["", "x", "x!", "y", "ü"])
SERVERS = st.booleans()
NOTHING = cast("Any", multiple())


@dataclass
class Revision:
    """What was said of one revision; how many snapshots had been made when it came and went."""

    file_id: str
    label: str
    name: str
    number: int
    came: int
    went: int | None = None

    @property
    def is_there(self) -> bool:
        """It was not removed."""
        return self.went is None


@dataclass
class Kept:
    """What a snapshot is to hold."""

    label: str
    name: str
    number: int
    held: set[str]


def is_in(label: str, tree: str) -> bool:
    """A label is in a tree."""
    return not tree or label == tree or label.startswith(tree + "/")


@dataclass
class Shelves:
    """The model."""

    revisions: list[Revision] = field(default_factory=list[Revision])
    snapshots: dict[str, Kept] = field(default_factory=dict[str, Kept])
    made: int = 0

    def add(self, given: File) -> None:
        """A revision came."""
        come = Revision(given.fileid, given.label, given.name, given.sequencenr, self.made)
        self.revisions.append(come)

    def remove(self, which: Callable[[Revision], bool]) -> None:
        """Revisions went."""
        for each in self.revisions:
            if each.is_there and which(each):
                each.went = self.made

    def there(self) -> list[Revision]:
        """What was not removed."""
        return [each for each in self.revisions if each.is_there]

    def newest(self) -> dict[tuple[str, str], Revision]:
        """The newest of each file."""
        found: dict[tuple[str, str], Revision] = {}
        for each in sorted(self.there(), key=lambda each: each.number):
            found[each.label, each.name] = each
        return found

    def held(self, label: str) -> set[str]:
        """What a snapshot of a label holds now."""
        return {each.file_id for (where, _), each in self.newest().items() if is_in(where, label)}

    def may_be_kept(self) -> set[str]:
        """What was there when one of the snapshots was made, in its tree."""
        return {
            each.file_id
            for each in self.revisions
            for kept in self.snapshots.values()
            if is_in(each.label, kept.label)
            and each.came < kept.number
            and (each.went is None or kept.number <= each.went)
        }


class AnyFiling(RuleBasedStateMachine):
    """One colony with files, on two servers."""

    ids: Bundle[str] = Bundle("ids")
    snapshots: Bundle[str] = Bundle("snapshots")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        link, clock = FakeLink(), StoreClock()
        self.servers = [Filing(EventStore(link, fold, clock)) for _ in range(2)]
        self.model = Shelves()
        self.names = 0
        self.page = shelf.PAGE

    def teardown(self) -> None:
        """The loop is the machine's own, the size of pages is not."""
        self.runner.close()
        shelf.PAGE = self.page

    @initialize(page=st.sampled_from([1, 2, 500]))
    def begin(self, page: int) -> None:
        """Everybody is there; lists are read in pages of this size."""
        shelf.PAGE = page
        self.runner.run(self.servers[0].found())
        self.tag = self.runner.run(self.servers[0].tag())

    # ------------------------------------------------------------ commands

    @rule(target=ids, there=SERVERS, label=LABELS, name=NAMES)
    def put(self, there: bool, label: str, name: str) -> str:  # noqa: FBT001
        """A revision is added."""
        given = self.runner.run(self.servers[there].put(label, name))
        self.model.add(given)
        return given.fileid

    @rule(target=ids, label=LABELS, name=NAMES, other=NAMES)
    def put_two(self, label: str, name: str, other: str) -> Any:  # noqa: ANN401 - both
        """Two revisions are added at once, perhaps of the same file."""

        async def both() -> tuple[File, File]:
            here, there = self.servers
            return await asyncio.gather(here.put(label, name), there.put(label, other))

        given = self.runner.run(both())
        for each in given:
            self.model.add(each)
        return multiple(*(each.fileid for each in given))

    @rule(there=SERVERS, file_id=ids)
    def remove_revision(self, there: bool, file_id: str) -> None:  # noqa: FBT001
        """A revision is removed; again does no harm."""
        self.runner.run(self.servers[there].remove(file_id=file_id))
        self.model.remove(lambda each: each.file_id == file_id)

    @rule(there=SERVERS, label=LABELS, name=NAMES)
    def remove_file(self, there: bool, label: str, name: str) -> None:  # noqa: FBT001
        """A file is removed with all its revisions."""
        try:
            self.runner.run(self.servers[there].remove(label, name))
        except Invalid:
            assert not label or not name
            return
        self.model.remove(lambda each: (each.label, each.name) == (label, name))

    @rule(first=ids, second=ids)
    def remove_two(self, first: str, second: str) -> None:
        """Two revisions are removed at once, perhaps the last two of a label."""

        async def both() -> None:
            here, there = self.servers
            await asyncio.gather(here.remove(file_id=first), there.remove(file_id=second))

        self.runner.run(both())
        self.model.remove(lambda each: each.file_id in {first, second})

    @rule(target=snapshots, there=SERVERS, label=LABELS, named=st.booleans())
    def snap(self, there: bool, label: str, named: bool) -> Any:  # noqa: ANN401, FBT001
        """A snapshot is made."""
        self.names += 1
        name = f"snapshot:{self.names}" if named else "the same"
        taken = name in {each.name for each in self.model.snapshots.values()}
        try:
            made = self.runner.run(self.servers[there].snap(label, name))
        except Taken:
            assert taken
            return NOTHING
        assert not taken
        kept = label.removesuffix("/")
        held = self.model.held(kept)
        assert set(made.fileids) == held
        self.model.made += 1
        self.model.snapshots[made.snapshotid] = Kept(kept, name, self.model.made, held)
        return made.snapshotid

    @rule(there=SERVERS, snapshot_id=consumes(snapshots))
    def unsnap(self, there: bool, snapshot_id: str) -> None:  # noqa: FBT001
        """A snapshot is removed."""
        self.runner.run(self.servers[there].unsnap(snapshot_id))
        self.model.snapshots.pop(snapshot_id, None)

    @rule(there=SERVERS)
    def unsnap_all(self, there: bool) -> None:  # noqa: FBT001
        """All snapshots are removed."""
        self.runner.run(self.servers[there].unsnap_all())
        self.model.snapshots.clear()

    @rule()
    def forget(self) -> None:
        """Both timers forget what no snapshot names, at the same time."""

        async def both() -> None:
            await asyncio.gather(*(server.forget() for server in self.servers))

        self.runner.run(both())
        self.runner.run(self.servers[0].forget())
        self._only_what_is_named_is_kept()

    def _only_what_is_named_is_kept(self) -> None:
        kept = {key.removeprefix("fr:") for key in self.runner.run(self.servers[0].rows("fr:"))}
        there = {each.file_id for each in self.model.there()}
        named = set[str]().union(*(each.held for each in self.model.snapshots.values()))
        assert there | named <= kept <= there | self.model.may_be_kept()

    # ------------------------------------------------------------ what is always true

    @invariant()
    def rows_are_the_folded_log(self) -> None:
        """Folding the stream from zero gives the live rows, key by key."""
        rows, _ = self.runner.run(replay(self.servers[0].store, self.tag, fold))
        assert rows.values() == self.runner.run(live_rows(self.servers[0].store, self.tag))

    @invariant()
    def labels_are_those_with_files(self) -> None:
        """Each label counts what is in it."""
        counted: dict[str, int] = {}
        names: dict[str, set[str]] = {}
        for each in self.model.there():
            counted[each.label] = counted.get(each.label, 0) + 1
            names.setdefault(each.label, set()).add(each.name)
        assert self.runner.run(self.servers[1].labels()) == counted
        distinct = self.runner.run(self.servers[1].labels(distinct=True))
        assert distinct == {label: len(inside) for label, inside in names.items()}

    @invariant()
    def files_are_their_newest_revisions(self) -> None:
        """Lists and look-ups by name show the newest; a look-up of all shows all in order."""
        newest = self.model.newest()
        for label in {where for where, _ in newest}:
            found = [each.name for each in self.runner.run(self.servers[0].listed(label))]
            mine = sorted((name for where, name in newest if where == label), key=str.encode)
            assert found == mine
        for (label, name), revision in newest.items():
            if label and name:
                self._shows(label, name, revision)

    def _shows(self, label: str, name: str, revision: Revision) -> None:
        server = self.servers[1]
        found = self.runner.run(server.look(label, name, latest=True))
        assert [each.fileid for each in found] == [revision.file_id]
        every = self.runner.run(server.look(label, name))
        mine = [e for e in self.model.there() if (e.label, e.name) == (label, name)]
        mine.sort(key=lambda each: -each.number)
        assert [each.fileid for each in every] == [each.file_id for each in mine]
        assert len({each.sequencenr for each in every}) == len(every)

    @invariant()
    def snapshots_hold_what_they_held(self) -> None:
        """Whatever happened since, a snapshot names the same revisions, and they can be read."""
        server = self.servers[0]
        for snapshot_id, kept in self.model.snapshots.items():
            found = self.runner.run(server.snapshot(snapshot_id))
            assert (found.label, found.name) == (kept.label, kept.name)
            assert sorted(found.fileids) == sorted(kept.held)
            for file_id in kept.held:
                assert self.runner.run(server.look(file_id=file_id))[0].fileid == file_id
        listed = self.runner.run(server.snapshots())
        assert [each.snapshotid for each in listed] == list(reversed(self.model.snapshots))


TestAnyFiling = AnyFiling.TestCase
TestAnyFiling.settings = SEARCH
