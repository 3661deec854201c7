"""Who asked for an event: the signature that stands beside it, and whose it is."""

from dataclasses import dataclass

from broker.errors import BadSignature
from broker.identity import signer

_DIGEST_BYTES = 32
BY_SERVER = ""
UNREADABLE = "?"
"""In place of a signer, where the signature is none."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was signed (its SHA3-256), the signature, and the identity that follows from both.

    All are empty for what the server did by itself.
    """

    digest: bytes
    signature: bytes
    signer: str

    @classmethod
    def read(cls, signed: bytes) -> "Proof":
        """From what an entry of a log carries."""
        digest, signature = signed[:_DIGEST_BYTES], signed[_DIGEST_BYTES:]
        if not signed:
            return cls(b"", b"", BY_SERVER)
        try:
            return cls(digest, signature, signer(digest, signature.hex()))
        except BadSignature:
            return cls(digest, signature, UNREADABLE)
