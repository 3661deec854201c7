"""Attributes of processes."""

from api import wire_attribute
from api.context import Call, Context
from api.present import attributes_of
from broker import access, keys
from broker.access import Gate
from broker.aggregates import attribute as aggregate
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Invalid
from projections.core import listings


async def add(
    ctx: Context, call: Call, msg: wire_attribute.AddAttributeMsg
) -> wire_attribute.Attribute:
    """Put an attribute on a running process."""
    given = msg.attribute or wire_attribute.Attribute()
    command = aggregate.SetAttribute(
        process_id=given.targetid, kind=given.attributetype, key=given.key, value=given.value
    )

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, ProcessRow | None]]:  # noqa: FBT001
        colony, gate = await ctx.gate_of(call, given.targetid, fresh=fresh)
        row = await listings.process(ctx.store, colony.tag, given.targetid) if colony else None
        return colony, (gate, row)

    def decide(rows: tuple[Gate, ProcessRow | None], now_ns: int) -> Decision:
        return aggregate.put(rows[0], command, rows[1], now_ns)

    event = await ctx.write(call, read, decide)
    if not isinstance(event, aggregate.AttributeSet):
        raise Corrupt("an attribute that is not in the log")
    colony = await ctx.directory.of_id(given.targetid)
    return wire_attribute.Attribute(
        attributeid=event.subject,
        targetid=event.process_id,
        targetcolonyname=colony.name if colony else "",
        state=int(State.RUNNING),
        attributetype=event.kind,
        key=event.key,
        value=event.value,
    )


async def get(
    ctx: Context, call: Call, msg: wire_attribute.GetAttributeMsg
) -> wire_attribute.Attribute:
    """Read an attribute. Its id does not name a colony, so it is looked for in each."""
    for colony in await ctx.directory.every():
        found = await ctx.store.send("HGET", colony.tag.key(keys.ATTRIBUTES), msg.attributeid)
        if found is None:
            continue
        _, gate = await ctx.gate(call, colony.name)
        access.member(gate)
        row = await listings.process(ctx.store, colony.tag, found.decode())
        for shown in attributes_of(row, colony.name) if row else ():
            if shown.attributeid == msg.attributeid:
                return shown
    raise Invalid("Attribute does not exists")
