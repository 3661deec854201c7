"""Function specs as the server reads them: no more of them than it has to look at."""

from msgspec import UNSET, Raw, UnsetType

from api import wire
from broker.aggregates.backoff import Backoff


class SubmittedSpec(wire.Wire):
    """A function spec of which the parts that clients send again and again stay text."""

    nodename: str | None = ""
    funcname: str | None = ""
    args: Raw = Raw(b"[]")
    kwargs: Raw = Raw(b"{}")
    priority: wire.Int | None = 0
    maxwaittime: wire.Int | None = 0
    maxexectime: wire.Int | None = 0
    maxretries: wire.Int | None = 0
    conditions: Raw = Raw(b"{}")
    label: str | None = ""
    fs: Raw = Raw(b"{}")
    env: dict[str, str] | None = None
    channels: list[str] | UnsetType | None = UNSET
    retrybackoff: Backoff | UnsetType | None = UNSET
