"""What may be wrong with a blueprint, and what to do about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from api.wire_blueprint import Blueprint, BlueprintDefinition
from api.wire_cron import Cron
from api.wire_executor import Executor
from cli import blueprints

OK, WARN, ERROR = "OK", "WARN", "ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found; ``mended`` says whether another reconciliation may mend it.

    ``rebuilt`` says that putting the blueprint once more brings back what is missing.
    """

    level: str
    text: str
    hints: Sequence[str] = ()
    mended: bool = False
    rebuilt: bool = False

    @property
    def is_issue(self) -> bool:
        """Whether something is to be done."""
        return self.level != OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What there is in the colony of a blueprint."""

    kinds: Mapping[str, BlueprintDefinition]
    executors: Sequence[Executor]
    crons: Sequence[Cron]


def cron_name(blueprint: Blueprint) -> str:
    """What the cron is called that has blueprints of a kind at a place reconciled."""
    place = blueprints.location(blueprint)
    return f"reconcile-{blueprint.kind}" + (f"-{place}" if place else "")


def check(blueprint: Blueprint, around: Surroundings) -> list[Finding]:
    """Everything that can be checked about a blueprint."""
    return [
        *_reconciler(blueprint, around),
        *_type(blueprint, around),
        *_replicas(blueprint, around),
        *_cron(blueprint, around),
    ]


def _reconciler(blueprint: Blueprint, around: Surroundings) -> Iterator[Finding]:
    kind, place = around.kinds.get(blueprint.kind), blueprints.location(blueprint)
    if kind is None:
        yield Finding(level=ERROR, text=f"No definition of kind '{blueprint.kind}' found")
        return
    handler = kind.spec.handler
    if not handler.executor_type or not handler.function:
        text = f"Definition '{kind.metadata.name}' names nobody who reconciles"
        yield Finding(level=ERROR, text=text)
        return
    found = blueprints.approved(around.executors, handler.executor_type, place)
    if found:
        names = ", ".join(each.executorname for each in found)
        yield Finding(level=OK, text=f"Reconciler {names} found at location '{place}'")
    else:
        hints = (f"Start one: colonies executor run --type {handler.executor_type}",)
        yield Finding(level=ERROR, text=f"No reconciler found at location '{place}'", hints=hints)


def _type(blueprint: Blueprint, around: Surroundings) -> Iterator[Finding]:
    wanted = blueprints.content(blueprint.spec).get("executorType")
    if not isinstance(wanted, str) or not wanted:
        return
    found = blueprints.approved(around.executors, wanted, "")
    if found:
        few = "1 executor" if len(found) == 1 else f"{len(found)} executors"
        yield Finding(level=OK, text=f"{few} of type '{wanted}' found")
    else:
        yield Finding(level=ERROR, text=f"No executor of type '{wanted}' found")


def _replicas(blueprint: Blueprint, around: Surroundings) -> Iterator[Finding]:
    have = blueprints.replicas(blueprint, around.executors)
    name = blueprint.metadata.name
    hints = (
        f"Run: colonies blueprint log --name {name}",
        f"Try: colonies blueprint reconcile --name {name} --force",
    )
    if have.wanted is not None and have.current != have.wanted:
        few = "Only " if have.current < have.wanted else ""
        text = f"{few}{have.text} replicas running"
        yield Finding(level=WARN, text=text, hints=hints, mended=True)
    elif have.wanted is not None:
        yield Finding(level=OK, text=f"{have.text} replicas running")
    if have.older:
        few = "1 executor" if have.older == 1 else f"{have.older} executors"
        text = f"{few} of an older generation"
        yield Finding(level=WARN, text=text, hints=hints, mended=True)


def _cron(blueprint: Blueprint, around: Surroundings) -> Iterator[Finding]:
    wanted = cron_name(blueprint)
    if any(each.name == wanted for each in around.crons):
        yield Finding(level=OK, text=f"Reconciliation cron '{wanted}' exists")
    else:
        text = f"Reconciliation cron '{wanted}' is missing"
        hints = ("A member who updates the blueprint brings it back",)
        yield Finding(level=ERROR, text=text, hints=hints, rebuilt=True)
