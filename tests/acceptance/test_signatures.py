"""Signatures over the wire: those of the reference's vectors, and of payloads that were altered."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from broker.identity import recover
from tests.acceptance.asking import Api, sealed
from tests.acceptance.tenants import Tenant

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "contract" / "recordings" / "crypto_vectors.json").read_text()
)


@pytest.mark.parametrize(
    "vector",
    [*VECTORS["signatures"], *VECTORS["special"]],
    ids=lambda vector: vector["name"],
)
async def test_signature_vectors(untouched: Tenant, api: Api, vector: dict[str, Any]) -> None:
    """Messages of the vectors are no payloads, so a good signature meets what comes after it."""
    request = {
        "payloadtype": "getcolonymsg",
        "payload": vector["message"],
        "signature": vector["signature"],
    }

    status, text = (await api.post(json.dumps(request).encode())).refusal

    if "error" in vector:
        assert (status, text) == (403, vector["error"])
    else:
        assert recover(vector["message"].encode(), vector["signature"]) == vector["recovered_id"]
        assert (status, text.partition(",")[0]) == (400, "Failed to get colony")
    assert untouched


async def test_altered_payload_is_somebody_else(untouched: Tenant, api: Api) -> None:
    request = json.loads(sealed(untouched.owner, "removecolonymsg", colonyname="other"))
    payload = json.dumps({"msgtype": "pauseassignmentsmsg", "colonyname": untouched.name})
    request["payload"] = base64.b64encode(payload.encode()).decode()
    request["payloadtype"] = "pauseassignmentsmsg"

    answer = await api.post(json.dumps(request).encode())

    assert answer.refusal == (403, "Access denied, not colony owner")
