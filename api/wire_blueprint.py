"""Messages about blueprints, as the protocol spells them (extended.md, section 10)."""

from typing import Any, cast

from msgspec import UNSET, Raw, Struct, UnsetType, field
from msgspec.structs import fields

from api import wire
from broker.schema import Schema


class Metadata(wire.Wire):
    """What a blueprint or a definition is called; the server sets none of the times."""

    name: str = ""
    colonyname: str = ""
    locationname: str | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    annotations: dict[str, str] | UnsetType = UNSET
    generation: wire.Int | UnsetType = UNSET
    created: str = field(name="createdAt", default=wire.NO_TIME)
    updated: str = field(name="updatedAt", default=wire.NO_TIME)
    reconciled_by: str | UnsetType = field(name="lastReconciliationProcess", default=UNSET)
    reconciled: str = field(name="lastReconciliationTime", default=wire.NO_TIME)


class Blueprint(wire.Wire):
    """What should be (``spec``) and what is (``status``), JSON objects as sent."""

    blueprintid: str = ""
    kind: str = ""
    metadata: Metadata = field(default_factory=Metadata)
    spec: Raw = Raw(b"null")
    status: Raw | UnsetType = UNSET


class Names(wire.Wire):
    """What blueprints of a kind are called."""

    kind: str = ""
    list_kind: str = field(name="listKind", default="")
    singular: str = ""
    plural: str = ""
    short: list[str] | UnsetType = field(name="shortNames", default=UNSET)


class Handler(wire.Wire):
    """Who reconciles blueprints of a kind, with which function."""

    executor_type: str = field(name="executorType", default="")
    function: str = field(name="functionName", default="")
    interval: wire.Int | UnsetType = field(name="reconcileInterval", default=UNSET)


class DefinitionSpec(wire.Wire):
    """A kind of blueprints."""

    group: str = ""
    version: str = ""
    names: Names = field(default_factory=Names)
    scope: str = ""
    schema: Schema | UnsetType = UNSET
    handler: Handler = field(default_factory=Handler)


class BlueprintDefinition(wire.Wire):
    """The definition of a kind of blueprints."""

    blueprintdefinitionid: str = ""
    kind: str = ""
    metadata: Metadata = field(default_factory=Metadata)
    spec: DefinitionSpec = field(default_factory=DefinitionSpec)


class BlueprintHistory(wire.Wire, kw_only=True):
    """One change of a blueprint; ``changetype`` is "create" or "update"."""

    historyid: str
    blueprintid: str
    kind: str
    namespace: str
    name: str
    generation: int
    spec: Raw
    status: Raw | UnsetType = UNSET
    timestamp: str
    changedby: str
    changetype: str


class AddBlueprintDefinitionMsg(wire.Message):
    """Define a kind of blueprints."""

    blueprintdefinition: BlueprintDefinition | None = None


class GetBlueprintDefinitionMsg(wire.OfColony):
    """Read a definition."""

    name: str = ""


class GetBlueprintDefinitionsMsg(wire.OfColony):
    """List definitions, by name."""


class OfNamespace(wire.Message):
    """A message about a blueprint or a definition; a namespace is a colony."""

    namespace: str = ""
    name: str = ""


class RemoveBlueprintDefinitionMsg(OfNamespace):
    """Remove a definition without blueprints."""


class AddBlueprintMsg(wire.Message):
    """Add a blueprint."""

    blueprint: Blueprint | None = None


class GetBlueprintMsg(OfNamespace):
    """Read a blueprint."""


class GetBlueprintsMsg(wire.Message):
    """List blueprints, by name; ``locationname`` counts only together with ``kind``."""

    namespace: str = ""
    kind: str = ""
    locationname: str = ""


class UpdateBlueprintMsg(wire.Message):
    """Replace a blueprint."""

    blueprint: Blueprint | None = None
    forcegeneration: bool = False


class RemoveBlueprintMsg(OfNamespace):
    """Remove a blueprint."""


class GetBlueprintHistoryMsg(wire.Message):
    """List changes of a blueprint, newest first; ``limit`` 0 is all."""

    blueprintid: str = ""
    limit: wire.Int = 0


class UpdateBlueprintStatusMsg(wire.OfColony):
    """Say how a blueprint stands."""

    blueprintname: str = ""
    status: Raw = Raw(b"null")


class ReconcileBlueprintMsg(OfNamespace):
    """Have a blueprint reconciled."""

    force: bool = False


def tidy(value: Struct) -> None:
    """Leave out what is empty where the protocol leaves it out, also inside."""
    for each in fields(value):
        inner: Any = getattr(value, each.name)
        if isinstance(inner, Struct):
            tidy(inner)
        elif isinstance(inner, dict):
            for part in cast("dict[str, Any]", inner).values():
                if isinstance(part, Struct):
                    tidy(part)
        if each.default is UNSET and (
            bytes(inner) == b"null" if isinstance(inner, Raw) else not inner
        ):
            setattr(value, each.name, UNSET)
