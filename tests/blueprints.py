"""Facts about blueprints that tests begin with."""

from typing import Any

import msgspec

from broker.aggregates.blueprint import BlueprintAdded
from broker.aggregates.definition import BlueprintDefinitionAdded
from tests.facts import OWNER, SUFFIX, T0, USER

KIND = "Device"
DEFINITION = "devices"
DEFINITION_ID = "d" * 56 + SUFFIX
LAMP = "lamp"
LAMP_ID = "b" * 56 + SUFFIX
SCHEMA = {"properties": {"power": {"type": "boolean"}}, "required": ["power"]}


def document(
    executor_type: str = "cli",
    function: str = "reconcile",
    schema: Any = None,  # noqa: ANN401
) -> bytes:
    """A definition as replies show it, as far as decisions look at it."""
    handler = {"executorType": executor_type, "functionName": function}
    return msgspec.json.encode({"spec": {"handler": handler, "schema": schema or SCHEMA}})


def defined(
    name: str = DEFINITION,
    definition_id: str = DEFINITION_ID,
    *,
    kind: str = KIND,
    at_ns: int = T0,
    content: bytes | None = None,
) -> BlueprintDefinitionAdded:
    """There is a kind of blueprints."""
    return BlueprintDefinitionAdded(
        subject=name,
        actor=OWNER,
        at_ns=at_ns,
        definition_id=definition_id,
        kind=kind,
        document=document() if content is None else content,
    )


def lit(name: str = LAMP, blueprint_id: str = LAMP_ID, **fields: Any) -> BlueprintAdded:  # noqa: ANN401
    """A lamp is to be on."""
    given: dict[str, Any] = {
        "subject": blueprint_id,
        "actor": USER,
        "at_ns": T0 + 1,
        "name": name,
        "kind": KIND,
        "location": "",
        "generation": 0,
        "metadata": b'{"name":"lamp","colonyname":"dev"}',
        "spec": b'{"power":true}',
        "status": b"",
        "history_id": "h0",
    }
    return BlueprintAdded(**given | fields)
