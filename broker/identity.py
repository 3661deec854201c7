"""Identities: secp256k1 keys, SHA3-256 ids, recoverable signatures.

The id of an identity is SHA3-256 over the *text* of the uncompressed public key in hex, and a
request is signed over SHA3-256 of the base64 text of its payload (core.md, section 3). Whoever can
be recovered from a signature is the caller; there is no other authentication.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from functools import lru_cache

from coincurve import PrivateKey

from broker.curve import recovered
from broker.errors import BadSignature, Malformed

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_FIELD = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F
_HALF_ORDER = _ORDER // 2
_HEX = re.compile(r"[0-9a-fA-F]*\Z")
_ID = re.compile(r"[0-9a-f]{64}\Z")
_SIGNATURE_BYTES = 65
_SIGNATURE_DIGITS = 130
_ORDINARY_V = 2
_ZERO = bytes(32)
_ORDER_BYTES = _ORDER.to_bytes(32, "big")
_HALF_ORDER_BYTES = _HALF_ORDER.to_bytes(32, "big")
_KEY_DIGITS = 64
_COMPRESSED_FLAG = 4
_SIGNERS_REMEMBERED = 1_024
"""Most come once, and whatever is remembered for long has left the caches when it is forgotten."""
_IDENTITIES_REMEMBERED = 16_384


def is_identity(text: str) -> bool:
    """Whether a text has the form of an identity id: 64 lower-case hex digits."""
    return _ID.match(text) is not None


def digest(payload: bytes) -> bytes:
    """SHA3-256 of the base64 text of a payload: what a signature signs, 32 bytes."""
    return hashlib.sha3_256(payload).digest()


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key and the id that follows from it."""

    id: str
    _key: PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> "Identity":
        """Make a new random identity."""
        return cls.from_hex(PrivateKey(secrets.token_bytes(32)).to_hex())

    @classmethod
    def from_hex(cls, prvkey: str) -> "Identity":
        """Read a private key of 64 hex digits, 1 to n-1.

        Raises:
            Malformed: not such a key; the texts are the reference's and never show the key.
        """
        fault = _hex_fault(prvkey)
        if fault:
            raise Malformed(fault)
        if len(prvkey) != _KEY_DIGITS:
            raise Malformed("Invalid private key length, should be 256 bits")
        if not 0 < int(prvkey, 16) < _ORDER:
            raise Malformed("Invalid private key")
        key = PrivateKey.from_hex(prvkey.lower())
        return cls(_id_of(key.public_key.format(compressed=False)), key)

    @property
    def prvkey(self) -> str:
        """The private key, 64 lower-case hex digits. Never log it."""
        return self._key.to_hex().zfill(_KEY_DIGITS)

    @property
    def pubkey(self) -> str:
        """The uncompressed public key, 130 lower-case hex digits."""
        return self._key.public_key.format(compressed=False).hex()

    def sign(self, payload: bytes) -> str:
        """Sign the base64 text of a payload: hex of r(32) || s(32) || v(1), RFC 6979."""
        return self._key.sign_recoverable(digest(payload), hasher=None).hex()  # pyright: ignore[reportUnknownMemberType] - its nonce is untyped


def recover(payload: bytes, signature: str) -> str:
    """The id of whoever signed the base64 text ``payload``.

    A wrong key or an altered payload does not fail: it recovers some other id, which no row knows.

    Raises:
        BadSignature: no id can be recovered; the text says why, as the reference does.
    """
    return signer(digest(payload), signature)


@lru_cache(maxsize=_SIGNERS_REMEMBERED)
def signer(signed: bytes, signature: str) -> str:
    """The id of whoever signed a digest; see ``recover``.

    The same digest and signature have the same signer, and long polls repeat both.
    """
    raw = _signature_bytes(signature)
    public = recovered(raw[:64], raw[64], signed)
    if public is None:
        raise BadSignature(
            "Failed to recover public key: invalid signature: not for a valid curve point"
        )
    return _id_of(public)


@lru_cache(maxsize=_IDENTITIES_REMEMBERED)
def _id_of(public: bytes) -> str:
    return hashlib.sha3_256(public.hex().encode("ascii")).hexdigest()


def _signature_bytes(text: str) -> bytes:
    """The 65 bytes of a signature text.

    An ordinary signature passes without arithmetic; whatever is unusual is looked at in the
    reference's order (core.md, section 3).
    """
    if len(text) == _SIGNATURE_DIGITS:
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            return _examined(text)
        if (
            len(raw) == _SIGNATURE_BYTES  # it is not with white space among the digits
            and raw[64] < _ORDINARY_V
            and _ZERO < raw[:32] < _ORDER_BYTES
            and _ZERO < raw[32:64] <= _HALF_ORDER_BYTES
        ):
            return raw
    return _examined(text)


def _examined(text: str) -> bytes:
    fault = _hex_fault(text)
    if fault:
        raise BadSignature(fault)
    raw = bytes.fromhex(text)
    if len(raw) != _SIGNATURE_BYTES:
        raise BadSignature("Invalid signature length")
    r, s, v = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64]
    fault = _fault(r, s, v)
    if fault:
        raise BadSignature(fault)
    return raw[:64] + bytes([v % _COMPRESSED_FLAG])


def _hex_fault(text: str) -> str | None:
    """What Go's hex decoder says of a text; ``bytes.fromhex`` would let white space pass."""
    if _HEX.match(text) is None:
        bad = next(c for c in text if c not in "0123456789abcdefABCDEF")
        shown = f" '{bad}'" if bad.isprintable() else ""
        return f"encoding/hex: invalid byte: U+{ord(bad):04X}{shown}"
    return "encoding/hex: odd length hex string" if len(text) % 2 else None


def _fault(r: int, s: int, v: int) -> str | None:
    prefix = "Failed to recover public key: invalid signature: "
    code = (v + 27) % 256
    overflowing = v & 2 and r + _ORDER >= _FIELD
    faults = (
        (
            v >= 2 * _COMPRESSED_FLAG,
            f"{prefix}public key recovery code {code} is not in the valid range [27, 34]",
        ),
        (r >= _ORDER, f"{prefix}R >= group order"),
        (r == 0, f"{prefix}R is 0"),
        (s >= _ORDER, f"{prefix}S >= group order"),
        (s == 0, f"{prefix}S is 0"),
        (overflowing, f"{prefix}signature R + N >= P"),
        (s > _HALF_ORDER, "Failed verify signature: Signature s value is over half the order"),
    )
    return next((text for broken, text in faults if broken), None)
