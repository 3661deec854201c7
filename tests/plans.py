"""Facts about crons and generators, and the workflow that they start in tests."""

import json

from broker import keys
from broker.aggregates.cron import SKIP, CronAdded, CronFired, CronHeld, Draft
from broker.aggregates.generator import (
    FULL,
    ArgumentPacked,
    GeneratorAdded,
    GeneratorTriggered,
)
from broker.aggregates.planning import spawn
from broker.aggregates.process_submit import SubmitProcess
from broker.aggregates.template import nodes_of, template_of
from broker.aggregates.workflow import Initiator, Node, WorkflowEnded
from broker.decision import Event
from tests.facts import CLI, SUFFIX, T0, USER

CRON = "c" * 56 + SUFFIX
GRAPH = "9" * 56 + SUFFIX
PREVIOUS = "8" * 56 + SUFFIX
ALICE = Initiator(id=USER, name="alice")
SECOND_NS = 1_000_000_000


def node(name: str, *depends: str) -> Node:
    """One process of the workflow, without an id."""
    process = SubmitProcess(
        process_id="",
        spec=b'{"nodename":"%b","args":["old"],"kwargs":{"k":1},"label":""}' % name.encode(),
        requires=CLI.pack(),
        function="echo",
        label="",
        priority=0,
        max_wait_s=0,
        max_exec_s=-1,
        max_retries=0,
        env={},
    )
    return Node(name=name, depends=list(depends), process=process)


TEMPLATE = template_of([node("first"), node("last", "first")])
"""Two processes, one after the other."""


def drawn(of: str = "3", template: bytes = TEMPLATE) -> list[Node]:
    """The processes of the workflow, with ids that tests can predict."""
    ids = (f"{of}{number:055d}{SUFFIX}" for number in range(100))
    return nodes_of(template, lambda: next(ids))


def draft(workflow_id: str = GRAPH, of: str = "3", chance: int = 7) -> Draft:
    """What a firing needs."""
    return Draft(workflow_id=workflow_id, nodes=drawn(of), chance=chance)


def spawned(workflow_id: str, of: str, at_ns: int, root_input: bytes = b"") -> tuple[Event, ...]:
    """The events of the workflow; its requirement class is known."""
    decision = spawn(
        workflow_id, drawn(of), ALICE, {CLI.class_key}, at_ns, root_input=root_input
    )  # fmt: skip
    return decision.events


def cron_added(
    *,
    interval: int = 10,
    expression: str = "",
    next_ns: int = T0 + 10 * SECOND_NS,
    random: bool = False,
    waits: bool = False,
    missed: str = SKIP,
    kind: str = "user",
) -> CronAdded:
    """A cron of alice's."""
    return CronAdded(
        subject=CRON,
        actor=USER,
        at_ns=T0,
        name="tick",
        initiator_kind=kind,
        initiator_name="alice",
        expression=expression,
        interval=interval,
        random=random,
        waits=waits,
        missed=missed,
        workflow="{}",
        template=TEMPLATE,
        next_ns=next_ns,
    )


def cron_fired(
    at_ns: int,
    next_ns: int,
    workflow_id: str = PREVIOUS,
    *,
    actor: str = "",
    was_next: int = 0,
    was_last: int = 0,
    was_workflow: str = "",
) -> CronFired:
    """It has started a workflow."""
    return CronFired(
        subject=CRON,
        actor=actor,
        at_ns=at_ns,
        cause="" if actor else "tick",
        workflow=workflow_id,
        next_ns=next_ns,
        was_next_ns=was_next,
        was_last_ns=was_last,
        was_workflow=was_workflow,
    )


def cron_held(at_ns: int) -> CronHeld:
    """It waits for the previous workflow."""
    return CronHeld(subject=CRON, actor="", at_ns=at_ns, cause="tick")


def workflow_ended(outcome: int, workflow_id: str = PREVIOUS) -> WorkflowEnded:
    """A workflow that waited goes on no longer."""
    return WorkflowEnded(
        subject=workflow_id,
        actor=USER,
        at_ns=T0 + 1,
        submitted_us=T0 // 1_000,
        was=0,
        outcome=outcome,
        sweeps=-1,
    )


def workflow_key(workflow_id: str = PREVIOUS) -> keys.Key:
    """Where a workflow is."""
    return keys.workflow(workflow_id)


# -------------------------------------------------------------------- generators

GENERATOR = "7" * 56 + SUFFIX
CAPACITY = 1_000


def generator_added(
    trigger: int = 3, timeout: int = -1, capacity: int = CAPACITY
) -> GeneratorAdded:
    """A generator of alice's."""
    return GeneratorAdded(
        subject=GENERATOR,
        actor=USER,
        at_ns=T0,
        name="gather",
        initiator_kind="user",
        initiator_name="alice",
        trigger=trigger,
        timeout=timeout,
        workflow="{}",
        template=TEMPLATE,
        capacity=capacity,
    )


def packed(argument: str, at_ns: int = T0 + 1, due_ns: int = 0) -> ArgumentPacked:
    """An argument waits."""
    size = len(json.dumps(argument)) + 1
    return ArgumentPacked(
        subject=GENERATOR, actor=USER, at_ns=at_ns, argument=argument, size=size, due_ns=due_ns
    )


def triggered(
    count: int, at_ns: int, cause: str = FULL, trigger: int = 3, workflow_id: str = GRAPH
) -> GeneratorTriggered:
    """It has started a workflow with all that waited."""
    return GeneratorTriggered(
        subject=GENERATOR,
        actor="",
        at_ns=at_ns,
        cause=cause,
        workflow=workflow_id,
        count=count,
        trigger=trigger,
        capacity=CAPACITY,
    )
