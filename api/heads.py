"""Heads of calls that are known byte for byte.

A client says the same in front of every call but for the length of its body, and parsing that costs
more than the rest of HTTP. A head that once was a whole plain call's means the same when it comes
again in the same place.
"""

_END = b"\r\n\r\n"
_MOST = 256
_LONGEST = 1024


class Heads:
    """What was seen, with the length of the body it announces."""

    def __init__(self) -> None:
        self._lengths: dict[bytes, int] = {}

    def body_in(self, data: bytes) -> bytes | None:
        """The body, if ``data`` is a known head with the whole body it announces and no more."""
        end = data.find(_END) + len(_END)
        return data[end:] if self._lengths.get(data[:end]) == len(data) - end else None

    def remember(self, data: bytes, size: int) -> None:
        """Know a head, if ``data`` is just that and a body of so many bytes."""
        end = data.find(_END) + len(_END)
        if end + size == len(data) and end <= _LONGEST:
            if len(self._lengths) >= _MOST:
                self._lengths.clear()
            self._lengths[data[:end]] = size
