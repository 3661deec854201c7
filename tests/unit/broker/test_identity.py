"""Identities and signatures are bit for bit those of the reference.

Source: tests/contract/recordings/crypto_vectors.json, made with the reference implementation.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadSignature, Malformed
from broker.identity import Identity, digest, is_identity, recover

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[2] / "contract" / "recordings" / "crypto_vectors.json").read_text()
)


def vectors(kind: str, *, refused: bool) -> list[Any]:
    """The vectors of a kind that are accepted, or those that are refused, as test parameters."""
    chosen = [each for each in VECTORS[kind] if ("error" in each) == refused]
    assert chosen
    return [pytest.param(each, id=each["name"]) for each in chosen]


@pytest.mark.parametrize("vector", vectors("private_keys", refused=False))
def test_identity_follows_from_the_private_key(vector: dict[str, str]) -> None:
    identity = Identity.from_hex(vector["prvkey"])

    assert (identity.pubkey, identity.id) == (vector["pubkey_hex"], vector["id"])


@pytest.mark.parametrize("vector", vectors("private_keys", refused=True))
def test_bad_private_key_is_refused_with_the_reference_text(vector: dict[str, str]) -> None:
    with pytest.raises(Malformed) as refusal:
        Identity.from_hex(vector["prvkey"])

    assert str(refusal.value) == vector["error"]


@pytest.mark.parametrize("vector", vectors("signatures", refused=False))
def test_signature_is_the_same_bytes(vector: dict[str, str]) -> None:
    message = vector["message"].encode()

    assert digest(message).hex() == vector["sha3_256"]
    assert Identity.from_hex(vector["prvkey"]).sign(message) == vector["signature"]


@pytest.mark.parametrize(
    "vector", vectors("signatures", refused=False) + vectors("special", refused=False)
)
def test_signer_is_recovered(vector: dict[str, str]) -> None:
    assert recover(vector["message"].encode(), vector["signature"]) == vector["recovered_id"]


@pytest.mark.parametrize("vector", vectors("special", refused=True))
def test_bad_signature_is_refused_with_the_reference_text(vector: dict[str, str]) -> None:
    with pytest.raises(BadSignature) as refusal:
        recover(vector["message"].encode(), vector["signature"])

    assert str(refusal.value) == vector["error"]


@given(st.text() | st.binary(min_size=65, max_size=65).map(bytes.hex))
def test_any_text_is_a_signature_or_is_refused(text: str) -> None:
    with contextlib.suppress(BadSignature):
        assert is_identity(recover(b"payload", text))


@given(st.binary())
def test_own_signature_recovers_own_id(payload: bytes) -> None:
    identity = Identity.from_hex("7f" * 32)

    assert recover(payload, identity.sign(payload)) == identity.id


def test_private_key_survives_a_round_trip() -> None:
    identity = Identity.generate()

    assert Identity.from_hex(identity.prvkey).id == identity.id
    assert len(identity.prvkey) == 64


def test_leading_zeros_of_a_private_key_are_kept() -> None:
    assert Identity.from_hex(f"{1:064x}").prvkey == f"{1:064x}"


def test_generated_identities_differ() -> None:
    assert Identity.generate().id != Identity.generate().id


def test_private_key_is_not_shown() -> None:
    identity = Identity.from_hex("7f" * 32)

    assert identity.prvkey not in repr(identity)


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n"])
def test_other_texts_are_no_ids(text: str) -> None:
    assert not is_identity(text)


def test_an_id_is_64_hex_digits() -> None:
    assert is_identity("0123456789abcdef" * 4)
