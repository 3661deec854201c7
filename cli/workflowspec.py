"""Workflow specs as users write them: a list of function specs that name their dependencies."""

from typing import cast

from api import wire, wire_spec
from api.wire_spec import SubmittedSpec
from api.wire_workflow import WorkflowSpec
from cli import processes, render, spec
from cli.errors import UsageError


def read(source: str, colony: str) -> WorkflowSpec:
    """A workflow spec with the defaults of the command line: unlimited times, no retry.

    Raises:
        UsageError: unreadable, or not a list of function specs.
    """
    document = spec.read_document(source)
    if isinstance(document, dict):
        # What goes over the wire, and what the Python SDK writes.
        given = cast("dict[str, object]", document)
        document = given.get("functionspecs", given)
    if not isinstance(document, list):
        raise UsageError(
            "a workflow is a list of function specs",
            hint="a single function spec is submitted with: colonies function submit",
        )
    nodes = [
        spec.with_defaults(node, colony, source, place=f"node {number}")
        for number, node in enumerate(cast("list[object]", document), start=1)
    ]
    return WorkflowSpec(
        colonyname=colony,
        functionspecs=[wire.decode(wire.encode(node), SubmittedSpec) for node in nodes],
    )


def text(workflow: WorkflowSpec) -> str:
    """A workflow spec as crons and generators keep it: a JSON text."""
    return wire.encode(workflow).decode()


def spec_blocks(text: str) -> list[render.Block]:
    """What a cron or a generator starts."""
    kept = wire.decode(text.encode(), _Kept)
    blocks = [render.Block(caption="WorkflowSpec")]
    for number, node in enumerate(kept.functionspecs or []):
        blocks += processes.spec_blocks(node, f"FunctionSpec {number}")
    return blocks


class _Kept(wire.Wire):
    colonyname: str | None = ""
    functionspecs: list[wire_spec.FunctionSpec] | None = None
