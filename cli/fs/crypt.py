"""Encryption of files on the client: AES-256-GCM in chunks, a fresh key for each file.

The object is the file in chunks of 256 KiB, each encrypted and followed by its tag. The nonce of a
chunk is its number and whether it is the last one, so chunks cannot be exchanged, left out or cut
off; an empty file is one empty last chunk. The key of the file is encrypted with the key of the
colony, over what the server says about the file: it cannot pass one file off as another.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cli.errors import CliError, UsageError

ALGORITHM = "AES-256-GCM-256K"
CHUNK = 256 * 1024
TAG = 16
_KEY = 32
_NONCE = 12
_HINT = "COLONIES_FS_KEY must be the key that the file was encrypted with"


class Undecipherable(CliError):
    """Not what was encrypted, or not with this key."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint=_HINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the key of a file is bound to."""

    colony: str
    label: str
    name: str
    size: int
    checksum: str

    def text(self) -> bytes:
        """One spelling for each."""
        listed = [ALGORITHM, self.colony, self.label, self.name, self.size, self.checksum]
        return json.dumps(listed, ensure_ascii=True).encode("ascii")


@dataclass(frozen=True, slots=True)
class FileCipher:
    """The key of one file."""

    key: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> "FileCipher":
        """A key that no other file has."""
        return cls(secrets.token_bytes(_KEY))

    def encrypted(self, chunks: Iterable[bytes], *, first: int, ends: bool) -> Iterator[bytes]:
        """Chunks with their tags; ``ends`` says that the last of them is the last of the file.

        Each chunk of the file but the last has exactly ``CHUNK`` bytes, and no number may be
        encrypted twice.
        """
        gcm = AESGCM(self.key)
        waiting: bytes | None = None
        number = first
        for chunk in chunks:
            if waiting is not None:
                yield gcm.encrypt(_nonce(number, last=False), waiting, None)
                number += 1
            waiting = chunk
        if waiting is not None:
            yield gcm.encrypt(_nonce(number, last=ends), waiting, None)

    def decrypted(self, sealed: Iterable[bytes], *, size: int) -> Iterator[bytes]:
        """The chunks of a file of so many bytes, of sealed ones of ``CHUNK + TAG`` bytes.

        Raises:
            Undecipherable: a byte is not as it was, or some are missing.
        """
        gcm = AESGCM(self.key)
        last = chunks_of(size) - 1
        number = -1
        try:
            for number, chunk in enumerate(sealed):
                yield gcm.decrypt(_nonce(number, last=number == last), chunk, None)
        except InvalidTag as error:
            raise Undecipherable(f"chunk {number + 1} of the file is not as encrypted") from error
        if number != last:
            raise Undecipherable("the end of the file is missing")


@dataclass(frozen=True, slots=True)
class ColonyKey:
    """The key that all who share encrypted files of a colony have, and no server."""

    key: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> "ColonyKey":
        """A new key."""
        return cls(secrets.token_bytes(_KEY))

    @classmethod
    def from_hex(cls, text: str) -> "ColonyKey":
        """The key of a setting.

        Raises:
            UsageError: it is none; the text is not shown.
        """
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != _KEY:
            raise UsageError(
                "COLONIES_FS_KEY is no key: it must be 64 hex digits",
                hint="`colonies fs key generate` makes one",
            )
        return cls(key)

    def hex(self) -> str:
        """The text for a setting."""
        return self.key.hex()

    def wrap(self, cipher: FileCipher, facts: Facts) -> str:
        """The key of a file, for the server to keep."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(self.key).encrypt(nonce, cipher.key, facts.text())
        return base64.b64encode(nonce + sealed).decode("ascii")

    def unwrap(self, wrapped: str, facts: Facts) -> FileCipher:
        """The key of a file, from what the server kept.

        Raises:
            Undecipherable: it was wrapped with another key or for another file, or was changed.
        """
        try:
            text = base64.b64decode(wrapped, validate=True)
            key = AESGCM(self.key).decrypt(text[:_NONCE], text[_NONCE:], facts.text())
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise Undecipherable(
                f"{facts.name} was encrypted with another key than COLONIES_FS_KEY,"
                " or is not the file it should be"
            ) from error
        return FileCipher(key)


def chunks_of(size: int) -> int:
    """In how many chunks a file of this size is encrypted."""
    return max(1, -(-size // CHUNK))


def sealed_size(size: int) -> int:
    """How many bytes a file of this size has encrypted."""
    return size + TAG * chunks_of(size)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_NONCE - 1, "big") + bytes([last])
