"""Who asked for an event: the signature that stands beside it, and whose it is."""

from dataclasses import dataclass

from broker.envelope import DIGEST_BYTES, PROOF_BYTES
from broker.errors import BadSignature
from broker.identity import signer

BY_SERVER = ""
UNREADABLE = "?"
"""In place of a signer, where the signature is none."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was signed (its SHA3-256), the signature, and the identity that follows from both.

    ``request`` is the text that was signed, where the entry has it. All are empty for what the
    server did by itself.
    """

    digest: bytes
    signature: bytes
    request: bytes
    signer: str

    @classmethod
    def read(cls, signed: bytes) -> "Proof":
        """From what an entry of a log carries."""
        digest, signature = signed[:DIGEST_BYTES], signed[DIGEST_BYTES:PROOF_BYTES]
        request = signed[PROOF_BYTES:]
        if not signed:
            return cls(b"", b"", b"", BY_SERVER)
        try:
            return cls(digest, signature, request, signer(digest, signature.hex()))
        except BadSignature:
            return cls(digest, signature, request, UNREADABLE)
