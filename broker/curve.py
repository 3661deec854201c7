"""Recovery on secp256k1, straight from the C library that coincurve brings.

coincurve's own objects around it take another tenth of the time, on every request.
"""

from typing import Any

from coincurve import ecdsa

_typed: Any = ecdsa  # the library and its foreign functions have no types
_ffi, _lib, _context = _typed.ffi, _typed.lib, _typed.GLOBAL_CONTEXT.ctx
_SIGNATURE = _ffi.typeof("secp256k1_ecdsa_recoverable_signature *")
_KEY = _ffi.typeof("secp256k1_pubkey *")
_TEXT = _ffi.typeof("unsigned char[65]")
_SIZE = _ffi.typeof("size_t *")
_UNCOMPRESSED = 2


def recovered(rs: bytes, v: int, digest: bytes) -> bytes | None:
    """The public key that made a signature, uncompressed, 65 bytes; None if there is none.

    ``rs`` are 64 bytes, ``v`` is 0 to 3, ``digest`` is what was signed, 32 bytes.
    """
    signature, key, text = _ffi.new(_SIGNATURE), _ffi.new(_KEY), _ffi.new(_TEXT)
    if not _lib.secp256k1_ecdsa_recoverable_signature_parse_compact(_context, signature, rs, v):
        return None
    if not _lib.secp256k1_ecdsa_recover(_context, key, signature, digest):
        return None
    size = _ffi.new(_SIZE, len(text))
    _lib.secp256k1_ec_pubkey_serialize(_context, text, size, key, _UNCOMPRESSED)
    return bytes(_ffi.buffer(text))
