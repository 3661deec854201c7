"""msgpack, the storage format of everything opaque: the one place where its untyped API ends."""

from collections.abc import Callable
from typing import Any

import msgpack

from broker.errors import Corrupt

_msgpack: Any = msgpack  # it ships no types
_pack: Callable[[object], bytes] = _msgpack.Packer().pack


def packed(value: object) -> bytes:
    """The stored form of maps, lists, texts, bytes, numbers and None."""
    return _pack(value)


def unpacked(data: bytes) -> Any:  # noqa: ANN401 - callers say what they stored
    """What was stored.

    Raises:
        Corrupt: this is not what ``packed`` makes.
    """
    try:
        return _msgpack.unpackb(data)
    except (ValueError, msgpack.UnpackException) as error:
        raise Corrupt(f"unreadable msgpack: {error}") from error
