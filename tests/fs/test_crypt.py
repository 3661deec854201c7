"""Encrypted files: what was encrypted is what is decrypted, or there is an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.errors import UsageError
from cli.fs.crypt import CHUNK, TAG, ColonyKey, Facts, FileCipher, Undecipherable, sealed_size

FACTS = Facts(colony="dev", label="/x", name="n", size=3, checksum="abc")


def sealed(cipher: FileCipher, chunks: list[bytes]) -> list[bytes]:
    return list(cipher.encrypted(chunks, first=0, ends=True))


def opened(cipher: FileCipher, chunks: list[bytes], size: int) -> bytes:
    return b"".join(cipher.decrypted(chunks, size=size))


@given(st.binary(max_size=200), st.integers(0, 3))
def test_parts_encrypted_apart_are_one_file(tail: bytes, whole: int) -> None:
    cipher = FileCipher.fresh()
    first = [bytes([n]) * CHUNK for n in range(whole)]
    chunks = list(cipher.encrypted(first, first=0, ends=False))
    chunks += cipher.encrypted([tail], first=whole, ends=True)
    size = whole * CHUNK + len(tail)
    if tail or not whole:
        assert sum(map(len, chunks)) == sealed_size(size)
        assert opened(cipher, chunks, size) == b"".join([*first, tail])


THREE = [b"a" * CHUNK, b"b" * CHUNK, b"c"]
SIZE = 2 * CHUNK + 1


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("place", [0, -1])
def test_a_changed_byte_is_an_error(number: int, place: int) -> None:
    cipher = FileCipher.fresh()
    chunks = sealed(cipher, THREE)
    changed = bytearray(chunks[number])
    changed[place] ^= 1
    chunks[number] = bytes(changed)
    with pytest.raises(Undecipherable, match=f"chunk {number + 1}"):
        opened(cipher, chunks, SIZE)


@pytest.mark.parametrize(
    "order", [(0, 2, 1), (1, 0, 2), (0, 1), (0,), (), (0, 1, 2, 2), (0, 0, 1, 2)]
)
def test_chunks_in_another_order_or_number_are_an_error(order: tuple[int, ...]) -> None:
    cipher = FileCipher.fresh()
    chunks = sealed(cipher, THREE)
    with pytest.raises(Undecipherable):
        opened(cipher, [chunks[number] for number in order], SIZE)


def test_a_file_cut_off_between_chunks_is_an_error_whatever_its_size_is_said_to_be() -> None:
    cipher = FileCipher.fresh()
    chunks = sealed(cipher, THREE)
    with pytest.raises(Undecipherable):
        opened(cipher, chunks[:2], 2 * CHUNK)


def test_an_empty_file_is_sealed_too() -> None:
    cipher = FileCipher.fresh()
    (only,) = sealed(cipher, [b""])
    assert len(only) == TAG
    assert opened(cipher, [only], 0) == b""
    with pytest.raises(Undecipherable):
        opened(FileCipher.fresh(), [only], 0)


def test_a_key_is_wrapped_for_one_file_only() -> None:
    key, cipher = ColonyKey.fresh(), FileCipher.fresh()
    wrapped = key.wrap(cipher, FACTS)
    assert key.unwrap(wrapped, FACTS) == cipher
    for other in (
        Facts(colony="prod", label="/x", name="n", size=3, checksum="abc"),
        Facts(colony="dev", label="/y", name="n", size=3, checksum="abc"),
        Facts(colony="dev", label="/x", name="m", size=3, checksum="abc"),
        Facts(colony="dev", label="/x", name="n", size=4, checksum="abc"),
        Facts(colony="dev", label="/x", name="n", size=3, checksum="abd"),
    ):
        with pytest.raises(Undecipherable):
            key.unwrap(wrapped, other)


@pytest.mark.parametrize("wrapped", ["", "x", "AAAA", "é", "A" * 80])
def test_what_is_no_wrapped_key_is_an_error(wrapped: str) -> None:
    with pytest.raises(Undecipherable):
        ColonyKey.fresh().unwrap(wrapped, FACTS)


def test_two_wrappings_of_a_key_differ() -> None:
    key, cipher = ColonyKey.fresh(), FileCipher.fresh()
    assert key.wrap(cipher, FACTS) != key.wrap(cipher, FACTS)


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "a" * 66])
def test_a_setting_that_is_no_key_is_not_shown(text: str) -> None:
    with pytest.raises(UsageError, match="64 hex digits") as refused:
        ColonyKey.from_hex(text)
    assert not text or text not in refused.value.message


def test_keys_do_not_show_themselves() -> None:
    key = ColonyKey.fresh()
    assert key.hex() not in repr(key)
    assert ColonyKey.from_hex(key.hex()) == key
