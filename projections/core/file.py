"""Rows of revisions and files, and the index of each label."""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.file import FileAdded, FileRemoved, FilesForgotten, LabelForgotten
from broker.decision import Write, delete, hincrby, hset, zadd, zcut, zraise, zrem
from broker.registry import pack
from broker.revisions import Kept, Listed, kept_member, listed_member, place
from projections.projection import Folds, folding


def _added(event: FileAdded) -> Iterator[Write]:
    file, label = keys.file(event.label, event.name), keys.label(event.label)
    revision = Listed(
        name=event.name,
        number=event.number,
        file_id=event.subject,
        made=event.made,
        size=event.size,
        checksum=event.checksum,
        object=event.object,
    )
    yield hset(keys.revision(event.subject), given=pack(event), at=event.at_ns)
    yield hset(file, last=event.number)
    yield hincrby(file, "revisions")
    yield zadd(keys.files_in(event.label), 0, listed_member(revision))
    yield zadd(keys.LABELS, 0, event.label)
    yield hincrby(label, "files")
    if event.first:
        yield hincrby(label, "names")
    yield zraise(keys.FILE_NUMBER, event.number, keys.LAST)


def _removed(event: FileRemoved) -> Iterator[Write]:
    yield zcut(keys.files_in(event.label), place(event.name, event.number))
    if event.until:
        yield from _kept(event)
    else:
        yield delete(keys.revision(event.subject))
    yield from _counted_out(event)


def _kept(event: FileRemoved) -> Iterator[Write]:
    revision = Kept(
        name=event.name,
        number=event.number,
        file_id=event.subject,
        made=event.made,
        until=event.until,
    )
    yield hset(keys.revision(event.subject), until=event.until)
    yield zadd(keys.kept_in(event.label), 0, kept_member(revision))
    yield zadd(keys.KEPT_LABELS, 0, event.label)


def _counted_out(event: FileRemoved) -> Iterator[Write]:
    file, label = keys.file(event.label, event.name), keys.label(event.label)
    yield delete(file) if event.ends_file else hincrby(file, "revisions", -1)
    if event.ends_label:
        yield delete(label)
        yield zrem(keys.LABELS, event.label)
        return
    yield hincrby(label, "files", -1)
    if event.ends_file:
        yield hincrby(label, "names", -1)


def _forgotten(event: FilesForgotten) -> Iterator[Write]:
    for file_id, member in event.members.items():
        yield zrem(keys.kept_in(event.subject), member)
        yield delete(keys.revision(file_id))


def _label_forgotten(event: LabelForgotten) -> Iterator[Write]:
    yield zrem(keys.KEPT_LABELS, event.subject)


FOLDS: Folds = dict(
    (
        folding(FileAdded, _added),
        folding(FileRemoved, _removed),
        folding(FilesForgotten, _forgotten),
        folding(LabelForgotten, _label_forgotten),
    )
)
