"""What is read to remove revisions of a file: which snapshots may name each of them."""

from collections.abc import Sequence

from broker import keys, labels
from broker.access import number_in
from broker.aggregates.file import Doomed, Era, FileRow, Removal, nameable
from broker.keys import Tag
from broker.revisions import Listed
from broker.store import EventStore

Followed = tuple[Listed, Listed | None]
"""A revision and the one that was added to it, if it is not the newest."""
_Span = tuple[int, int]


async def removal(
    store: EventStore, tag: Tag, label: str, name: str, page: Sequence[Followed]
) -> Removal | None:
    """What is removed of a file, with what was read beside; None when nothing of it is there."""
    file, in_label, state = await store.hashes(
        tag, keys.file(label, name), keys.label(label), keys.FILES
    )
    row, era = FileRow.read(file), Era.read(state)
    if row is None or not page:
        return None
    spans = [nameable(revision, after, era) for revision, after in page]
    named = await _named(store, tag, label, spans, era)
    doomed = [
        Doomed(
            file_id=revision.file_id,
            number=revision.number,
            made=revision.made,
            until=span[1] if span in named else 0,
        )
        for (revision, _), span in zip(page, spans, strict=True)
    ]
    return Removal(
        label=label,
        name=name,
        doomed=doomed,
        file=row,
        in_label=number_in(in_label, b"files"),
        era=era,
    )


async def _named(
    store: EventStore, tag: Tag, label: str, spans: Sequence[_Span], era: Era
) -> set[_Span]:
    """The spans of numbers in which there is a snapshot in whose tree a label is."""
    asked = {span for span in spans if span[0] <= span[1]} if era.made > era.gone else set[_Span]()
    trees = [tag.key(keys.snapshots_of(tree)) for tree in labels.trees_with(label)]
    pairs = [(span, tree) for span in asked for tree in trees]
    if not pairs:
        return set()
    counts = await store.read(*(("ZCOUNT", tree, *span) for span, tree in pairs))
    return {span for (span, _), count in zip(pairs, counts, strict=True) if count}
