"""Messages about attributes, as the protocol spells them (core.md, section 6.7)."""

from api import wire


class Attribute(wire.Wire):
    """A named value on a process; ``attributetype`` 0 IN, 1 OUT, 2 ERR, 3 ENV."""

    attributeid: str = ""
    targetid: str = ""
    targetcolonyname: str = ""
    targetprocessgraphid: str = ""
    state: wire.Int = 0
    attributetype: wire.Int = 0
    key: str = ""
    value: str = ""


class AddAttributeMsg(wire.Message):
    """Put an attribute on a running process."""

    attribute: Attribute | None = None


class GetAttributeMsg(wire.Message):
    """Read an attribute."""

    attributeid: str = ""
