"""A reply before it is put on a connection."""

from msgspec import Struct

Header = tuple[bytes, bytes]


class Answer(Struct, frozen=True):
    """HTTP status, body and headers (without a length)."""

    status: int
    body: bytes
    headers: tuple[Header, ...]
