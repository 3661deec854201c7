"""How long a process that ran out of time waits before it is offered again."""

import hashlib
import math

import msgspec
from msgspec import Struct

from broker.clock import SECOND_NS
from broker.errors import Invalid

MOST_S = 1e9
_FRACTION = 2**64


class Backoff(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``initial`` seconds before the first retry, ``factor`` times as long before each further one.

    At most ``maximum`` seconds. ``jitter`` (0 to 1) spreads each delay evenly over that part of
    itself, up and down, so that what failed together does not come back together.
    """

    initial: float = 1.0
    factor: float = 2.0
    maximum: float = 300.0
    jitter: float = 0.0

    def check(self) -> None:
        """See that it makes sense.

        Raises:
            Invalid: a part is out of its range.
        """
        if not 0 < self.initial <= self.maximum <= MOST_S:
            raise Invalid(
                f"retrybackoff: 0 < initial <= maximum <= {MOST_S:.0f} (seconds) is asked for,"
                f" initial is {self.initial:g}, maximum {self.maximum:g}"
            )
        if not 1 <= self.factor <= MOST_S:
            raise Invalid(f"retrybackoff: factor is {self.factor:g}, less than 1 or too large")
        if not 0 <= self.jitter <= 1:
            raise Invalid(f"retrybackoff: jitter is {self.jitter:g}, not between 0 and 1")

    def delay_ns(self, process_id: str, retry: int) -> int:
        """The delay before a retry, counted from 1. The same retry always has the same delay."""
        growth = (retry - 1) * math.log(self.factor)
        if growth >= math.log(self.maximum / self.initial):
            delay = self.maximum
        else:
            delay = self.initial * math.exp(growth)
        drawn = hashlib.sha3_256(f"{process_id}/{retry}".encode()).digest()[:8]
        spread = 2 * int.from_bytes(drawn, "big") / _FRACTION - 1
        return int(delay * (1 + self.jitter * spread) * SECOND_NS)


class _Spec(Struct):
    retrybackoff: Backoff | None = None


def backoff_in(spec: bytes) -> Backoff | None:
    """What a stored function spec (JSON) says about it."""
    return msgspec.json.decode(spec, type=_Spec).retrybackoff
